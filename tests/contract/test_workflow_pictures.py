"""The pictures of the workflows are of the definitions that are there, and leave nothing out unsaid."""

import json
import re
from typing import Any

import pytest

from scripts.draw_workflows import ROOT, definitions, graph, origin, picture_of
from scripts.workflow_graph import gathered, reduce

NAMES = [*definitions()]


def text(name: str) -> str:
    return definitions()[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_of_the_definition(name: str) -> None:
    drawn = picture_of(name)
    assert drawn.exists(), "run make diagrams"
    assert origin(text(name)) in drawn.read_text(encoding="utf-8"), "run make diagrams"


def test_there_is_no_picture_of_a_workflow_that_is_gone() -> None:
    assert {path.name for path in (ROOT / "docs").glob("workflow-*.svg")} == {picture_of(name).name for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_architecture_shows_it(name: str) -> None:
    assert f"](workflow-{name}.svg)" in (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_state_has_a_box_or_is_said_to_have_none(name: str) -> None:
    definition = json.loads(text(name))
    found, drawn = reduce(definition), graph(name, text(name))
    boxes = set(re.findall(r'^"([\w]+)" \[label', drawn, re.MULTILINE)) - {"start"}
    (left_out,) = re.findall(r'label="not drawn: (.*)";', drawn)
    assert boxes | set(left_out.replace("\\n", " ").split(", ")) == definition["States"].keys()
    assert boxes == set(found.kept)


@pytest.mark.parametrize("name", NAMES)
def test_every_task_that_does_something_has_a_box(name: str) -> None:
    definition = json.loads(text(name))
    tasks = {each for each, state in definition["States"].items() if state["Type"] == "Task"}
    assert {each for each in tasks if not each.startswith(("Close", "Notify"))} <= set(reduce(definition).kept)


def machine(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def task(following: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Next": following, **more}


def choice(default: str, **choices: str) -> dict[str, Any]:
    return {
        "Type": "Choice",
        "Choices": [{"Condition": f"{{% $x.outcome = '{value}' %}}", "Next": to} for value, to in choices.items()],
        "Default": default,
    }


DONE = {"Type": "Succeed"}


def test_choices_and_waits_become_labels() -> None:
    found = reduce(
        machine(
            Check=task("Verdict"),
            Verdict=choice("Done", WAIT="Later"),
            Later={"Type": "Wait", "Seconds": 1, "Next": "Check"},
            Done=DONE,
        )
    )
    assert {(way.source, way.target, way.label) for way in found.ways} == {
        ("Check", "Check", "wait"),
        ("Check", "Done", "else"),
    }
    assert found.folded == ["Verdict", "Later"]


def test_a_condition_s_negation_is_not_lost() -> None:
    decided = {"Type": "Choice", "Choices": [{"Condition": "{% $x != 'PASS' %}", "Next": "Bad"}], "Default": "Done"}
    found = reduce(machine(Check=task("Verdict"), Verdict=decided, Done=DONE, Bad={"Type": "Fail"}))
    assert {(way.target, way.label) for way in found.ways} == {("Bad", "not pass"), ("Done", "else")}


def test_failures_into_the_same_state_are_one_arrow() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Bad"}]
    steps = {f"Step{n}": task(f"Step{n + 1}" if n < 5 else "Done", Catch=catch) for n in range(6)}
    single, shared = gathered(reduce(machine(**steps, Done=DONE, Bad={"Type": "Fail"})).failures)
    assert single == []
    assert shared == [("Bad", "", [*steps])]


def test_a_failure_that_changes_nothing_is_not_drawn() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Second"}]
    assert reduce(machine(First=task("Second", Catch=catch), Second=task("Done"), Done=DONE)).failures == []


def test_branches_are_drawn_side_by_side_and_joined() -> None:
    branch = machine(Wanted=choice("Work", NO="Out"), Work=task("Out"), Out=DONE)
    parallel = {"Type": "Parallel", "Branches": [branch, branch], "Next": "Done"}
    drawn = graph("x", json.dumps(machine(Both=parallel, Done=DONE)))
    for number in (0, 1):
        assert f'"Both" -> "Both {number} Work" [label="else"];' in drawn
        assert f'"Both {number} Work" -> "Both joined" [label=""];' in drawn
    assert drawn.count('"Both" -> "Both joined" [label="no"];') == 2
    assert '"Both joined" -> "Done" [label=""];' in drawn
