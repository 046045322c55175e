"""Releases that succeed: what clients saw, what is recorded, what was left behind."""

from opskit.traffic import Weights
from tests.workflow.seen import closed, nobody_suffered, states_in_order


def test_blue_green_under_load(operator, live, load, version):
    tag = version()
    done = operator.run(image=tag, requested_by="tester", reason="new things")

    assert done.status == "SUCCEEDED", done.cause
    assert done.output["outcome"] == "SUCCEEDED"
    states_in_order(done, "AcquireLock", "DeployColour", "RunSmokeTest", "ShiftTraffic", "RecordLive", "ScaleDown")
    assert operator.weights() == Weights.all_to(live.colour.other)
    assert operator.targets(live.colour).healthy == 0
    nobody_suffered(load)
    assert tag in load.report().versions

    recorded = operator.ledger.live()
    assert (recorded.colour, recorded.release) == (live.colour.other, done.name)
    assert recorded.previous.image == live.image
    record = closed(operator, done, "SUCCEEDED")
    assert record.weights == Weights.all_to(live.colour.other)
    assert record.requested_by == "tester"
    assert record.evidence
    assert operator.ledger.holder() is None


def test_the_old_pods_go_only_after_the_old_group_is_silent(operator, live, load, version):
    done = operator.run(image=version())
    states_in_order(done, "ShiftTraffic", "CheckDrained", "ScaleDown", "CloseSucceeded")
    nobody_suffered(load)


def test_canary_in_three_steps(operator, live, load, version):
    tag = version()
    steps = [{"weight": weight, "bake_seconds": 3} for weight in (10, 50, 100)]
    done = operator.run(image=tag, strategy="canary", steps=steps, minimum_requests=20)

    assert done.status == "SUCCEEDED", done.cause
    assert done.states.count("ShiftTraffic") == 3
    nobody_suffered(load)
    record = closed(operator, done, "SUCCEEDED")
    shifts = [event.facts for event in record.events if event.what == "traffic shifted"]
    assert [shift[live.colour.other.value] for shift in shifts] == [10, 50, 100]
    bakes = [event.facts for event in record.events if event.what.startswith("bake at")]
    assert [bake["outcome"] for bake in bakes] == ["PASS"] * 3
    assert all(bake["facts"]["new"]["requests"] >= 20 for bake in bakes)


def test_a_dry_run_plans_and_changes_nothing(operator, live, version):
    before = (operator.weights(), operator.ledger.live(), len(operator.ledger.history()))
    done = operator.run(image=version(), dry_run=True)
    assert done.status == "SUCCEEDED", done.cause
    assert done.output["outcome"] == "PLANNED"
    assert done.output["plan"]["to_colour"] == live.colour.other
    assert before == (operator.weights(), operator.ledger.live(), len(operator.ledger.history()))


def test_the_image_that_is_live_is_nothing_to_do(operator, live):
    done = operator.run(image=live.image)
    assert done.status == "SUCCEEDED", done.cause
    assert done.output["outcome"] == "NOTHING_TO_DO"
    assert "AcquireLock" not in done.states
    closed(operator, done, "NOTHING_TO_DO")


def test_a_pushed_image_is_released(operator, live, load):
    """The registry's event starts the release, as in dev on AWS."""
    rule = f"{operator.config.name}-image-pushed"
    operator.clients["events"].enable_rule(Name=rule)
    try:
        digest = operator.push("3.0.0")
        operator.until(operator.ledger.live, lambda found: found.digest == digest, "3.0.0 to be live", seconds=60)
    finally:
        operator.clients["events"].disable_rule(Name=rule)
    nobody_suffered(load)


def test_a_firing_alarm_can_be_overridden_and_that_is_recorded(operator, live, load, version):
    tag = version()
    operator.fire_alarm()
    done = operator.run(image=tag, override_alarms="this release mends it")
    assert done.status == "SUCCEEDED", done.cause
    assert closed(operator, done, "SUCCEEDED").override_alarms == "this release mends it"
