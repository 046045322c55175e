"""What a snapshot run takes: which databases and caches are meant, and what becomes of each in this run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from opskit.adapters.cache_state import CacheSnapshot, CacheState
from opskit.adapters.database_state import DatabaseState
from opskit.decisions.cache_turn import Backup, CacheTurn, Turn, plan_cache_turn
from opskit.decisions.drill import PREFIX
from opskit.decisions.manifest import Component, Kind
from opskit.decisions.snapshot import (
    CACHE_SNAPSHOT_NAME,
    DATABASE_SNAPSHOT_NAME,
    hour_tagged,
    snapshot_name,
    snapshot_tags,
)
from opskit.decisions.taking import Part, Phase
from opskit.errors import InvalidInputError

TAG_BACKUP = "backup"
# What the platform tags everything with, where several services or environments share an account.
_OWNERS = ("Service", "Environment")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose run, for which hour, begun when; `resources`: only these, or all (None)."""

    service: str
    environment: str
    hour: datetime
    run: str
    now: datetime
    resources: frozenset[str] | None = None

    def name(self, resource: str, limit: int) -> str:
        """The snapshot's name."""
        return snapshot_name(self.service, self.environment, resource, self.hour, limit=limit)

    def tags(self, resource: str) -> dict[str, str]:
        """The snapshot's tags."""
        return snapshot_tags(self.service, self.environment, resource, self.hour, self.run)

    def meant(self, identifier: str, tags: Mapping[str, str]) -> bool:
        """Whether the resource is to be backed up: tagged so, no drill's copy, and not another service's.

        Tags that say whose it is count only where there are any.
        """
        owners = tuple(tags.get(name) for name in _OWNERS)
        ours = all(found in (None, own) for found, own in zip(owners, (self.service, self.environment), strict=True))
        return tags.get(TAG_BACKUP) == "true" and ours and not identifier.startswith(PREFIX)

    def left_out(self, resource: str) -> str | None:
        """Why the run does not take the resource although it is meant, or None."""
        if self.resources is None or resource in self.resources:
            return None
        return "it was not among the resources that this run was asked for"


def database_parts(states: Iterable[DatabaseState], scope: Scope) -> list[Part]:
    """A part for each of the databases that are meant."""
    parts = []
    for state in states:
        if not scope.meant(state.identifier, state.tags):
            continue
        part = Part(
            kind=Kind.DATABASE,
            resource=state.identifier,
            snapshot=scope.name(state.identifier, DATABASE_SNAPSHOT_NAME),
            since=scope.now.timestamp(),
            status=state.status,
            replica_of=state.replica_of,
            encrypted=state.configuration.encrypted,
        )
        parts.append(_or_left_out(part, scope))
    return parts


def plan_caches(
    states: Iterable[CacheState], snapshots: Iterable[CacheSnapshot], known: Mapping[str, Component], scope: Scope
) -> tuple[list[Part], list[Component]]:
    """A part for each cache whose turn it is, and the components of those whose last backup still counts.

    `known`: by name, the verified components of the last hours' manifests; a backup that none of them names was never
    verified.
    """
    parts: list[Part] = []
    reused: list[Component] = []
    listed = tuple(snapshots)
    for state in states:
        if not scope.meant(state.identifier, state.tags):
            continue
        turn = _turn(state, listed, known, scope)
        if turn.decision is Turn.REUSE and not scope.left_out(state.identifier):
            reused.append(replace(known[str(turn.backup)], reason=turn.reason))
            continue
        part = Part(
            kind=Kind.CACHE,
            resource=state.identifier,
            snapshot=scope.name(state.identifier, CACHE_SNAPSHOT_NAME),
            since=scope.now.timestamp(),
            status=state.status,
            node=turn.node,
            shards=state.configuration.node_groups if turn.node is None else 1,
            reason=turn.reason,
        )
        if turn.decision is Turn.SKIP:
            part = part.moved(Phase.SKIPPED, scope.now, turn.reason)
        parts.append(_or_left_out(part, scope))
    return parts, reused


def refuse_unknown(resources: frozenset[str] | None, parts: Iterable[Part], reused: Iterable[Component]) -> None:
    """Raise InvalidInputError if a resource was asked for that is not there, or does not carry the backup tag."""
    there = {part.resource for part in parts} | {component.resource for component in reused}
    unknown = sorted((resources or frozenset()) - there)
    if unknown:
        raise InvalidInputError(f"there is nothing tagged {TAG_BACKUP}=true that is called {', '.join(unknown)}")


def _or_left_out(part: Part, scope: Scope) -> Part:
    reason = scope.left_out(part.resource)
    return part.moved(Phase.SKIPPED, scope.now, reason) if reason else part


def _turn(
    state: CacheState, snapshots: tuple[CacheSnapshot, ...], known: Mapping[str, Component], scope: Scope
) -> CacheTurn:
    nodes = {node.cluster_id for node in state.nodes}
    backups = []
    for snapshot in snapshots:
        tagged = hour_tagged(snapshot.tags, scope.service, scope.environment)
        ours = tagged is not None and tagged[0] == state.identifier
        if not ours and snapshot.group != state.identifier and snapshot.cluster_id not in nodes:
            continue
        verified = tagged[1] if tagged and ours and snapshot.name in known else None
        # A backup that ElastiCache has not begun with yet has no moment; it counts as taken now.
        backups.append(Backup(snapshot.name, snapshot.cluster_id, snapshot.taken_at or scope.now, verified))
    return plan_cache_turn(scope.hour, scope.now, state.nodes, backups, cluster_mode=state.configuration.cluster_mode)
