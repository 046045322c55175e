"""When, and from which node, a backup of a cache is taken.

ElastiCache takes 20 manual backups of a node in any 24 hours, so a backup every hour is refused from the 21st on:
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/backups.html#backups-constraints
Every second hour makes 12, which leaves 8 for a person, a run that is repeated, or a catch-up, even where the cache
has one node only. Nodes take turns, replicas before the primary: BGSAVE costs the node memory and time that the
primary needs for clients, and a node that cannot be backed up then costs one backup and not all of them. In the hour
between, a run's manifest names the backup of the hour before.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from opskit.clock import timestamp
from opskit.decisions.snapshot import hour_of

BACKUPS_PER_NODE = 20
WINDOW = timedelta(hours=24)
EVERY_HOURS = 2


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a replication group: its cache cluster's id, and whether it is the primary now."""

    cluster_id: str
    primary: bool = False
    available: bool = True


@dataclass(frozen=True, slots=True)
class Backup:
    """A manual backup, ours or not: the node it was taken of (None: of the whole group), and when it was.

    `hour` is the scheduled hour of one of ours that was verified, or else None.
    """

    name: str
    cluster_id: str | None
    taken_at: datetime
    hour: datetime | None = None


class Turn(StrEnum):
    """What a run does about the cache."""

    TAKE = "TAKE"
    REUSE = "REUSE"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class CacheTurn:
    """The decision: TAKE a backup of `node` (None: of the group), REUSE the verified backup `backup`, or SKIP."""

    decision: Turn
    reason: str
    node: str | None = None
    backup: str | None = None
    backup_hour: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        hour = timestamp(self.backup_hour) if self.backup_hour else None
        return asdict(self) | {"decision": self.decision.value, "backup_hour": hour}


def plan_cache_turn(
    hour: datetime,
    now: datetime,
    nodes: Sequence[Node],
    backups: Sequence[Backup],
    *,
    cluster_mode: bool = False,
    every_hours: int = EVERY_HOURS,
) -> CacheTurn:
    """What the run of `hour` does. `backups`: every manual backup of the cache that is still there.

    A backup is due when there is no verified one of the last `every_hours` hours; one that failed is thus made up for
    in the next hour. With `cluster_mode` only the whole group can be backed up, which counts on every node.
    Backups that were deleted meanwhile count for AWS and cannot be counted here: it may refuse what this allows, but
    then only if more than this plan's own were taken.
    """
    newest = max(
        (backup for backup in backups if backup.hour is not None and backup.hour < hour),
        key=lambda backup: (backup.hour or hour, backup.name),
        default=None,
    )
    done = any(backup.hour == hour for backup in backups)
    if not done and newest is not None and newest.hour and hour - newest.hour < timedelta(hours=every_hours):
        reason = f"not due: every {every_hours} hours, and {newest.name} of {newest.hour:%H}:00 is verified"
        return CacheTurn(Turn.REUSE, reason, backup=newest.name, backup_hour=newest.hour)
    # One that is being taken, or failed, has no verified hour and yet counts.
    recent = [backup for backup in backups if backup.taken_at > now - WINDOW]
    of_group = sum(backup.cluster_id is None for backup in recent)
    if cluster_mode:
        used = (
            max((len([b for b in recent if b.cluster_id == node.cluster_id]) for node in nodes), default=0) + of_group
        )
        if used >= BACKUPS_PER_NODE:
            return CacheTurn(Turn.SKIP, f"{used} backups in 24 hours; ElastiCache allows {BACKUPS_PER_NODE} a node")
        return CacheTurn(Turn.TAKE, f"of the whole group, its {used + 1}. in 24 hours")
    return _of_a_node(hour, nodes, recent, of_group, every_hours)


def _of_a_node(
    hour: datetime, nodes: Sequence[Node], recent: Sequence[Backup], of_group: int, every_hours: int
) -> CacheTurn:
    def rotated(group: Sequence[Node]) -> list[Node]:
        ordered = sorted(group, key=lambda node: node.cluster_id)
        turn = int(hour_of(hour).timestamp()) // 3600 // every_hours
        start = turn % len(ordered) if ordered else 0
        return [*ordered[start:], *ordered[:start]]

    replicas = [node for node in nodes if not node.primary]
    full = []
    for node in [*rotated(replicas), *rotated([node for node in nodes if node.primary])]:
        if not node.available:
            full.append(f"{node.cluster_id} is not available")
            continue
        # A backup of the group is one of a node that the answer does not always name, so it counts on each.
        used = sum(backup.cluster_id == node.cluster_id for backup in recent) + of_group
        if used < BACKUPS_PER_NODE:
            role = "primary" if node.primary else "replica"
            reason = f"of {node.cluster_id} ({role}), its {used + 1}. in 24 hours"
            return CacheTurn(
                Turn.TAKE, f"{reason}; passed over: {'; '.join(full)}" if full else reason, node.cluster_id
            )
        full.append(f"{node.cluster_id} has had {used} of {BACKUPS_PER_NODE} in 24 hours")
    return CacheTurn(Turn.SKIP, f"no node can be backed up: {'; '.join(full) or 'the cache has none'}")
