"""What the cluster runs of the service, seen as the cluster operator role."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.preflight.check import Sources
from opskit.adapters.cluster import Cluster, DeploymentState, PodState
from opskit.traffic import Colour

if TYPE_CHECKING:
    from opskit.traffic import Weights


@dataclass(frozen=True, slots=True)
class Workloads:
    """The Deployments and pods of both colours."""

    cluster: Cluster

    def deployments(self) -> tuple[dict[Colour, DeploymentState], list[Colour]]:
        """Those that there are, and the colours that have none. Raises `ClusterError`."""
        found = {colour: self.cluster.deployment(colour) for colour in Colour}
        there = {colour: state for colour, state in found.items() if state is not None}
        return there, [colour for colour in Colour if colour not in there]

    def pods(self, colour: Colour) -> tuple[PodState, ...]:
        """The pods of a colour. Raises `ClusterError`."""
        return self.cluster.pods(colour)


def connect(sources: Sources) -> Workloads:
    """Raises `ClusterError` if the cluster cannot be described."""
    session = sources.session
    return Workloads(
        Cluster.connect(
            sources.platform,
            session_name="ops-preflight",
            eks=session.client("eks"),
            sts=session.client("sts"),
        )
    )


def serving(weights: "Weights") -> list[Colour]:
    """The colours that get traffic."""
    return [colour for colour in Colour if weights.of(colour)]
