"""What a release or a rollback will do, decided from what runs now and what is recorded."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from opskit.adapters.alarms import AlarmState
from opskit.adapters.cluster import DeploymentState
from opskit.ledger import Live
from opskit.traffic import Colour, Weights

# What a colour gets when neither the live colour nor its own Deployment says how many pods it needs.
DEFAULT_REPLICAS = 2


class Decision(StrEnum):
    """What follows from a plan."""

    PROCEED = "PROCEED"
    NOTHING_TO_DO = "NOTHING_TO_DO"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class Observed:
    """What is there now: the balancer and the cluster are the truth, the ledger is the memory."""

    weights: Weights
    deployments: dict[Colour, DeploymentState | None]
    healthy_targets: dict[Colour, int]
    live: Live | None
    alarms: tuple[AlarmState, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One shift of traffic: percent to the new colour, then seconds of bake."""

    weight: int
    bake_seconds: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done, in words and in numbers; the fields after `warnings` are None unless PROCEED."""

    decision: Decision
    reason: str
    warnings: tuple[str, ...] = ()
    operation: str = "release"
    from_colour: Colour | None = None
    to_colour: Colour | None = None
    from_image: str | None = None
    from_digest: str | None = None
    image: str | None = None
    digest: str | None = None
    replicas: int = 0
    required_healthy: int = 0
    deploy: bool = True
    analyse: bool = True
    steps: tuple[Step, ...] = ()
    overridden_alarms: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The form in which a plan travels between states."""
        return asdict(self) | {
            "decision": self.decision.value,
            "from_colour": self.from_colour and self.from_colour.value,
            "to_colour": self.to_colour and self.to_colour.value,
        }


def refuse(reason: str, **facts: Any) -> Plan:
    """A plan that stops before anything is changed."""
    return Plan(decision=Decision.REFUSE, reason=reason, **facts)


def digest_of(image: str | None) -> str | None:
    """The `sha256:…` of an image reference, or None where it has none."""
    return image.partition("@")[2] or None if image else None


def plan_release(request: dict[str, Any], observed: Observed) -> Plan:
    """Plan a release of `request["image"]` (a URI with digest) onto the idle colour.

    Refuses when traffic or image differ from the record (unless `adopt_live`), when traffic is split, and
    when an alarm is firing (unless `override_alarms` gives a reason).
    """
    now_live = observed.weights.whole
    if now_live is None:
        return refuse(
            f"traffic is split: {observed.weights.words}. Nothing was changed. "
            "Make it whole with `ops rollback`, then release again."
        )
    drift = _drift(observed, now_live)
    if drift and not request["adopt_live"]:
        return refuse(
            f"{drift}. Nothing was changed. Put it back, or release with `--adopt-live` (adopt_live: true) to "
            "take what runs now as the starting point."
        )
    running = observed.deployments[now_live]
    from_image = running.image if running else None
    target = now_live.other
    if from_image == request["image"]:
        return Plan(
            decision=Decision.NOTHING_TO_DO,
            reason=f"{request['image']} is live on {now_live} already.",
            from_colour=now_live,
            from_image=from_image,
            from_digest=digest_of(from_image),
            image=request["image"],
            digest=request["digest"],
        )
    firing = [alarm.name for alarm in observed.alarms if alarm.firing]
    if firing and not request.get("override_alarms"):
        return refuse(
            f"firing before the release: {_alarm_words(observed.alarms)}. Nothing was changed. Repair the cause, or "
            "release with `--override-alarms REASON` if this release is the repair."
        )
    # What carries the traffic now, also where that is more than the Deployment asks for: no fewer are deployed, and
    # no more are waited for than are deployed.
    replicas = max(observed.healthy_targets[now_live], _replicas(observed, now_live))
    return Plan(
        decision=Decision.PROCEED,
        reason=f"{request['image']} goes to {target}; {now_live} stays until {target} has proven itself.",
        warnings=_warnings(observed, drift, firing),
        operation="release",
        from_colour=now_live,
        to_colour=target,
        from_image=from_image,
        from_digest=digest_of(from_image),
        image=request["image"],
        digest=request["digest"],
        replicas=replicas,
        required_healthy=replicas,
        steps=tuple(Step(**step) for step in request["steps"]),
        overridden_alarms=tuple(firing),
    )


def plan_rollback(observed: Observed) -> Plan:
    """Plan the way back: to the recorded live colour if traffic has left it, else to the version before it.

    Needs neither alarms nor analysis. Warm when the other colour still runs the previous image, else its pods
    are started first.
    """
    live = observed.live
    if live is None:
        return refuse("nothing is recorded as live, so there is nothing to go back to. Release a version instead.")
    if observed.weights.whole is not live.colour:
        return _rollback_plan(
            observed,
            Colour(live.colour),
            live.image,
            f"traffic is {observed.weights.words}; all of it goes back to {live.colour}, the recorded live colour.",
        )
    if live.previous is None:
        return refuse(f"no version before {live.image} is on record, so there is nothing to go back to.")
    previous = live.previous
    return _rollback_plan(
        observed,
        Colour(previous.colour),
        previous.image,
        f"{previous.image} comes back on {previous.colour} in place of {live.image}.",
    )


def _rollback_plan(observed: Observed, target: Colour, image: str, reason: str) -> Plan:
    leaving = target.other
    deployment = observed.deployments[target]
    replicas = max(_replicas(observed, leaving), deployment.replicas if deployment else 0)
    warm = (
        deployment is not None
        and deployment.image == image
        and deployment.replicas >= replicas
        and observed.healthy_targets[target] >= replicas
    )
    left = observed.deployments[leaving]
    return Plan(
        decision=Decision.PROCEED,
        reason=f"{reason} {'Its pods are warm.' if warm else 'Its pods are started first.'}",
        operation="rollback",
        from_colour=leaving,
        to_colour=target,
        from_image=left.image if left else None,
        from_digest=digest_of(left.image if left else None),
        image=image,
        digest=digest_of(image),
        replicas=replicas,
        required_healthy=replicas,
        deploy=not warm,
        analyse=False,
        steps=(Step(weight=100, bake_seconds=0),),
    )


def _drift(observed: Observed, now_live: Colour) -> str | None:
    live = observed.live
    if live is None:
        return None
    if live.colour != now_live:
        return f"traffic is {observed.weights.words}, but {live.colour} is recorded as live since {live.release}"
    running = observed.deployments[now_live]
    if running is None or running.image != live.image:
        found = running.image if running else "no Deployment"
        return f"{now_live} runs {found}, but {live.image} is recorded since {live.release}"
    return None


def _replicas(observed: Observed, reference: Colour) -> int:
    for colour in (reference, reference.other):
        deployment = observed.deployments[colour]
        if deployment is not None and deployment.replicas > 0:
            return deployment.replicas
    return DEFAULT_REPLICAS


def _warnings(observed: Observed, drift: str | None, firing: Sequence[str]) -> tuple[str, ...]:
    warnings = []
    if observed.live is None:
        warnings.append("nothing is recorded as live yet: what runs now is taken as the starting point")
    if drift:
        warnings.append(f"adopted: {drift}")
    if firing:
        warnings.append(f"alarms overridden: {', '.join(firing)}")
    return tuple(warnings)


def _alarm_words(alarms: Sequence[AlarmState]) -> str:
    return "; ".join(f"alarm {alarm.name} ({alarm.reason})" for alarm in alarms if alarm.firing)
