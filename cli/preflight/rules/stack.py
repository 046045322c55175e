"""Whether the automation stack and the cluster are in a state in which they do their work."""

from datetime import datetime
from typing import Any

from cli.output import moment
from cli.preflight.finding import Finding, failed, passed

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html#cfn-stack-status-codes
_GOOD = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
_AS_BEFORE = frozenset({"UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"})


def judge_stack(name: str, status: str | None, *, reason: str | None, changed_at: datetime | None) -> Finding:
    """`status` and `reason` of DescribeStacks; None: there is no such stack."""
    facts: dict[str, Any] = {"stack": name, "status": status, "changed_at": changed_at}
    if status is None:
        return failed(f"there is no stack {name}", "deploy it: sam build && sam deploy --config-env …", **facts)
    why = f" ({reason})" if reason else ""
    if status in _GOOD:
        return passed(f"{name} is {status} since {moment(changed_at)}", **facts)
    if status in _AS_BEFORE:
        advice = "see its events for what failed, correct it and deploy again; what runs is the version before"
        return failed(f"the last change of {name} failed and was rolled back{why}", advice, **facts)
    if status.endswith("_IN_PROGRESS"):
        return failed(f"{name} is being changed: {status}{why}", "wait until it is done", **facts)
    advice = "see its events; ROLLBACK_COMPLETE: delete and deploy; UPDATE_ROLLBACK_FAILED: continue the rollback"
    return failed(f"{name} is {status}{why}", advice, **facts)


def judge_cluster(name: str, status: str | None) -> Finding | None:
    """`status` of DescribeCluster; None: no such cluster. None comes back for one that can be talked to."""
    if status is None:
        return failed(f"there is no cluster {name}", "apply Terraform", cluster=name)
    if status not in ("ACTIVE", "UPDATING"):
        return failed(f"the cluster {name} is {status}", "see it in the EKS console", cluster=name, status=status)
    return None
