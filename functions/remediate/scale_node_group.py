"""Remediate: more nodes for the cluster, within the node group's own maximum."""

import hashlib
from dataclasses import asdict
from typing import Any

from opskit.acting import acted, decided, refused
from opskit.adapters.node_groups import NodeGroups
from opskit.decisions.capacity import more_nodes
from opskit.errors import NotReadyError
from opskit.step import Run, step

NONE = "none"
# The most that EKS takes as a token.
TOKEN_LENGTH = 64


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Raise the desired size of the platform's node group by the bounds' `step`.

    Safe to repeat: the size that was announced first is what every attempt asks for. Not done where the contract names
    no group, the group is at its maximum, or another update of it is under way.

    Raises:
        LockLostError: another execution has taken the lock.
        NotFoundError: the group of the contract does not exist.
    """
    lock = run.hold(event)
    platform, plan = run.platform, event["plan"]
    if plan["resource_arn"] != platform.cluster_arn:
        return refused(f"{plan['resource_arn']} is not the service's cluster")
    if platform.node_group.lower() == NONE:
        return refused("the platform names no node group that may be scaled")
    groups = NodeGroups(platform.cluster_name)
    state = groups.state(platform.node_group)

    def choose() -> dict[str, Any] | str:
        more = more_nodes(state, int(plan["bounds"]["step"]))
        if not more.possible:
            return more.reason
        return {"action": "scale_node_group", "node_group": state.name, "from": more.before, "to": more.after}

    facts = decided(run, lock, choose)
    if isinstance(facts, str):
        return refused(facts, asdict(state))
    wanted = min(int(facts["to"]), state.maximum)
    if state.desired < wanted:
        try:
            groups.scale(state, wanted, hashlib.sha256(run.execution.id.encode()).hexdigest()[:TOKEN_LENGTH])
        except NotReadyError as error:
            return refused(str(error), facts)
    return acted(f"the node group {state.name} is to have {wanted} nodes instead of {facts['from']}", facts)
