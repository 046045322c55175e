import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.bake import Elapsed, Rules, judge_bake
from opskit.verdict import Outcome
from tests.unit.decisions.facts import alarm, sample, targets

RULES = Rules(
    minimum_requests=100,
    error_rate_increase=0.01,
    latency_factor=1.5,
    latency_increase_seconds=0.1,
    latency_limit_seconds=1.0,
)
DURING, AT_END, EXHAUSTED = (Elapsed(s, bake_seconds=60, extra_seconds=30) for s in (10, 60, 90))


def judge(new=None, old=None, *, found=None, alarms=(), elapsed=AT_END, unread=False):
    return judge_bake(
        None if unread else (new or sample()),
        old or sample(),
        found or targets(),
        alarms,
        required_healthy=3,
        elapsed=elapsed,
        rules=RULES,
    )


def test_as_good_as_the_old_version_passes_at_the_end_and_not_before():
    assert judge(elapsed=DURING).outcome is Outcome.WAIT
    assert judge(elapsed=AT_END).outcome is Outcome.PASS


@pytest.mark.parametrize("elapsed", [DURING, AT_END, EXHAUSTED])
@pytest.mark.parametrize(
    "bad",
    [
        {"new": sample(1000, 11)},
        {"new": sample(100, 100)},
        {"new": sample(p95=0.2)},
        {"alarms": (alarm(), alarm("ALARM", "5xx"))},
        {"found": targets(0, unhealthy=3)},
    ],
)
def test_worse_fails_at_once(bad, elapsed):
    assert judge(**bad, elapsed=elapsed).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (sample(1000, 10), sample(1000, 0)),
        (sample(1000, 60), sample(1000, 50)),
        (sample(p95=0.149), sample(p95=0.05)),
        (sample(p95=1.4), sample(p95=1.0)),
    ],
)
def test_what_the_rules_allow_passes(new, old):
    assert judge(new, old).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "lacking",
    [
        {"new": sample(99)},
        {"new": sample(0, 0, None, 0)},
        {"new": sample(99, 99)},
        {"new": sample(p95=None)},
        {"unread": True},
        {"alarms": None},
        {"found": targets(2, unhealthy=1)},
    ],
)
def test_what_cannot_be_judged_waits_longer_and_is_then_inconclusive_never_passed(lacking):
    assert judge(**lacking, elapsed=DURING).outcome is Outcome.WAIT
    assert judge(**lacking, elapsed=AT_END).outcome is Outcome.WAIT
    assert judge(**lacking, elapsed=EXHAUSTED).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("old", [None, sample(0, 0, None, 0), sample(50, 0, 0.01)])
def test_without_an_old_version_to_compare_with_the_limit_holds(old):
    def against_limit(p95):
        return judge_bake(sample(p95=p95), old, targets(), (), required_healthy=3, elapsed=AT_END, rules=RULES).outcome

    assert against_limit(0.9) is Outcome.PASS
    assert against_limit(1.1) is Outcome.FAIL


def test_too_few_requests_of_the_old_version_excuse_no_errors_of_the_new_one():
    assert judge(sample(1000, 300), sample(100, 30)).outcome is Outcome.PASS
    verdict = judge(sample(1000, 300), sample(99, 30))
    assert verdict.outcome is Outcome.FAIL
    assert "no old version to compare with" in verdict.reason
    assert verdict.facts["old"]["requests"] == 99


def test_an_old_version_that_fails_too_does_not_condemn_the_new_one():
    assert judge(sample(1000, 200), sample(1000, 200)).outcome is Outcome.PASS


counts = st.integers(0, 5000)


@given(requests=counts, errors=counts, p95=st.one_of(st.none(), st.floats(0, 5)), seconds=st.floats(0, 200))
def test_a_pass_always_rests_on_enough_requests_few_errors_and_the_whole_bake(requests, errors, p95, seconds):
    new = sample(requests, min(errors, requests), p95)
    verdict = judge(new, elapsed=Elapsed(seconds, bake_seconds=60, extra_seconds=30))
    if verdict.outcome is Outcome.PASS:
        assert requests >= RULES.minimum_requests
        assert new.errors / requests <= RULES.error_rate_increase
        assert p95 is not None
        assert seconds >= 60
