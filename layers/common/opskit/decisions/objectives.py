"""Whether the recovery objectives hold now: a verdict for each, and one for all."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from opskit.clock import timestamp
from opskit.decisions.manifest import Component, Kind, Manifest, Status
from opskit.verdict import Outcome, Verdict

# A moment this far ahead of our clock still counts as now; further ahead, one of the two clocks is wrong.
SKEW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Targets:
    """What must hold; all in seconds, and each a bound that a value must stay below.

    Attributes:
        rto: recovery time of the last good drill.
        rpo: recovery point of the last good drill.
        restorable_lag: how far the database's latest restorable time may lie back. RDS uploads its logs every five
            minutes and then takes its time, so the lag rises to 300 and beyond with nothing being wrong; above 600 a
            whole upload is missing. It bounds what the loss of the storage itself would cost. What a restore to a
            moment costs is the recovery point, which a drill measures from the data.
        heartbeat_age: how old the newest heartbeat row at the source may be; it is written every minute.
        cache_snapshot_age: backups of the cache are taken every second hour, and take their time.
        manifest_age: hourly, plus the run's own time and one that failed.
        drill_age: weekly, plus a day.
    """

    rto: float = 1800
    rpo: float = 300
    restorable_lag: float = 600
    heartbeat_age: float = 180
    cache_snapshot_age: float = 3 * 3600
    manifest_age: float = 2.5 * 3600
    drill_age: float = 8 * 86400

    def __post_init__(self) -> None:
        if min(asdict(self).values()) <= 0:
            raise ValueError(f"{self}: every target is above 0")


@dataclass(frozen=True, slots=True)
class Reading:
    """A moment that was read: `at` (aware), or None where there is none; or `unreadable`, with why.

    `because`: why there is none, where that is known.
    """

    at: datetime | None = None
    unreadable: str | None = None
    because: str | None = None


@dataclass(frozen=True, slots=True)
class LastDrill:
    """The last drill that passed: when it ended, and what it measured (seconds); or `unreadable`, with why."""

    ended_at: datetime | None = None
    rto: float | None = None
    rpo: float | None = None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read from the database, the cache, the manifests and the ledger."""

    restorable: Reading
    heartbeat: Reading
    cache_snapshot: Reading
    manifest: Reading
    drill: LastDrill


@dataclass(frozen=True, slots=True)
class Objectives:
    """A verdict for each objective, in a fixed order, and `overall`: FAIL over INCONCLUSIVE over PASS."""

    verdicts: MappingProxyType[str, Verdict]
    overall: Verdict

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "overall": self.overall.as_dict(),
            "objectives": {name: verdict.as_dict() for name, verdict in self.verdicts.items()},
        }


def last_complete(manifests: Sequence[Manifest]) -> Reading:
    """When the newest complete one of `manifests` (newest first) was finished."""
    for manifest in manifests:
        if manifest.complete:
            return Reading(manifest.finished_at)
    if not manifests:
        return Reading(because="no run has left one")
    lacking = "; ".join(manifests[0].missing)
    return Reading(because=f"none of the last {len(manifests)} is; the newest lacks {lacking}")


def newest_cache_backup(manifests: Sequence[Manifest], is_there: Callable[[str], bool]) -> Reading:
    """Of which moment the newest verified backup of the cache is, of those in `manifests` (newest first).

    `is_there` says whether a snapshot still exists: one that was deleted restores nothing. Of several caches, which
    are those that the newest manifest names, the one that is worst off counts.
    """
    named = manifests[0].components if manifests else ()
    caches = list(dict.fromkeys(part.resource for part in named if part.kind is Kind.CACHE))
    if not caches:
        return Reading(because="the newest manifest names no cache" if manifests else "there is no manifest")
    oldest: datetime | None = None
    for cache in caches:
        found = _newest_of(cache, manifests, is_there)
        if found is None:
            return Reading(because=f"none of {cache} in the last {len(manifests)} manifests is verified and there")
        oldest = min(oldest or found, found)
    return Reading(oldest)


def _newest_of(cache: str, manifests: Sequence[Manifest], is_there: Callable[[str], bool]) -> datetime | None:
    verified: dict[str, Component] = {}
    for manifest in manifests:
        for part in manifest.components:
            if (part.kind, part.resource, part.status) == (Kind.CACHE, cache, Status.VERIFIED) and part.id:
                verified.setdefault(part.id, part)
    taken = sorted(((part.taken_at, name) for name, part in verified.items() if part.taken_at), reverse=True)
    return next((moment for moment, name in taken if is_there(name)), None)


def judge_objectives(observed: Observed, targets: Targets, now: datetime) -> Objectives:
    """Judge each objective at `now` (aware).

    FAIL also where there is nothing at all (no backup, no drill that passed); INCONCLUSIVE where a source could not be
    read. A drill that is too old still has its times judged: both may be wrong.
    """
    drill = observed.drill
    verdicts = {
        "restorable_lag": _age("latest restorable time", observed.restorable, targets.restorable_lag, now),
        "heartbeat_age": _age("newest heartbeat", observed.heartbeat, targets.heartbeat_age, now),
        "cache_snapshot_age": _age("newest cache snapshot", observed.cache_snapshot, targets.cache_snapshot_age, now),
        "manifest_age": _age("last complete manifest", observed.manifest, targets.manifest_age, now),
        "drill_age": _age("last good drill", Reading(drill.ended_at, drill.unreadable), targets.drill_age, now),
        "drill_rto": _drilled("recovery time", drill, drill.rto, targets.rto),
        "drill_rpo": _drilled("recovery point", drill, drill.rpo, targets.rpo),
    }
    return Objectives(MappingProxyType(verdicts), _overall(verdicts))


def _age(what: str, reading: Reading, target: float, now: datetime) -> Verdict:
    facts: dict[str, Any] = {"target_seconds": target, "seconds": None, "at": None}
    if reading.unreadable is not None:
        return Verdict(Outcome.INCONCLUSIVE, f"the {what} could not be read: {reading.unreadable}", facts)
    if reading.at is None:
        why = f": {reading.because}" if reading.because else ""
        return Verdict(Outcome.FAIL, f"there is no {what}{why}", facts)
    seconds = (now - reading.at).total_seconds()
    facts |= {"seconds": round(max(0.0, seconds), 3), "at": timestamp(reading.at)}
    if seconds < -SKEW_SECONDS:
        return Verdict(Outcome.FAIL, f"the {what} lies {-seconds:.0f} s ahead: a clock is wrong", facts)
    words = f"the {what} is {max(0.0, seconds):.0f} s old (target: below {target:.0f} s)"
    return Verdict(Outcome.PASS if seconds < target else Outcome.FAIL, words, facts)


def _drilled(what: str, drill: LastDrill, seconds: float | None, target: float) -> Verdict:
    facts: dict[str, Any] = {"target_seconds": target, "seconds": seconds}
    if drill.unreadable is not None:
        return Verdict(Outcome.INCONCLUSIVE, f"the last drill could not be read: {drill.unreadable}", facts)
    if drill.ended_at is None:
        return Verdict(Outcome.FAIL, "no drill has passed yet", facts)
    if seconds is None:
        return Verdict(Outcome.INCONCLUSIVE, f"the last good drill did not measure its {what}", facts)
    if seconds < 0:
        return Verdict(Outcome.FAIL, f"the last good drill's {what} is negative ({seconds:.0f} s)", facts)
    words = f"the last good drill's {what} was {seconds:.0f} s (target: below {target:.0f} s)"
    return Verdict(Outcome.PASS if seconds < target else Outcome.FAIL, words, facts)


def _overall(verdicts: dict[str, Verdict]) -> Verdict:
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        named = [name for name, verdict in verdicts.items() if verdict.outcome is outcome]
        if named:
            reasons = "; ".join(verdicts[name].reason for name in named)
            return Verdict(outcome, reasons, {"objectives": named})
    return Verdict(Outcome.PASS, f"all {len(verdicts)} objectives hold", {"objectives": []})
