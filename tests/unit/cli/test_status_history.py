import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from opskit.ledger import Ledger, Live, OperationRecord, Version
from opskit.traffic import Colour, Weights
from tests.unit.cli.conftest import Machine, Ops
from tests.unit.cli.given import ENDPOINTS, FOREVER, REGION, record, shift, succeed

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:" + "a" * 64
AT = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def live_on_blue(ledger: Ledger) -> None:
    lock = ledger.acquire("arn:aws:states:eu-west-1:1:execution:m:first", "release", 60)
    previous = Version(Colour.GREEN, "r/shop:0.9", None)
    live = Live(Colour.BLUE, IMAGE, "sha256:" + "a" * 64, previous, "first", AT)
    ledger.record_live(live, lock=lock, expected_revision=None)
    ledger.release(lock)


def started(ops: Ops) -> str:
    return str(ops("release", "--image", "shop:2", "--no-wait", "--name", "mine", "--json").document["execution_arn"])


def test_status_of_a_quiet_environment(ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]) -> None:
    machine({"Done": succeed()})
    live_on_blue(ledger)
    ran = ops("status", "--json")
    assert ran.code == 0
    told = ran.document
    assert (told["live"]["colour"], told["live"]["image"]) == ("blue", IMAGE)
    assert told["traffic"] == {
        "balancer": {"blue": 100, "green": 0},
        "recorded": {"blue": 100, "green": 0},
        "intent": None,
        "agree": True,
    }
    assert told["targets"]["green"]["total"] == 0
    assert (told["lock"], told["running"], told["approvals"], told["last"]) == (None, [], [], None)
    assert told["endpoints"] == ENDPOINTS
    assert (told["last_snapshot"], told["last_drill"], told["objectives"]) == (None, None, None)
    words = ops("status").out
    assert "blue 100 / green 0" in words
    assert "shop@sha256:aaaaaaaaaaaa" in words
    assert "free" in words


def test_status_says_when_traffic_differs_from_the_record(
    ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]
) -> None:
    machine({"Done": succeed()})
    live_on_blue(ledger)
    shift(platform, blue=40, green=60)
    assert ops("status", "--json").document["traffic"]["agree"] is False
    assert "DIFFERS from what is recorded (blue 100 / green 0)" in ops("status").out


def test_status_in_a_release_compares_with_what_the_release_confirmed(
    ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]
) -> None:
    machine({"Bake": FOREVER})
    live_on_blue(ledger)
    arn = started(ops)
    ledger.acquire(arn, "release of shop:2", 60)
    ledger.open_record(record("mine", arn, weights=Weights(blue=90, green=10)))
    shift(platform, blue=90, green=10)
    told = ops("status", "--json").document
    assert told["traffic"]["agree"] is True
    assert told["lock"]["owner"] == arn
    (run,) = told["running"]
    assert (run["execution"], run["state"], run["image"]) == ("mine", "Bake", "shop:2")
    words = ops("status").out
    assert "mine  Bake" in words
    assert "mine for release of shop:2" in words


def test_status_in_a_release_is_not_misled_by_one_that_was_refused_meanwhile(
    ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]
) -> None:
    machine({"Bake": FOREVER})
    live_on_blue(ledger)
    arn = started(ops)
    ledger.acquire(arn, "release of shop:2", 60)
    ledger.open_record(record("mine", arn, weights=Weights(blue=90, green=10)))
    refused = record("other", "arn:other", started_at=datetime.now(UTC) + timedelta(seconds=1))
    ledger.open_record(refused)
    ledger.close_record(refused.key, "REFUSED", "the lock is held by mine")
    shift(platform, blue=90, green=10)
    assert ops("status", "--json").document["traffic"]["agree"] is True


def test_status_shows_what_it_can_read_and_fails_for_what_it_cannot(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    machine({"Done": succeed()})
    ran = ops("status", "--json")
    assert ran.code == 4
    assert "listener_arn is missing" in ran.document["traffic"]["unreadable"]
    assert ran.document["running"] == []
    assert "unreadable" in ops("status").out


def test_status_of_an_unknown_environment(ops: Ops, ledger: Ledger) -> None:
    ran = ops("status", "-e", "nowhere")
    assert ran.code == 4
    assert "unknown environment nowhere: there is no table shop-nowhere-ledger in region eu-west-1" in ran.err


def test_status_never_shows_a_task_token(
    ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]
) -> None:
    machine({"Ask": FOREVER})
    started(ops)
    until = datetime.now(UTC) + timedelta(hours=1)
    ledger.request_approval("mine", "the-token", subject=IMAGE, digest="sha256:" + "a" * 64, expires_at=until)
    for ran in (ops("status"), ops("status", "--json")):
        assert "sha256:" + "a" * 64 in ran.out
        assert "the-token" not in ran.out


def ended(ledger: Ledger, name: str, minutes: int, outcome: str, **changes: Any) -> None:
    made = record(name, f"arn:{name}", started_at=AT + timedelta(minutes=minutes), **changes)
    ledger.open_record(made)
    ledger.close_record(made.key, outcome, f"because of {name}")


def test_history_is_newest_first_and_bounded(ops: Ops, ledger: Ledger) -> None:
    for minute, name in enumerate(("one", "two", "three")):
        ended(ledger, name, minute, "SUCCEEDED")
    told = ops("history", "--limit", "2", "--json").document
    assert [entry["execution_name"] for entry in told] == ["three", "two"]
    lines = ops("history").out.splitlines()
    assert [line.split()[3] for line in lines[1:]] == ["three", "two", "one"]
    assert "because of three" in lines[1]


def test_status_shows_what_ended_last_not_what_started_last(
    ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]
) -> None:
    machine({"Done": succeed()})
    first = record("first", "arn:first", started_at=AT)
    ledger.open_record(first)
    ended(ledger, "refused", 1, "REFUSED")
    ledger.close_record(first.key, "SUCCEEDED", "green is live")
    assert ops("status", "--json").document["last"]["execution_name"] == "first"


def test_an_empty_history_says_so(ops: Ops, ledger: Ledger) -> None:
    assert "nothing has been recorded yet" in ops("history").out
    assert ops("history", "--json").document == []


def test_one_of_the_history_in_detail(ops: Ops, ledger: Ledger, machine: Machine) -> None:
    machine({"Done": succeed()})
    made = record("one", "arn:one", override_alarms="this is the repair", weights=Weights(blue=0, green=100))
    ledger.open_record(made)
    ledger.update_record(made.key, event="shifted", facts={"green": 100})
    ledger.close_record(
        made.key, "SUCCEEDED", "green is live", suffered={"measured": True, "requests": 2306, "failed": 2}
    )
    ran = ops("history", "one")
    assert ran.code == 0
    assert "2306 requests reached the new version, 2 of them failed" in ran.out
    for words in ("this is the repair", "shifted", "green 100", "green is live", '{"blue": 0, "green": 100}'):
        assert words in ran.out
    assert ops("history", "one", "--json").document["outcome"] == "SUCCEEDED"


def test_an_execution_without_record_is_shown_from_step_functions(ops: Ops, machine: Machine) -> None:
    machine({"Done": succeed(outcome="NOTHING_TO_DO", reason="live already")})
    ops("release", "--image", "1", "--name", "mine")
    ran = ops("history", "mine")
    assert ran.code == 0
    assert "NOTHING_TO_DO" in ran.out


def test_an_unknown_execution_is_not_found(ops: Ops, machine: Machine) -> None:
    machine({"Done": succeed()})
    ran = ops("history", "no-such", "--json")
    assert (ran.code, ran.document["error"]) == (4, "ExecutionNotFound")


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_is_a_positive_number(ops: Ops, limit: str) -> None:
    assert ops("history", "--limit", limit).code == 2


def test_region_and_environment_choose_where_to_look(ops: Ops, ledger: Ledger) -> None:
    boto3.client("sts", region_name=REGION)
    ended(ledger, "one", 0, "SUCCEEDED")
    assert ops("history", "--region", "us-west-2").code == 4
    assert ops("--region", REGION, "--environment", "nowhere", "history", "-e", "test").code == 0


def operation(ledger: Ledger, workflow: str, name: str, minutes: int, outcome: str | None, **facts: Any) -> None:
    """A record of another workflow's execution, ended unless `outcome` is None."""
    made = OperationRecord(workflow, f"arn:{name}", name, AT + timedelta(minutes=minutes), facts=facts)
    ledger.open_operation(made)
    ledger.note(made.key, "began", {"part": "database"})
    if outcome:
        ledger.close_operation(made.key, outcome, f"because of {name}", evidence=f"evidence/{name}.json")


def test_history_tells_of_every_workflow_newest_first(ops: Ops, ledger: Ledger) -> None:
    ended(ledger, "rel", 1, "SUCCEEDED")
    operation(ledger, "snapshot", "snap", 0, "COMPLETE", hour="2026-01-01T12:00:00Z")
    operation(ledger, "restore", "rest", 3, "REPLACED", mode="replace")
    operation(ledger, "drill", "dri", 2, None, drill_id="abcdef012345")
    told = ops("history", "--json").document
    assert [(one["workflow"], one["execution_name"]) for one in told] == [
        ("restore", "rest"), ("drill", "dri"), ("release", "rel"), ("snapshot", "snap"),
    ]  # fmt: skip
    lines = ops("history").out.splitlines()[1:]
    for line, words in zip(lines, ("rest  REPLACED", "dri  running", "rel  SUCCEEDED", "snap  COMPLETE"), strict=True):
        assert words in " ".join(line.split()).replace(" ", "  ")
    assert "abcdef012345" in lines[1]
    assert [one["execution_name"] for one in ops("history", "--limit", "2", "--json").document] == ["rest", "dri"]


@pytest.mark.parametrize(("workflow", "name"), [("release", "rel"), ("snapshot", "snap"), ("drill", "dri")])
def test_history_of_one_workflow(ops: Ops, ledger: Ledger, workflow: str, name: str) -> None:
    ended(ledger, "rel", 1, "SUCCEEDED")
    operation(ledger, "snapshot", "snap", 0, "COMPLETE")
    operation(ledger, "drill", "dri", 2, "FAIL")
    told = ops("history", "--workflow", workflow, "--json").document
    assert [one["execution_name"] for one in told] == [name]
    assert ops("history", "--workflow", "objectives").code == 2


def test_an_operation_in_detail(ops: Ops, ledger: Ledger, machine: Machine) -> None:
    machine({"Done": succeed()})
    operation(ledger, "drill", "dri", 0, "FAIL", drill_id="abcdef012345", rto_seconds=61.5)
    ran = ops("history", "dri")
    assert ran.code == 0
    for words in (
        "abcdef012345",
        "rto_seconds",
        "61.5",
        "because of dri",
        "evidence/dri.json",
        "began",
        "part database",
    ):
        assert words in ran.out
    assert ops("history", "dri", "--json").document["workflow"] == "drill"


def test_drills_show_what_they_measured(ops: Ops, ledger: Ledger) -> None:
    assert "there has been no drill yet" in ops("drills").out
    operation(ledger, "drill", "old", 0, "PASS", drill_id="aaaaaaaaaaaa", rto_seconds=61.5, rpo_seconds=3)
    operation(ledger, "drill", "new", 1, "FAIL", drill_id="bbbbbbbbbbbb", rto_seconds=None)
    told = ops("drills", "--json").document
    assert [(one["id"], one["outcome"]) for one in told] == [("bbbbbbbbbbbb", "FAIL"), ("aaaaaaaaaaaa", "PASS")]
    assert (told[1]["recovery_time_seconds"], told[1]["recovery_point_seconds"]) == (61.5, 3)
    lines = ops("drills").out.splitlines()
    assert lines[2].split()[4:7] == ["PASS", "1m02s", "3.0s"]
    assert "evidence/old.json" in lines[2]


def test_status_tells_of_backups_drills_and_objectives(
    ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]
) -> None:
    machine({"Done": succeed()})
    operation(ledger, "snapshot", "good", 0, "COMPLETE")
    operation(ledger, "snapshot", "bad", 60, "INCOMPLETE")
    operation(ledger, "snapshot", "plan", 61, "PLANNED")
    operation(ledger, "drill", "dri", 0, "PASS")
    judged = {
        "judged_at": datetime.now(UTC).isoformat(),
        "outcome": "FAIL",
        "reason": "the last complete manifest is 9999 s old",
        "objectives": {},
    }
    s3 = boto3.client("s3", region_name=REGION)
    s3.put_object(Bucket=platform["backup_bucket"], Key="objectives/latest.json", Body=json.dumps(judged).encode())
    told = ops("status", "--json").document
    assert (told["last_snapshot"]["execution_name"], told["last_snapshot"]["outcome"]) == ("bad", "INCOMPLETE")
    assert told["last_snapshot"]["last_complete_at"] is not None
    assert (told["last_drill"]["execution_name"], told["objectives"]["outcome"]) == ("dri", "FAIL")
    words = ops("status").out
    for line in ("bad  INCOMPLETE", "the last that was complete", "dri  PASS", "FAIL  the last complete manifest"):
        assert line in words
    assert f"at {ENDPOINTS['database']}" in words


def test_status_shows_what_runs_in_any_workflow(
    ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]
) -> None:
    machine({"Done": succeed()})
    for workflow in ("snapshot", "drill"):
        machine({"CheckSnapshots": FOREVER}, workflow=workflow)
        ops(workflow, "--no-wait", "--name", f"my-{workflow}")
    told = ops("status", "--json").document["running"]
    assert {(run["workflow"], run["execution"]) for run in told} == {("snapshot", "my-snapshot"), ("drill", "my-drill")}
    assert "my-drill" in ops("status").out


def test_status_shows_a_restore_that_asks_what_it_asks(
    ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]
) -> None:
    machine({"Ask": FOREVER}, workflow="restore")
    ops("restore", "--no-wait", "--name", "mine")
    until = datetime.now(UTC) + timedelta(hours=1)
    subject = "the database to shop-test-r1:5432"
    ledger.request_approval("mine", "the-token", subject=subject, digest="f" * 64, expires_at=until, workflow="restore")
    words = ops("status").out
    assert f"mine asks to cut over {subject} ({'f' * 64})" in words
