"""Remediate: the pod behind an unhealthy target makes room for another, one at a time and within its budget."""

from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.replicas import Replicas
from opskit.adapters.target_health import unhealthy_targets
from opskit.decisions.replacement import choose_pod
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Evict one pod that the target group of the alarm sees as unhealthy.

    Evicted, not deleted: the API server refuses if the disruption budget has no room, and so do we then. Safe to
    repeat: every attempt is about the pod that was announced first, by its uid.

    Raises:
        LockLostError: another execution has taken the lock.
        ClusterError: the cluster refused for another reason than the budget.
    """
    lock = run.hold(event)
    platform, arn = run.platform, event["plan"]["resource_arn"]
    colour = next((each for each in Colour if platform.target_group_arn(each) == arn), None)
    if colour is None:
        return refused(f"{arn} is not a target group of the service")
    replicas = Replicas.connect(platform, session_name=run.execution.name)
    going = False

    def choose() -> dict[str, Any] | str:
        nonlocal going
        chosen = choose_pod(unhealthy_targets(arn), replicas.addresses(colour))
        going = chosen.going
        return {"action": "replace_pod", "colour": colour.value, **chosen.facts} if chosen.pod else chosen.why

    facts = decided(run, lock, choose)
    if isinstance(facts, str):
        return acted(facts, {"colour": colour.value}) if going else refused(facts, {"colour": colour.value})
    eviction = replicas.evict(facts["pod"], facts["uid"])
    told = facts | {"said": eviction.reason}
    if not eviction.evicted:
        return refused(f"{facts['pod']} at {facts['target']} stays: {eviction.reason}", told)
    return acted(f"{facts['pod']} at {facts['target']} was evicted for another to take its place", told)
