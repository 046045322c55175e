"""What a repair announces before it changes anything, so that a retry changes the same thing and no more."""

from collections.abc import Callable
from typing import Any

from opskit.ledger import Lock
from opskit.step import Run

ACTING = "acting"


def announced(run: Run) -> dict[str, Any] | None:
    """What an earlier attempt of this execution's action announced, or None."""
    record = run.ledger.operation_of(run.workflow, run.execution.name)
    events = record.events if record else ()
    return next((event.facts for event in events if event.what == ACTING), None)


def announce(run: Run, lock: Lock, facts: dict[str, Any]) -> dict[str, Any]:
    """Put on record, while `lock` is held, what is about to be changed; return `facts`. Raises LockLostError."""
    run.ledger.note(run.operation_key, ACTING, facts, lock=lock)
    return facts


def decided(run: Run, lock: Lock, choose: Callable[[], dict[str, Any] | str]) -> dict[str, Any] | str:
    """What is to be changed: as an earlier attempt announced it, or as `choose` says, which is then announced.

    If `choose` returns words, they say why there is nothing to be done; nothing is announced, and they are returned.
    """
    before = announced(run)
    if before is not None:
        return before
    chosen = choose()
    return chosen if isinstance(chosen, str) else announce(run, lock, chosen)


def acted(what: str, facts: dict[str, Any], capture: dict[str, Any] | None = None) -> dict[str, Any]:
    """An action's answer: the change is made, or begun."""
    return {"done": True, "what": what, "facts": facts, "capture": capture}


def refused(why: str, facts: dict[str, Any] | None = None, capture: dict[str, Any] | None = None) -> dict[str, Any]:
    """An action's answer: nothing could be done within its bounds. A person is told `why`."""
    return {"done": False, "what": why, "facts": facts or {}, "capture": capture}
