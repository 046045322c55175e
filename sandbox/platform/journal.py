"""The append-only log of every API call, one JSON object a line.

`time` (ISO 8601, UTC), `principal` (ARN, or null if unknown), `action`, `resource` (list), `status` (HTTP),
`error` (code or null), and `parameters` of calls that change something, without what is secret in them.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE_NAME = "platform-api.jsonl"
_SECRET = frozenset({"AuthToken", "MasterUserPassword", "Passwords"})
"""As CloudTrail leaves them out."""


class Journal:
    """Writes `<directory>/platform-api.jsonl`; a line is complete once `append` returns."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / FILE_NAME
        self._lock = threading.Lock()
        self._file = self.path.open("a", encoding="utf-8", buffering=1)

    def append(
        self,
        *,
        principal: str | None,
        action: str,
        resource: Sequence[str],
        status: int,
        error: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Add one call."""
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "principal": principal,
            "action": action,
            "resource": list(resource),
            "status": status,
            "error": error,
        }
        if parameters is not None:
            line["parameters"] = {name: "***" if name in _SECRET else value for name, value in parameters.items()}
        text = json.dumps(line, default=str, separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(text)
