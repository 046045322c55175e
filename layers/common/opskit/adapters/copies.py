"""Copies of databases and caches made from backups: begun, looked at, deleted. `opskit.decisions.copies` says how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opskit.adapters.cache_state import CacheState
from opskit.adapters.caches import Caches
from opskit.adapters.database_state import DatabaseState
from opskit.adapters.databases import Databases
from opskit.adapters.objects import Objects
from opskit.decisions.copies import Copy, DatabaseCopy
from opskit.decisions.manifest import Kind
from opskit.decisions.placement import Difference, cache_arguments, database_arguments, differences
from opskit.decisions.status import CACHE, DATABASE, judge_status
from opskit.platform import DATABASE_AUTHORITIES
from opskit.verdict import Outcome, Verdict

State = DatabaseState | CacheState
# Identifier and tags, as they are right before the deletion: PASS, or FAIL with the reason.
Permission = Callable[[str, Mapping[str, str]], Verdict]


@dataclass(frozen=True, slots=True)
class Look:
    """A copy as it is now: the verdict on it, its state if it is there, and where it differs from what was asked."""

    verdict: Verdict
    state: State | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def endpoint(self) -> str | None:
        """`host:port`, once it has one."""
        return endpoint_of(self.state) if self.state else None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: outcome, reason, name, status, ARN, endpoint, resource_id (of a database), differences."""
        state = self.state
        return {
            "outcome": self.verdict.outcome.value,
            "reason": self.verdict.reason,
            "name": self.verdict.facts["name"],
            "status": state.status if state else None,
            "arn": state.arn if state else None,
            "endpoint": self.endpoint,
            "resource_id": state.resource_id if isinstance(state, DatabaseState) else None,
            "differences": [difference.as_dict() for difference in self.differences],
        }


def endpoint_of(state: State) -> str | None:
    """`host:port` of a database or a cache; None until it has one."""
    port = state.configuration.port
    return f"{state.address}:{port}" if state.address and port else None


class Copies:
    """Databases and caches that are made from backups."""

    def __init__(self, databases: Databases | None = None, caches: Caches | None = None) -> None:
        self._given_databases = databases
        self._given_caches = caches

    def begin(self, copy: Copy) -> None:
        """Begin to restore `copy`; repeated, find what the first call began.

        Raises NameTakenError if its name is somebody else's, NotFoundError, NotReadyError and QuotaExceededError for
        those refusals, InvalidInputError if AWS would have to choose a part of its configuration.
        """
        if not isinstance(copy, DatabaseCopy):
            arguments = cache_arguments(copy.configuration, copy.tags)
            self._caches.restore_snapshot(copy.name, copy.snapshot, arguments)
        elif copy.snapshot is not None:
            arguments = database_arguments(copy.configuration, copy.tags, to_moment=False)
            self._databases.restore_snapshot(copy.name, copy.snapshot, arguments)
        else:
            arguments = database_arguments(copy.configuration, copy.tags, to_moment=True)
            self._databases.restore_moment(
                copy.name, copy.moment, arguments, source=copy.source, resource_id=copy.resource_id
            )

    def look(self, copy: Copy, *, waited_seconds: float, limit_seconds: float) -> Look:
        """How `copy` is now, `waited_seconds` after it was begun; after `limit_seconds` it is too late."""
        state = self.state(copy.kind, copy.name)
        verdict = judge_status(
            DATABASE if copy.kind is Kind.DATABASE else CACHE,
            copy.name,
            state.status if state else None,
            waited_seconds=waited_seconds,
            limit_seconds=limit_seconds,
        )
        if verdict.outcome is not Outcome.PASS or state is None:
            return Look(verdict, state)
        if endpoint_of(state) is None:
            return Look(Verdict(Outcome.WAIT, f"{copy.name} has no endpoint yet", verdict.facts), state)
        found = differences(copy.configuration, state.configuration)
        fatal = [f"{one.setting} is {one.found!r}, not {one.wanted!r}: {one.reason}" for one in found if one.fatal]
        if fatal:
            reason = f"{copy.name} came up otherwise than was asked for: {'; '.join(fatal)}"
            return Look(Verdict(Outcome.FAIL, reason, verdict.facts), state, found)
        return Look(verdict, state, found)

    def delete(self, kind: Kind, name: str, permitted: Permission) -> Verdict:
        """Delete the copy `name` if `permitted` says so of the tags that it has now.

        PASS: it is gone. WAIT: it is being deleted. FAIL: it is not to be touched. Raises NotReadyError if AWS does
        not delete it in its status.
        """
        state = self.state(kind, name)
        if state is None:
            return Verdict(Outcome.PASS, f"{name} is gone", {"name": name})
        permission = permitted(name, state.tags)
        if permission.outcome is not Outcome.PASS:
            return permission
        if state.status != "deleting":
            if kind is Kind.DATABASE:
                self._databases.delete_instance(name)
            else:
                self._caches.delete_group(name)
        return Verdict(Outcome.WAIT, f"{name} is being deleted", {"name": name})

    def state(self, kind: Kind, name: str) -> State | None:
        """The DB instance or replication group `name`, or None."""
        return self._databases.instance(name) if kind is Kind.DATABASE else self._caches.group(name)

    @property
    def _databases(self) -> Databases:
        self._given_databases = self._given_databases or Databases()
        return self._given_databases

    @property
    def _caches(self) -> Caches:
        self._given_caches = self._given_caches or Caches()
        return self._given_caches


def read_authorities(backup_bucket: str) -> str:
    """The authorities of the databases' certificates (PEM). Raises NotFoundError if the platform has not put them."""
    return Objects(backup_bucket).get(DATABASE_AUTHORITIES).decode()
