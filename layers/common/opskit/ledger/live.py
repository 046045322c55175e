"""What is in production, as the last operation that changed it recorded it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from opskit.clock import moment_of, timestamp
from opskit.errors import LockLostError, OpsError
from opskit.ledger.lock import Lock, Locks
from opskit.ledger.records import Event, missing
from opskit.ledger.table import Change, Write
from opskit.traffic import Colour

LIVE = "LIVE"


class StaleRevisionError(OpsError):
    """What is recorded as live changed after it was read; the operation rests on old ground."""


@dataclass(frozen=True, slots=True)
class Version:
    """An image on a colour. `digest` is None only for an image found running without one in its reference."""

    colour: Colour
    image: str
    digest: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"colour": self.colour.value, "image": self.image, "digest": self.digest}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(Colour(data["colour"]), data["image"], data.get("digest"))


@dataclass(frozen=True, slots=True)
class Live:
    """What is in production, since when (`at`), by which execution (`release`), and what was before it.

    `revision` counts the changes; the ledger sets it.
    """

    colour: Colour
    image: str
    digest: str | None
    previous: Version | None
    release: str
    at: datetime
    revision: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; `at` as `opskit.clock.timestamp` writes it."""
        return {
            "colour": self.colour.value,
            "image": self.image,
            "digest": self.digest,
            "previous": self.previous and self.previous.as_dict(),
            "release": self.release,
            "at": timestamp(self.at),
            "revision": self.revision,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        previous = data.get("previous")
        return cls(
            colour=Colour(data["colour"]),
            image=data["image"],
            digest=data.get("digest"),
            previous=previous and Version.from_dict(previous),
            release=data["release"],
            at=moment_of(data["at"]),
            revision=int(data["revision"]),
        )


class LiveState(Locks):
    """Reads and writes of what is live."""

    def live(self) -> Live | None:
        """What is recorded as live, or None before the first operation."""
        item = self._table.get(LIVE)
        return Live.from_dict(item) if item else None

    def record_live(
        self,
        live: Live,
        *,
        lock: Lock,
        expected_revision: int | None,
        record_key: str | None = None,
        event: tuple[str, dict[str, Any]] | None = None,
    ) -> Live:
        """Record `live` (its revision is set here) and return it as recorded.

        `event`, what happened and facts, goes with it into the events of the record `record_key`.

        Atomic: one transaction, conditional on `lock` being held (owner and fence) and on the recorded
        revision being `expected_revision` (None: nothing is recorded yet). Safe to repeat: a record by the
        same release of the same version counts as this one, and its event is not repeated. Raises LockLostError,
        StaleRevisionError, or LookupError if there is no record `record_key`.
        """
        recorded = replace(live, revision=(expected_revision or 0) + 1)
        writes: list[Write | Change] = [
            Write(lock.sk, None, lock.condition()),
            Write(LIVE, recorded.as_dict(), {"revision": expected_revision}),
        ]
        if record_key is not None and event is not None:
            entry = Event(self._clock.now(), *event).as_dict()
            writes.append(Change(record_key, {"sk": record_key}, {}, {"events": [entry]}))
        failed = self._table.transact(writes)
        if 0 in failed:
            raise LockLostError(self.lost(lock))
        if 1 in failed:
            return self._repeated(recorded)
        if failed:
            raise missing(record_key)
        return recorded

    def _repeated(self, recorded: Live) -> Live:
        found = self.live()
        if found and replace(found, at=recorded.at) == recorded:
            return found
        what = f"{found.image} on {found.colour} by {found.release}" if found else "nothing"
        raise StaleRevisionError(
            f"expected revision {recorded.revision - 1} of what is live, "
            f"found {found.revision if found else None} ({what}). Nothing was recorded; plan again."
        )
