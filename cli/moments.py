"""Points in time as people give them on the command line."""

import re
from datetime import UTC, datetime, timedelta

import typer

_RELATIVE = re.compile(r"-(?P<number>[0-9]{1,5})(?P<unit>[smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"(?P<number>[0-9]{1,5})(?P<unit>[smhd])")
FORMS = "ISO 8601 with a time zone (2026-01-31T09:30:00Z), or -90s, -15m, -2h, -3d from now"


def parse_moment(text: str, now: datetime) -> datetime:
    """The moment (aware, UTC) that `text` means, relative ones from `now`; ValueError for any other text."""
    relative = _RELATIVE.fullmatch(text.strip())
    if relative:
        return now - timedelta(seconds=int(relative["number"]) * _SECONDS[relative["unit"]])
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a moment: {FORMS}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: add Z for UTC, or one like +02:00")
    return moment.astimezone(UTC)


def parse_span(text: str) -> timedelta:
    """How long `text` means: 90s, 15m, 2h, 3d; ValueError for any other text, and for no time at all."""
    found = _SPAN.fullmatch(text.strip())
    if not found or not int(found["number"]):
        raise ValueError(f"{text!r} is not a time: 90s, 15m, 2h or 3d")
    return timedelta(seconds=int(found["number"]) * _SECONDS[found["unit"]])


def as_span(text: str | None) -> str | None:
    """Check `parse_span` for an option, with Typer's error."""
    if text is not None:
        try:
            parse_span(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return text


def as_future_moment(text: str | None) -> str | None:
    """Check that an option is an absolute moment which lies ahead of the machine's clock, with Typer's error."""
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        moment = parse_moment(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if moment <= now:
        raise typer.BadParameter(f"{moment:%Y-%m-%dT%H:%M:%SZ} is in the past")
    return text


def as_moment(text: str | None) -> datetime | None:
    """`parse_moment` for an option: from the machine's clock, with Typer's error, and never in the future."""
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        moment = parse_moment(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    # Two clocks may differ a little; a moment that lies further ahead is a mistake.
    if moment > now + timedelta(minutes=1):
        raise typer.BadParameter(f"{moment:%Y-%m-%dT%H:%M:%SZ} is in the future")
    return moment
