"""Where endpoints belong after a cut-over that was not verified, or a restore that ended without finishing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opskit.decisions.manifest import Kind
from opskit.decisions.swaps import Swap
from opskit.ledger import OperationRecord
from opskit.verdict import Outcome

BACK, NOT_MOVED, STAYED, DRIFTED = "BACK", "NOT_MOVED", "STAYED", "DRIFTED"


@dataclass(frozen=True, slots=True)
class WayBack:
    """The swaps that bring the service back (the cache's first), what that amounts to, and why."""

    outcome: str
    reason: str
    swaps: tuple[Swap, ...] = ()


def way_back(swaps: Sequence[Swap], now: Mapping[Kind, str], there: Mapping[Kind, bool]) -> WayBack:
    """How to be again where the service was before `swaps`.

    `now`: the endpoint that it uses. `there`: whether what was replaced still is where it was. A service is never sent
    to what is not there, and it goes back as a whole or not at all: a cache that is newer than its database would hold
    what that has never seen.
    """
    moved = [swap for swap in swaps if now[swap.kind] == swap.to_endpoint]
    strange = [swap for swap in swaps if now[swap.kind] not in (swap.from_endpoint, swap.to_endpoint)]
    if strange:
        words = ", ".join(f"{swap.kind} {now[swap.kind]}" for swap in strange)
        return WayBack(DRIFTED, f"somebody else has moved {words}; the endpoints were left as they are")
    if not moved:
        return WayBack(NOT_MOVED, "the service uses what it used before")
    gone = [swap.from_name for swap in moved if not there[swap.kind]]
    if gone:
        return WayBack(STAYED, f"{', '.join(gone)} is no longer there, so the service stays with what was restored")
    back = tuple(swap.back for swap in reversed(moved))
    return WayBack(BACK, f"the service is back on {', '.join(swap.to_name for swap in back)}", back)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """What the record of an interrupted restore says: what was announced, and whether it had been verified."""

    swaps: tuple[Swap, ...] = ()
    verified: bool = False
    under_way: bool = False

    @classmethod
    def of(cls, record: OperationRecord) -> "Interrupted":
        """From the events of its record.

        `under_way`: a change of the endpoints was announced and not confirmed, so that a step may still be at it.
        """
        swaps: tuple[Swap, ...] = ()
        verified, announced, confirmed = False, 0, 0
        for event in record.events:
            if event.what == "cutting over":
                swaps = tuple(Swap.from_dict(one) for one in event.facts["swaps"])
            elif event.what == "verified through the service":
                verified = event.facts["outcome"] == Outcome.PASS
            elif event.what == "swapping back":
                verified = False
            announced += event.what in ("cutting over", "swapping back")
            confirmed += event.what in ("cut over", "swapped back")
        return cls(swaps, verified, announced > confirmed)
