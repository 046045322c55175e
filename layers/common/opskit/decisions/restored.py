"""Whether what was restored is what was wanted, and whether the service works with it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from opskit.adapters.probe import ProbeResult
from opskit.clock import timestamp
from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.decisions.recovery import Check, Tolerance, check_cache, check_database
from opskit.verdict import Outcome, Verdict

# The heartbeat comes once a minute; two may be missed before it says something.
HEARTBEAT_GAP = timedelta(minutes=3)
_HALF = Tolerance(fewer=0.5, more=None)


def check_restored_database(
    restored: DatabaseContents,
    recorded: Mapping[str, Any],
    *,
    exact: bool,
    moment: datetime | None,
    begun_at: datetime,
) -> tuple[Check, ...]:
    """The checks of a restored database.

    `recorded`: a manifest component's `contents`, `before` and `after` the snapshot (DatabaseContents as dicts). If
    `exact`, that snapshot was restored, and everything must be as recorded. Else the restored `moment` (None: the end
    of the log when the restore was begun) is another one: differences in schema and rows may be what happened in
    between, so they are only told (INCONCLUSIVE), but the heartbeat must not be newer than the moment.
    """
    checks: list[Check] = []
    before = DatabaseContents.from_dict(recorded["before"]) if "before" in recorded else None
    after = DatabaseContents.from_dict(recorded["after"]) if "after" in recorded else None
    if before is None:
        checks.append(Check("contents", Outcome.INCONCLUSIVE, "no backup on record says what was in the database"))
    elif exact:
        checks += check_database(before, after, restored)
    else:
        compared = check_database(after or before, None, restored)
        told = [check for check in compared if check.outcome is not Outcome.PASS and not check.name.startswith("check")]
        checks += [Check(c.name, Outcome.INCONCLUSIVE, f"since the last backup: {c.reason}") for c in told]
        checks += [check for check in compared if check.outcome is Outcome.PASS and check.name == "schema"]
    checks.append(_check_heartbeat(restored.heartbeat, moment or begun_at, exact=exact))
    return tuple(checks)


def check_restored_cache(
    restored: CacheContents, recorded: Mapping[str, Any], *, loaded_at: datetime
) -> tuple[Check, ...]:
    """The checks of a restored cache; `recorded`: a manifest component's `contents` (`before`, `after`: CacheContents).

    A cache in use changes while it is backed up, and what it lacks is computed again: only one that has lost more than
    half of its keys fails, all else is told.
    """
    if "before" not in recorded:
        return (Check("keys", Outcome.INCONCLUSIVE, "no backup on record says what was in the cache"),)
    contents = CacheContents.from_dict(recorded["before"])
    after = CacheContents.from_dict(recorded["after"]) if "after" in recorded else None
    checks = check_cache(contents, restored, loaded_at=loaded_at, after=after, tolerance=_HALF)
    return tuple(
        replace(check, outcome=Outcome.INCONCLUSIVE)
        if check.outcome is Outcome.FAIL and check.name != "keys"
        else check
        for check in checks
    )


def judge_restored(checks: Sequence[Check]) -> Verdict:
    """FAIL if any check failed. What could not be compared is told in the reason, and does not stop a recovery."""
    facts = {"checks": [check.as_dict() for check in checks]}
    failed = [f"{check.name}: {check.reason}" for check in checks if check.outcome is Outcome.FAIL]
    if failed:
        return Verdict(Outcome.FAIL, "; ".join(failed), facts)
    passed = sum(check.outcome is Outcome.PASS for check in checks)
    unsure = [f"{check.name}: {check.reason}" for check in checks if check.outcome is Outcome.INCONCLUSIVE]
    words = f"{passed} of {len(checks)} checks passed" + (f"; to be known: {'; '.join(unsure)}" if unsure else "")
    return Verdict(Outcome.PASS, words, facts)


def judge_service(
    readiness: Sequence[ProbeResult],
    written: ProbeResult | None,
    read: ProbeResult | None,
    *,
    endpoints: Mapping[str, str],
    out_of_time: bool,
) -> Verdict:
    """Whether the service works with what it was told to use: PASS, WAIT, or FAIL when time is out.

    `endpoints`: by the field of the readiness answer that says it (`database`, `cache_endpoint`), the endpoint it must
    have. Every one of `readiness` must say so: each may have come from another pod. `written` must be stored, not
    queued for later.
    """
    facts: dict[str, Any] = {"asked": len(readiness), "endpoints": dict(endpoints)}
    problem = _unready(readiness, endpoints) or _unserved(written, read)
    if problem is None:
        return Verdict(Outcome.PASS, f"the service reads and writes; {len(readiness)} of its answers agree", facts)
    outcome = Outcome.FAIL if out_of_time else Outcome.WAIT
    return Verdict(outcome, problem, facts)


def _unready(readiness: Sequence[ProbeResult], endpoints: Mapping[str, str]) -> str | None:
    if not readiness:
        return "the service was not asked"
    for answer in readiness:
        body = answer.body_json if isinstance(answer.body_json, dict) else {}
        for field, endpoint in endpoints.items():
            # A field that the service does not have says nothing; the database's it must have.
            if (field in body or field == "database") and body.get(field) != endpoint:
                return f"the service uses {field} {body.get(field)!r}, not {endpoint}" + _status(answer)
        if not answer.ok:
            return f"the service is not ready{_status(answer)}"
    return None


def _unserved(written: ProbeResult | None, read: ProbeResult | None) -> str | None:
    if written is None or written.status not in (200, 201):
        return f"the service did not store what was written{_status(written)}"
    if read is None or not read.ok:
        return f"the service does not read{_status(read)}"
    return None


def _status(answer: ProbeResult | None) -> str:
    if answer is None:
        return ": it was not asked"
    return f": {answer.error}" if answer.error else f" (HTTP {answer.status})"


def _check_heartbeat(heartbeat: datetime | None, at: datetime, *, exact: bool) -> Check:
    if heartbeat is None:
        return Check("heartbeat", Outcome.INCONCLUSIVE, "the restored database has none, so what was lost is not known")
    if not exact and heartbeat > at:
        reason = f"it is of {timestamp(heartbeat)}, after {timestamp(at)}: this is not the moment that was asked for"
        return Check("heartbeat", Outcome.FAIL, reason)
    if at - heartbeat > HEARTBEAT_GAP:
        reason = f"the newest is of {timestamp(heartbeat)}, {(at - heartbeat).total_seconds():.0f} s before the moment"
        return Check("heartbeat", Outcome.INCONCLUSIVE, reason)
    return Check("heartbeat", Outcome.PASS, f"the newest is of {timestamp(heartbeat)}")
