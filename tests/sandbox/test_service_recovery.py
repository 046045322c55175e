"""The service in its sandbox, under load, when its database is moved, away, or without its table."""

import json
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3
from lightkube.resources.core_v1 import Pod

from opskit.platform import endpoint_parameter
from sandbox.kubernetes.client import administrator
from sandbox.kubernetes.kubelet.pod import host_port
from sandbox.load import Load, Plan, ids_of, missing
from sandbox.operator import Operator
from sandbox.provision import setup, workload
from sandbox.supervisor import Options, sandbox
from tests.sandbox.fixtures.automation import eventually, free_ports
from tests.sandbox.fixtures.service import DETECTION

NOWHERE = "127.0.0.1"


class Rig(Operator):
    """The operator's hands, and the service's clients."""

    def point(self, kind: str, endpoint: str) -> None:
        """The cut-over: what a restore does at its end."""
        name = endpoint_parameter(self.config.service, self.config.environment, kind)
        self.clients["ssm"].put_parameter(Name=name, Value=endpoint, Overwrite=True)

    def ask(self, method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
        """Of one of the pods, through the balancer."""
        answer = urllib3.request(method, self.config.service_url + path, retries=False, timeout=10, **more)
        return answer.status, answer.json()

    def post(self) -> int:
        return self.ask("POST", "/detections", json=DETECTION)[0]

    def readiness(self) -> list[dict[str, Any]]:
        """Of each pod."""
        found = []
        for pod in self.pods():
            url = f"http://127.0.0.1:{host_port(pod, 'http')}/ready"
            answer = urllib3.request("GET", url, retries=False, timeout=10)
            found.append({"status": answer.status, **answer.json()})
        return found

    def all_ready(self, endpoint: str = "") -> bool:
        return all(each["ready"] and each["queued"] == 0 and endpoint in each["database"] for each in self.readiness())

    def pods(self) -> list[dict[str, Any]]:
        found = administrator(self.config).list(Pod, namespace=self.config.service, labels={"colour": "blue"})
        return [pod.to_dict() for pod in found]

    def processes(self) -> set[tuple[str, int]]:
        """What changes when a pod is replaced or restarted."""
        return {(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in self.pods()}

    def ids(self, instance: str | None = None) -> set[str]:
        return {str(one) for (one,) in self.sql("SELECT id FROM detections", instance=instance)}

    def copy(self, name: str) -> str:
        """A restored copy of the live database; where it is."""
        rds, source = self.clients["rds"], self.database()["DBInstanceIdentifier"]
        rds.create_db_snapshot(DBInstanceIdentifier=source, DBSnapshotIdentifier=name)
        eventually(
            lambda: rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]["Status"] == "available"
        )
        rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier=name,
            DBSnapshotIdentifier=name,
            Port=self.config.database_port,
            EnableIAMDatabaseAuthentication=True,
        )
        eventually(lambda: self.database(name)["DBInstanceStatus"] == "available", 60)
        endpoint = self.database(name)["Endpoint"]
        return f"{endpoint['Address']}:{endpoint['Port']}"

    def load(self) -> Load:
        plan = Plan(url=self.config.service_url, rate=60, seconds=120, connections=8, write_share=0.5, slow_share=0)
        return Load(plan, track_writes=True)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("recovery") / "sandbox"
    options = Options(setup=partial(setup, deploy=False, engines=True), engine_pace_seconds=0.1)
    with sandbox(directory, options, progress=lambda _: None) as config:
        yield Rig(config)


@pytest.fixture
def rig(started: Rig) -> Iterator[Rig]:
    database = started.endpoint("database")
    yield started
    started.point("database", database)
    eventually(lambda: started.all_ready(database))


def test_a_swap_of_the_endpoint_moves_reads_and_writes_without_a_restart(rig: Rig) -> None:
    before, source = rig.processes(), rig.database()["DBInstanceIdentifier"]
    with rig.load() as load:
        eventually(load.acknowledged)
        elsewhere = rig.copy("copy")
        rig.point("database", elsewhere)
        eventually(lambda: rig.all_ready(elsewhere))
        moved = len(load.acknowledged())
        eventually(lambda: len(load.acknowledged()) > moved + 50)
        report = load.stop()
    assert rig.processes() == before
    assert report.writes.failed == 0
    copied, old = rig.ids("copy"), rig.ids(source)
    assert {each.id for each in load.acknowledged()[moved + 1 :]} <= copied
    assert ids_of(rig.config.service_url) == copied
    lost = {each.id for each in missing(load.acknowledged(), copied)}
    assert lost, "what was written between the copy and the swap"
    assert lost <= old


def test_while_the_database_is_away_writes_are_queued_and_reads_are_refused(rig: Rig, tmp_path: Path) -> None:
    live = rig.endpoint("database")
    with rig.load() as load:
        eventually(load.acknowledged)
        rig.point("database", f"{NOWHERE}:{free_ports(1)[0]}")
        eventually(lambda: [each.status for each in load.acknowledged()].count(202) > 50)
        # First from the cache, until its time is up.
        eventually(lambda: rig.ask("GET", "/detections?limit=1")[0] == 503)
        for each in rig.readiness():
            assert (each["status"], each["read"], each["write"]) == (503, False, "queued")
        workload.dump_queue(rig.config)
        rig.point("database", live)
        eventually(lambda: rig.all_ready(live))
        eventually(lambda: load.report().reads.recovery_seconds)
        report = load.stop()
    copy = tmp_path / "queue.db"
    copy.write_bytes(rig.read("application-data/incoming/queue.db"))
    queue = sqlite3.connect(copy)
    dumped = {one for (one,) in queue.execute("SELECT id FROM queue")}
    queue.close()
    acknowledged = load.acknowledged()
    eventually(lambda: rig.all_ready(live))
    assert report.writes.failed == 0
    assert report.reads.failed == report.failures["status_503"] > 0
    assert missing(acknowledged, rig.ids()) == ()
    assert len(dumped) > 50
    assert dumped <= {each.id for each in acknowledged if each.status == 202}


def test_without_its_table_nothing_is_read_and_what_is_written_waits(rig: Rig) -> None:
    assert rig.post() == 201
    before = rig.ids()
    rig.sql("ALTER TABLE detections RENAME TO gone")
    try:
        assert rig.post() == 202
        eventually(lambda: rig.ask("GET", "/detections?limit=7")[0] == 503)
        for each in rig.readiness():
            assert (each["status"], each["read"], each["write"]) == (503, False, "queued")
        assert rig.ask("GET", "/health")[0] == 200
    finally:
        rig.sql("ALTER TABLE gone RENAME TO detections")
    eventually(rig.all_ready)
    assert len(rig.ids() - before) == 1


def test_the_role_is_what_lets_the_pods_in(rig: Rig) -> None:
    """Without the statement about the database, connections that are made from then on are refused."""
    iam, name = rig.clients["iam"], f"{rig.config.name}-service"
    document = iam.get_role_policy(RoleName=name, PolicyName="stores")["PolicyDocument"]
    others = [each for each in document["Statement"] if each["Action"] != "rds-db:connect"]
    live = rig.endpoint("database")

    def allow(statements: list[dict[str, Any]]) -> None:
        text = json.dumps({**document, "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="stores", PolicyDocument=text)

    allow(others)
    try:
        rig.point("database", f"{NOWHERE}:{free_ports(1)[0]}")
        eventually(lambda: not any(each["read"] for each in rig.readiness()))
        rig.point("database", live)
        logs = rig.config.dir / "logs" / "pods"
        eventually(lambda: any("PAM authentication failed" in log.read_text() for log in logs.glob("*blue*.log")))
        assert rig.post() == 202
    finally:
        allow(document["Statement"])
    eventually(lambda: rig.all_ready(live))
