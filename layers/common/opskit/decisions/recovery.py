"""Whether restored data is what was backed up, how much was lost, and how long it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor, sqrt
from types import MappingProxyType
from typing import Any

from opskit.clock import timestamp
from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By which part of the recorded count a count may differ: 0.01 is one in a hundred, None is any number.

    Nothing is allowed by default, for missing rows are what a drill is to find. Where the backup is of a later
    moment than the counts (a restore from the log), `more` is None for the tables that grow.
    """

    fewer: float = 0.0
    more: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: its name, the outcome, and what was wanted and found, in words."""

    name: str
    outcome: Outcome
    reason: str

    def as_dict(self) -> dict[str, str]:
        """JSON-ready."""
        return {"name": self.name, "outcome": self.outcome.value, "reason": self.reason}


EXACT = Tolerance()
_NONE: Mapping[str, Tolerance] = MappingProxyType({})


def check_database(
    before: DatabaseContents,
    after: DatabaseContents | None,
    restored: DatabaseContents,
    *,
    tolerances: Mapping[str, Tolerance] = _NONE,
    default: Tolerance = EXACT,
) -> tuple[Check, ...]:
    """Compare a restored database with what its source held `before` and `after` the backup was taken.

    For a snapshot, `before` and `after` were captured around it; for a restore from the log, `before` is the last
    manifest's and `after` the source at the cut. A table's rows must lie between the two counts, widened by its
    tolerance; without `after` both are those before. A checksum is compared where it stood still between the two, and
    says nothing elsewhere; a table that is there and should not be, fails.
    """
    later = after or before
    checks = [_check_schema(before, later, restored)]
    for table in sorted({*before.rows, *later.rows, *restored.rows}):
        counts = [contents.rows[table] for contents in (before, later) if table in contents.rows]
        found = restored.rows.get(table)
        allowed = tolerances.get(table, default)
        checks.append(_check_count(f"rows of {table}", counts, found, allowed))
    stood_still = {table for table, value in before.checksums.items() if later.checksums.get(table) == value}
    checks += [_check_sum(table, before, restored) for table in sorted(stood_still)]
    return tuple(checks)


def check_cache(
    recorded: CacheContents,
    restored: CacheContents,
    *,
    loaded_at: datetime,
    after: CacheContents | None = None,
    tolerance: Tolerance = EXACT,
    slack_seconds: float = 2.0,
) -> tuple[Check, ...]:
    """Compare a restored cache with what was recorded at the backup, and `after` it where that is known.

    `loaded_at` (aware): when the copy was looked at; sampled keys that had expired by then must be gone, the others
    must be there and expire when they did at the source, within `slack_seconds`. `restored.expiries` holds those of
    the sampled keys that are there. How many others have expired is inferred from the sample; keys that never expire
    must all be there. The number of keys must lie between those recorded and those after, and keys that `after` shows
    to have been written or deleted meanwhile are not compared. `tolerance` is also the part of the sample that may
    differ.
    """
    slack = timedelta(seconds=slack_seconds)
    wrong, gone, expiring = [], 0, 0
    still = _stood_still(recorded, after, loaded_at)
    for key, expiry in sorted(still.items()):
        there = key in restored.expiries
        found = restored.expiries.get(key)
        expiring += expiry is not None
        if expiry is not None and expiry <= loaded_at + slack:
            gone += 1
            # Near its end it may be there or not; long after, Redis would never load it.
            if there and expiry < loaded_at - slack:
                wrong.append(f"{key} should have expired")
        elif not there:
            wrong.append(f"{key} is missing")
        elif (expiry is None) != (found is None) or (expiry and found and abs(expiry - found) > slack):
            wrong.append(f"{key} expires at {_when(found)}, not at {_when(expiry)}")
    sampled = len(still)
    counted = [contents for contents in (recorded, after) if contents is not None]
    fewest = min(_fewest_keys(contents, expiring, gone) for contents in counted)
    checks = [_check_count("keys", [fewest, *(contents.keys for contents in counted)], restored.keys, tolerance)]
    if recorded.keys and not sampled:
        words = "none of {} keys was sampled" if not recorded.expiries else "all that were sampled of {} keys had moved"
        checks.append(Check("sampled keys", Outcome.INCONCLUSIVE, words.format(recorded.keys)))
    elif len(wrong) > sampled * tolerance.fewer:
        checks.append(Check("sampled keys", Outcome.FAIL, f"{len(wrong)} of {sampled}: {'; '.join(wrong[:5])}"))
    elif wrong:
        words = f"{len(wrong)} of {sampled} differ, within the tolerance: {'; '.join(wrong[:5])}"
        checks.append(Check("sampled keys", Outcome.PASS, words))
    else:
        checks.append(Check("sampled keys", Outcome.PASS, f"all {sampled} as recorded, {gone} of them expired"))
    return tuple(checks)


def check_object(name: str, recorded_sha256: str | None, found_sha256: str | None) -> Check:
    """Compare the checksum of a stored object with the one in the manifest; None: there is none."""
    if found_sha256 is None:
        return Check(name, Outcome.FAIL, "it is not there")
    if recorded_sha256 is None:
        return Check(name, Outcome.INCONCLUSIVE, "the manifest has no checksum of it")
    if recorded_sha256 != found_sha256:
        return Check(name, Outcome.FAIL, f"its SHA-256 is {found_sha256}, {recorded_sha256} was recorded")
    return Check(name, Outcome.PASS, "its SHA-256 is as recorded")


def judge_checks(checks: Sequence[Check]) -> Verdict:
    """FAIL if any check failed; INCONCLUSIVE if any could not be made, or none was made at all; else PASS."""
    facts = {"checks": [check.as_dict() for check in checks]}
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        found = [f"{check.name}: {check.reason}" for check in checks if check.outcome is outcome]
        if found:
            return Verdict(outcome, "; ".join(found), facts)
    if not checks:
        return Verdict(Outcome.INCONCLUSIVE, "nothing was checked", facts)
    return Verdict(Outcome.PASS, f"all {len(checks)} checks passed", facts)


def judge_recovery_point(source: datetime | None, restored: datetime | None, *, target_seconds: float) -> Verdict:
    """RPO from the data: the newest heartbeat at the source at the cut, minus the newest one that was restored.

    Both were stamped by the database itself, so no other clock counts. Negative means that they are not of the same
    database, or that the source was read before the cut: FAIL, never a good result. The bound must be stayed below.
    """
    facts: dict[str, Any] = {
        "source_heartbeat": timestamp(source) if source else None,
        "restored_heartbeat": timestamp(restored) if restored else None,
        "target_seconds": target_seconds,
        "seconds": None,
    }
    if source is None:
        return Verdict(Outcome.INCONCLUSIVE, "the source's heartbeat at the cut is not known", facts)
    if restored is None:
        return Verdict(Outcome.FAIL, "the restored database has no heartbeat", facts)
    seconds = (source - restored).total_seconds()
    facts["seconds"] = round(seconds, 6)
    if seconds < 0:
        reason = f"the restored heartbeat is {-seconds:.3f} s newer than the source's: not of the same database or cut"
        return Verdict(Outcome.FAIL, reason, facts)
    words = f"{seconds:.0f} s of heartbeats were lost (target: below {target_seconds:.0f} s)"
    return Verdict(Outcome.PASS if seconds < target_seconds else Outcome.FAIL, words, facts)


def judge_recovery_time(
    declared_at: datetime,
    phases: Sequence[tuple[str, datetime]],
    verified_at: datetime | None,
    *,
    target_seconds: float,
) -> Verdict:
    """RTO: from the declaration to the first read and write that were verified, not to `available`.

    `phases`: each with its end, in order; the facts hold the seconds of each, the last until `verified_at`. FAIL if
    nothing was verified, if the moments are not in order, or if it took as long as the target or longer.
    """
    ends = [*phases, ("verified", verified_at)] if verified_at else list(phases)
    seconds: dict[str, float] = {}
    previous = declared_at
    for name, end in ends:
        seconds[name] = round(seconds.get(name, 0.0) + (end - previous).total_seconds(), 3)
        if end < previous:
            reason = f"the phase {name} ends before it begins ({timestamp(end)}): the measurement is worthless"
            return Verdict(Outcome.FAIL, reason, {"phases": seconds, "seconds": None, "target_seconds": target_seconds})
        previous = end
    total = (verified_at - declared_at).total_seconds() if verified_at else None
    facts = {"phases": seconds, "seconds": total, "target_seconds": target_seconds}
    if total is None:
        return Verdict(Outcome.FAIL, "no read and write were ever verified, so the service was not recovered", facts)
    longest = max(seconds, key=lambda name: seconds[name])
    words = f"recovered after {total:.0f} s (target: below {target_seconds:.0f} s), most of it {longest}"
    return Verdict(Outcome.PASS if total < target_seconds else Outcome.FAIL, words, facts)


def _check_schema(before: DatabaseContents, later: DatabaseContents, restored: DatabaseContents) -> Check:
    if before.schema_sha256 != later.schema_sha256:
        # A migration ran while the backup was taken: either may be in it.
        known = {before.schema_sha256, later.schema_sha256}
        outcome = Outcome.INCONCLUSIVE if restored.schema_sha256 in known else Outcome.FAIL
        return Check("schema", outcome, "the source's schema changed while it was backed up")
    if restored.schema_sha256 != before.schema_sha256:
        return Check("schema", Outcome.FAIL, f"its hash is {restored.schema_sha256}, not {before.schema_sha256}")
    return Check("schema", Outcome.PASS, "as recorded")


def _check_count(name: str, counts: Sequence[int], found: int | None, allowed: Tolerance) -> Check:
    if not counts:
        return Check(name, Outcome.FAIL, f"{found} found, but the source had none of it")
    if found is None:
        return Check(name, Outcome.FAIL, f"not there; {counts[0]} expected")
    low = min(counts) * (1 - allowed.fewer)
    high = None if allowed.more is None else max(counts) * (1 + allowed.more)
    expected = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    if found < low or (high is not None and found > high):
        return Check(name, Outcome.FAIL, f"{found}; {expected} expected")
    return Check(name, Outcome.PASS, f"{found}; {expected} expected")


def _check_sum(table: str, recorded: DatabaseContents, restored: DatabaseContents) -> Check:
    name, found = f"checksum of {table}", restored.checksums.get(table)
    if found is None:
        return Check(name, Outcome.INCONCLUSIVE, "it was not computed for the copy")
    if found != recorded.checksums[table]:
        return Check(name, Outcome.FAIL, "the rows are not those that were recorded")
    return Check(name, Outcome.PASS, "as recorded")


def _stood_still(
    recorded: CacheContents, after: CacheContents | None, loaded_at: datetime
) -> dict[str, datetime | None]:
    """The sampled keys of which `after` does not show that somebody wrote or deleted them.

    It shows that of a key that it has, and of one that it lacks if it was asked for all keys, or for the same.
    """
    if after is None:
        return recorded.expiries
    complete = len(after.expiries) >= after.keys or set(after.expiries) <= set(recorded.expiries)
    second = timedelta(seconds=1)

    def same(key: str, expiry: datetime | None) -> bool:
        if key not in after.expiries:
            return not complete or (expiry is not None and expiry <= loaded_at)
        found = after.expiries[key]
        return found is expiry is None or (found is not None and expiry is not None and abs(found - expiry) < second)

    return {key: expiry for key, expiry in recorded.expiries.items() if same(key, expiry)}


def _fewest_keys(recorded: CacheContents, expiring_sampled: int, gone: int) -> int:
    """How many keys are left at least, by the sample; three standard errors of its share are allowed for.

    Where none or all of the sample are gone, three in its size stand for them (the rule of three).
    """
    lasting = recorded.keys - recorded.expiring
    if expiring_sampled == 0:
        return lasting
    share = gone / expiring_sampled
    margin = max(3 * sqrt(share * (1 - share) / expiring_sampled), 3 / expiring_sampled)
    return lasting + floor(recorded.expiring * max(0.0, 1 - share - margin))


def _when(moment: datetime | None) -> str:
    return timestamp(moment) if moment else "no time"
