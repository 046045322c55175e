"""Releases that fail: nobody is sent to a bad version for long, and the old one is as it was."""

import pytest

from opskit.traffic import Weights
from tests.workflow.seen import closed, evidence_of, nobody_suffered, states_in_order


def untouched(operator, live):
    assert operator.weights() == Weights.all_to(live.colour)
    assert operator.ledger.live() == live
    assert operator.ledger.holder() is None
    operator.until(
        lambda: operator.targets(live.colour.other),
        lambda targets: targets.healthy == 0,
        "the new colour's pods to be stopped",
        seconds=30,
    )


def test_an_image_that_never_gets_healthy_gets_no_traffic(operator, live, load, version):
    tag = version("unhealthy")
    done = operator.run(image=tag)

    assert (done.status, done.error) == ("FAILED", "RolloutFailedError")
    assert "ShiftTraffic" not in done.states
    states_in_order(done, "DeployColour", "UndoWhatWasDone", "RemoveNewColour", "CloseRolledBack")
    nobody_suffered(load)
    assert tag not in load.report().versions
    closed(operator, done, "ROLLED_BACK")
    untouched(operator, live)


@pytest.mark.parametrize(("variant", "says"), [("errors", "requests failed"), ("slow", "p95 is")])
def test_a_version_that_turns_bad_under_traffic_is_rolled_back(operator, live, load, version, variant, says):
    done = operator.run(image=version(variant), bake_seconds=20)

    assert (done.status, done.error) == ("FAILED", "BakeFailedError")
    assert says in done.cause
    assert "requests reached the new version" in done.cause
    states_in_order(done, "ShiftTraffic", "JudgeBake", "RestoreTraffic")
    report = load.stop()
    record = closed(operator, done, "ROLLED_BACK")
    suffered = evidence_of(done, record, "closed")["suffered"]
    assert suffered["measured"]
    assert suffered["requests"] > 0
    # What the report says and what clients saw are the same thing, seen from both ends of the wire.
    assert abs(suffered["failed"] - report.failed) <= max(5, 0.1 * report.failed)
    assert (report.failed > 0) == (variant == "errors")
    untouched(operator, live)


def test_a_version_that_crashes_under_traffic_is_rolled_back(operator, live, load, version):
    done = operator.run(image=version("crash", crash_seconds=5), bake_seconds=30)
    assert done.status == "FAILED"
    assert done.error == "BakeFailedError", done.cause
    load.stop()
    untouched(operator, live)


def test_a_canary_that_turns_bad_hurts_few(operator, live, load, version):
    steps = [{"weight": 10, "bake_seconds": 15}, {"weight": 100, "bake_seconds": 5}]
    done = operator.run(image=version("errors"), strategy="canary", steps=steps, minimum_requests=30)
    assert (done.status, done.error) == ("FAILED", "BakeFailedError")
    report = load.stop()
    assert 0 < report.failed < 0.1 * report.requests
    untouched(operator, live)


def test_too_little_traffic_waits_longer_then_rolls_back(operator, live, version):
    done = operator.run(image=version(), bake_seconds=2, inconclusive_wait_seconds=3)
    assert (done.status, done.error) == ("FAILED", "BakeInconclusiveError")
    assert "requests so far" in done.cause
    assert done.states.count("JudgeBake") > 2
    untouched(operator, live)


def test_too_little_traffic_proceeds_where_the_input_says_so(operator, live, version):
    tag = version()
    done = operator.run(image=tag, bake_seconds=1, inconclusive_wait_seconds=0, on_inconclusive="proceed")
    assert done.status == "SUCCEEDED", done.cause
    assert operator.weights() == Weights.all_to(live.colour.other)


def test_an_alarm_that_goes_off_during_the_bake_rolls_back(operator, live, load, version):
    arn = operator.start(image=version(), bake_seconds=60)
    operator.wait_for_state(arn, "JudgeBake")
    name = operator.fire_alarm()
    done = operator.wait(arn)
    assert (done.status, done.error) == ("FAILED", "BakeFailedError")
    assert name in done.cause
    nobody_suffered(load)
    untouched(operator, live)
