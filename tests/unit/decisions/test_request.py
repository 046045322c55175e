import json
from pathlib import Path

import pytest

from opskit.decisions.request import MOST_LOOKS, MOST_SECONDS, complete_request
from opskit.errors import InvalidInputError

SETTINGS = {
    "bake_seconds": 60,
    "minimum_requests": 100,
    "inconclusive_wait_seconds": 30,
    "approval_seconds": 900,
    "bake_poll_seconds": 10,
    "metric_delay_seconds": 70,
    "poll_seconds": 5,
    "rollout_timeout_seconds": 300,
    "drain_timeout_seconds": 200,
}
STATE_MACHINE = Path(__file__).parents[3] / "statemachines" / "release.asl.json"
RELEASE = {"operation": "release", "image": "detection-api:1", "strategy": "blue-green", "approval": False}
CANARY = RELEASE | {"strategy": "canary"}


def complete(data):
    return complete_request(data, SETTINGS, "dev")


def test_blue_green_is_one_step_to_100_with_the_default_bake():
    assert complete(RELEASE)["steps"] == [{"weight": 100, "bake_seconds": 60}]


def test_what_the_request_says_wins_over_the_stack():
    data = complete(RELEASE | {"bake_seconds": 5, "minimum_requests": 7})
    assert data["steps"][0]["bake_seconds"] == 5
    assert (data["minimum_requests"], data["approval_seconds"]) == (7, 900)


def test_canary_steps_take_their_own_bake_or_the_default():
    steps = [{"weight": 10, "bake_seconds": 0}, {"weight": 100}]
    assert [s["bake_seconds"] for s in complete(CANARY | {"steps": steps})["steps"]] == [0, 60]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({k: v for k, v in RELEASE.items() if k != "image"}, "image is missing"),
        (RELEASE | {"environment": "prod"}, "releases to dev"),
        (CANARY, "canary needs steps"),
        (RELEASE | {"steps": [{"weight": 100}]}, "blue-green shifts all at once"),
        (CANARY | {"steps": [{"weight": 50}]}, "end at 100"),
        (CANARY | {"steps": [{"weight": 50}, {"weight": 10}, {"weight": 100}]}, "must rise"),
        (CANARY | {"steps": [{"weight": 50}, {"weight": 50}, {"weight": 100}]}, "must rise"),
        (RELEASE | {"operation": "rollback"}, "takes no image"),
        (
            {"operation": "rollback", "strategy": "blue-green", "override_alarms": "x"},
            "takes no override_alarms",
        ),
    ],
)
def test_contradictions_are_refused(data, says):
    with pytest.raises(InvalidInputError, match=says):
        complete(data)


def test_a_rollback_needs_nothing():
    assert complete({"operation": "rollback", "strategy": "blue-green", "approval": False})["operation"] == "rollback"


# 100 looks at rollout and drain; the bake may then take 1,900 looks of 10 s, of which 100 s are extra waits.
LONGEST_BAKE = (MOST_LOOKS - 100) * 10 - 100


def test_a_bake_with_more_looks_than_the_history_holds_is_refused():
    assert complete(RELEASE | {"bake_seconds": LONGEST_BAKE})
    with pytest.raises(
        InvalidInputError, match=r"2001 looks .* room for 2000 .*25,000 events.*raise .*BakePollSeconds"
    ):
        complete(RELEASE | {"bake_seconds": LONGEST_BAKE + 1})


def test_the_looks_of_all_steps_count_and_a_step_without_a_bake_has_none():
    half = {"bake_seconds": LONGEST_BAKE // 2 - 50}
    steps = [{"weight": 10, "bake_seconds": 0}, {"weight": 50} | half, {"weight": 100} | half]
    assert complete(CANARY | {"steps": steps})
    steps[0]["bake_seconds"] = 1
    with pytest.raises(InvalidInputError, match=r"2011 looks"):
        complete(CANARY | {"steps": steps})


def test_the_stack_s_time_limits_count_as_well():
    settings = SETTINGS | {"rollout_timeout_seconds": 5 * MOST_LOOKS}
    with pytest.raises(InvalidInputError, match=r"looks at its bakes, rollout and drain"):
        complete_request(RELEASE, settings, "dev")


def test_a_release_longer_than_the_execution_is_refused():
    settings = SETTINGS | {"bake_poll_seconds": 60}
    longest = RELEASE | {"bake_seconds": MOST_SECONDS - 500 - 100 - 900, "approval": True}
    assert complete_request(longest, settings, "dev")
    with pytest.raises(InvalidInputError, match=r"may last 90001 s \(approval 901, .*an execution has 90000 s"):
        complete_request(longest | {"approval_seconds": 901}, settings, "dev")
    assert complete_request(longest | {"approval_seconds": 901, "approval": False}, settings, "dev")


def test_a_rollback_is_never_too_long():
    settings = SETTINGS | {"rollout_timeout_seconds": 10 * MOST_SECONDS, "bake_seconds": 10 * MOST_SECONDS}
    assert complete_request({"operation": "rollback", "strategy": "blue-green", "approval": False}, settings, "dev")


@pytest.mark.parametrize(
    "loop",
    [
        ("Bake", "JudgeBake", "BakeVerdict"),
        ("WaitForRollout", "CheckRollout", "RolloutVerdict"),
        ("WaitForDrain", "CheckDrained", "DrainVerdict"),
    ],
)
def test_the_limits_fit_the_state_machine(loop):
    machine = json.loads(STATE_MACHINE.read_text())
    states = [machine["States"][name] for name in loop]
    assert [state.get("Next") for state in states[:2]] == list(loop[1:])
    assert loop[0] in {choice["Next"] for choice in states[2]["Choices"]} | {states[2]["Default"]}
    # Entered and exited; a task is also scheduled, started and ended.
    events = sum({"Wait": 2, "Task": 5, "Choice": 2}[state["Type"]] for state in states)
    assert events * MOST_LOOKS <= 25_000 - 7_000
    assert machine["TimeoutSeconds"] >= MOST_SECONDS + 3_600
