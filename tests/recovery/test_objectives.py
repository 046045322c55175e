"""The recovery objectives hold, fail for each cause apart, and cannot be judged where a source cannot be read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opskit.clock import SystemClock, moment_of
from opskit.decisions.manifest import Kind
from opskit.evidence import Evidence
from sandbox.operator import Operator
from tests.recovery.past import ago, drill, manifest, without_records
from tests.recovery.told import told

REPORT = "objectives/latest.json"


@pytest.fixture(scope="module")
def snapshot(everyone: Operator) -> Iterator[str]:
    """A backup of the cache."""
    api, name = everyone.clients["elasticache"], "objectives-cache"
    api.create_snapshot(SnapshotName=name, ReplicationGroupId=everyone.config.name)
    everyone.until(
        lambda: api.describe_snapshots(SnapshotName=name)["Snapshots"][0]["SnapshotStatus"],
        lambda status: status == "available",
        "the backup of the cache",
        seconds=30,
    )
    yield name
    api.delete_snapshot(SnapshotName=name)


@dataclass
class Scene:
    """An environment in which everything is well but for what a test changes."""

    operator: Operator
    snapshot: str

    def judge(self) -> dict[str, Any]:
        """Run the workflow; the report that it leaves. An express execution itself cannot be looked at."""
        name = self.operator.start(workflow="objectives", requested_by="a test").rpartition(":")[2]
        return self.operator.until(
            self.report, lambda report: report.get("execution") == name, f"the report of {name}", seconds=60
        )

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.operator.read(REPORT)) if self.operator.keys(REPORT) else {}
        return found

    def stamp(self) -> datetime:
        return moment_of(self.operator.call("objectives-stamp-heartbeat", {})["stamped_at"])


@pytest.fixture
def scene(operator: Operator, snapshot: str) -> Iterator[Scene]:
    operator.until(
        lambda: datetime.now(UTC) - operator.database()["LatestRestorableTime"],
        lambda lag: lag < timedelta(seconds=5),
        "the archive to follow",
        seconds=30,
    )
    with without_records(operator, "snapshot", "drill"):
        scene = Scene(operator, snapshot)
        scene.stamp()
        yield scene


@pytest.fixture
def well(scene: Scene) -> Scene:
    manifest(scene.operator, scene.snapshot, finished=ago(minutes=50), cache_taken=ago(minutes=55))
    drill(scene.operator, ended=ago(days=3), rto=700, rpo=60)
    return scene


def only(report: dict[str, Any], outcome: str, *names: str) -> str:
    """These objectives have this outcome and all others pass; the reason of the whole."""
    found = {name: verdict["outcome"] for name, verdict in report["objectives"].items()}
    assert found == dict.fromkeys(found, "PASS") | dict.fromkeys(names, outcome), report["reason"]
    assert report["outcome"] == outcome
    return str(report["reason"])


def test_all_hold(well: Scene) -> None:
    stamped = well.stamp()
    report = well.judge()
    assert only(report, "PASS") == "all 7 objectives hold"
    assert report["problems"] == []
    objectives = report["objectives"]
    assert objectives["heartbeat_age"]["facts"]["at"] == stamped.isoformat(timespec="microseconds").replace(
        "+00:00", "Z"
    )
    assert objectives["restorable_lag"]["facts"]["target_seconds"] == 8
    assert objectives["cache_snapshot_age"]["facts"]["seconds"] == pytest.approx(55 * 60, abs=60)
    assert objectives["drill_rto"]["facts"] == {"seconds": 700, "target_seconds": 1800}


def test_the_latest_restorable_time_is_stale(well: Scene) -> None:
    operator = well.operator
    operator.engine_fault("rds", operator.config.name, archive="held")
    operator.until(
        lambda: datetime.now(UTC) - operator.database()["LatestRestorableTime"],
        lambda lag: lag > timedelta(seconds=8),
        "the archive to fall behind",
        seconds=30,
    )
    assert "the latest restorable time is" in only(well.judge(), "FAIL", "restorable_lag")


def test_the_heartbeat_is_stale(well: Scene) -> None:
    well.operator.sql("UPDATE ops.heartbeat SET stamped_at = stamped_at - interval '4 minutes'")
    assert "the newest heartbeat is 24" in only(well.judge(), "FAIL", "heartbeat_age")
    well.operator.sql("DELETE FROM ops.heartbeat")
    assert only(well.judge(), "FAIL", "heartbeat_age") == "there is no newest heartbeat"


def test_the_backup_of_the_cache_is_too_old(scene: Scene) -> None:
    drill(scene.operator, ended=ago(days=3), rto=700, rpo=60)
    manifest(scene.operator, scene.snapshot, finished=ago(minutes=50), cache_taken=ago(hours=4))
    assert "the newest cache snapshot is" in only(scene.judge(), "FAIL", "cache_snapshot_age")


def test_the_backup_of_the_cache_was_deleted(scene: Scene) -> None:
    drill(scene.operator, ended=ago(days=3), rto=700, rpo=60)
    manifest(scene.operator, "was-deleted", finished=ago(minutes=50), cache_taken=ago(minutes=55))
    assert "is verified and there" in only(scene.judge(), "FAIL", "cache_snapshot_age")


def test_the_manifests_are_incomplete(scene: Scene) -> None:
    drill(scene.operator, ended=ago(days=3), rto=700, rpo=60)
    past = {"cache_taken": ago(minutes=100)}
    manifest(scene.operator, scene.snapshot, finished=ago(minutes=50), failed=Kind.STATE, **past)
    assert "terraform_state" in only(scene.judge(), "FAIL", "manifest_age")
    manifest(scene.operator, scene.snapshot, finished=ago(hours=3), **past)
    assert "the last complete manifest is 108" in only(scene.judge(), "FAIL", "manifest_age")
    manifest(scene.operator, scene.snapshot, finished=ago(minutes=110), **past)
    only(scene.judge(), "PASS")


def test_a_manifest_that_was_edited_does_not_count(scene: Scene) -> None:
    drill(scene.operator, ended=ago(days=3), rto=700, rpo=60)
    manifest(scene.operator, scene.snapshot, finished=ago(hours=3), cache_taken=ago(hours=2))
    edited = manifest(scene.operator, scene.snapshot, finished=ago(minutes=50), cache_taken=ago(hours=2))
    scene.operator.tamper(edited.key, lambda content: content.replace(b"VERIFIED", b"VERIFIED "))
    report = scene.judge()
    only(report, "FAIL", "manifest_age")
    (problem,) = report["problems"]
    assert edited.key in problem
    assert "was changed" in problem


def test_nothing_was_ever_backed_up_or_drilled(scene: Scene) -> None:
    report = scene.judge()
    reason = only(report, "FAIL", "cache_snapshot_age", "manifest_age", "drill_age", "drill_rto", "drill_rpo")
    assert "no drill has passed yet" in reason
    drill(scene.operator, "FAIL", ended=ago(days=1), rto=100, rpo=1)
    assert scene.judge()["reason"] == reason, "one that failed does not count"


@pytest.mark.parametrize(
    ("days", "rto", "rpo", "objective"),
    [(9, 700, 60, "drill_age"), (3, 1801, 60, "drill_rto"), (3, 700, 301, "drill_rpo")],
)
def test_the_last_good_drill_is_too_old_or_too_slow_or_lost_too_much(
    scene: Scene, days: int, rto: float, rpo: float, objective: str
) -> None:
    manifest(scene.operator, scene.snapshot, finished=ago(minutes=50), cache_taken=ago(minutes=55))
    drill(scene.operator, ended=ago(days=days), rto=rto, rpo=rpo)
    drill(scene.operator, "FAIL", ended=ago(hours=1), rto=100, rpo=1)
    assert "drill" in only(scene.judge(), "FAIL", objective)


def test_a_database_that_lets_nobody_in_is_inconclusive(well: Scene) -> None:
    well.operator.sql("ALTER ROLE ops_reader NOLOGIN")
    try:
        reason = only(well.judge(), "INCONCLUSIVE", "heartbeat_age")
    finally:
        well.operator.sql("ALTER ROLE ops_reader LOGIN")
    assert "could not be read: DatabaseLoginError: ops_reader@" in reason


@pytest.mark.parametrize(
    ("service", "operation", "objective"),
    [("rds", "DescribeDBInstances", "restorable_lag"), ("elasticache", "DescribeSnapshots", "cache_snapshot_age")],
)
def test_an_api_that_refuses_is_inconclusive(well: Scene, service: str, operation: str, objective: str) -> None:
    well.operator.engine_fault(service, operation=operation, error="AccessDenied", message="told to refuse")
    assert "told to refuse" in only(well.judge(), "INCONCLUSIVE", objective)


def test_what_changes_is_told_and_on_record_and_what_does_not_is_not(well: Scene) -> None:
    operator = well.operator
    evidence = Evidence(
        f"{operator.config.name}-evidence-{operator.config.account}",
        f"{operator.config.name}-ledger",
        operator.config.service,
        operator.config.environment,
        SystemClock(),
        s3=operator.clients["s3"],
        dynamodb=operator.clients["dynamodb"],
    )
    first = well.judge()
    with told(operator, "OBJECTIVES") as notifications:
        before = evidence.verify().records
        again = well.judge()
        assert (again["since"], again["evidence"]) == (first["since"], first["evidence"])
        operator.sql("DELETE FROM ops.heartbeat")
        failed = well.judge()
        still = well.judge()
        well.stamp()
        well.judge()
        seen = operator.until(notifications, lambda found: len(found) > 1, "two notifications", seconds=10)
        assert [(one["before"], one["outcome"]) for one in seen] == [("PASS", "FAIL"), ("FAIL", "PASS")]
    assert failed["since"] == failed["judged_at"] == still["since"]
    assert still["evidence"] == failed["evidence"] != first["evidence"]
    report = evidence.verify()
    assert (report.intact, report.records) == (True, before + 2), report.problems
    kept = json.loads(operator.read(failed["evidence"], f"{operator.config.name}-evidence-{operator.config.account}"))
    assert (kept["kind"], kept["body"]["outcome"], kept["body"]["before"]) == ("objectives", "FAIL", "PASS")


def test_the_alarm_falls_silent_while_objectives_hold_and_fires_when_they_do_not(well: Scene) -> None:
    """Missing data is breaching, and two of three periods (of 10 s here) make an alarm."""
    operator, name = well.operator, f"{well.operator.config.name}-objectives-not-met"

    def state() -> str:
        found = operator.clients["cloudwatch"].describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return str(found[0]["StateValue"])

    def judged() -> str:
        well.judge()
        return state()

    operator.until(state, lambda seen: seen == "ALARM", "the alarm for want of data", seconds=60)
    operator.until(judged, lambda seen: seen == "OK", "the alarm to fall silent", seconds=60)
    operator.sql("DELETE FROM ops.heartbeat")
    operator.until(judged, lambda seen: seen == "ALARM", "the alarm to fire", seconds=60)


def test_the_heartbeat_is_stamped_where_the_service_is(well: Scene) -> None:
    operator = well.operator
    done = operator.call("objectives-stamp-heartbeat", {})
    assert done["endpoint"] == operator.endpoint("database")
    ((newest,),) = operator.sql("SELECT max(stamped_at) FROM ops.heartbeat")
    assert newest == moment_of(done["stamped_at"])
    # By the role that may do nothing else, with a token.
    operator.sql("ALTER ROLE ops_heartbeat NOLOGIN")
    try:
        with pytest.raises(AssertionError, match="DatabaseLoginError"):
            well.stamp()
    finally:
        operator.sql("ALTER ROLE ops_heartbeat LOGIN")
