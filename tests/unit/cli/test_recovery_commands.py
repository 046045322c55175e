"""`ops snapshot`, `ops restore`, `ops drill`: what they ask of their state machines, and what they refuse."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from cli.commands import restore as restoring
from opskit.ledger import Ledger, OperationRecord
from tests.unit.cli.conftest import Machine, Ops
from tests.unit.cli.given import FOREVER, REGION, fail, succeed, task
from tests.unit.cli.given_plans import drill_plan, restore_plan, snapshot_plan


def executions(arn: str) -> list[dict[str, Any]]:
    client = boto3.client("stepfunctions", region_name=REGION)
    found = client.list_executions(stateMachineArn=arn)["executions"]
    return [client.describe_execution(executionArn=e["executionArn"]) for e in found]


def asked(arn: str) -> dict[str, Any]:
    (execution,) = executions(arn)
    request: dict[str, Any] = json.loads(execution["input"])
    assert request.pop("requested_by").startswith("arn:aws:")
    assert request.pop("environment") == "test"
    return request


DONE = {"Done": succeed(outcome="COMPLETE", reason="5 of 5 verified")}


def test_a_snapshot_that_asks_for_nothing_leaves_all_to_the_stack(ops: Ops, machine: Machine) -> None:
    arn = machine(DONE, workflow="snapshot")
    ran = ops("snapshot")
    assert ran.code == 0
    assert asked(arn) == {}
    (execution,) = executions(arn)
    assert execution["name"].startswith("snapshot-")
    assert ran.out.rstrip().endswith("5 of 5 verified")


def test_what_is_asked_of_a_snapshot_reaches_it(ops: Ops, machine: Machine) -> None:
    arn = machine(DONE, workflow="snapshot")
    ran = ops(
        "snapshot", "--component", "cache", "--component", "database", "--resource", "b", "--resource", "a",
        "--no-prune", "--reason", "before the migration", "--name", "mine",
    )  # fmt: skip
    assert ran.code == 0
    assert asked(arn) == {
        "components": ["database", "cache"],
        "resources": ["a", "b"],
        "prune": False,
        "reason": "before the migration",
    }


def test_a_snapshot_is_followed_state_by_state(ops: Ops, machine: Machine) -> None:
    verdict = {"verdict": {"outcome": "PASS", "reason": "3 of 3 snapshots are verified"}}
    machine({"CheckSnapshots": task(verdict, "Done")} | DONE, workflow="snapshot")
    assert "3 of 3 snapshots are verified" in ops("snapshot").out


@pytest.mark.parametrize(
    ("command", "error", "code"),
    [
        (("snapshot",), "SnapshotIncomplete", 1),
        (("snapshot",), "SnapshotRefused", 3),
        (("restore",), "RestoreRefused", 3),
        (("restore",), "RestoreFailed", 1),
        (("restore",), "RestoreRolledBack", 1),
        (("drill",), "DrillFailed", 1),
        (("drill",), "LockHeldError", 3),
    ],
)
def test_the_exit_code_tells_how_it_failed(
    ops: Ops, machine: Machine, command: tuple[str, ...], error: str, code: int
) -> None:
    machine({"Stop": fail(error, "the reason in words")}, workflow=command[0])
    ran = ops(*command)
    assert ran.code == code
    assert f"({error}): the reason in words" in ran.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("workflow", "plan", "words"),
    [
        ("snapshot", snapshot_plan, "detection-api-dev-db-2026112309"),
        ("restore", restore_plan, "db -> detection-api-dev-r"),
        ("drill", drill_plan, "torn down"),
    ],
)
def test_a_dry_run_prints_the_plan(
    ops: Ops, machine: Machine, workflow: str, plan: Callable[[], dict[str, Any]], words: str
) -> None:
    arn = machine({"Planned": succeed(outcome="PLANNED", reason="would do", plan=plan())}, workflow=workflow)
    ran = ops(workflow, "--dry-run")
    assert ran.code == 0
    assert asked(arn) == {"dry_run": True}
    assert "(dry run)" in ran.out
    assert words in ran.out
    assert ops(workflow, "--dry-run", "--json").document["output"]["plan"] == plan()


@pytest.mark.parametrize("workflow", ["snapshot", "restore", "drill"])
def test_a_dry_run_of_what_would_be_refused_exits_as_refused(ops: Ops, machine: Machine, workflow: str) -> None:
    plan = {"decision": "REFUSE", "reason": "there is no backup"}
    machine({"Planned": succeed(outcome="PLANNED", reason="there is no backup", plan=plan)}, workflow=workflow)
    ran = ops(workflow, "--dry-run")
    assert ran.code == 3
    assert "would be refused: there is no backup" in ran.out


def test_a_restore_of_the_latest_is_isolated_and_asks_for_no_more(ops: Ops, machine: Machine) -> None:
    arn = machine({"Done": succeed(outcome="ISOLATED", reason="stands beside")}, workflow="restore")
    ran = ops("restore")
    assert ran.code == 0
    assert "from the latest there is, isolated" in ran.out
    assert asked(arn) == {}


def test_what_is_asked_of_a_restore_reaches_it(ops: Ops, machine: Machine) -> None:
    arn = machine({"Done": succeed(outcome="REPLACED", reason="cut over")}, workflow="restore")
    ran = ops(
        "restore", "--moment", "2026-01-31T10:30:00+01:00", "--replace", "--component", "database", "--no-approval",
        "--keep-old-hours", "5", "--placement", "database_class=db.t4g.large",
        "--placement", "database_security_groups=sg-1a, sg-2b", "--allow-incomplete", "the cache is not needed",
        "--declared-at", "2026-01-31T09:45:00Z", "--reason", "rows were deleted", "--name", "mine",
    )  # fmt: skip
    assert ran.code == 0
    assert "as of 2026-01-31 09:30:00 UTC, to replace what is live" in ran.out
    assert asked(arn) == {
        "moment": "2026-01-31T09:30:00Z",
        "mode": "replace",
        "components": ["database"],
        "approval": False,
        "keep_old_hours": 5,
        "placement": {"database_class": "db.t4g.large", "database_security_groups": ["sg-1a", "sg-2b"]},
        "allow_incomplete": "the cache is not needed",
        "declared_at": "2026-01-31T09:45:00Z",
        "reason": "rows were deleted",
    }


def test_a_relative_moment_is_sent_as_the_moment_that_it_is(ops: Ops, machine: Machine) -> None:
    arn = machine({"Done": succeed(outcome="ISOLATED", reason="")}, workflow="restore")
    before = datetime.now(UTC)
    assert ops("restore", "--moment", "-15m").code == 0
    after = datetime.now(UTC)
    assert (
        before - timedelta(minutes=15) <= datetime.fromisoformat(asked(arn)["moment"]) <= after - timedelta(minutes=15)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--replace",), "--replace needs --reason"),
        (("--replace", "--reason", " "), "--replace needs --reason"),
        (("--moment", "-5m", "--snapshot", "s"), "exclude each other"),
        (("--no-approval",), "--no-approval: only with --replace"),
        (("--keep-old-hours", "3"), "only with --replace"),
        (("--undo", "restore-1", "--moment", "-5m"), "--undo takes no --moment"),
        (("--undo", "restore-1", "--replace", "--reason", "x"), "--undo takes no --replace"),
        (("--undo", ""), "is empty"),
        (("--snapshot", ""), "is empty"),
        (("--moment", "soon"), "is not a moment"),
        (("--moment", "2999-01-01T00:00:00Z"), "is in the future"),
        (("--moment", "2026-01-01T00:00:00"), "no time zone"),
        (("--placement", "database_class"), "is not key=value"),
        (("--placement", "a=1", "--placement", "a=2"), "given twice"),
        (("--placement", "no_such=1"), "unknown `no_such`"),
        (("--placement", "database_class=large"), "database_class"),
        (("--keep-old-hours", "0", "--replace", "--reason", "x"), "keep_old_hours"),
        (("--allow-incomplete", ""), "allow_incomplete"),
        (("--component", "terraform_state"), "terraform_state"),
    ],
)
def test_a_restore_that_makes_no_sense_starts_nothing(
    ops: Ops, machine: Machine, options: tuple[str, ...], words: str
) -> None:
    arn = machine({"Long": FOREVER}, workflow="restore")
    ran = ops("restore", *options)
    assert ran.code == 2
    # Typer's own errors are wrapped into lines.
    assert words in " ".join(ran.err.split())
    assert executions(arn) == []


@pytest.mark.parametrize(
    ("answer", "options", "started"),
    [(False, (), 0), (True, (), 1), (False, ("--yes",), 1), (False, ("--dry-run",), 1)],
)
def test_on_a_terminal_a_cut_over_without_approval_is_confirmed(
    ops: Ops,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    answer: bool,
    options: tuple[str, ...],
    started: int,
) -> None:
    arn = machine({"Done": succeed(outcome="REPLACED", reason="")}, workflow="restore")
    questions = []

    def confirm(question: str, **_: Any) -> bool:
        questions.append(question)
        return answer

    monkeypatch.setattr(restoring, "on_a_terminal", lambda: True)
    monkeypatch.setattr(restoring.typer, "confirm", confirm)
    ran = ops("restore", "--replace", "--no-approval", "--reason", "now", *options)
    assert len(executions(arn)) == started
    assert ran.code == (0 if started else 2)
    assert len(questions) == (0 if options else 1)
    assert all("shop-test, without approval" in question for question in questions)


def test_off_a_terminal_nobody_is_asked(ops: Ops, machine: Machine) -> None:
    arn = machine({"Done": succeed(outcome="REPLACED", reason="")}, workflow="restore")
    assert ops("restore", "--replace", "--no-approval", "--reason", "now").code == 0
    assert len(executions(arn)) == 1


def test_what_is_asked_of_a_drill_reaches_it(ops: Ops, machine: Machine) -> None:
    arn = machine({"Done": succeed(outcome="PASS", reason="recovered after 61 s")}, workflow="drill")
    ran = ops(
        "drill", "--method", "snapshot", "--component", "cache", "--component", "cache", "--recovery-time", "900",
        "--recovery-point", "60", "--lifetime", "3600", "--reason", "quarterly",
    )  # fmt: skip
    assert ran.code == 0
    assert asked(arn) == {
        "method": "snapshot",
        "components": ["cache"],
        "recovery_time_seconds": 900,
        "recovery_point_seconds": 60,
        "lifetime_seconds": 3600,
        "reason": "quarterly",
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--recovery-time", "0"), "recovery_time_seconds must be bigger than or equal to 1"),
        (("--recovery-point", "100000"), "recovery_point_seconds"),
        (("--lifetime", "1"), "lifetime_seconds"),
        (("--method", "guess"), "guess"),
        (("--name", "a b"), "1 to 80 of"),
    ],
)
def test_a_drill_that_makes_no_sense_starts_nothing(
    ops: Ops, machine: Machine, options: tuple[str, ...], words: str
) -> None:
    arn = machine({"Long": FOREVER}, workflow="drill")
    ran = ops("drill", *options)
    assert ran.code == 2
    assert words in " ".join(ran.err.split())
    assert executions(arn) == []


def test_no_wait_starts_and_returns(ops: Ops, machine: Machine) -> None:
    arn = machine({"Long": FOREVER}, workflow="drill")
    ran = ops("drill", "--no-wait", "--name", "mine", "--json")
    assert ran.code == 0
    assert (ran.document["workflow"], ran.document["operation"], ran.document["status"]) == (
        "drill",
        "drill",
        "RUNNING",
    )
    assert [e["status"] for e in executions(arn)] == ["RUNNING"]


def test_without_its_state_machine_the_workflow_is_named(ops: Ops, machine: Machine) -> None:
    machine({"Done": succeed()})
    ran = ops("snapshot")
    assert ran.code == 4
    assert "shop-test-snapshot" in ran.err


def test_a_drill_that_failed_shows_what_it_measured(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    machine({"Stop": fail("DrillFailed", "rows are missing")}, workflow="drill")
    made = OperationRecord("drill", "arn:mine", "mine", datetime.now(UTC))
    ledger.open_operation(made)
    wrong = [f"rows of table_{number}: 1; 2 expected" for number in range(12)]
    facts = {"drill_id": "abc", "rto_seconds": 61.2, "rpo_seconds": 4, "checks": {"passed": 7, "not_passed": wrong}}
    ledger.close_operation(made.key, "FAIL", "rows are missing", facts=facts, evidence="evidence/drill/x.json")
    ran = ops("drill", "--name", "mine")
    assert ran.code == 1
    told = " ".join(ran.out.split())
    for words in ("recovery time 1m01s", "recovery point 4.0s", "checks passed 7", "rows of table_0: 1; 2 expected"):
        assert words in told
    assert "table_10" not in told
    assert "2 more: ops history mine --json" in told
    assert "evidence evidence/drill/x.json" in told
    again = ops("watch", "mine", "--json")
    assert (again.code, again.document["recorded"]["facts"]["checks"]["not_passed"]) == (1, wrong)


def test_a_restore_shows_what_it_left_and_how_long_it_took(ops: Ops, machine: Machine, ledger: Ledger) -> None:
    machine({"Done": succeed(outcome="REPLACED", reason="the service reads and writes")}, workflow="restore")
    made = OperationRecord("restore", "arn:mine", "mine", datetime.now(UTC))
    ledger.open_operation(made)
    facts = {
        "mode": "replace",
        "restored": [{"kind": "database", "name": "new", "endpoint": "new:5432", "status": "available", "live": True}],
        "kept": [{"kind": "database", "name": "old", "endpoint": "old:5432"}],
        "keep_until": "2026-11-26T10:26:21Z",
        "endpoints": {"database": "new:5432"},
        "recovery_time": {"outcome": "PASS", "reason": "recovered after 37 s", "facts": {}},
        "checks": [{"name": "schema", "outcome": "PASS", "reason": "as recorded"}],
    }
    ledger.close_operation(made.key, "REPLACED", "done", facts=facts)
    told = " ".join(ops("restore", "--name", "mine").out.split())
    for words in (
        "restored database new at new:5432, live",
        "kept old until 2026-11-26 10:26:21 UTC",
        "service uses database at new:5432",
        "recovery time recovered after 37 s",
    ):
        assert words in told
