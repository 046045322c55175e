"""What `ops` prints: the result on stdout; progress on stdout for people, on stderr with `--json`."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cli.exits import Failure

if TYPE_CHECKING:
    from rich.console import Console


class Output:
    """Where a command's words go. rich is imported when the first of them is printed."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @cached_property
    def people(self) -> "Console":
        """The console for progress and, without `--json`, for the result."""
        return _console(sys.stderr if self.as_json else sys.stdout)

    def say(self, text: str = "", style: str | None = None) -> None:
        """One line of progress."""
        self.people.print(text, style=style)

    def result(self, document: Any, render: Callable[["Console"], None]) -> None:
        """The command's one result: `document` as JSON with `--json`, else what `render` prints."""
        if self.as_json:
            _write_json(document)
        else:
            render(self.people)

    def failure(self, failure: Failure) -> None:
        """Say why the command ends without its result: on stderr, and with `--json` as the one document."""
        if self.as_json:
            _write_json({"error": failure.name, "message": failure.message, "exit_code": int(failure.code)})
        _console(sys.stderr).print(f"ops: {failure.message}", style="red")


def _write_json(document: Any) -> None:
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(document, indent=2, default=jsonable, ensure_ascii=not utf8) + "\n")
    sys.stdout.flush()


def _console(stream: Any) -> "Console":
    from rich.console import Console  # noqa: PLC0415 - slow to import, and --help needs none

    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)


def jsonable(value: Any) -> Any:
    """`json.dumps` default: aware datetimes as ISO 8601, dataclasses and enums as their data."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def elapsed(seconds: float) -> str:
    """`4.2s`, `3m07s`, `2h05m`, `8d00h`: to the tenth below a minute, coarser above."""
    seconds = max(0.0, seconds)
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 2 * 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def moment(value: datetime | str | None) -> str:
    """A point in time in UTC to the second, for people; an ISO 8601 string is taken too."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return str(value)
    if value is None:
        return "-"
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: int) -> str:
    """`512 B`, `3.4 MiB`, `20 GiB`: an amount of data."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = min(max(count, 1).bit_length() - 1, 49) // 10
    number = count / 1024**power
    return f"{number:.0f} {units[power]}" if power == 0 or number >= 10 else f"{number:.1f} {units[power]}"


def short_image(image: str | None) -> str:
    """An image without its registry host, its digest cut to twelve characters."""
    if not image:
        return "-"
    name = image.rpartition("/")[2]
    head, at, digest = name.partition("@sha256:")
    return f"{head}@sha256:{digest[:12]}" if at else name


_REGISTRY = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/")
_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


def brief(text: str) -> str:
    """A sentence for people, with the images in it as `short_image` gives them."""
    return _DIGEST.sub(r"\1", _REGISTRY.sub("", text))


def facts(console: "Console", pairs: Iterable[tuple[str, Any]]) -> None:
    """Aligned `name  value` lines; nested data as compact JSON."""
    rows = [(name, value) for name, value in pairs if value not in (None, "", [], (), {})]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        text = value if isinstance(value, str) else _compact(value)
        console.print(f"{name:<{width}}  {text}")


def nested(console: "Console", values: Mapping[str, Any], indent: int = 0) -> None:
    """`name  value` lines, aligned among siblings; what is nested stands indented below its name."""
    plain = {name: value for name, value in values.items() if not _has_children(value)}
    margin = " " * indent
    width = max((len(name) for name, value in plain.items() if value not in _EMPTY), default=0)
    for name, value in values.items():
        if value in _EMPTY:
            continue
        if not _has_children(value):
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else _scalar(value)
            console.print(f"{margin}{name:<{width}}  {text}")
            continue
        console.print(f"{margin}{name}")
        for child in value if isinstance(value, list | tuple) else (value,):
            if isinstance(child, Mapping):
                _item(console, child, indent + 2, marked=isinstance(value, list | tuple))
            else:
                words = ", ".join(map(str, child)) if isinstance(child, list | tuple) else child
                console.print(f"{margin}  - {words}")


def _item(console: "Console", child: Mapping[str, Any], indent: int, *, marked: bool) -> None:
    if marked and not any(map(_has_children, child.values())):
        words = (f"{name} {_scalar(value)}" for name, value in child.items() if value not in _EMPTY)
        console.print(f"{' ' * indent}- {', '.join(words)}")
        return
    if marked:
        console.print(f"{' ' * indent}-")
    nested(console, child, indent + 2 if marked else indent)


_EMPTY: tuple[Any, ...] = (None, "", [], (), {})


def _has_children(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return brief(_compact(value))


def _compact(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, default=jsonable, ensure_ascii=False)
    return str(value)


def table(console: "Console", columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One line per row; a terminal cuts it at its edge, a pipe gets all of it."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    edge = console.width if console.is_terminal else None
    for row in (columns, *rows):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        console.print(line if edge is None or len(line) <= edge else f"{line[: edge - 1]}…")
