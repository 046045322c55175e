"""Steps that judge: what cannot be read is never good news."""

import pytest

from functions.release import check_drained, check_rollout, judge_bake, plan_release, run_smoke_test, validate_request
from opskit.adapters.alarms import AlarmState
from opskit.adapters.metrics import Metrics, TrafficSample
from opskit.adapters.registry import Image, Registry
from opskit.errors import InvalidInputError, MeasurementError
from opskit.traffic import Colour
from tests.unit.functions.conftest import NEW, OLD, SETTINGS, START, running

GOOD = TrafficSample(requests=1000, errors=0, p95_seconds=0.05, datapoints=5)


@pytest.fixture
def traffic(monkeypatch):
    """What each colour's target group is measured to have served; an exception is raised."""
    samples = {Colour.BLUE: GOOD, Colour.GREEN: GOOD}

    def read(self, colour, *_, **__):
        if isinstance(samples[colour], Exception):
            raise samples[colour]
        return samples[colour]

    monkeypatch.setattr(Metrics, "traffic", read)
    return samples


def judge(event, run, **more):
    shift = {"shifted_at": START.timestamp(), "first_shifted_at": START.timestamp(), "baseline": GOOD.as_dict()}
    return judge_bake.handler.__wrapped__({**event, "shift": shift, **more}, run)


def test_a_bake_waits_then_passes(event, run, clock, healthy, traffic):
    assert judge(event, run)["outcome"] == "WAIT"
    clock.advance(60)
    assert judge(event, run)["outcome"] == "PASS"


def test_a_bake_that_cannot_be_measured_is_inconclusive(event, run, clock, healthy, traffic):
    traffic[Colour.GREEN] = MeasurementError("throttled")
    clock.advance(60)
    assert judge(event, run)["outcome"] == "WAIT"
    clock.advance(30)
    verdict = judge(event, run)
    assert verdict["outcome"] == "INCONCLUSIVE"
    assert "could not be read" in verdict["reason"]


def test_alarms_that_cannot_be_read_are_no_good_news(event, run, clock, healthy, traffic, platform, monkeypatch):
    with_alarm(run, platform, monkeypatch, MeasurementError("denied"))
    clock.advance(90)
    assert judge(event, run)["outcome"] == "INCONCLUSIVE"


def test_an_overridden_alarm_is_ignored_and_others_are_not(event, run, clock, healthy, traffic, platform, monkeypatch):
    with_alarm(run, platform, monkeypatch, "ALARM")
    assert judge(event, run)["outcome"] == "FAIL"
    event["plan"]["overridden_alarms"] = ["slow"]
    clock.advance(60)
    assert judge(event, run)["outcome"] == "PASS"


def test_in_a_canary_the_old_version_is_measured_at_the_same_time(event, run, clock, healthy, traffic):
    traffic[Colour.BLUE] = TrafficSample(requests=1000, errors=500, p95_seconds=0.05, datapoints=5)
    traffic[Colour.GREEN] = TrafficSample(requests=1000, errors=400, p95_seconds=0.05, datapoints=5)
    clock.advance(60)
    assert judge(event, run)["outcome"] == "PASS"
    assert judge(event, run, step=1)["outcome"] == "FAIL"  # at 100 % only the past is left to compare with


def with_alarm(run, platform, monkeypatch, state):
    def read(self, names):
        if isinstance(state, Exception):
            raise state
        return tuple(AlarmState(n, n, state, "threshold crossed", START) for n in names)

    object.__setattr__(platform, "release_alarms", ("slow",))
    monkeypatch.setattr(Metrics, "alarms", read)


def test_drained_means_silent_for_long_enough(event, run, clock, platform, traffic):
    from opskit.adapters.balancer import Balancer
    from opskit.traffic import Weights

    Balancer(platform).set_weights(Weights(0, 100))
    shift = {"shifted_at": START.timestamp()}

    def look():
        given = {"shift": shift, "recorded_at": START.timestamp()}
        return check_drained.handler.__wrapped__(event | given, run)["outcome"]

    clock.advance(30)
    assert look() == "WAIT"
    traffic[Colour.BLUE] = TrafficSample(0, 0, None, 0)
    assert look() == "PASS"
    traffic[Colour.BLUE] = MeasurementError("throttled")
    assert look() == "WAIT"
    clock.advance(25)
    run.hold(event, 600)
    clock.advance(100)
    assert look() == "INCONCLUSIVE"


def test_a_rollout_counts_good_looks_in_a_row(event, run, healthy, cluster):
    def look(**settings):
        given = {"rollout": {"deployed_at": START.timestamp(), "stable": 0}, "settings": SETTINGS | settings}
        return check_rollout.handler.__wrapped__(event | given, run)

    assert look()["outcome"] == "WAIT"
    cluster.states[Colour.GREEN] = running(NEW, 2)
    assert look()["outcome"] == "PASS"
    assert look(stable_polls=2)["stable"] == 1


def test_a_smoke_test_that_reaches_nothing_fails(event, run):
    verdict = run_smoke_test.handler.__wrapped__(event, run)
    assert verdict["outcome"] == "FAIL"
    assert run.ledger.record_of("r1").has_event("smoke test")


def test_a_plan_puts_an_approval_on_record(event, run, healthy, cluster):
    request = {
        "operation": "release",
        "image": NEW,
        "digest": "d",
        "adopt_live": False,
        "steps": [{"weight": 100, "bake_seconds": 1}],
    }
    given = event | {"request": request, "approval": {"approved_by": "the captain", "digest": "d"}}
    plan = plan_release.handler.__wrapped__(given, run)
    assert (plan["decision"], plan["to_colour"], plan["from_image"]) == ("PROCEED", "green", OLD)
    assert run.ledger.record_of("r1").approval["approved_by"] == "the captain"


def test_a_request_is_completed_and_its_image_resolved(run, monkeypatch):
    monkeypatch.setattr(
        Registry, "resolve", lambda self, text: Image("detection-api", "1.0.0", "sha256:d", "uri@sha256:d")
    )
    request = validate_request.handler.__wrapped__({"input": {"image": "1.0.0"}, "settings": SETTINGS}, run)
    assert (request["image"], request["digest"], request["tag"]) == ("uri@sha256:d", "sha256:d", "1.0.0")
    with pytest.raises(InvalidInputError):
        validate_request.handler.__wrapped__({"input": {"imagee": "1.0.0"}, "settings": SETTINGS}, run)
