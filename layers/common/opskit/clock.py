"""Time, as something that a test can hold still, and the one way in which it is written down."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Anything that tells the time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """`moment` (aware) as `2026-01-31T09:30:00.000000Z`.

    The width is fixed, so that the order of such strings is the order of time: sort keys rely on that.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment_of(text: str) -> datetime:
    """The inverse of `timestamp`; takes any ISO 8601 form with a zone, such as AWS APIs write."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
