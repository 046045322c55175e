"""How the plans of dry runs are shown."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from cli.plans import render_plan
from cli.workflows import Workflow
from tests.unit.cli.given_plans import drill_plan, restore_plan, snapshot_plan
from tests.unit.decisions.backups import manifest


def printed(workflow: Workflow, plan: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=200, soft_wrap=True, highlight=False, markup=False)
    render_plan(console, workflow, plan)
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_a_snapshot_plan_says_what_is_taken_what_is_there_and_what_goes() -> None:
    lines = printed(Workflow.SNAPSHOT, snapshot_plan()).splitlines()
    text = "\n".join(" ".join(line.split()) for line in lines)
    for words in (
        "hour 2026-11-23 09:00:00 UTC",
        "quota 12 of 100 manual snapshots used",
        "copied cluster_configuration, terraform_state, application_data",
        "warning the policy keeps more than the quota",
        "take database db detection-api-dev-db-2026112309",
        "take cache cache none SKIPPED: no node can be backed up",
        "has cache cache cache-2026112309 not due: every 2 hours",
        "prune database db detection-api-dev-db-2026112001 no rule keeps it",
        "3 more are due for deletion",
    ):
        assert words in text


def test_a_snapshot_plan_that_may_not_prune_says_why() -> None:
    plan = snapshot_plan(prune=[], prune_deferred=0, prune_blocked="a listing was not whole")
    assert "nothing would be pruned: a listing was not whole" in printed(Workflow.SNAPSHOT, plan)


def test_a_restore_plan_says_from_where_into_what_and_what_is_lost() -> None:
    plan = restore_plan()
    text = " ".join(printed(Workflow.RESTORE, plan).split())
    for kind in ("database", "cache"):
        assert f"{plan['parts'][kind]['source']['name']} -> {plan['parts'][kind]['copy']['name']}" in text
    for words in (
        "loses 1m30s up to now",
        "data of 2026-11-23 09:28:30 UTC",
        "instance class db.t4g.medium",
        "security groups sg-1, sg-2",
        f"compared with {manifest().key}",
        "cut over database: db (db.example:5432) -> new",
    ):
        assert words in text


def test_a_drill_plan_says_what_is_made_and_torn_down() -> None:
    plan = drill_plan()
    text = " ".join(printed(Workflow.DRILL, plan).split())
    for kind in ("database", "cache"):
        assert f"{kind} {plan['names'][kind]}" in text.partition("torn down")[2]
    for words in (
        f"drill {plan['drill']}",
        "method snapshot",
        "from database-2026112309",
        "subnet group drill-db",
        "security groups sg-9",
        "read and checked cluster_configuration terraform_state application_data",
    ):
        assert words in text


@pytest.mark.parametrize("workflow", [Workflow.SNAPSHOT, Workflow.RESTORE, Workflow.DRILL])
@pytest.mark.parametrize("decision", ["DUPLICATE", "REFUSE"])
def test_a_plan_without_details_has_its_decision(workflow: Workflow, decision: str) -> None:
    assert f"decision  {decision}" in printed(workflow, {"decision": decision, "reason": "so it is"})


@pytest.mark.parametrize("plan", [drill_plan, restore_plan, snapshot_plan])
def test_a_plan_shows_no_tags_and_no_keys(plan: Callable[[], dict[str, Any]]) -> None:
    workflow = {"drill_plan": Workflow.DRILL, "restore_plan": Workflow.RESTORE}.get(plan.__name__, Workflow.SNAPSHOT)
    text = printed(workflow, plan())
    assert "arn:" not in text
    assert "ops:" not in text
