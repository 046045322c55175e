"""Steps that change something: the lock first, the balancer read before, read back after, safe to repeat."""

import pytest

from functions.release import deploy_colour, record_live, restore_traffic, scale_down, settle_scaling, shift_traffic
from opskit import clients
from opskit.adapters.balancer import Balancer
from opskit.errors import ClusterError, DriftError, LockLostError, OldColourUnavailableError
from opskit.traffic import Colour, Weights
from tests.unit.functions.conftest import NEW, OLD

DEPLOY = {"colour": "green", "image": NEW, "may_have_traffic": False}
CHANGES = {
    "deploy": (deploy_colour, DEPLOY),
    "shift": (shift_traffic, {}),
    "record": (record_live, {}),
    "scale": (scale_down, {"colour": "green"}),
    "settle": (settle_scaling, {"live": "green"}),
    "restore": (restore_traffic, {"restoring_since": None}),
}


def call(module, event, run, **more):
    return module.handler.__wrapped__({**event, **more}, run)


def record(run):
    return run.ledger.record_of("r1")


@pytest.mark.parametrize("name", CHANGES)
def test_without_the_lock_nothing_is_changed(name, event, run, platform, healthy, cluster):
    module, more = CHANGES[name]
    run.ledger.seize(run.execution.id, owner="somebody", purpose="else", lease_seconds=60)
    with pytest.raises(LockLostError, match="somebody"):
        call(module, event, run, **more)
    assert Balancer(platform).weights() == Weights(100, 0)
    assert not cluster.asked
    assert run.ledger.live() is None


def test_deploy_sets_image_and_replicas_of_the_idle_colour(event, run, cluster):
    call(deploy_colour, event, run, **DEPLOY)
    assert cluster.asked[-1] == ("deploy", Colour.GREEN, NEW, 2)
    assert record(run).has_event("deployed")


def test_deploy_first_keeps_the_autoscalers_from_taking_pods_of_either_colour(event, run, cluster):
    call(deploy_colour, event, run, **DEPLOY)
    assert cluster.asked[:-1] == [("pause", Colour.BLUE), ("pause", Colour.GREEN)]


def without_autoscalers(monkeypatch, cluster):
    def refused(colour):
        raise ClusterError("403 Forbidden")

    monkeypatch.setattr(cluster, "pause_scale_down", refused)


def test_deploy_of_a_release_fails_if_it_cannot_keep_its_pods(event, run, cluster, monkeypatch):
    without_autoscalers(monkeypatch, cluster)
    with pytest.raises(ClusterError, match="403"):
        call(deploy_colour, event, run, **DEPLOY)
    assert not cluster.asked


def test_on_the_way_back_pods_that_may_become_fewer_are_better_than_none(event, run, cluster, monkeypatch):
    without_autoscalers(monkeypatch, cluster)
    call(deploy_colour, event, run, **DEPLOY | {"may_have_traffic": True})
    assert cluster.asked == [("deploy", Colour.GREEN, NEW, 2)]


def test_deploy_refuses_a_colour_that_has_traffic(event, run, platform, cluster):
    Balancer(platform).set_weights(Weights(50, 50))
    with pytest.raises(DriftError, match="green has weight 50"):
        call(deploy_colour, event, run, **DEPLOY)
    assert not cluster.asked


def test_shift_writes_intent_moves_traffic_and_records_it(event, run, platform, healthy):
    done = call(shift_traffic, event, run)
    assert done["before"] == {"blue": 100, "green": 0}
    assert done["weights"] == {"blue": 90, "green": 10}
    assert Balancer(platform).weights() == Weights(90, 10)
    assert record(run).weights == Weights(90, 10)
    assert record(run).intent is None


def test_shift_keeps_the_moment_of_the_first_shift(event, run, clock, healthy):
    first = call(shift_traffic, event, run)
    clock.advance(60)
    second = call(shift_traffic, event, run, step=1, first_shifted_at=first["first_shifted_at"])
    assert second["first_shifted_at"] == first["first_shifted_at"]
    assert second["shifted_at"] == first["shifted_at"] + 60


def test_shift_refuses_too_few_healthy_targets_although_a_balancer_fails_open(event, run, platform, healthy):
    healthy[Colour.GREEN] = 1
    with pytest.raises(DriftError, match="green has 1 healthy targets, 2 are needed"):
        call(shift_traffic, event, run)
    assert Balancer(platform).weights() == Weights(100, 0)


def test_a_shift_that_is_interrupted_before_the_write_leaves_its_intent(event, run, platform, healthy, monkeypatch):
    monkeypatch.setattr(Balancer, "set_weights", lambda *_: (_ for _ in ()).throw(RuntimeError("gone")))
    with pytest.raises(RuntimeError):
        call(shift_traffic, event, run)
    assert record(run).intent == Weights(90, 10)
    assert record(run).weights == Weights(100, 0)


def test_restore_brings_all_traffic_back(event, run, platform, healthy):
    Balancer(platform).set_weights(Weights(40, 60))
    done = call(restore_traffic, event, run, restoring_since=None)
    assert done["outcome"] == "PASS"
    assert done["facts"]["moved"]
    assert Balancer(platform).weights() == Weights(100, 0)


def test_restore_with_nothing_to_restore_writes_nothing(event, run, healthy):
    healthy[Colour.BLUE] = 0
    done = call(restore_traffic, event, run, restoring_since=None)
    assert (done["outcome"], done["facts"]["moved"]) == ("PASS", False)


def test_restore_asks_for_the_old_pods_before_it_moves_traffic_onto_nothing(event, run, platform, healthy):
    Balancer(platform).set_weights(Weights(0, 100))
    healthy[Colour.BLUE] = 0
    waiting = call(restore_traffic, event, run, restoring_since=None)
    assert waiting["outcome"] == "WAIT"
    assert Balancer(platform).weights() == Weights(0, 100)

    healthy[Colour.BLUE] = 2
    assert call(restore_traffic, event, run, restoring_since=waiting["facts"]["since"])["outcome"] == "PASS"
    assert Balancer(platform).weights() == Weights(100, 0)


def test_restore_waits_for_half_of_the_pods_but_not_for_ever(event, run, platform, plan, clock, healthy):
    plan["replicas"] = 4
    healthy[Colour.BLUE] = 1
    Balancer(platform).set_weights(Weights(0, 100))
    since = call(restore_traffic, event, run, restoring_since=None)
    assert since["outcome"] == "WAIT"
    clock.advance(61)
    assert call(restore_traffic, event, run, restoring_since=since["facts"]["since"])["outcome"] == "PASS"


def test_restore_gives_up_when_the_old_pods_do_not_come_back(event, run, platform, clock, healthy):
    Balancer(platform).set_weights(Weights(0, 100))
    healthy[Colour.BLUE] = 0
    since = call(restore_traffic, event, run, restoring_since=None)["facts"]["since"]
    clock.advance(61)
    with pytest.raises(OldColourUnavailableError, match="blue has no healthy target after 61 s"):
        call(restore_traffic, event, run, restoring_since=since)


def test_restore_leaves_a_version_that_was_recorded_as_live(event, run, platform, healthy):
    Balancer(platform).set_weights(Weights(0, 100))
    call(record_live, event, run)
    assert call(restore_traffic, event, run, restoring_since=None)["outcome"] == "FAIL"
    assert Balancer(platform).weights() == Weights(0, 100)


@pytest.mark.parametrize("name", ["deploy", "shift", "restore"])
def test_a_lock_lost_at_the_last_moment_still_stops_the_change(
    name, event, run, platform, healthy, cluster, monkeypatch
):
    """Between the first look at the lock and the change, everything is read: in that time it can be seized."""
    if name == "restore":
        Balancer(platform).set_weights(Weights(40, 60))
    before = Balancer(platform).weights()
    read = Balancer.weights

    def seized_meanwhile(balancer):
        run.ledger.seize(run.execution.id, owner="the repair", purpose="repair", lease_seconds=60)
        return read(balancer)

    monkeypatch.setattr(Balancer, "weights", seized_meanwhile)
    module, more = CHANGES[name]
    with pytest.raises(LockLostError, match="the repair"):
        call(module, event, run, **more)
    monkeypatch.setattr(Balancer, "weights", read)
    assert Balancer(platform).weights() == before
    assert not cluster.asked
    assert record(run).intent is None


def test_record_live_remembers_the_version_before(event, run):
    call(record_live, event, run)
    live = run.ledger.live()
    assert (live.colour, live.image, live.previous.image) == (Colour.GREEN, NEW, OLD)
    call(record_live, event, run)
    assert run.ledger.live() == live


def test_after_a_rollback_there_is_no_version_before(event, run, plan):
    plan["operation"] = "rollback"
    call(record_live, event, run)
    assert run.ledger.live().previous is None


def test_scale_down_refuses_a_colour_that_has_traffic(event, run, cluster):
    with pytest.raises(DriftError, match="blue has weight 100"):
        call(scale_down, event, run, colour="blue")
    assert not cluster.asked
    call(scale_down, event, run, colour="green")
    assert cluster.asked[0] == ("scale", Colour.GREEN, 0)


def test_once_one_colour_is_left_autoscalers_may_take_pods_away_again(event, run, cluster):
    call(scale_down, event, run, colour="green")
    assert cluster.asked[1:] == [("resume", Colour.BLUE), ("resume", Colour.GREEN)]


def test_a_colour_that_is_kept_warm_keeps_its_pods_and_the_live_one_need_not(event, run, cluster):
    call(settle_scaling, event, run, live="green")
    assert cluster.asked == [("pause", Colour.BLUE), ("resume", Colour.GREEN)]


def test_changes_are_made_with_one_call_each(event, run, platform, healthy):
    """A repeated shift reads and finds nothing to write."""
    call(shift_traffic, event, run)
    elb = clients.client("elbv2")
    before = elb.describe_listeners(ListenerArns=[platform.listener_arn])["Listeners"]
    call(shift_traffic, event, run)
    assert elb.describe_listeners(ListenerArns=[platform.listener_arn])["Listeners"] == before
