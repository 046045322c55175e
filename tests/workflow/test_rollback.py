"""The way back: with the old colour warm, and after it was scaled down."""

from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler

from opskit.traffic import Colour, Weights
from sandbox.kubernetes.client import administrator
from tests.workflow.seen import closed, nobody_suffered, states_in_order


def released(operator, version, **given):
    done = operator.run(image=version(), bake_seconds=0, **given)
    assert done.status == "SUCCEEDED", done.cause
    return operator.ledger.live()


def may_shrink(operator, colour):
    """Whether the colour's autoscaler may take pods away."""
    client, name = administrator(operator.config), f"{operator.config.service}-{colour}"
    autoscaler = client.get(HorizontalPodAutoscaler, name, namespace="detection-api")
    return autoscaler.spec.behavior.scaleDown.selectPolicy == "Max"


def test_with_the_old_colour_warm(operator, live, load, version):
    new = released(operator, version, keep_warm=True)
    assert may_shrink(operator, new.colour)
    assert not may_shrink(operator, new.colour.other), "it would not be warm for long"
    done = operator.run(operation="rollback", reason="wrong results")
    assert done.status == "SUCCEEDED", done.cause
    assert "DeployColour" not in done.states
    assert "JudgeBake" not in done.states
    assert operator.weights() == Weights.all_to(new.colour.other)
    assert operator.ledger.live().image == live.image
    nobody_suffered(load)
    closed(operator, done, "SUCCEEDED")
    assert all(may_shrink(operator, colour) for colour in Colour)


def test_after_it_was_scaled_down(operator, live, load, version):
    new = released(operator, version)
    assert operator.targets(live.colour).healthy == 0
    done = operator.run(operation="rollback")
    assert done.status == "SUCCEEDED", done.cause
    states_in_order(done, "DeployColour", "CheckRollout", "ShiftTraffic", "RecordLive", "ScaleDown")
    assert all(may_shrink(operator, colour) for colour in Colour)
    assert operator.weights() == Weights.all_to(new.colour.other)
    nobody_suffered(load)


def test_it_brings_traffic_back_that_somebody_moved(operator, live):
    operator.set_weights(Weights.split(live.colour, 100))
    released_now = operator.ledger.live()
    operator.set_weights(Weights(50, 50))
    done = operator.run(operation="rollback")
    assert done.status == "SUCCEEDED", done.cause
    assert operator.weights() == Weights.all_to(live.colour)
    assert operator.ledger.live().previous == released_now.previous


def test_an_alarm_does_not_stop_it(operator, live, version):
    released(operator, version, keep_warm=True)
    operator.fire_alarm()
    assert operator.run(operation="rollback").status == "SUCCEEDED"


def test_a_second_one_has_nowhere_to_go(operator, live, version):
    released(operator, version, keep_warm=True)
    assert operator.run(operation="rollback").status == "SUCCEEDED"
    done = operator.run(operation="rollback")
    assert (done.status, done.error) == ("FAILED", "ReleaseRefusedError")
    assert "nothing to go back to" in done.cause
