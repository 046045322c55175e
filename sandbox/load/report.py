"""What the clients saw."""

import json
import time
from bisect import insort
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from sandbox.load.outages import Availability, Watch, iso


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the moment a request was due to the end of its answer; failures are not counted."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, sorted_seconds: list[float]) -> Self:
        """Nearest-rank percentiles of values in ascending order."""
        count = len(sorted_seconds)
        if not count:
            return cls()

        def percentile(percent: int) -> float:
            return round(sorted_seconds[max(0, -(-count * percent // 100) - 1)], 4)

        return cls(count, percentile(50), percentile(95), percentile(99), round(sorted_seconds[-1], 4))


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the run, by when requests were due; `p95` of ordinary requests, in seconds."""

    second: int
    requests: int
    failures: int
    colours: dict[str, int]
    p95: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """The account of a run; while it goes on (`finished` is false) that of what has been answered so far.

    `versions` and `colours` count the answers of `/version`, which is a known share of the requests.
    `failures` counts by kind: `status_502` and so on, `connect`, `reset`, `timeout`, `protocol`. Times are
    ISO 8601 in UTC. `max_lateness_seconds` is how late the generator itself sent a request at worst: answers
    are judged by when they were due, so lateness shows as latency, never as a lower rate. `reads` and `writes`
    are those of detections; a write that was queued (202) has succeeded.
    """

    url: str
    rate: float
    started_at: str
    seconds: float
    finished: bool
    requests: int
    failed: int
    failures: dict[str, int]
    statuses: dict[str, int]
    versions: dict[str, int]
    colours: dict[str, int]
    latency: Latency
    slow_latency: Latency
    max_lateness_seconds: float
    first_failure_at: str | None
    last_failure_at: str | None
    by_second: tuple[Second, ...]
    reads: Availability
    writes: Availability

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(
            **{
                **data,
                "latency": Latency(**data["latency"]),
                "slow_latency": Latency(**data["slow_latency"]),
                "by_second": tuple(Second(**second) for second in data["by_second"]),
                "reads": Availability.from_dict(data["reads"]),
                "writes": Availability.from_dict(data["writes"]),
            }
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read one that `save` wrote."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        """Write in one step, so that a reader never meets half a report."""
        draft = path.with_name(path.name + ".part")
        draft.write_text(json.dumps(self.as_dict()) + "\n", encoding="utf-8")
        draft.replace(path)


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    failures: int = 0
    colours: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


class Recorder:
    """Takes each outcome as it comes and makes a `Report` of them at any time."""

    def __init__(self, url: str, rate: float) -> None:
        self._url = url
        self._rate = rate
        self._began = time.monotonic()
        self._began_wall = time.time()
        self._statuses: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._versions: Counter[str] = Counter()
        self._colours: Counter[str] = Counter()
        self._seconds: dict[int, _Tally] = {}
        self._ordinary: list[float] = []
        self._slow: list[float] = []
        self._lateness = 0.0
        self._first_failure: float | None = None
        self._last_failure: float | None = None
        self._watches = {"read": Watch(), "write": Watch()}

    def sent(self, lateness_seconds: float) -> None:
        """A request went out `lateness_seconds` after it was due."""
        self._lateness = max(self._lateness, lateness_seconds)

    def answered(
        self, *, due: float, status: int, slow: bool, version: str | None, colour: str | None, kind: str = "version"
    ) -> None:
        """An answer arrived just now; `due` is when its request should have gone out (monotonic seconds).

        `kind` is `read` or `write` for a request that counts as such.
        """
        tally = self._tally(due)
        self._statuses[str(status)] += 1
        if version:
            self._versions[version] += 1
        if colour:
            self._colours[colour] += 1
            tally.colours[colour] += 1
        if not 200 <= status < 400:
            self._fail(tally, due, f"status_{status}", kind)
            return
        if watch := self._watches.get(kind):
            watch.succeeded(self._wall(due), time.time())
        latency = time.monotonic() - due
        insort(self._slow if slow else self._ordinary, latency)
        if not slow:
            tally.latencies.append(latency)

    def failed(self, *, due: float, why: str, kind: str = "version") -> None:
        """A request got no answer; `why` is the kind of failure."""
        self._fail(self._tally(due), due, why, kind)

    def _tally(self, due: float) -> _Tally:
        tally = self._seconds.setdefault(int(due - self._began), _Tally())
        tally.requests += 1
        return tally

    def _wall(self, monotonic: float) -> float:
        return self._began_wall + monotonic - self._began

    def _fail(self, tally: _Tally, due: float, why: str, kind: str) -> None:
        tally.failures += 1
        self._failures[why] += 1
        now = time.time()
        if watch := self._watches.get(kind):
            watch.failed_at(self._wall(due), now)
        self._first_failure = self._first_failure or now
        self._last_failure = now

    def report(self, *, finished: bool) -> Report:
        """The account so far."""
        return Report(
            url=self._url,
            rate=self._rate,
            started_at=iso(self._began_wall),
            seconds=round(time.monotonic() - self._began, 3),
            finished=finished,
            requests=sum(tally.requests for tally in self._seconds.values()),
            failed=sum(self._failures.values()),
            failures=dict(self._failures),
            statuses=dict(self._statuses),
            versions=dict(self._versions),
            colours=dict(self._colours),
            latency=Latency.of(self._ordinary),
            slow_latency=Latency.of(self._slow),
            max_lateness_seconds=round(self._lateness, 4),
            first_failure_at=iso(self._first_failure) if self._first_failure else None,
            last_failure_at=iso(self._last_failure) if self._last_failure else None,
            by_second=tuple(
                Second(
                    number,
                    tally.requests,
                    tally.failures,
                    dict(tally.colours),
                    Latency.of(sorted(tally.latencies)).p95,
                )
                for number, tally in sorted(self._seconds.items())
            ),
            reads=self._watches["read"].availability(),
            writes=self._watches["write"].availability(),
        )
