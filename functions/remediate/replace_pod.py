"""Remediate: the pod behind an unhealthy target makes room for another, one at a time and within its budget."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.replicas import Replicas
from opskit.adapters.target_health import target_states
from opskit.decisions.taken_out import with_taken_out
from opskit.decisions.unhealthy import pod_to_replace
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Evict one pod that the target group of the alarm sees as unhealthy, as `unhealthy.pod_to_replace` chooses.

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

    def choose() -> dict[str, Any] | str:
        states = target_states(arn)
        pods, seen = with_taken_out([pod.at(states) for pod in replicas.addresses(colour)], states)
        older_than = event["plan"]["bounds"]["older_than_seconds"]
        found = pod_to_replace(pods, seen, run.clock.now(), older_than_seconds=older_than)
        if found.pod is None:
            return f"{found.reason} (targets: {_counted(states)})"
        pod = found.pod
        return {"action": "replace_pod", "why": found.reason, "pod": pod.name, "uid": pod.uid, "target": pod.ip}

    facts = decided(run, lock, choose)
    if isinstance(facts, str):
        return refused(facts, {"colour": colour.value})
    eviction = replicas.evict(facts["pod"], facts["uid"])
    told = facts | {"colour": colour.value, "said": eviction.reason}
    if not eviction.evicted:
        return refused(f"{facts['pod']} at {facts['target']} stays: {eviction.reason}", told)
    return acted(f"{facts['pod']} at {facts['target']} was evicted, for another to take its place", told)


def _counted(states: Mapping[str, str]) -> str:
    counts = Counter(states.values())
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
