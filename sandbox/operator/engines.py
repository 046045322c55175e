"""The engines: what they are told to do wrong, what was asked of the platform, and the heartbeat."""

import fnmatch
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import urllib3

from sandbox.operator.hands import Hands


@dataclass(slots=True)
class Pulse:
    """A heartbeat that goes on in the background: how often it was stamped, and what went wrong when it was not."""

    beats: int = 0
    failures: list[str] = field(default_factory=list)


class Engines(Hands):
    """Databases and caches, from behind."""

    def engine_fault(self, service: str, target: str = "*", **fault: Any) -> None:
        """Tell `rds`, `elasticache` or `tagging` what to do wrong, as `sandbox.platform.engines` describes it."""
        self._tell("POST", {"service": service, "target": target, "fault": fault})

    def take_back(self, service: str, target: str = "*", **fault: Any) -> None:
        """Take back the faults of an engine that agree with what is given."""
        self._tell("DELETE", {"service": service, "target": target, "fault": fault})

    def calm_engines(self) -> None:
        """Take all of that back."""
        self._tell("DELETE", {})

    def _tell(self, method: str, document: dict[str, Any]) -> None:
        answer = urllib3.request(
            method, f"{self.config.platform_url}/_sandbox/engines", json=document, retries=False, timeout=10
        )
        if answer.status != 200:
            raise AssertionError(f"the platform refused {document}: {answer.data!r}")

    def api_calls(self, *actions: str, after: int = 0) -> list[dict[str, Any]]:
        """The calls that the platform plane was asked, oldest first, from number `after` on.

        `actions` are patterns such as `rds:*` or `elasticache:Delete*`; without any, every call. Each call is as
        `sandbox.platform.journal` writes it.
        """
        text = (self.config.dir / "logs" / "platform-api.jsonl").read_text(encoding="utf-8")
        # A line that is being written has no end yet.
        calls = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()[after:]]
        return [call for call in calls if not actions or any(fnmatch.fnmatchcase(call["action"], a) for a in actions)]

    def api_mark(self) -> int:
        """How many calls there have been, for `after`."""
        return len(self.api_calls())

    @contextmanager
    def pulse(self, seconds: float = 1.0) -> Iterator[Pulse]:
        """Stamp the heartbeat every so often meanwhile, as its schedule does every minute on AWS.

        A stamp that fails, as it may while databases change places, is noted and the next one tried.
        """
        beating, stop = Pulse(), threading.Event()

        def beat() -> None:
            while not stop.is_set():
                try:
                    self.call("objectives-stamp-heartbeat", {})
                    beating.beats += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, the next one is tried
                    beating.failures.append(f"{type(error).__name__}: {error}")
                stop.wait(seconds)

        thread = threading.Thread(target=beat, name="pulse", daemon=True)
        thread.start()
        try:
            yield beating
        finally:
            stop.set()
            thread.join(30)
