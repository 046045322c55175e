"""The judging step against moto: sources, report, evidence, notification, metrics."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from functions.objectives import judge_objectives
from opskit import clients
from opskit.adapters.cache_state import CacheSnapshot
from opskit.adapters.caches import Caches
from opskit.adapters.database_state import DatabaseState
from opskit.adapters.databases import Databases
from opskit.adapters.manifests import Manifests
from opskit.clock import timestamp
from opskit.errors import EvidenceError, InvalidInputError
from opskit.ledger import OperationRecord
from opskit.step import Run
from tests.unit.decisions.backups import DATABASE, manifest
from tests.unit.functions.conftest import START, FixedClock

SETTINGS = {
    "rto_seconds": 1800,
    "rpo_seconds": 300,
    "restorable_lag_seconds": 600,
    "heartbeat_age_seconds": 180,
    "cache_snapshot_age_seconds": 10800,
    "manifest_age_seconds": 9000,
    "drill_age_seconds": 691200,
}
LIVE = DatabaseState(
    "detection-api-dev",
    "arn:aws:rds:us-east-1:000000000000:db:detection-api-dev",
    "db-1",
    "available",
    replace(DATABASE, port=5432),
    address="db.example.com",
    latest_restorable=START - timedelta(seconds=400),
)


class Rig:
    """An environment in which everything is well; tests take something away."""

    def __init__(self, run: Run, clock: FixedClock) -> None:
        self.run = run
        self.clock = clock
        self.instances: tuple[DatabaseState, ...] | Exception = (LIVE,)
        self.snapshot: CacheSnapshot | Exception | None = CacheSnapshot(
            "s", "arn:s", "g", None, "available", "7.0", 1, START
        )
        self.bucket = run.platform.backup_bucket
        clients.client("ssm").put_parameter(
            Name="/detection-api/dev/endpoints/database", Value="db.example.com:5432", Type="String"
        )
        clients.client("s3").create_bucket(Bucket=self.bucket)
        made = manifest(hours=2)  # finished at 11:10, an hour and a half after which START is
        written = Manifests(self.bucket, run.ledger).write(made)
        self.record("snapshot", "COMPLETE", {"manifest": {"key": written.key, "sha256": written.sha256}})
        self.record("drill", "PASS", {"rto_seconds": 700, "rpo_seconds": 60})
        self.manifest_key = written.key

    def record(self, workflow: str, outcome: str, facts: dict[str, Any]) -> None:
        opened = OperationRecord(workflow, f"arn:{workflow}", f"{workflow}-1", START, facts=facts)
        self.run.ledger.open_operation(opened)
        self.run.ledger.close_operation(opened.key, outcome, "because")

    def judge(self, **changes: Any) -> dict[str, Any]:
        event = {
            "settings": SETTINGS,
            "input": {},
            "heartbeat": {"at": timestamp(self.clock.now() - timedelta(seconds=30)), "unreadable": None},
            **changes,
        }
        return judge_objectives.handler.__wrapped__(event, self.run)

    def report(self) -> dict[str, Any]:
        body = clients.client("s3").get_object(Bucket=self.bucket, Key="objectives/latest.json")["Body"]
        found: dict[str, Any] = json.loads(body.read())
        return found

    def next_run(self, name: str, seconds: float = 60) -> None:
        self.clock.advance(seconds)
        execution = replace(self.run.execution, name=name, started_at=self.clock.now())
        self.run = replace(self.run, execution=execution)
        self.run.metrics.clear_metrics()


@pytest.fixture
def rig(run: Run, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig(run, clock)

    def given(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(Databases, "instances", lambda _: given(made.instances))
    monkeypatch.setattr(Caches, "snapshot", lambda _, name: given(made.snapshot))
    yield made
    run.metrics.clear_metrics()


def metrics_of(rig: Rig) -> dict[str, Any]:
    return {name: metric["Value"] for name, metric in rig.run.metrics.metric_set.items()}


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {name: verdict["outcome"] for name, verdict in report["objectives"].items()}


def test_what_holds_is_reported_and_measured(rig: Rig) -> None:
    done = rig.judge(input={"requested_by": "a person"})
    report = rig.report()
    assert (done["outcome"], done["reason"], done["changed"]) == ("PASS", "all 7 objectives hold", True)
    assert set(verdicts(report).values()) == {"PASS"}
    assert report["judged_at"] == report["since"] == timestamp(START)
    assert report["evidence"] == done["evidence"]
    assert (report["execution"], report["requested_by"], report["problems"]) == ("r1", "a person", [])
    assert report["objectives"]["restorable_lag"]["facts"]["seconds"] == 400
    assert metrics_of(rig) == {"ObjectivesMet": [1]}


def test_what_does_not_change_is_neither_told_nor_put_on_record_again(rig: Rig, told: list[dict[str, Any]]) -> None:
    first = rig.judge()
    rig.next_run("r2")
    second = rig.judge()
    assert (second["changed"], second["evidence"]) == (False, first["evidence"])
    assert rig.report()["since"] == timestamp(START)
    assert rig.report()["judged_at"] == timestamp(rig.clock.now())
    rig.next_run("r3")
    third = rig.judge(heartbeat={"at": None, "unreadable": None})
    assert third["changed"]
    assert rig.report()["since"] == timestamp(rig.clock.now())
    assert [(one["before"], one["outcome"], one["evidence"]) for one in told] == [
        (None, "PASS", first["evidence"]),
        ("PASS", "FAIL", third["evidence"]),
    ]
    assert rig.run.evidence.verify().records == 2


@pytest.mark.parametrize(
    ("broken", "objective", "reason"),
    [
        ({"instances": RuntimeError("broken pipe")}, "restorable_lag", "RuntimeError: broken pipe"),
        ({"snapshot": RuntimeError("broken pipe")}, "cache_snapshot_age", "RuntimeError: broken pipe"),
    ],
)
def test_a_source_that_cannot_be_read_does_not_keep_the_others_from_being_judged(
    rig: Rig, broken: dict[str, Any], objective: str, reason: str
) -> None:
    for name, value in broken.items():
        setattr(rig, name, value)
    done = rig.judge()
    found = verdicts(rig.report())
    assert found == dict.fromkeys(found, "PASS") | {objective: "INCONCLUSIVE"}
    assert reason in done["reason"]
    assert metrics_of(rig)["ObjectivesMet"] == [0]


def test_manifests_that_cannot_be_read_leave_two_objectives_open(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(Manifests, "recent", refuse)
    rig.judge()
    found = verdicts(rig.report())
    open_ones = {"manifest_age": "INCONCLUSIVE", "cache_snapshot_age": "INCONCLUSIVE"}
    assert found == dict.fromkeys(found, "PASS") | open_ones


def test_a_heartbeat_that_could_not_be_read_has_no_age(rig: Rig) -> None:
    done = rig.judge(heartbeat={"at": None, "unreadable": "UnavailableError: no answer"})
    assert done["outcome"] == "INCONCLUSIVE"
    assert "UnavailableError: no answer" in done["reason"]
    assert metrics_of(rig) == {"ObjectivesMet": [0]}


@pytest.mark.parametrize(
    ("instances", "reason"),
    [
        ((), "there is no latest restorable time: no DB instance has the endpoint db.example.com:5432"),
        ((replace(LIVE, latest_restorable=None),), "detection-api-dev has no automated backups"),
        ((replace(LIVE, address="other.example.com"),), "no DB instance has the endpoint"),
    ],
)
def test_a_database_that_cannot_be_restored_fails(rig: Rig, instances: tuple[DatabaseState, ...], reason: str) -> None:
    rig.instances = instances
    done = rig.judge()
    assert done["outcome"] == "FAIL"
    assert reason in done["reason"]


def test_a_manifest_that_was_edited_is_a_problem_that_is_told(rig: Rig) -> None:
    clients.client("s3").put_object(Bucket=rig.bucket, Key=rig.manifest_key, Body=b"{}")
    rig.judge()
    (problem,) = rig.report()["problems"]
    assert rig.manifest_key in problem
    assert verdicts(rig.report())["manifest_age"] == "FAIL"


def test_only_drills_that_passed_count(rig: Rig) -> None:
    later = OperationRecord("drill", "arn", "drill-2", START + timedelta(hours=1), facts={"rto_seconds": 9999})
    rig.run.ledger.open_operation(later)
    assert rig.judge()["outcome"] == "PASS", "one that runs"
    rig.run.ledger.close_operation(later.key, "FAIL", "too slow")
    assert rig.judge()["outcome"] == "PASS", "one that failed"


@pytest.mark.parametrize("content", [b"not JSON", b"[]", b'{"outcome": "PASS"}'])
def test_a_report_that_cannot_be_understood_is_as_none(rig: Rig, content: bytes) -> None:
    clients.client("s3").put_object(Bucket=rig.bucket, Key="objectives/latest.json", Body=content)
    assert rig.judge()["changed"]
    assert rig.report()["outcome"] == "PASS"


def test_without_evidence_there_is_no_report_that_would_hide_the_change(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opskit.evidence import Evidence

    def refuse(*_: Any, **__: Any) -> Any:
        raise EvidenceError("the bucket refused")

    with monkeypatch.context() as patched:
        patched.setattr(Evidence, "append", refuse)
        with pytest.raises(EvidenceError):
            rig.judge()
    assert metrics_of(rig) == {}, "missing data alarms"
    assert rig.judge()["changed"], "the retry finds it changed still"


def test_nobody_being_told_is_no_reason_to_fail(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from opskit.adapters.notifier import Notifier

    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no topic")

    monkeypatch.setattr(Notifier, "publish", refuse)
    assert rig.judge()["outcome"] == "PASS"
    assert rig.report()["outcome"] == "PASS"
    assert metrics_of(rig)["ObjectivesMet"] == [1]


def test_an_input_that_does_not_fit_is_refused(rig: Rig) -> None:
    with pytest.raises(InvalidInputError):
        rig.judge(input={"environment": "dev"})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    from opskit.adapters.notifier import Notifier

    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(Notifier, "publish", lambda _, subject, message: seen.append(message | {"subject": subject}))
    return seen
