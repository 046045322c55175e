import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto.stepfunctions.responses import StepFunctionResponse

from opskit.ledger import Ledger, OperationRecord
from opskit.traffic import Weights
from tests.unit.cli.conftest import Machine, Ops
from tests.unit.cli.given import FOREVER, REGION, record, shift, succeed


def status_of(name: str, arn: str) -> dict[str, Any]:
    client = boto3.client("stepfunctions", region_name=REGION)
    told = client.describe_execution(executionArn=arn.replace(":stateMachine:", ":execution:") + f":{name}")
    return {"status": told["status"], "input": json.loads(told["input"])}


class Release:
    """A running release that holds the lock with traffic split, as `ops` and AWS see it."""

    def __init__(self, ops: Ops, ledger: Ledger, platform: Mapping[str, str], name: str = "mine") -> None:
        self.ledger, self.platform = ledger, platform
        self.arn = ops("release", "--image", "1", "--no-wait", "--name", name, "--json").document["execution_arn"]
        self.lock = ledger.acquire(self.arn, "release of shop:1", 600)
        self.record = record(name, self.arn, weights=Weights(blue=50, green=50))
        ledger.open_record(self.record)
        shift(platform, blue=50, green=50)

    def repair(self) -> None:
        """What the rule on status changes sets off: traffic whole, record closed, lock free."""
        shift(self.platform, blue=100, green=0)
        self.ledger.close_record(self.record.key, "ABORTED", "aborted: all traffic back to blue")
        self.ledger.release(self.lock)


@pytest.fixture
def release(ops: Ops, machine: Machine, ledger: Ledger, platform: Mapping[str, str]) -> Release:
    machine({"Bake": FOREVER})
    return Release(ops, ledger, platform)


def repaired_when_stopped(release: Release) -> threading.Thread:
    client = boto3.client("stepfunctions", region_name=REGION)

    def work() -> None:
        pause = threading.Event()
        while client.describe_execution(executionArn=release.arn)["status"] == "RUNNING":
            pause.wait(0.02)
        release.repair()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("command", [("abort",), ("abort", "mine"), ("rollback",)])
def test_a_running_release_is_stopped_and_its_repair_awaited(
    ops: Ops, release: Release, command: tuple[str, ...]
) -> None:
    thread = repaired_when_stopped(release)
    ran = ops(*command, "--reason", "wrong version", "--json")
    thread.join()
    assert ran.code == 0
    told = ran.document
    assert (told["status"], told["lock_free"], told["weights"]) == ("ABORTED", True, {"blue": 100, "green": 0})
    assert told["recorded"]["outcome_reason"] == "aborted: all traffic back to blue"


def test_the_cause_says_why_and_by_whom(ops: Ops, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = repaired_when_stopped(release)
    sent: list[dict[str, Any]] = []
    # moto forgets error and cause, so the request itself is looked at.
    monkeypatch.setattr(
        "moto.stepfunctions.responses.StepFunctionResponse.stop_execution",
        _noting(sent, StepFunctionResponse.stop_execution),
    )
    ops("abort", "--reason", "wrong version")
    thread.join()
    (request,) = sent
    assert request["cause"].startswith("wrong version (by arn:aws:")
    assert request["error"] == "AbortedByOperator"


def _noting(sent: list[dict[str, Any]], real: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def noted(self: Any) -> Any:
        sent.append(json.loads(self.body))
        return real(self)

    return noted


def test_a_repair_that_does_not_come_is_told(ops: Ops, release: Release) -> None:
    ran = ops("abort", "--timeout", "1")
    assert ran.code == 5
    assert "still held" in ran.out
    assert "blue 50 / green 50" in ran.out


def test_a_lock_under_repair_is_not_free(ops: Ops, release: Release, ledger: Ledger) -> None:
    ledger.release(release.lock)
    ledger.acquire(f"{release.arn}#repair", "repair after ABORTED", 600)
    assert ops("abort", "--timeout", "1").code == 5


def test_a_reason_of_any_length_stops_it(ops: Ops, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "moto.stepfunctions.responses.StepFunctionResponse.stop_execution",
        _noting(sent, StepFunctionResponse.stop_execution),
    )
    ops("abort", "--reason", "x" * 40_000, "--timeout", "1")
    (request,) = sent
    assert len(request["cause"]) == 32_768


@pytest.mark.parametrize("command", ["abort", "watch", "history", "approve"])
def test_an_empty_name_is_not_the_running_one(ops: Ops, release: Release, command: str) -> None:
    ran = ops(command, "")
    assert ran.code == 2
    assert "EXECUTION" in ran.err
    arn = release.arn.rpartition(":")[0].replace(":execution:", ":stateMachine:")
    assert status_of("mine", arn)["status"] == "RUNNING"


def test_nothing_to_abort_is_not_found(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    machine({"Done": succeed()})
    ran = ops("abort")
    assert ran.code == 4
    assert "nothing is running" in ran.err


def test_an_ended_execution_cannot_be_aborted(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    machine({"Done": succeed(outcome="SUCCEEDED", reason="green is live")})
    ops("release", "--image", "1", "--name", "mine")
    ran = ops("abort", "mine")
    assert ran.code == 3
    assert "green is live" in ran.err


def test_several_running_without_a_holder_need_a_name(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    machine({"Long": FOREVER})
    for name in ("one", "two"):
        ops("release", "--image", "1", "--no-wait", "--name", name)
    ran = ops("abort")
    assert ran.code == 2
    assert "one" in ran.err
    assert "two" in ran.err


def test_a_rollback_of_what_is_live_is_an_execution_of_its_own(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    arn = machine({"Done": succeed(outcome="SUCCEEDED", reason="blue is back")})
    ran = ops("rollback", "--reason", "customers complain", "--json")
    assert ran.code == 0
    assert ran.document["operation"] == "rollback"
    request = status_of(ran.document["execution"], arn)["input"]
    assert request.pop("requested_by")
    assert request == {"operation": "rollback", "environment": "test", "reason": "customers complain"}


def test_a_rollback_of_a_running_release_can_be_tried_dry(ops: Ops, release: Release) -> None:
    ran = ops("rollback", "--dry-run", "--json")
    assert (ran.code, ran.document["outcome"], ran.document["execution"]) == (0, "PLANNED", "mine")
    arn = release.arn.rpartition(":")[0].replace(":execution:", ":stateMachine:")
    assert status_of("mine", arn)["status"] == "RUNNING"


def test_a_second_rollback_is_refused(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    machine({"Long": FOREVER})
    first = ops("rollback", "--no-wait", "--json").document["execution"]
    ran = ops("rollback")
    assert ran.code == 3
    assert first in ran.err


def stopped(ops: Ops, machine: Machine, ledger: Ledger, workflow: str, **facts: Any) -> OperationRecord:
    """A running execution of another workflow, on record."""
    machine({"Long": FOREVER}, workflow=workflow)
    arn = ops(workflow, "--no-wait", "--name", "mine", "--json").document["execution_arn"]
    made = OperationRecord(workflow, arn, "mine", datetime.now(UTC), facts=facts)
    ledger.open_operation(made)
    return made


def test_an_aborted_drill_says_what_stays_and_who_removes_it(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    made = stopped(ops, machine, ledger, "drill", names={"database": "drill-abc-db", "cache": "drill-abc-cache"})
    ledger.acquire(made.execution_id, "drill", 600, "drill")
    ran = ops("abort")
    assert ran.code == 0
    for words in ("drill mine stopped", "database drill-abc-db and cache drill-abc-cache", "the reaper"):
        assert words in ran.out
    assert "takes it over" in ran.out


def test_an_aborted_snapshot_says_what_stays(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    stopped(ops, machine, ledger, "snapshot")
    ran = ops("abort", "mine", "--json")
    assert ran.code == 0
    assert (ran.document["status"], ran.document["workflow"]) == ("ABORTED", "snapshot")
    assert "a run of the same hour takes them over" in ran.document["left"][0]


def test_an_aborted_restore_whose_repair_does_not_come_is_told(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    made = stopped(ops, machine, ledger, "restore", mode="replace", copies={"database": "shop-test-r1"})
    ledger.acquire(made.execution_id, "restore (replace)", 600)
    ran = ops("abort", "mine", "--timeout", "1")
    assert ran.code == 5
    assert "still held: the repair has not ended" in ran.out


def test_an_aborted_restore_names_its_copies(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    made = stopped(ops, machine, ledger, "restore", mode="isolated", copies={"cache": "shop-test-r1"})
    ledger.close_operation(made.key, "INTERRUPTED", "nothing had been cut over", facts=made.facts)
    ran = ops("abort", "mine", "--json")
    assert ran.code == 0
    assert ran.document["lock_free"] is True
    (words,) = ran.document["left"]
    assert "cache shop-test-r1 stays" in words
    assert "aws elasticache delete-replication-group --replication-group-id shop-test-r1" in words


def test_a_restore_that_holds_the_lock_is_not_stopped_by_a_rollback(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    made = stopped(ops, machine, ledger, "restore", mode="replace")
    release = machine({"Done": succeed()})
    ledger.acquire(made.execution_id, "restore (replace)", 600)
    ran = ops("rollback", "--json")
    assert (ran.code, ran.document["error"]) == (3, "LockHeldError")
    assert "ops abort mine" in ran.err
    client = boto3.client("stepfunctions", region_name=REGION)
    assert client.describe_execution(executionArn=made.execution_id)["status"] == "RUNNING"
    assert client.list_executions(stateMachineArn=release)["executions"] == []


def test_a_snapshot_that_runs_does_not_hinder_a_rollback(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    stopped(ops, machine, ledger, "snapshot")
    machine({"Done": succeed(outcome="SUCCEEDED", reason="blue is back")})
    assert ops("rollback").code == 0


def test_a_name_that_two_workflows_have_needs_the_arn(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    drill = stopped(ops, machine, ledger, "drill")
    stopped(ops, machine, ledger, "snapshot")
    ran = ops("abort", "mine")
    assert ran.code == 2
    assert drill.execution_id in ran.err
    assert ops("abort", drill.execution_id).code == 0
