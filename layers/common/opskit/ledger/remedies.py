"""What the remediation remembers: transitions of alarms, actions of the last hour, strikes.

Each list is one item that is replaced under a version, so that executions at the same moment cannot both be the first,
or both be the last that an hour allows.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from opskit.clock import moment_of, timestamp
from opskit.errors import UnavailableError
from opskit.ledger.table import Change, Item, Section, Write

REMEDIES = "REMEDIES"
HOUR_SECONDS = 3600.0
# So many transitions are remembered of an alarm, also beyond the window, so that a late duplicate is still one.
_TRANSITIONS_KEPT = 64
_EXECUTIONS_KEPT = 32
# How often to start over when others change an item between our reading and our writing; somebody wins each time.
_ATTEMPTS = 25
_PAUSE_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether an execution is the first about a transition, whose that is (`by`), and how often the alarm fired.

    `transitions` counts those within the window, this one included.
    """

    first: bool
    by: str
    transitions: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """Whether an action may be taken. `actions`: those of the last hour, this one included where it may.

    `next_at`: when there is room again; None where there is.
    """

    reserved: bool
    actions: int
    reason: str
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RemedyState:
    """What became of an alarm's runbook so far. `strikes`: actions in a row that did not help.

    `blocked_by` names the execution whose strike was the last allowed: until `unblock`, only people act.
    """

    last_acted_at: datetime | None = None
    strikes: int = 0
    blocked_by: str | None = None
    last_execution: str | None = None


class Remedies(Section):
    """Reads and writes of the remediation's memory. Every method is atomic and safe to repeat.

    All of them raise UnavailableError if others keep changing the item.
    """

    def seen(self, alarm: str, transition_at: datetime, execution: str, window_seconds: float) -> Seen:
        """Note that `execution` is about the transition of `alarm` to ALARM at `transition_at`.

        The first to note a transition has it; noted again by the same execution, it is first again.
        """

        def attempt() -> Seen | None:
            item = self._table.get(_alarm_key(alarm)) or {}
            known: list[Item] = item.get("transitions", [])
            mine = {"at": timestamp(transition_at), "execution": execution}
            found = next((one for one in known if one["at"] == mine["at"]), None)
            if found is None:
                known = sorted([*known, mine], key=lambda one: str(one["at"]))[-_TRANSITIONS_KEPT:]
                if not self._table.put(_alarm_key(alarm), *_next(item, {"transitions": known})):
                    return None
            by = (found or mine)["execution"]
            return Seen(by == execution, by, self._within(known, window_seconds))

        return _until_done(attempt, f"the transitions of {alarm}")

    def seen_so_far(self, alarm: str, execution: str, window_seconds: float) -> Seen:
        """How often `alarm` fired within the window, for `execution`, which a person started; notes nothing."""
        item = self._table.get(_alarm_key(alarm)) or {}
        return Seen(True, execution, self._within(item.get("transitions", []), window_seconds))

    def actions(self, window_seconds: float = HOUR_SECONDS) -> list[dict[str, Any]]:
        """The actions within the window, oldest first: `at` (ISO 8601), `execution`, `alarm`, `resource`."""
        return self._recent(self._table.get(REMEDIES) or {}, self._clock.now(), window_seconds)

    def reserve(
        self,
        alarm: str,
        resource: str,
        execution: str,
        cap: int,
        now: datetime,
        *,
        window_seconds: float = HOUR_SECONDS,
    ) -> Reserved:
        """Count an action of `execution` on `resource`, if there were fewer than `cap` of all within the window.

        The cooldown of the alarm's runbook runs from the same write. An execution counts once, however often it asks.
        """

        def attempt() -> Reserved | None:
            item = self._table.get(REMEDIES) or {}
            recent = self._recent(item, now, window_seconds)
            if any(one["execution"] == execution for one in item.get("actions", [])):
                return Reserved(True, len(recent), "reserved already")
            if len(recent) >= cap:
                room = moment_of(recent[len(recent) - cap]["at"]) + timedelta(seconds=window_seconds)
                words = ", ".join(f"{one['alarm']} at {one['at']}" for one in recent)
                return Reserved(False, len(recent), f"{len(recent)} actions of {cap} allowed: {words}", room)
            mine = {"at": timestamp(now), "execution": execution, "alarm": alarm, "resource": resource}
            acted = {"last_acted_at": timestamp(now), "last_execution": execution}
            replaced, condition = _next(item, {"actions": [*recent, mine]})
            writes: list[Write | Change] = [
                Write(REMEDIES, replaced, condition),
                Change(_remedy_key(alarm), {}, acted, {}),
            ]
            try:
                failed = self._table.transact(writes)
            except UnavailableError:  # clashes of transactions, more than the table takes in a row
                return None
            return None if failed else Reserved(True, len(recent) + 1, f"action {len(recent) + 1} of {cap} allowed")

        return _until_done(attempt, "the actions of the last hour")

    def remedy_state(self, alarm: str) -> RemedyState:
        """What became of the runbook of `alarm` so far."""
        item = self._table.get(_remedy_key(alarm)) or {}
        acted = item.get("last_acted_at")
        return RemedyState(
            last_acted_at=moment_of(acted) if acted else None,
            strikes=item.get("strikes", 0),
            blocked_by=item.get("blocked_by"),
            last_execution=item.get("last_execution"),
        )

    def struck(self, alarm: str, execution: str, limit: int) -> RemedyState:
        """Count that the action of `execution` did not help, once; the strike `limit` blocks the runbook."""

        def change(item: Item) -> Item:
            struck_by: list[str] = item.get("struck_by", [])
            if execution in struck_by:
                return {}
            strikes = item.get("strikes", 0) + 1
            blocked_by = item.get("blocked_by") or (execution if strikes >= limit else None)
            return {
                "strikes": strikes,
                "blocked_by": blocked_by,
                "struck_by": [*struck_by, execution][-_EXECUTIONS_KEPT:],
            }

        return self._changed(alarm, change)

    def cleared(self, alarm: str) -> RemedyState:
        """An action helped: the count of strikes begins anew. A block stays; a person lifts it (`unblock`)."""
        return self._changed(alarm, lambda item: {"strikes": 0} if item.get("strikes") else {})

    def unblock(self, alarm: str, by: str = "", reason: str = "") -> RemedyState:
        """A person (`by`) looked into it: no strikes, no block. Who, when and why stays in the item."""
        unblocked = {"by": by, "reason": reason, "at": timestamp(self._clock.now())}

        def change(item: Item) -> Item:
            if not item.get("strikes") and not item.get("blocked_by"):
                return {}
            return {"strikes": 0, "blocked_by": None, "unblocked": unblocked}

        return self._changed(alarm, change)

    def _changed(self, alarm: str, change: Callable[[Item], Item]) -> RemedyState:
        def attempt() -> bool | None:
            item = self._table.get(_remedy_key(alarm)) or {}
            changes = change(item)
            if not changes:
                return True
            number = item.get("revision")
            wanted = changes | {"revision": (number or 0) + 1}
            return self._table.update(_remedy_key(alarm), {"revision": number}, changes=wanted) or None

        _until_done(attempt, f"the strikes of {alarm}")
        return self.remedy_state(alarm)

    def _within(self, transitions: list[Item], window_seconds: float) -> int:
        begin = timestamp(self._clock.now() - timedelta(seconds=window_seconds))
        return sum(one["at"] > begin for one in transitions)

    @staticmethod
    def _recent(item: Item, now: datetime, window_seconds: float) -> list[dict[str, Any]]:
        begin = timestamp(now - timedelta(seconds=window_seconds))
        return sorted((one for one in item.get("actions", []) if one["at"] > begin), key=lambda one: str(one["at"]))


def _alarm_key(alarm: str) -> str:
    return f"ALARM#{alarm}"


def _remedy_key(alarm: str) -> str:
    return f"REMEDY#{alarm}"


def _next(item: Item, content: Item) -> tuple[Item, Item]:
    """The item that follows `item`, and the condition that nobody has written since."""
    number = item.get("revision")
    return content | {"revision": (number or 0) + 1}, {"revision": number}


def _until_done(attempt: Callable[[], T | None], what: str) -> T:
    for _ in range(_ATTEMPTS):
        done = attempt()
        if done is not None:
            return done
        # Apart from each other, or the same ones would meet again.
        time.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - no secret
    raise UnavailableError(f"others kept writing {what}")
