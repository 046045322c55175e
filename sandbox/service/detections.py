"""Detections: what a valid one is, and where they are kept."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol
from uuid import uuid4

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


class InvalidDetectionError(ValueError):
    """The posted document is not a detection; the message says where and why."""


def parse(document: Any) -> dict[str, Any]:
    """The detection in `document`; raises `InvalidDetectionError`."""
    try:
        detection: dict[str, Any] = _validate(document)
    except fastjsonschema.JsonSchemaValueException as error:
        raise InvalidDetectionError(error.message) from error
    return detection


@dataclass(frozen=True, slots=True)
class Page:
    """Detections, newest first, and the cursor of the next page (None on the last)."""

    items: list[dict[str, Any]]
    next_cursor: int | None


class DetectionStore(Protocol):
    """Where detections are kept."""

    async def add(self, detection: dict[str, Any]) -> dict[str, Any]:
        """Keep a valid detection; returns it with its `id` and `received_at`."""

    async def recent(self, limit: int, cursor: int) -> Page:
        """Up to `limit` detections, newest first, after skipping `cursor` of them."""


class MemoryStore:
    """Keeps the newest `capacity` detections in this process, and loses them with it."""

    def __init__(self, capacity: int = 1000) -> None:
        self._items: deque[dict[str, Any]] = deque(maxlen=capacity)

    async def add(self, detection: dict[str, Any]) -> dict[str, Any]:
        """As `DetectionStore.add`."""
        kept = {"id": str(uuid4()), "received_at": datetime.now(UTC).isoformat(), **detection}
        self._items.appendleft(kept)
        return kept

    async def recent(self, limit: int, cursor: int) -> Page:
        """As `DetectionStore.recent`."""
        items = list(islice(self._items, cursor, cursor + limit))
        following = cursor + len(items)
        return Page(items, following if following < len(self._items) else None)
