"""The Application Load Balancer: who gets the traffic, and who is fit to.

Live traffic is the listener's default action: a plain forward with one weight per colour's target group
(each 0-999, https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupTuple.html).
The balancer is the truth about where traffic goes, so a write is read back before it counts.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from opskit import clients
from opskit.errors import PlatformContractError, WeightsNotConfirmedError
from opskit.traffic import Colour, Weights

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import ActionOutputTypeDef

    from opskit.platform import Platform

MAX_WEIGHT = 999
READ_BACK_ATTEMPTS = 5
READ_BACK_SECONDS = 0.5

_STATES = ("healthy", "unhealthy", "initial", "draining", "unused")


@dataclass(frozen=True, slots=True)
class Targets:
    """The registered targets of one target group, counted by health state, as DescribeTargetHealth sees them.

    `reasons` says why those that are not healthy are not: `"<count> <state>: <reason code>: <description>"`,
    most frequent first.
    """

    healthy: int
    unhealthy: int
    initial: int
    draining: int
    unused: int
    reasons: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All targets, whatever their state."""
        return self.healthy + self.unhealthy + self.initial + self.draining + self.unused

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; with `total`."""
        return asdict(self) | {"reasons": list(self.reasons), "total": self.total}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        counts = {state: int(data[state]) for state in _STATES}
        return cls(**counts, reasons=tuple(data.get("reasons", ())))


class Balancer:
    """Weights and target health of the service's two target groups, through the ELBv2 API."""

    def __init__(
        self,
        platform: "Platform",
        client: "ElasticLoadBalancingv2Client | None" = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._platform = platform
        self._client: ElasticLoadBalancingv2Client = client or clients.client("elbv2")
        self._sleep = sleep

    def weights(self) -> Weights:
        """How the listener's default action splits live traffic now.

        Raises `PlatformContractError` if the listener is gone, or if its default action is not a plain
        weighted forward over exactly the two target groups of the platform contract.
        """
        return self._weights_of(self._default_actions())

    def set_weights(self, weights: Weights) -> Weights:
        """Make the listener split live traffic by `weights`, and return what it read back.

        Safe to repeat: writes nothing if the listener already has these weights (and no stickiness). Only the
        default action is sent, in full, since ModifyListener leaves unspecified properties as they are but
        replaces lists whole; group stickiness is switched off, because a client bound to a group ignores
        the weights until its cookie expires.

        Raises `PlatformContractError` as `weights` does, before anything is written;
        `WeightsNotConfirmedError` if the listener does not read back `weights` within about two seconds;
        `ValueError` if a weight is outside 0-999 or both are 0.
        """
        if not all(0 <= weights.of(colour) <= MAX_WEIGHT for colour in Colour):
            raise ValueError(f"a listener's weights are 0 to {MAX_WEIGHT}, not {weights.words}")
        if weights.blue == weights.green == 0:
            raise ValueError("weights of 0 for both colours would send live traffic nowhere")
        actions = self._default_actions()
        found = self._weights_of(actions)
        if found == weights and not _sticky(actions):
            return found
        self._client.modify_listener(
            ListenerArn=self._platform.listener_arn,
            DefaultActions=[
                {
                    "Type": "forward",
                    "ForwardConfig": {
                        "TargetGroups": [
                            {
                                "TargetGroupArn": self._platform.target_group_arn(colour),
                                "Weight": weights.of(colour),
                            }
                            for colour in Colour
                        ],
                        "TargetGroupStickinessConfig": {"Enabled": False},
                    },
                }
            ],
        )
        return self._confirm(weights)

    def targets(self, colour: Colour) -> Targets:
        """The health of the targets registered with `colour`'s target group.

        Raises `PlatformContractError` if that group does not exist.
        """
        arn = self._platform.target_group_arn(colour)
        try:
            described = self._client.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        except self._client.exceptions.TargetGroupNotFoundException as error:
            raise _missing(f"target_group_{colour}_arn", arn) from error
        states: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for description in described:
            health = description["TargetHealth"]
            state = health.get("State", "unavailable")
            states[_counted_as(state)] += 1
            if state != "healthy":
                parts = (state, health.get("Reason"), health.get("Description"))
                reasons[": ".join(part for part in parts if part)] += 1
        counts = {state: states[state] for state in _STATES}
        return Targets(
            **counts,
            reasons=tuple(f"{count} {reason}" for reason, count in reasons.most_common()),
        )

    def _default_actions(self) -> "list[ActionOutputTypeDef]":
        arn = self._platform.listener_arn
        try:
            listeners = self._client.describe_listeners(ListenerArns=[arn])["Listeners"]
        except self._client.exceptions.ListenerNotFoundException as error:
            raise _missing("listener_arn", arn) from error
        if not listeners:
            raise _missing("listener_arn", arn)
        return list(listeners[0].get("DefaultActions", []))

    def _weights_of(self, actions: "list[ActionOutputTypeDef]") -> Weights:
        # ELBv2 keeps a group of weight 0 in the action, so a group that is absent was never put there:
        # that is another configuration, not a weight of 0.
        kinds = [action["Type"] for action in actions]
        if kinds != ["forward"]:
            raise self._not_ours(f"its default actions are {', '.join(kinds) or 'absent'}, not one forward")
        forward = actions[0].get("ForwardConfig")
        groups = forward.get("TargetGroups", []) if forward else []
        if not groups and (single := actions[0].get("TargetGroupArn")):
            groups = [{"TargetGroupArn": single}]
        # A single group may come without a weight; ELBv2's default is 1.
        found = {group.get("TargetGroupArn", ""): group.get("Weight", 1) for group in groups}
        ours = {self._platform.target_group_arn(colour): colour for colour in Colour}
        missing = [f"{colour} ({arn})" for arn, colour in ours.items() if arn not in found]
        foreign = [arn for arn in found if arn not in ours]
        if missing or foreign or len(groups) != len(ours):
            differences = [
                *(f"it lacks the target group of {name}" for name in missing),
                *(f"it forwards to the foreign target group {arn}" for arn in foreign),
            ]
            raise self._not_ours("; ".join(differences) or "it names a target group twice")
        by_colour = {colour: found[arn] for arn, colour in ours.items()}
        return Weights(blue=by_colour[Colour.BLUE], green=by_colour[Colour.GREEN])

    def _not_ours(self, difference: str) -> PlatformContractError:
        return PlatformContractError(
            f"The live listener {self._platform.listener_arn} is not a plain weighted forward over exactly "
            f"the blue and the green target group: {difference}. Restore its default action (terraform "
            "apply, or aws elbv2 modify-listener), or correct listener_arn and target_group_*_arn of the "
            "platform contract; nothing was changed."
        )

    def _confirm(self, wanted: Weights) -> Weights:
        found: Weights | None = None
        for attempt in range(READ_BACK_ATTEMPTS):
            if attempt:
                self._sleep(READ_BACK_SECONDS)
            actions = self._default_actions()
            found = self._weights_of(actions)
            if found == wanted and not _sticky(actions):
                return found
        raise WeightsNotConfirmedError(
            f"The listener {self._platform.listener_arn} accepted {wanted.words} but still answered "
            f"{found.words if found else 'nothing'} after {READ_BACK_ATTEMPTS} reads. Something else may "
            "be writing to it; look at ModifyListener in CloudTrail before trying again."
        )


def _sticky(actions: "list[ActionOutputTypeDef]") -> bool:
    forward = actions[0].get("ForwardConfig")
    stickiness = forward.get("TargetGroupStickinessConfig") if forward else None
    return bool(stickiness and stickiness.get("Enabled"))


def _counted_as(state: str) -> str:
    # `unhealthy.draining` and `unavailable` (health checks off) must never count towards fitness.
    return state if state in _STATES else "unhealthy"


def _missing(parameter: str, arn: str) -> PlatformContractError:
    return PlatformContractError(
        f"The platform contract's {parameter} names {arn}, which does not exist: apply Terraform, or correct "
        "the parameter."
    )
