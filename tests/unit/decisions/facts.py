"""Observations to decide on, with one thing changed at a time."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from opskit.adapters.alarms import AlarmState
from opskit.adapters.balancer import Targets
from opskit.adapters.cluster import DeploymentState, PodState
from opskit.adapters.metrics import TrafficSample
from opskit.decisions.plan import Observed
from opskit.ledger import Live, Version
from opskit.traffic import Colour, Weights

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OLD = "registry/detection-api@sha256:" + "a" * 64
NEW = "registry/detection-api@sha256:" + "b" * 64
OLDER = "registry/detection-api@sha256:" + "c" * 64


def deployment(image: str = OLD, replicas: int = 3, **changes: Any) -> DeploymentState:
    state = DeploymentState(
        name="detection-api-blue",
        image=image,
        replicas=replicas,
        generation=2,
        observed_generation=2,
        updated=replicas,
        ready=replicas,
        available=replicas,
        unavailable=0,
    )
    return replace(state, **changes)


def targets(healthy: int = 3, **changes: Any) -> Targets:
    return replace(Targets(healthy=healthy, unhealthy=0, initial=0, draining=0, unused=0), **changes)


def pod(**changes: Any) -> PodState:
    return replace(PodState(name="pod-1", ready=True, phase="Running", restarts=0, waiting_reason=None), **changes)


def sample(requests: int = 1000, errors: int = 0, p95: float | None = 0.05, datapoints: int = 10) -> TrafficSample:
    return TrafficSample(requests=requests, errors=errors, p95_seconds=p95, datapoints=datapoints)


def alarm(state: str = "OK", name: str = "slow") -> AlarmState:
    return AlarmState(name=name, arn=f"arn:{name}", state=state, reason="threshold crossed", since=NOW)


def live(colour: Colour = Colour.BLUE, image: str = OLD, previous: Version | None = None) -> Live:
    return Live(
        colour=colour,
        image=image,
        digest=image.partition("@")[2],
        previous=previous,
        release="release-1",
        at=NOW,
        revision=4,
    )


def observed(**changes: Any) -> Observed:
    """Blue is live with three pods of OLD, recorded so; green is at 0."""
    state = Observed(
        weights=Weights.all_to(Colour.BLUE),
        deployments={Colour.BLUE: deployment(), Colour.GREEN: deployment(OLDER, 0)},
        healthy_targets={Colour.BLUE: 3, Colour.GREEN: 0},
        live=live(),
        alarms=(alarm(),),
    )
    return replace(state, **changes)


def request(**changes: Any) -> dict[str, Any]:
    return {
        "operation": "release",
        "image": NEW,
        "digest": NEW.partition("@")[2],
        "adopt_live": False,
        "steps": [{"weight": 100, "bake_seconds": 60}],
    } | changes
