import pytest

from opskit.decisions.rollout import Expected, judge_rollout
from opskit.verdict import Outcome
from tests.unit.decisions.facts import NEW, OLD, deployment, pod, targets

EXPECTED = Expected(image=NEW, replicas=3, required=3)


def judge(state=None, found=None, pods=(), *, stable=0, needed=2, late=False, expected=EXPECTED):
    return judge_rollout(
        expected,
        deployment(NEW) if state is None else state,
        targets() if found is None else found,
        pods,
        stable=stable,
        stable_needed=needed,
        out_of_time=late,
    )


def test_complete_passes_only_after_enough_good_polls_in_a_row():
    first = judge(stable=0)
    assert (first.outcome, first.facts["stable"]) == (Outcome.WAIT, 1)
    assert judge(stable=1).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (deployment(OLD), targets()),
        (deployment(NEW, generation=3), targets()),
        (deployment(NEW, updated=2), targets()),
        (deployment(NEW, ready=2), targets()),
        (deployment(NEW, available=2), targets()),
        (deployment(NEW, unavailable=1), targets()),
        (deployment(NEW), targets(2, unhealthy=1)),
        (deployment(NEW), targets(0, unhealthy=3)),
        (deployment(NEW), targets(2, initial=5)),
    ],
)
def test_anything_lacking_waits_and_starts_the_count_again(state, found):
    verdict = judge(state, found, stable=5)
    assert verdict.outcome is Outcome.WAIT
    assert verdict.facts["stable"] == 0
    assert judge(state, found, late=True).outcome is Outcome.FAIL


def test_an_absent_deployment_waits_then_fails():
    arguments = {"stable": 0, "stable_needed": 1}
    waiting = judge_rollout(EXPECTED, None, targets(), (), out_of_time=False, **arguments)
    late = judge_rollout(EXPECTED, None, targets(), (), out_of_time=True, **arguments)
    assert (waiting.outcome, late.outcome) == (Outcome.WAIT, Outcome.FAIL)
    assert "does not exist" in late.reason


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_fails_at_once(reason):
    verdict = judge(deployment(NEW, available=0), targets(0), [pod(ready=False, waiting_reason=reason)])
    assert verdict.outcome is Outcome.FAIL
    assert reason in verdict.reason


def test_a_crash_loop_fails_but_one_restart_does_not():
    starting = deployment(NEW, available=2)
    assert judge(starting, pods=[pod(restarts=1)]).outcome is Outcome.WAIT
    assert judge(starting, pods=[pod(restarts=3)]).outcome is Outcome.FAIL


def test_an_exceeded_progress_deadline_fails():
    assert judge(deployment(NEW, ready=0, progress_deadline_exceeded=True)).outcome is Outcome.FAIL


def test_what_the_targets_say_is_in_the_reason_when_time_is_out():
    found = targets(0, unhealthy=3, reasons=("3 unhealthy: Target.ResponseCodeMismatch",))
    assert "ResponseCodeMismatch" in judge(deployment(NEW), found, late=True).reason
