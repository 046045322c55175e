"""What was promised to the clients: the detections that were acknowledged, and which of them are gone."""

import json
from collections.abc import Container, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import urllib3

PAGE = 200
"""The most that the service gives at once."""


class ReadBackError(RuntimeError):
    """The service does not give its detections; the message has its answer."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A detection that the service took: `status` is 201 (stored) or 202 (queued), `at` when the answer came.

    `at` is ISO 8601 in UTC, to the millisecond.
    """

    id: str
    key: str
    status: int
    at: str


class Journal:
    """Keeps acknowledgements in a file, one line each, written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, acknowledged: Acknowledged) -> None:
        """Keep one."""
        if self._file is not None:
            self._file.write(json.dumps(asdict(acknowledged)) + "\n")


def read(path: Path) -> tuple[Acknowledged, ...]:
    """What a journal holds, in the order of the acknowledgements; a line that is being written is left out."""
    if not path.exists():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return tuple(Acknowledged(**json.loads(line)) for line in lines if line.endswith("\n"))


def missing(acknowledged: Iterable[Acknowledged], present: Container[str]) -> tuple[Acknowledged, ...]:
    """Those whose ids are not among `present`: what was lost, as far as the clients are concerned."""
    return tuple(each for each in acknowledged if each.id not in present)


def ids_of(url: str, timeout_seconds: float = 10.0) -> set[str]:
    """The ids of all detections that the service at `url` gives, page by page. Raises `ReadBackError`.

    What is stored meanwhile may be among them or not. The service may answer from its cache, so what was stored
    without it (by a restore, say) is there for certain only after the cache's time to live.
    """
    found: set[str] = set()
    cursor: int | None = 0
    with urllib3.PoolManager(timeout=timeout_seconds, retries=False) as http:
        while cursor is not None:
            page = _page(http, url, cursor)
            found.update(item["id"] for item in page["items"])
            cursor = page["next_cursor"]
    return found


def _page(http: urllib3.PoolManager, url: str, cursor: int) -> dict[str, Any]:
    try:
        answer = http.request("GET", f"{url}/detections?limit={PAGE}&cursor={cursor}")
    except urllib3.exceptions.HTTPError as error:
        raise ReadBackError(f"{url}: {error}") from error
    if answer.status != 200:
        raise ReadBackError(f"{url}: {answer.status} {answer.data[:200]!r}")
    page: dict[str, Any] = answer.json()
    return page
