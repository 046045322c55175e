"""The service as it runs: weights, targets, health, pods."""

from typing import TYPE_CHECKING

from cli.preflight.check import Sources
from cli.preflight.finding import Finding
from cli.preflight.kubernetes import connect, serving
from cli.preflight.rules import traffic as rules
from cli.preflight.stack import parameter, unreachable
from opskit.adapters.service import Service
from opskit.errors import ClusterError
from opskit.traffic import Colour

if TYPE_CHECKING:
    from opskit.ledger import ReleaseRecord

# Section 11's; the second also reads the database and the cache. Services that say so elsewhere tell the stack.
HEALTH, READY = "/health", "/ready"


def weights(sources: Sources) -> Finding:
    """The balancer against the ledger."""
    session = sources.session
    return rules.judge_weights(session.balancer.weights(), session.ledger.live(), under_way(sources))


def under_way(sources: Sources) -> "ReleaseRecord | None":
    """The open record of the lock's holder."""
    ledger = sources.session.ledger
    holder = ledger.holder()
    if holder is None:
        return None
    # A repair holds the lock under a name that begins with the execution's.
    record = ledger.record_of(holder.owner.partition("#")[0].rpartition(":")[2])
    return record if record is not None and record.outcome is None else None


def targets(sources: Sources) -> Finding:
    """Both colours' target groups."""
    balancer = sources.session.balancer
    return rules.judge_targets(balancer.weights(), {colour: balancer.targets(colour) for colour in Colour})


def health(sources: Sources) -> Finding:
    """As a client asks, through the balancer."""
    url = sources.platform.service_url
    service = Service(url)
    paths = (HEALTH, parameter(sources, "ServiceReadyPath") or READY)
    return rules.judge_health(url, {path: service.get(path) for path in paths})


def pods(sources: Sources) -> Finding:
    """The pods of what gets traffic."""
    colours = serving(sources.session.balancer.weights())
    try:
        workloads = connect(sources)
        deployments, _ = workloads.deployments()
        found = {colour: workloads.pods(colour) for colour in colours}
    except ClusterError as error:
        return unreachable(error)
    return rules.judge_pods(colours, deployments, found)
