"""Statuses of RDS and ElastiCache: what may be snapshotted now, and how a wait for one to come up ends.

The waiters that ship with botocore do not know `restore-error`, `incompatible-network` and `insufficient-capacity`,
and give up after 30 minutes; a status that is not listed here is waited for until the time is out.

RDS instances: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
ElastiCache: the descriptions of ReplicationGroup.Status, CacheCluster.CacheClusterStatus and
Snapshot.SnapshotStatus in the API reference.
"""

from dataclasses import dataclass
from types import MappingProxyType

from opskit.verdict import Outcome, Verdict

# What was asked for a moment ago may not be listed yet.
APPEARS_WITHIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Statuses:
    """The statuses of one kind of resource at which waiting ends: well, or in vain with what each means."""

    kind: str
    good: frozenset[str]
    terminal: MappingProxyType[str, str]


DATABASE = Statuses(
    "DB instance",
    frozenset({"available", "storage-optimization"}),
    MappingProxyType(
        {
            "failed": "RDS cannot recover it",
            "restore-error": "the restore failed; it is billed until it is deleted",
            "incompatible-restore": "RDS cannot restore this engine or data to that point",
            "incompatible-network": "its VPC does not allow it, for one because a subnet has no address left",
            "incompatible-parameters": "its parameter group does not fit its class or engine; it is billed",
            "incompatible-option-group": "its option group does not fit; it is billed",
            "incompatible-create": "it cannot be created with what was asked for",
            "insufficient-capacity": "AWS has no capacity for its class in that zone: try another class or zone",
            "inaccessible-encryption-credentials": "its KMS key cannot be used",
            "inaccessible-encryption-credentials-recoverable": "its KMS key cannot be used: enable it and start it",
            "storage-full": "its storage is full",
            "stopped": "it was stopped",
            "stopping": "it is being stopped",
            "deleting": "it is being deleted",
            "deleted": "it was deleted",
        }
    ),
)

DATABASE_SNAPSHOT = Statuses(
    "DB snapshot",
    frozenset({"available"}),
    MappingProxyType(
        {
            "failed": "RDS could not take it",
            "incompatible-restore": "it cannot be restored",
            "incompatible-parameters": "its parameters do not fit",
            "deleting": "it is being deleted",
            "deleted": "it was deleted",
        }
    ),
)

CACHE = Statuses(
    "replication group",
    frozenset({"available"}),
    MappingProxyType(
        {
            "create-failed": "it could not be created",
            "incompatible-network": "its VPC does not allow it",
            "restore-failed": "the snapshot could not be loaded",
            "deleting": "it is being deleted",
            "deleted": "it was deleted",
        }
    ),
)

# `restoring` and `copying` are of a snapshot that is whole and in use.
CACHE_SNAPSHOT = Statuses(
    "cache snapshot",
    frozenset({"available", "restoring", "copying"}),
    MappingProxyType({"failed": "ElastiCache could not take it", "deleting": "it is being deleted"}),
)

# CreateDBSnapshot: "must be in the available or storage-optimization state".
_TAKEN_AT_ONCE = {DATABASE.kind: DATABASE.good, CACHE.kind: CACHE.good}


def judge_status(
    statuses: Statuses, name: str, status: str | None, *, waited_seconds: float, limit_seconds: float
) -> Verdict:
    """PASS at a good status, FAIL at a terminal one or when `limit_seconds` are over, else WAIT.

    `status` is None when it is not there: waited for during the first minute, then FAIL.
    """
    facts = {"name": name, "status": status, "waited_seconds": round(waited_seconds, 1)}
    subject = f"{statuses.kind} {name}"
    if status in statuses.good:
        return Verdict(Outcome.PASS, f"{subject} is {status} after {waited_seconds:.0f} s", facts)
    if status is not None and status in statuses.terminal:
        return Verdict(Outcome.FAIL, f"{subject} is {status}: {statuses.terminal[status]}", facts)
    if status is None and waited_seconds > APPEARS_WITHIN_SECONDS:
        return Verdict(Outcome.FAIL, f"{subject} is not there after {waited_seconds:.0f} s", facts)
    if waited_seconds >= limit_seconds:
        return Verdict(Outcome.FAIL, f"{subject} is still {status} after {waited_seconds:.0f} s", facts)
    return Verdict(Outcome.WAIT, f"{subject} is {status or 'not listed yet'}", facts)


def judge_source(
    statuses: Statuses,
    name: str,
    status: str,
    *,
    waited_seconds: float,
    limit_seconds: float,
    replica_of: str | None = None,
) -> Verdict:
    """Whether a snapshot of the resource can be taken: PASS now; WAIT, for it is busy; FAIL: skip it, for the reason.

    A resource that is `backing-up`, `modifying` and so on is waited for until `limit_seconds`; a run cannot make the
    hour's other resources late for it.
    """
    facts = {"name": name, "status": status, "waited_seconds": round(waited_seconds, 1)}
    if replica_of:
        return Verdict(Outcome.FAIL, f"{name} is a replica of {replica_of}, which is backed up itself", facts)
    if status in _TAKEN_AT_ONCE[statuses.kind]:
        return Verdict(Outcome.PASS, f"{statuses.kind} {name} is {status}", facts)
    if status in statuses.terminal:
        return Verdict(Outcome.FAIL, f"{statuses.kind} {name} is {status}: {statuses.terminal[status]}", facts)
    if waited_seconds >= limit_seconds:
        reason = f"{statuses.kind} {name} was {status} and not available for {waited_seconds:.0f} s"
        return Verdict(Outcome.FAIL, reason, facts)
    return Verdict(Outcome.WAIT, f"{statuses.kind} {name} is {status}", facts)
