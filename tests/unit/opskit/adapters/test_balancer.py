from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opskit.adapters.balancer import READ_BACK_ATTEMPTS, Balancer, Targets
from opskit.errors import PlatformContractError, WeightsNotConfirmedError
from opskit.platform import Platform
from opskit.traffic import Colour, Weights

from .conftest import aws_client, make_platform, network


class Recorder:
    """A client that keeps count of what was asked of it; `stale` reads answer as before the last write."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.stale = 0
        self._before: Any = None

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute) or name == "exceptions":
            return attribute

        def call(**arguments: Any) -> Any:
            self.calls.append((name, arguments))
            if name == "describe_listeners":
                if self.written and self.stale > 0:
                    self.stale -= 1
                    return self._before
                answer = attribute(**arguments)
                self._before = self._before or answer
                return answer
            return attribute(**arguments)

        return call

    @property
    def written(self) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.calls if name == "modify_listener"]


@pytest.fixture
def elbv2() -> Recorder:
    return Recorder(aws_client("elbv2"))


@pytest.fixture
def live(elbv2: Recorder) -> Platform:
    return build()


def build(blue: int = 100, green: int = 0) -> Platform:
    """A load balancer with both colours' target groups behind its listener; the contract that names them."""
    elbv2 = aws_client("elbv2")
    vpc, subnets = network()
    balancer = elbv2.create_load_balancer(Name="detection-api-dev", Subnets=subnets)["LoadBalancers"][0]
    groups = {
        colour: elbv2.create_target_group(
            Name=f"detection-api-dev-{colour}", Protocol="HTTP", Port=8000, VpcId=vpc, TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]
        for colour in Colour
    }
    weights = {Colour.BLUE: blue, Colour.GREEN: green}
    listener = elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[forward(*((groups[colour], weights[colour]) for colour in Colour))],
    )["Listeners"][0]
    return make_platform(
        listener_arn=listener["ListenerArn"],
        load_balancer_arn=balancer["LoadBalancerArn"],
        target_group_blue_arn=groups[Colour.BLUE],
        target_group_green_arn=groups[Colour.GREEN],
    )


def forward(*groups: tuple[str, int], sticky: bool = False) -> Any:
    stickiness = {"Enabled": True, "DurationSeconds": 60} if sticky else {"Enabled": False}
    return {
        "Type": "forward",
        "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups],
            "TargetGroupStickinessConfig": stickiness,
        },
    }


def balancer(platform: Platform, client: Any, sleeps: list[float] | None = None) -> Balancer:
    return Balancer(platform, client, sleep=(sleeps if sleeps is not None else []).append)


def test_reads_the_weights_of_the_default_action(live: Platform, elbv2: Recorder) -> None:
    assert balancer(live, elbv2).weights() == Weights(blue=100, green=0)


def test_writes_only_the_default_action_and_reads_it_back(live: Platform, elbv2: Recorder) -> None:
    assert balancer(live, elbv2).set_weights(Weights(blue=50, green=50)) == Weights(blue=50, green=50)

    (written,) = elbv2.written
    assert written == {
        "ListenerArn": live.listener_arn,
        "DefaultActions": [forward((live.target_group_blue_arn, 50), (live.target_group_green_arn, 50))],
    }
    assert [name for name, _ in elbv2.calls] == ["describe_listeners", "modify_listener", "describe_listeners"]
    listener = aws_client("elbv2").describe_listeners(ListenerArns=[live.listener_arn])["Listeners"][0]
    assert (listener["Protocol"], listener["Port"]) == ("HTTP", 80)


def test_writes_nothing_when_the_weights_are_there_already(live: Platform, elbv2: Recorder) -> None:
    balancer(live, elbv2).set_weights(Weights(blue=100, green=0))
    assert elbv2.written == []


def test_switches_stickiness_off_even_if_the_weights_are_right(live: Platform, elbv2: Recorder) -> None:
    action = forward((live.target_group_blue_arn, 100), (live.target_group_green_arn, 0), sticky=True)
    aws_client("elbv2").modify_listener(ListenerArn=live.listener_arn, DefaultActions=[action])

    balancer(live, elbv2).set_weights(Weights(blue=100, green=0))

    found = aws_client("elbv2").describe_listeners(ListenerArns=[live.listener_arn])["Listeners"][0]
    config = found["DefaultActions"][0]["ForwardConfig"]["TargetGroupStickinessConfig"]
    assert not config["Enabled"]


def test_waits_for_a_late_read_back(live: Platform, elbv2: Recorder) -> None:
    elbv2.stale = READ_BACK_ATTEMPTS - 1
    sleeps: list[float] = []
    assert balancer(live, elbv2, sleeps).set_weights(Weights(blue=0, green=100)).whole is Colour.GREEN
    assert sleeps == [0.5] * (READ_BACK_ATTEMPTS - 1)


def test_gives_up_on_a_read_back_that_never_agrees(live: Platform, elbv2: Recorder) -> None:
    elbv2.stale = READ_BACK_ATTEMPTS
    with pytest.raises(WeightsNotConfirmedError, match=r"blue 0 / green 100 .* blue 100 / green 0 after 5 reads"):
        balancer(live, elbv2).set_weights(Weights(blue=0, green=100))


@pytest.mark.parametrize("weights", [Weights(blue=0, green=0), Weights(blue=-1, green=5), Weights(blue=1, green=1000)])
def test_refuses_weights_that_a_listener_cannot_have(live: Platform, elbv2: Recorder, weights: Weights) -> None:
    with pytest.raises(ValueError, match="weights"):
        balancer(live, elbv2).set_weights(weights)
    assert elbv2.calls == []


@pytest.mark.parametrize("kind", ["lacks", "foreign", "single", "fixed-response"])
def test_refuses_a_default_action_that_is_not_the_contract(live: Platform, elbv2: Recorder, kind: str) -> None:
    client = aws_client("elbv2")
    vpc, _ = network()
    foreign = client.create_target_group(Name="foreign", Protocol="HTTP", Port=80, VpcId=vpc)
    foreign_arn = foreign["TargetGroups"][0]["TargetGroupArn"]
    blue, green = live.target_group_blue_arn, live.target_group_green_arn
    actions: dict[str, tuple[Any, str]] = {
        "lacks": (forward((blue, 100)), rf"lacks the target group of green \({green}\)"),
        "foreign": (forward((blue, 90), (green, 5), (foreign_arn, 5)), f"foreign target group {foreign_arn}"),
        "single": ({"Type": "forward", "TargetGroupArn": green}, "lacks the target group of blue"),
        "fixed-response": (
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}},
            "its default actions are fixed-response, not one forward",
        ),
    }
    action, message = actions[kind]
    client.modify_listener(ListenerArn=live.listener_arn, DefaultActions=[action])

    with pytest.raises(PlatformContractError, match=message):
        balancer(live, elbv2).weights()
    with pytest.raises(PlatformContractError, match="nothing was changed"):
        balancer(live, elbv2).set_weights(Weights(blue=0, green=100))
    assert elbv2.written == []


def test_names_the_parameter_whose_resource_is_gone(live: Platform) -> None:
    client = aws_client("elbv2")
    client.delete_listener(ListenerArn=live.listener_arn)
    client.delete_target_group(TargetGroupArn=live.target_group_green_arn)
    adapter = Balancer(live, client)
    with pytest.raises(PlatformContractError, match=f"listener_arn names {live.listener_arn}"):
        adapter.weights()
    with pytest.raises(PlatformContractError, match="target_group_green_arn"):
        adapter.targets(Colour.GREEN)


class Health:
    """Answers DescribeTargetHealth with given states; moto calls every target healthy."""

    def __init__(self, *states: tuple[str, str | None, str | None]) -> None:
        self._states = states
        self.exceptions = aws_client("elbv2").exceptions

    def describe_target_health(self, *, TargetGroupArn: str) -> Any:  # noqa: N803 - boto3's spelling
        names = ("State", "Reason", "Description")
        return {
            "TargetHealthDescriptions": [
                {"TargetHealth": {k: v for k, v in zip(names, state, strict=True) if v}} for state in self._states
            ]
        }


def test_counts_targets_by_state_and_says_why(platform: Platform) -> None:
    bad = ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]")
    client = Health(
        ("healthy", None, None),
        bad,
        bad,
        ("initial", "Elb.InitialHealthChecking", None),
        ("draining", "Target.DeregistrationInProgress", None),
        ("unused", "Target.NotInUse", None),
    )
    assert Balancer(platform, client).targets(Colour.BLUE) == Targets(  # type: ignore[arg-type]
        healthy=1,
        unhealthy=2,
        initial=1,
        draining=1,
        unused=1,
        reasons=(
            "2 unhealthy: Target.ResponseCodeMismatch: Health checks failed with these codes: [503]",
            "1 initial: Elb.InitialHealthChecking",
            "1 draining: Target.DeregistrationInProgress",
            "1 unused: Target.NotInUse",
        ),
    )


@pytest.mark.parametrize("state", ["unavailable", "unhealthy.draining", "something new"])
def test_counts_a_state_it_does_not_know_as_unhealthy(platform: Platform, state: str) -> None:
    found = Balancer(platform, Health((state, None, None))).targets(Colour.GREEN)  # type: ignore[arg-type]
    assert (found.healthy, found.unhealthy, found.total) == (0, 1, 1)


def test_targets_survive_the_way_through_a_state_machine() -> None:
    targets = Targets(healthy=2, unhealthy=1, initial=0, draining=3, unused=0, reasons=("1 unhealthy",))
    assert targets.as_dict()["total"] == 6
    assert Targets.from_dict(targets.as_dict()) == targets


@given(blue=st.integers(0, 999), green=st.integers(0, 999))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reads_back_whatever_weights_were_written(blue: int, green: int, live: Platform, elbv2: Recorder) -> None:
    if blue == green == 0:
        return
    adapter = balancer(live, elbv2)
    adapter.set_weights(Weights(blue=blue, green=green))
    assert adapter.weights() == Weights(blue=blue, green=green)
