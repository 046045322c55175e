"""When clients could not read, or not write: from the first request that failed to the first that succeeded again."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

MAX_OUTAGES = 1_000
"""Of which each is told; what comes after is counted as failures only."""


@dataclass(frozen=True, slots=True)
class Outage:
    """From when the first failed request was due to when the first succeeded one was answered.

    Times are ISO 8601 in UTC; while it lasts `ended_at` is None and `seconds` counts to the last failure.
    """

    began_at: str
    ended_at: str | None
    seconds: float
    failed: int


@dataclass(frozen=True, slots=True)
class Availability:
    """One kind of request: how many, how many failed, and when."""

    requests: int = 0
    failed: int = 0
    outages: tuple[Outage, ...] = ()

    @property
    def longest_seconds(self) -> float:
        """The longest outage; 0 if there was none."""
        return max((each.seconds for each in self.outages), default=0.0)

    @property
    def recovery_seconds(self) -> float | None:
        """From the first failure to the success after the last: the recovery time as clients saw it.

        0 if nothing failed, None if it has not recovered.
        """
        if not self.outages:
            return 0.0
        if self.outages[-1].ended_at is None:
            return None
        began, ended = (datetime.fromisoformat(text) for text in (self.outages[0].began_at, self.outages[-1].ended_at))
        return (ended - began).total_seconds()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`."""
        return cls(**{**data, "outages": tuple(Outage(**each) for each in data["outages"])})


@dataclass(slots=True)
class _Open:
    began: float
    last: float
    failed: int = 1


@dataclass(slots=True)
class Watch:
    """Takes each outcome, in the order in which they come; times are seconds since the epoch."""

    requests: int = 0
    failed: int = 0
    _closed: list[Outage] = field(default_factory=list)
    _open: _Open | None = None

    def succeeded(self, due: float, now: float) -> None:
        """A request that was due at `due` was answered well. One sent before an outage began does not end it."""
        self.requests += 1
        if self._open is not None and due > self._open.began:
            if len(self._closed) < MAX_OUTAGES:
                self._closed.append(_outage(self._open, now))
            self._open = None

    def failed_at(self, due: float, now: float) -> None:
        """A request that was due at `due` has failed."""
        self.requests += 1
        self.failed += 1
        if self._open is None:
            self._open = _Open(due, now)
        else:
            self._open.began = min(self._open.began, due)
            self._open.last = now
            self._open.failed += 1

    def availability(self) -> Availability:
        """The account so far."""
        current = [] if self._open is None else [_outage(self._open, None)]
        return Availability(self.requests, self.failed, (*self._closed, *current))


def _outage(open_: _Open, ended: float | None) -> Outage:
    end = open_.last if ended is None else ended
    return Outage(
        began_at=iso(open_.began),
        ended_at=None if ended is None else iso(ended),
        seconds=round(end - open_.began, 3),
        failed=open_.failed,
    )


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
