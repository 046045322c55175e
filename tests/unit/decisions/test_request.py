import pytest

from opskit.decisions.request import complete_request
from opskit.errors import InvalidInputError

SETTINGS = {
    "bake_seconds": 60,
    "minimum_requests": 100,
    "inconclusive_wait_seconds": 30,
    "approval_seconds": 900,
}
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
