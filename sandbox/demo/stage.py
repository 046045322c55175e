"""What the chapters of the demo share: the sandbox, the clients on it, and a voice."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from opskit.traffic import Weights
from sandbox.demo.commands import ChapterError, Commands
from sandbox.load import Load, Plan, Report
from sandbox.operator import Operator
from sandbox.operator.engines import Pulse

# Stands in for the schedule's minute.
PULSE_SECONDS = 2.0
LONGEST_SECONDS = 1200


@dataclass(frozen=True, slots=True)
class Seen:
    """What clients saw between two moments: requests that were answered, those that failed, versions met."""

    requests: int
    failed: int
    versions: frozenset[str]


@dataclass(slots=True)
class Stage(Commands):
    """A running sandbox with clients on it from the first chapter to the last.

    The clients keep their connections alive and send 200 requests a second, one in a hundred of them 2 s long.
    """

    operator: Operator = field(init=False)
    clients: Load = field(init=False)
    pulse: Pulse = field(init=False)
    _open: ExitStack = field(default_factory=ExitStack, init=False)

    def __post_init__(self) -> None:
        self.operator = Operator(self.config)
        plan = Plan(url=self.config.service_url, seconds=LONGEST_SECONDS)
        self.clients = Load(plan, track_writes=True).start()
        self.pulse = self._open.enter_context(self.operator.pulse(PULSE_SECONDS))

    def close(self) -> None:
        """No more clients, heartbeats, or commands in the background."""
        self.end_background()
        self.clients.stop()
        self._open.close()

    def say(self, text: str) -> None:
        """One line of what is going on."""
        self.console.print(f"  {text}", highlight=False)

    @contextmanager
    def watching(self) -> Iterator[Callable[[], Seen]]:
        """Watch the clients for the length of a block; what it yields says what they have seen since."""
        before = self.clients.report()

        def seen() -> Seen:
            now = self.settled()
            versions = {name for name, n in now.versions.items() if n > before.versions.get(name, 0)}
            return Seen(now.requests - before.requests, now.failed - before.failed, frozenset(versions))

        yield seen

    def settled(self) -> Report:
        """A report that was written after this call."""
        asked = self.clients.report().seconds
        return self.operator.until(
            self.clients.report, lambda report: report.seconds > asked, "the clients' next report", seconds=10
        )

    def expect(self, condition: bool, claim: str, seen: object = "") -> None:
        """Say the claim, or fail the chapter with what was seen."""
        if not condition:
            raise ChapterError(f"{claim}: not so{f' ({seen})' if seen != '' else ''}")
        self.console.print(f"  [green]✓[/green] {claim}", highlight=False)

    def expect_weights(self, weights: Weights) -> None:
        """The balancer reads back these weights."""
        found = self.operator.weights()
        self.expect(found == weights, f"the balancer says blue {weights.blue} / green {weights.green}", found)

    def nobody_suffered(self, seen: Seen) -> Mapping[str, Any]:
        """No request failed; returns the figures for the chapter's facts."""
        self.expect(seen.failed == 0, f"{seen.requests} requests, none failed", seen.failed)
        return {"requests": seen.requests, "failed": seen.failed}
