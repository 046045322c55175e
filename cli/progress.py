"""The history of an execution, folded into one line per state.

Pure: events in (the shape of Step Functions' GetExecutionHistory), lines out. States that only steer (Choice,
Pass, Succeed, Fail) make no line. A Wait makes none either: its time belongs to the state after it. Visits to
a state that answers WAIT or INCONCLUSIVE, as the check of a poll loop does, are folded into one line.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from cli.history_events import (
    ATTEMPT_FAILED,
    ATTEMPT_SUCCEEDED,
    ENDINGS,
    details_of,
    parsed,
    plain_cause,
    sentence,
    verdict_in,
)

_VISIBLE = frozenset({"Task", "Map", "Parallel"})
_CONTAINERS = frozenset({"Map", "Parallel"})
_AGAIN = frozenset({"WAIT", "INCONCLUSIVE"})


class Status(StrEnum):
    """Where a state is: under way, waiting for a person's decision, or done in one of four ways."""

    RUNNING = "running"
    DECISION = "decision"
    DONE = "done"
    WAITING = "waiting"
    FAILED = "failed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Line:
    """One state, or one poll loop. `total`: seconds from the execution's start to its last event."""

    state: str
    status: Status
    started: datetime
    total: float
    seconds: float = 0.0
    visits: int = 1
    attempts: int = 1
    outcome: str = ""
    reason: str = ""
    pause: str = ""
    """Name of the Wait state that the execution is in, if it is in one."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the execution ended: a status of DescribeExecution, and its output or its error and cause."""

    status: str
    total: float
    output: Any = None
    error: str = ""
    cause: str = ""


@dataclass(slots=True)
class _Visit:
    name: str
    kind: str
    started: datetime
    attempts: int = 0
    decision: bool = False
    error: str = ""
    succeeded: bool = False
    result: Any = None
    carried: Any = None
    """Verdict that came in with the state's input: not its own when it comes out again."""


@dataclass(slots=True)
class Progress:
    """Feed it events in order, in any portions; it returns the lines that are final.

    `ending` is set once the execution has ended; later events are ignored.
    """

    started: datetime | None = None
    ending: Ending | None = None
    _open: list[_Visit] = field(default_factory=list)
    _of_event: dict[int, _Visit] = field(default_factory=dict)
    _trail: dict[int, str] = field(default_factory=dict)
    """By event, the last visible state on its path: what came before, in a branch, among the events of others."""
    _held: dict[str, Line] = field(default_factory=dict)
    _pause: tuple[str, datetime] | None = None
    _paused_since: datetime | None = None
    _last: str = ""
    _said: list[str] = field(default_factory=list)
    _now: datetime | None = None

    def feed(self, events: Iterable[Mapping[str, Any]]) -> list[Line]:
        """Take in `events`; return the lines that became final by them, in order."""
        lines: list[Line] = []
        for event in events:
            if self.ending is None:
                lines += self._take(event)
        return lines

    @property
    def current(self) -> Line | None:
        """The line under way: the newest open state, or a poll loop between two checks."""
        if self.ending is not None or self.started is None or self._now is None:
            return None
        pause = self._pause[0] if self._pause else ""
        if self._open:
            visit = next((v for v in reversed(self._open) if v.kind not in _CONTAINERS), self._open[-1])
            held = self._held.get(visit.name)
            status = Status.DECISION if visit.decision else Status.RUNNING
            line = Line(visit.name, status, visit.started, self._total(self._now), attempts=max(1, visit.attempts))
            line = replace(line, reason=visit.error)
            if held:
                line = replace(line, started=held.started, visits=held.visits + 1, reason=line.reason or held.reason)
            return replace(line, pause=pause)
        if self._held:
            return replace(next(reversed(self._held.values())), pause=pause)
        if self._pause:
            name, since = self._pause
            return Line(name, Status.RUNNING, self._paused_since or since, self._total(self._now))
        return None

    def _take(self, event: Mapping[str, Any]) -> list[Line]:
        kind = str(event["type"])
        at: datetime = event["timestamp"]
        self._now = at
        self._trail[int(event["id"])] = self._trail.get(int(event.get("previousEventId") or 0), "")
        if kind == "ExecutionStarted":
            self.started = at
        elif kind in ENDINGS:
            return self._end(kind, event, at)
        elif kind.endswith("StateEntered"):
            return self._enter(kind.removesuffix("StateEntered"), event, at)
        elif kind.endswith("StateExited"):
            return self._exit(kind.removesuffix("StateExited"), event, at)
        elif visit := self._visit_of(event):
            self._attempt(visit, kind, event)
        return []

    def _enter(self, kind: str, event: Mapping[str, Any], at: datetime) -> list[Line]:
        details = event["stateEnteredEventDetails"]
        name = str(details["name"])
        if kind == "Wait":
            self._pause = (name, at)
            self._paused_since = self._paused_since or at
            return []
        if kind not in _VISIBLE:
            return []
        number = int(event["id"])
        visit = _Visit(name, kind, at, carried=verdict_in(parsed(details.get("input"))))
        before, self._trail[number] = self._trail[number], name
        if self._in_container:
            flushed = self._flush({before} - {name})
        else:
            visit.started = self._paused_since or at
            flushed = self._flush(self._held.keys() - {name})
        self._paused_since = None
        self._open.append(visit)
        self._of_event[number] = visit
        return flushed

    def _exit(self, kind: str, event: Mapping[str, Any], at: datetime) -> list[Line]:
        details = event["stateExitedEventDetails"]
        name = str(details["name"])
        if kind == "Wait":
            self._pause = None
            return []
        visit = next((v for v in self._open if v.name == name), None)
        if visit is None:
            return []
        self._open.remove(visit)
        self._of_event = {i: v for i, v in self._of_event.items() if v is not visit}
        flushed = self._flush(set(self._held)) if kind in _CONTAINERS and not self._in_container else []
        return flushed + self._settle(self._line(visit, parsed(details.get("output")), at))

    def _line(self, visit: _Visit, output: Any, at: datetime) -> Line:
        verdict = verdict_in(visit.result)
        if verdict is None and (found := verdict_in(output)) != visit.carried:
            verdict = found
        outcome, reason = verdict or ("", "")
        failed = bool(visit.error) and not visit.succeeded
        status = Status.DONE
        if failed or outcome == "FAIL":
            status = Status.FAILED
        elif outcome in _AGAIN:
            status = Status.WAITING
        return Line(
            state=visit.name,
            status=status,
            started=visit.started,
            total=self._total(at),
            seconds=(at - visit.started).total_seconds(),
            attempts=max(1, visit.attempts),
            outcome=outcome,
            reason=visit.error if failed else reason,
        )

    def _settle(self, line: Line) -> list[Line]:
        """Fold `line` into the loop it belongs to; hold it back while the loop may go on."""
        repeated = line.state in self._held or self._last == line.state
        line = self._folded(line)
        if line.status is Status.WAITING or (repeated and line.status is Status.DONE and not line.outcome):
            self._held[line.state] = line
            return []
        self._last = line.state
        return [self._without_echo(line)]

    def _folded(self, line: Line) -> Line:
        """`line` together with what is held back of its loop."""
        held = self._held.pop(line.state, None)
        if held is None:
            return line
        return replace(
            line,
            started=held.started,
            seconds=line.seconds + (line.started - held.started).total_seconds(),
            visits=held.visits + 1,
            attempts=max(held.attempts, line.attempts),
            reason=line.reason or held.reason,
        )

    def _without_echo(self, line: Line) -> Line:
        """`line` without a reason that a line before has given, as the states that close a record repeat it."""
        if not line.reason:
            return line
        told = any(line.reason.endswith(said) or said.endswith(line.reason) for said in self._said)
        if told and not line.outcome:
            return replace(line, reason="")
        # Without the name of the error, which a record may put differently.
        self._said.append(line.reason.partition(": ")[2] or line.reason)
        return line

    def _flush(self, names: Set[str]) -> list[Line]:
        """The lines that are held back for the states `names`, which are not gone back to."""
        lines = [_settled(line) for name, line in self._held.items() if name in names]
        self._held = {name: line for name, line in self._held.items() if name not in names}
        if lines:
            self._last = lines[-1].state
        return [self._without_echo(line) for line in lines]

    def _attempt(self, visit: _Visit, kind: str, event: Mapping[str, Any]) -> None:
        self._of_event[int(event["id"])] = visit
        details = details_of(event)
        if kind in ("TaskScheduled", "LambdaFunctionScheduled"):
            visit.attempts += 1
            visit.decision = str(details.get("resource", "")).endswith(".waitForTaskToken")
        elif kind in ATTEMPT_FAILED:
            visit.error = sentence(str(details.get("error", kind)), str(details.get("cause", "")))
            visit.decision = False
            # What a task returned can still fail to evaluate in the state's Output or Assign.
            visit.succeeded = False
        elif kind in ATTEMPT_SUCCEEDED:
            result = parsed(details.get("output"))
            # The optimized Lambda integration wraps what the function returned.
            visit.result = result.get("Payload", result) if isinstance(result, dict) else result
            visit.succeeded = True
            visit.decision = False

    def _visit_of(self, event: Mapping[str, Any]) -> _Visit | None:
        found = self._of_event.get(int(event.get("previousEventId") or 0))
        return found or next((v for v in reversed(self._open) if v.kind == "Task"), None)

    def _end(self, kind: str, event: Mapping[str, Any], at: datetime) -> list[Line]:
        details = details_of(event)
        status = ENDINGS[kind]
        cut_off = Status.ABORTED if status == "ABORTED" else Status.FAILED
        under_way = [replace(self._folded(self._line(visit, None, at)), status=cut_off) for visit in self._open]
        waiting = self._flush(set(self._held))
        if status in ("ABORTED", "TIMED_OUT"):
            waiting = [replace(line, status=cut_off) for line in waiting]
        lines = waiting + under_way
        self._open.clear()
        self.ending = Ending(
            status=status,
            total=self._total(at),
            output=parsed(details.get("output")),
            error=str(details.get("error") or ""),
            cause=plain_cause(str(details.get("cause") or "")),
        )
        return lines

    @property
    def _in_container(self) -> bool:
        return any(visit.kind in _CONTAINERS for visit in self._open)

    def _total(self, at: datetime) -> float:
        return (at - self.started).total_seconds() if self.started else 0.0


def _settled(line: Line) -> Line:
    """`line` of a state that was left for good: one that only began something, and has no reason to wait, is done."""
    begun = line.status is Status.WAITING and line.visits == 1 and line.outcome == "WAIT" and not line.reason
    return replace(line, status=Status.DONE) if begun else line
