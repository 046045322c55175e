"""Documents that one step hands to the next: within the state where they are small, else as an object.

A state holds 256 KiB, and a fleet's part lists are larger than that.
"""

import json
from collections.abc import Mapping
from typing import Any

from opskit.adapters.objects import Objects
from opskit.decisions.evidence import canonical, sha256

# Several of them travel together.
MOST_INLINE_BYTES = 12_000


class Handover:
    """The documents of one run; `prefix` is where its objects are, with a slash at its end."""

    def __init__(self, objects: Objects, prefix: str) -> None:
        self._objects = objects
        self._prefix = prefix

    def give(self, name: str, document: Any) -> dict[str, Any]:
        """What stands for `document` (JSON-ready) in a state: itself, or the key and hash of its object."""
        content = canonical(document)
        if len(content) <= MOST_INLINE_BYTES:
            return {"inline": document}
        return self.store(name, content)

    def store(self, name: str, content: bytes) -> dict[str, Any]:
        """Write `content` as an object in any case; its key and hash. Safe to repeat: the hash is in the key."""
        digest = sha256(content)
        key = f"{self._prefix}{name}-{digest[:16]}.json"
        self._objects.put(key, content, content_type="application/json")
        return {"key": key, "sha256": digest}

    def take(self, given: Mapping[str, Any]) -> Any:
        """The document that `give` or `store` was given. Raises NotFoundError, or IntegrityError if it was changed."""
        if "inline" in given:
            return given["inline"]
        return json.loads(self._objects.get(given["key"], sha256=given["sha256"]))
