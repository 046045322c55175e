import pytest

from opskit.decisions.plan import Decision, plan_release, plan_rollback
from opskit.ledger import Version
from opskit.traffic import Colour, Weights
from tests.unit.decisions.facts import NEW, OLD, OLDER, alarm, deployment, live, observed, request

BLUE, GREEN = Colour.BLUE, Colour.GREEN
PREVIOUS = Version(colour=GREEN, image=OLDER, digest=OLDER.partition("@")[2])


def test_a_release_goes_to_the_idle_colour_at_the_size_of_the_live_one():
    plan = plan_release(request(), observed())
    assert plan.decision is Decision.PROCEED
    assert (plan.from_colour, plan.to_colour) == (BLUE, GREEN)
    assert (plan.from_image, plan.image) == (OLD, NEW)
    assert plan.replicas == plan.required_healthy == 3
    assert plan.deploy
    assert plan.analyse


@pytest.mark.parametrize(("healthy", "size"), [(5, 5), (3, 3), (1, 3)])
def test_it_deploys_and_needs_what_the_live_colour_has_but_no_less_than_its_replicas(healthy, size):
    plan = plan_release(request(), observed(healthy_targets={BLUE: healthy, GREEN: 0}))
    assert (plan.replicas, plan.required_healthy) == (size, size)


def test_the_live_image_is_nothing_to_do():
    plan = plan_release(request(image=OLD), observed())
    assert plan.decision is Decision.NOTHING_TO_DO
    assert "live on blue already" in plan.reason


@pytest.mark.parametrize("weights", [Weights(70, 30), Weights(1, 99), Weights(0, 0)])
def test_split_traffic_is_refused_with_the_way_out(weights):
    plan = plan_release(request(), observed(weights=weights))
    assert plan.decision is Decision.REFUSE
    assert f"blue {weights.blue} / green {weights.green}" in plan.reason
    assert "ops rollback" in plan.reason


def test_split_traffic_cannot_be_adopted():
    assert plan_release(request(adopt_live=True), observed(weights=Weights(70, 30))).decision is Decision.REFUSE


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": Weights.all_to(GREEN)}, "traffic is blue 0 / green 100, but blue is recorded"),
        ({"deployments": {BLUE: deployment(NEW + "x"), GREEN: None}}, "blue runs"),
        ({"deployments": {BLUE: None, GREEN: deployment()}}, "blue runs no Deployment"),
    ],
)
def test_drift_is_refused_unless_adopted(changes, says):
    refused = plan_release(request(), observed(**changes))
    assert refused.decision is Decision.REFUSE
    assert says in refused.reason
    adopted = plan_release(request(adopt_live=True), observed(**changes))
    assert adopted.decision is Decision.PROCEED
    assert any("adopted" in warning for warning in adopted.warnings)


def test_nothing_recorded_is_a_warning_not_a_refusal():
    plan = plan_release(request(), observed(live=None))
    assert plan.decision is Decision.PROCEED
    assert "nothing is recorded" in plan.warnings[0]


def test_a_firing_alarm_is_refused_and_named():
    plan = plan_release(request(), observed(alarms=(alarm(), alarm("ALARM", "5xx"))))
    assert plan.decision is Decision.REFUSE
    assert "alarm 5xx (threshold crossed)" in plan.reason
    assert "slow" not in plan.reason


def test_a_firing_alarm_can_be_overridden_with_a_reason_and_is_kept():
    plan = plan_release(request(override_alarms="the repair"), observed(alarms=(alarm("ALARM", "5xx"),)))
    assert plan.decision is Decision.PROCEED
    assert plan.overridden_alarms == ("5xx",)


def test_an_alarm_without_data_does_not_block():
    assert plan_release(request(), observed(alarms=(alarm("INSUFFICIENT_DATA"),))).decision is Decision.PROCEED


def test_with_no_deployment_to_go_by_there_are_two_replicas():
    nothing = observed(
        live=None,
        deployments={BLUE: None, GREEN: deployment(OLDER, 0)},
        healthy_targets={BLUE: 0, GREEN: 0},
    )
    assert plan_release(request(), nothing).replicas == 2


def test_rollback_goes_to_the_previous_version_and_starts_its_pods():
    plan = plan_rollback(observed(live=live(previous=PREVIOUS)))
    assert plan.decision is Decision.PROCEED
    assert (plan.from_colour, plan.to_colour, plan.image) == (BLUE, GREEN, OLDER)
    assert plan.deploy
    assert not plan.analyse
    assert [step.weight for step in plan.steps] == [100]


def test_rollback_to_a_warm_colour_deploys_nothing():
    warm = observed(
        live=live(previous=PREVIOUS),
        deployments={BLUE: deployment(), GREEN: deployment(OLDER)},
        healthy_targets={BLUE: 3, GREEN: 3},
    )
    plan = plan_rollback(warm)
    assert not plan.deploy
    assert "warm" in plan.reason


@pytest.mark.parametrize(
    ("green", "healthy"),
    [(deployment(NEW), 3), (deployment(OLDER, 2), 3), (deployment(OLDER), 2), (None, 3)],
)
def test_a_colour_is_warm_only_with_the_right_image_and_enough_of_it(green, healthy):
    state = observed(
        live=live(previous=PREVIOUS),
        deployments={BLUE: deployment(), GREEN: green},
        healthy_targets={BLUE: 3, GREEN: healthy},
    )
    assert plan_rollback(state).deploy


@pytest.mark.parametrize("weights", [Weights(40, 60), Weights.all_to(GREEN)])
def test_rollback_of_traffic_that_left_the_recorded_colour_brings_it_back(weights):
    plan = plan_rollback(observed(weights=weights, live=live(previous=PREVIOUS)))
    assert (plan.to_colour, plan.image) == (BLUE, OLD)
    assert not plan.deploy


def test_rollback_ignores_alarms():
    plan = plan_rollback(observed(live=live(previous=PREVIOUS), alarms=(alarm("ALARM"),)))
    assert plan.decision is Decision.PROCEED


@pytest.mark.parametrize("recorded", [None, live()])
def test_rollback_with_nothing_before_is_refused(recorded):
    plan = plan_rollback(observed(live=recorded))
    assert plan.decision is Decision.REFUSE
    assert "nothing to go back to" in plan.reason


def test_a_plan_travels_as_plain_json():
    assert plan_release(request(), observed()).as_dict()["to_colour"] == "green"
