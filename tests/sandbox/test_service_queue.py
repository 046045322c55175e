"""The service when its database goes: what is accepted meanwhile is stored once, in order, afterwards."""

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.sandbox.fixtures.automation import eventually, free_ports
from tests.sandbox.fixtures.postgres import Postgres
from tests.sandbox.fixtures.service import serving

HOLD = "import fcntl, sys; held = open(sys.argv[1], 'w'); fcntl.flock(held, fcntl.LOCK_EX); print(); input()"


def test_a_database_that_goes_and_comes_back_loses_and_doubles_nothing(database: Postgres, tmp_path: Path) -> None:
    """Clients write all the while; everything that was answered 201 or 202 is there once, in order per client."""
    where = {"DATABASE_ENDPOINT": database.endpoint, "QUEUE_PATH": str(tmp_path / "queue.sqlite")}
    with serving(tmp_path, **where) as service:
        answered: dict[int, list[str]] = {writer: [] for writer in range(3)}
        statuses: list[int] = []
        stop = threading.Event()

        def write(writer: int) -> None:
            number = 0
            while not stop.is_set():
                label = f"w{writer}-{number}"
                status, _ = service.post(label)
                statuses.append(status)
                if status in (201, 202):
                    answered[writer].append(label)
                number += 1
                time.sleep(0.005)

        writers = [threading.Thread(target=write, args=(writer,)) for writer in answered]
        for writer in writers:
            writer.start()
        eventually(lambda: statuses.count(201) > 20)
        for _ in range(2):
            before = statuses.count(202)
            database.stop()
            eventually(lambda before=before: statuses.count(202) > before + 50)
            assert service.get("/health")[0] == 200
            status, readiness = service.get("/ready")
            assert (status, readiness["read"], readiness["write"]) == (503, False, "queued")
            assert readiness["queued"] > 0
            database.start()
            stored = statuses.count(201)
            eventually(lambda stored=stored: statuses.count(201) > stored + 20)
        stop.set()
        for writer in writers:
            writer.join()
        service.when_ready()
        assert set(statuses) == {201, 202}
        assert service.ready()["queued"] == 0
        stored_labels = database.labels()
        for writer, labels in answered.items():
            mine = [label for label in stored_labels if label.startswith(f"w{writer}-")]
            assert mine == labels


def test_a_queue_outlives_the_process_and_another_drains_it(database: Postgres, tmp_path: Path) -> None:
    where = {"DATABASE_ENDPOINT": database.endpoint, "QUEUE_PATH": str(tmp_path / "queue.sqlite")}
    database.stop()
    with serving(tmp_path, wait=False, **where) as service:
        assert [service.post(f"n{number}")[0] for number in range(5)] == [202] * 5
        assert service.post("again", key="k")[0] == 202
        assert service.post("again", key="k")[0] == 202
        assert service.get("/detections")[0] == 503
        service.process.kill()
        service.process.wait(10)
    with contextlib.closing(sqlite3.connect(tmp_path / "queue.sqlite")) as queue:
        assert queue.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert queue.execute("SELECT count(*) FROM queue").fetchone() == (6,)
    database.start()
    with serving(tmp_path, **where) as one, serving(tmp_path, **where) as other:
        eventually(lambda: one.ready()["queued"] == 0 and other.ready()["queued"] == 0)
        assert database.labels() == [*(f"n{number}" for number in range(5)), "again"]


def test_what_is_new_waits_behind_what_is_queued(database: Postgres, tmp_path: Path) -> None:
    """Another process holds the drain: even with the database there, nothing overtakes."""
    where = {"DATABASE_ENDPOINT": database.endpoint, "QUEUE_PATH": str(tmp_path / "queue.sqlite")}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{where['QUEUE_PATH']}.drain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with serving(tmp_path, **where) as service:
            database.stop()
            eventually(lambda: service.post("queued")[0] == 202)
            database.start()
            eventually(lambda: service.ready()["write"] == "stored")
            assert service.post("behind")[0] == 202
            holder.communicate(b"\n", timeout=10)
            eventually(lambda: service.ready()["queued"] == 0)
            eventually(lambda: service.post("after")[0] == 201)
            labels = database.labels()
            assert labels.index("behind") > labels.index("queued")
    finally:
        holder.kill()


def test_a_database_that_hangs_is_given_up_in_seconds(database: Postgres, tmp_path: Path) -> None:
    where = {"DATABASE_ENDPOINT": database.endpoint, "QUEUE_PATH": str(tmp_path / "queue.sqlite")}
    with serving(tmp_path, **where) as service:
        assert service.post("before")[0] == 201
        database.pause()
        assert service.post("during")[0] == 202  # the connection's own time limit is shorter than this client's
        assert service.post("at once")[0] == 202
        database.resume()
        service.when_ready()
        assert database.labels() == ["before", "during", "at once"]


def test_without_a_queue_writes_are_refused_while_the_database_is_away(database: Postgres, tmp_path: Path) -> None:
    with serving(tmp_path, DATABASE_ENDPOINT=database.endpoint) as service:
        database.stop()
        status, answer = service.post()
        assert status == 503
        assert "unavailable" in answer["error"]
        assert service.ready()["write"] == "refused"
        database.start()
        service.when_ready()
        assert service.post()[0] == 201


def test_a_fenced_database_takes_no_writes_and_they_wait(database: Postgres, tmp_path: Path) -> None:
    """As before a cut-over: the old database is made read-only, the endpoint not changed yet."""
    where = {"DATABASE_ENDPOINT": database.endpoint, "QUEUE_PATH": str(tmp_path / "queue.sqlite")}
    with serving(tmp_path, **where) as service, database.session("postgres", "postgres") as session:
        assert service.post("before")[0] == 201
        session.run("ALTER ROLE detection_api SET default_transaction_read_only = on")
        session.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'detection_api'")
        eventually(lambda: service.ready()["read"])
        assert service.post("during")[0] == 202
        assert service.ready()["write"] == "queued"
        session.run("ALTER ROLE detection_api RESET default_transaction_read_only")
        session.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'detection_api'")
        eventually(lambda: service.ready()["ready"] and service.ready()["queued"] == 0)
        assert database.labels() == ["before", "during"]


def test_it_starts_at_once_without_database_and_cache(tmp_path: Path) -> None:
    """Alive, and able to accept: readiness is another question."""
    database, cache = free_ports(2)
    where = {
        "DATABASE_ENDPOINT": f"127.0.0.1:{database}",
        "CACHE_URL": f"redis://127.0.0.1:{cache}",
        "QUEUE_PATH": str(tmp_path / "queue.sqlite"),
    }
    with serving(tmp_path, wait=False, **where) as service:
        assert service.post()[0] == 202
        status, readiness = service.get("/ready")
        assert (status, readiness["write"], readiness["cache"], readiness["queued"]) == (503, "queued", False, 1)
