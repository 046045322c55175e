"""Detections: what a valid one is, and where they are kept."""

import math
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol
from uuid import UUID, uuid4, uuid5

import fastjsonschema

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["source", "label", "confidence", "latitude", "longitude", "observed_at"],
    "additionalProperties": False,
    "properties": {
        "source": {"type": "string", "minLength": 1, "maxLength": 128},
        "label": {"type": "string", "minLength": 1, "maxLength": 64},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "latitude": {"type": "number", "minimum": -90, "maximum": 90},
        "longitude": {"type": "number", "minimum": -180, "maximum": 180},
        "observed_at": {"type": "string", "format": "date-time"},
    },
}
"""JSON Schema of a posted detection; degrees are WGS 84, `observed_at` is RFC 3339."""

_validate = fastjsonschema.compile(SCHEMA)

_KEYS = UUID("5f0f0d4e-3f1b-4b6a-9d0e-7a51c9be7d11")
"""The namespace of the ids that are derived from clients' idempotency keys."""


class InvalidDetectionError(ValueError):
    """The posted document is not a detection; the message says where and why."""


def parse(document: Any) -> dict[str, Any]:
    """The detection in `document`; raises `InvalidDetectionError`.

    What passes can be stored: the schema lets through what JSON or its pattern of a time do, but no database.
    """
    try:
        detection: dict[str, Any] = _validate(document)
    except fastjsonschema.JsonSchemaValueException as error:
        raise InvalidDetectionError(error.message) from error
    for name, value in detection.items():
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InvalidDetectionError(f"data.{name} must be Unicode text") from None
            if "\0" in value:
                raise InvalidDetectionError(f"data.{name} must not contain NUL")
        elif not math.isfinite(value):
            raise InvalidDetectionError(f"data.{name} must be finite")
    try:
        datetime.fromisoformat(detection["observed_at"]).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidDetectionError(f"data.observed_at must be a time: {error}") from error
    return detection


def accept(detection: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """A valid detection with its `id` and `received_at`. The same idempotency key gives the same id."""
    identifier = uuid5(_KEYS, key) if key else uuid4()
    return {"id": str(identifier), "received_at": datetime.now(UTC).isoformat(), **detection}


class UnavailableError(RuntimeError):
    """Detections can neither be stored nor queued, or not be read, at the moment."""


@dataclass(frozen=True, slots=True)
class Page:
    """Detections, newest first, and the cursor of the next page (None on the last)."""

    items: list[dict[str, Any]]
    next_cursor: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A detection as it is kept; `stored` is False for one that waits in the queue."""

    detection: dict[str, Any]
    stored: bool


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether detections can be read, and what becomes of one that is posted: stored, queued or refused.

    `database` is its endpoint (empty before the first connection), `cache` whether it answers, `queued` how
    many wait; None where there is no such thing.
    """

    read: bool
    write: str
    database: str | None = None
    cache: bool | None = None
    queued: int | None = None

    @property
    def ready(self) -> bool:
        """Whether it reads and writes."""
        return self.read and self.write == "stored"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"ready": self.ready, **asdict(self)}


class DetectionStore(Protocol):
    """Where detections are kept."""

    async def add(self, detection: dict[str, Any]) -> Kept:
        """Keep a detection that was accepted, once by its id. Raises `UnavailableError`."""

    async def recent(self, limit: int, cursor: int) -> Page:
        """Up to `limit` detections, newest first, after skipping `cursor` of them. Raises `UnavailableError`."""

    async def readiness(self) -> Readiness:
        """What it can do now."""


class MemoryStore:
    """Keeps the newest `capacity` detections in this process, and loses them with it."""

    def __init__(self, capacity: int = 1000) -> None:
        self._capacity = capacity
        self._items: OrderedDict[str, dict[str, Any]] = OrderedDict()

    async def add(self, detection: dict[str, Any]) -> Kept:
        """As `DetectionStore.add`."""
        kept = self._items.setdefault(detection["id"], detection)
        if len(self._items) > self._capacity:
            self._items.popitem(last=False)
        return Kept(kept, stored=True)

    async def recent(self, limit: int, cursor: int) -> Page:
        """As `DetectionStore.recent`."""
        items = list(islice(reversed(self._items.values()), cursor, cursor + limit))
        following = cursor + len(items)
        return Page(items, following if following < len(self._items) else None)

    async def readiness(self) -> Readiness:
        """As `DetectionStore.readiness`."""
        return Readiness(read=True, write="stored")
