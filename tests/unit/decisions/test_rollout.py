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


def stuck(reason, **changes):
    return pod(image=NEW, ready=False, waiting_reason=reason, **changes)


@pytest.mark.parametrize("reason", ["InvalidImageName", "CreateContainerConfigError"])
def test_a_container_that_cannot_start_fails_at_once(reason):
    verdict = judge(deployment(NEW, available=0), targets(0), [stuck(reason)])
    assert verdict.outcome is Outcome.FAIL
    assert reason in verdict.reason


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff"])
def test_what_may_pass_is_waited_out_and_then_named(reason):
    state, found = deployment(NEW, available=0), targets(0, unhealthy=1, reasons=("1 unhealthy: Target.Timeout",))
    assert judge(state, found, [stuck(reason)]).outcome is Outcome.WAIT
    late = judge(state, found, [stuck(reason)], late=True)
    assert late.outcome is Outcome.FAIL
    assert f"(pod pod-1: {reason}; 1 unhealthy: Target.Timeout)" in late.reason


def test_a_crash_loop_fails_but_one_restart_does_not():
    starting = deployment(NEW, available=2)
    assert judge(starting, pods=[pod(image=NEW, restarts=2)]).outcome is Outcome.WAIT
    assert judge(starting, pods=[pod(image=NEW, restarts=3)]).outcome is Outcome.FAIL


@pytest.mark.parametrize("passed_over", [{"image": OLD}, {"image": NEW, "terminating": True}])
def test_pods_of_another_image_or_on_their_way_out_condemn_nothing(passed_over):
    starting = deployment(NEW, available=2)
    for trouble in ({"restarts": 30}, {"waiting_reason": "InvalidImageName"}):
        assert judge(starting, pods=[pod(**passed_over, **trouble)]).outcome is Outcome.WAIT
        assert "pod-1" not in judge(starting, pods=[pod(**passed_over, **trouble)], late=True).reason


def test_an_exceeded_progress_deadline_fails_with_what_the_pods_wait_for():
    verdict = judge(deployment(NEW, ready=0, progress_deadline_exceeded=True), pods=[stuck("ImagePullBackOff")])
    assert verdict.outcome is Outcome.FAIL
    assert "progress deadline" in verdict.reason
    assert "ImagePullBackOff" in verdict.reason


def test_the_progress_deadline_of_the_rollout_before_fails_nothing():
    before = deployment(NEW, ready=0, progress_deadline_exceeded=True, generation=3, observed_generation=2)
    assert judge(before).outcome is Outcome.WAIT


def test_what_the_targets_say_is_in_the_reason_when_time_is_out():
    found = targets(0, unhealthy=3, reasons=("3 unhealthy: Target.ResponseCodeMismatch",))
    assert "ResponseCodeMismatch" in judge(deployment(NEW), found, late=True).reason
