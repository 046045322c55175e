"""The rules that every workflow's definition keeps."""

import json
import re

import pytest

from tests.contract.stack import WORKFLOWS, function_of, machine, resources, states, successors, template

MACHINES = resources("AWS::Serverless::StateMachine")
TASKS = [(w, name) for w in WORKFLOWS for name, s in states(w).items() if s["Type"] == "Task"]


def properties_of(workflow):
    (found,) = [p for p in MACHINES.values() if p["DefinitionUri"] == f"statemachines/{workflow}.asl.json"]
    return found


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_is_named_after_service_environment_and_itself(workflow):
    assert properties_of(workflow)["Name"]["!Sub"] == "${Service}-${Environment}-" + workflow


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_what_the_definition_asks_for_is_substituted_and_nothing_more(workflow):
    asked = set(re.findall(r"\$\{(\w+)\}", json.dumps(machine(workflow))))
    assert asked == set(properties_of(workflow)["DefinitionSubstitutions"])


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_workflow_may_invoke_its_own_steps_and_nothing_more(workflow):
    used = {function_of(state) for state in states(workflow).values()} - {None}
    statements = [s for policy in properties_of(workflow)["Policies"] for s in policy["Statement"]]
    allowed = {
        arn["!GetAtt"].removesuffix(".Arn")
        for s in statements
        if s["Action"] == "lambda:InvokeFunction"
        for arn in s["Resource"]
    }
    assert used == allowed


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_has_a_deadline(workflow):
    assert machine(workflow)["TimeoutSeconds"] > 0


@pytest.mark.parametrize(("workflow", "name"), TASKS)
def test_a_task_has_a_timeout_beyond_its_functions_own(workflow, name):
    state = states(workflow)[name]
    allowed = state["TimeoutSeconds"]
    if function_of(state) is None:  # a workflow, whose own deadline is hours away
        assert state["Resource"].endswith("states:startExecution.sync:2")
        assert isinstance(allowed, str) or allowed > 0
        return
    function = resources("AWS::Serverless::Function")[function_of(state)]
    own = function.get("Timeout", template()["Globals"]["Function"]["Timeout"])
    assert isinstance(allowed, str) or allowed > own


@pytest.mark.parametrize(("workflow", "name"), TASKS)
def test_a_task_retries_throttling_with_backoff_and_jitter(workflow, name):
    retries = states(workflow)[name]["Retry"]
    covered = {error for retry in retries for error in retry["ErrorEquals"]}
    assert {"ThrottledError", "Lambda.TooManyRequestsException"} <= covered or "States.ALL" in covered
    for retry in retries:
        if retry.get("MaxAttempts", 3) > 0:
            assert retry["BackoffRate"] > 1
            assert retry["JitterStrategy"] == "FULL"


@pytest.mark.parametrize(("workflow", "name"), TASKS)
def test_whatever_a_task_raises_is_caught(workflow, name):
    assert "States.ALL" in {error for c in states(workflow)[name]["Catch"] for error in c["ErrorEquals"]}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_state_can_be_reached_and_can_reach_an_end(workflow):
    graph = {name: successors(state) for name, state in states(workflow).items()}
    reached, todo = set(), [machine(workflow)["StartAt"]]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += graph[name]
    assert reached == set(graph)
    ends = {
        name for name, state in states(workflow).items() if state["Type"] in {"Succeed", "Fail"} or state.get("End")
    }
    for _ in graph:
        ends |= {name for name, following in graph.items() if following & ends}
    assert ends == set(graph)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_fail_state_says_what_failed_and_why(workflow):
    for name, state in states(workflow).items():
        if state["Type"] == "Fail":
            assert state["Error"], name
            assert state["Cause"], name


def test_a_release_that_changed_something_never_fails_without_undoing_it_or_handing_over():
    """From the first change on, every caught error leads to undoing, or leaves it to whoever holds the lock."""
    graph = states("release")
    for name in ("DeployColour", "CheckRollout", "RunSmokeTest", "ShiftTraffic", "JudgeBake", "RecordLive"):
        lost, everything = graph[name]["Catch"]
        assert (lost["ErrorEquals"], lost["Next"]) == (["LockLostError"], "CloseSuperseded")
        assert (everything["ErrorEquals"], everything["Next"]) == (["States.ALL"], "UndoWhatWasDone")
    assert [rule["Next"] for rule in graph["UndoWhatWasDone"]["Choices"]] == ["RestoreTraffic", "RemoveNewColour"]


def test_traffic_is_shifted_only_after_it_is_on_record_that_it_may_be():
    """Whatever leads to ShiftTraffic for the first time has set `shifting`, so that a failure restores the weights."""
    for name, state in states("release").items():
        for rule in state.get("Choices", ()):
            if rule["Next"] == "ShiftTraffic":
                assert rule.get("Assign", {}).get("shifting") or name == "NextStep"
        assert state.get("Next") != "ShiftTraffic"
        assert state.get("Default") != "ShiftTraffic"


def test_what_steps_are_called_with_is_a_variable_that_was_assigned_first():
    """An undefined variable is an error on AWS; the first state assigns every one that a later state reads."""
    for workflow in WORKFLOWS:
        assigned = set(machine(workflow)["States"][machine(workflow)["StartAt"]]["Assign"])
        for name, state in states(workflow).items():
            text = json.dumps(state)
            local = set(re.findall(r"\$(\w+) *:=", text))
            read = set(re.findall(r"\$(\w+)\b(?! *\()", text)) - local - {"states"}
            assert read <= assigned, name
