"""What a drill has shown: the result of each component, and the one outcome of all.

A component's result, as it travels between states and into the evidence, is plain JSON:

- `component`, `outcome` (PASS, FAIL, INCONCLUSIVE, or SKIPPED where it was not asked for) and `reason`;
- `checks`: each comparison; `recovery_point`: the verdict on the data lost (of a database);
- `phases`: pairs of a name and the moment when it ended, in order; `verified_at`: when the first read and write on the
  copy were verified (null: never);
- `copy`: what AWS's API said of the copy, and `differences` from what was asked for.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from opskit.clock import moment_of
from opskit.decisions.manifest import Kind
from opskit.decisions.recovery import Check, judge_checks, judge_recovery_time
from opskit.verdict import Outcome, Verdict

SKIPPED = "SKIPPED"
# What has to come back before the service can work again, so that their times count.
RECOVERED = (Kind.DATABASE.value, Kind.CACHE.value)
# A state's data may have 256 KB, three results and all; checks that passed are all alike.
MOST_CHECKS = 300
# The cause of a failed execution may have 32,768 characters; people read fewer.
LONGEST_REASON = 2000


def component_result(component: str, checks: Sequence[Check], **more: Any) -> dict[str, Any]:
    """The result of `component` by its checks; a recovery point given in `more` (JSON of a verdict) counts as well."""
    verdict = judge_checks(checks)
    outcome, reasons = verdict.outcome.value, [verdict.reason]
    point = more.get("recovery_point")
    if point is not None and point["outcome"] != Outcome.PASS:
        if outcome == Outcome.PASS:
            reasons = []
        outcome = Outcome.FAIL.value if Outcome.FAIL in (outcome, point["outcome"]) else Outcome.INCONCLUSIVE.value
        reasons.append(point["reason"])
    reported = _reported(checks)
    return {
        "component": component,
        "outcome": outcome,
        "reason": _shortened("; ".join(reasons)),
        "checks": reported,
    } | more


def failed_result(component: str, reason: str, **more: Any) -> dict[str, Any]:
    """The result of a component that could not even be restored, or read."""
    return component_result(component, [Check(component, Outcome.FAIL, reason)], **more)


def judge_drill(
    results: Sequence[Mapping[str, Any]],
    *,
    expected: Sequence[str],
    declared_at: datetime,
    target_seconds: float,
    failure: str | None = None,
    left: Sequence[str] = (),
) -> Verdict:
    """PASS if every component passed, in time, and nothing is left; else FAIL: what was not measured has not passed.

    `expected`: the components that must have a result. `failure`: what ended the drill before its end. `left`: what was
    not torn down. The recovery time ends when the last of database and cache has been verified; without either of them
    there is none.
    """
    recovered = [one for one in results if one["component"] in RECOVERED and one["outcome"] != SKIPPED]
    time = _recovery_time(recovered, declared_at, target_seconds) if recovered else None
    points = [point for one in results if (point := one.get("recovery_point"))]
    wrong = [failure] if failure else []
    wrong += [
        f"{one['component']}: {one['reason']}" for one in results if one["outcome"] not in (Outcome.PASS, SKIPPED)
    ]
    seen = {one["component"] for one in results if one["outcome"] != SKIPPED}
    if not failure:
        wrong += [f"{name}: it was never looked at" for name in expected if name not in seen]
    if time is not None and time.outcome is not Outcome.PASS:
        wrong.append(time.reason)
    if left:
        wrong.append(f"not torn down: {', '.join(left)}")
    checks = [check for one in results for check in one.get("checks", ())]
    facts = {
        "rto_seconds": time.facts["seconds"] if time else None,
        "rpo_seconds": points[0]["facts"]["seconds"] if points else None,
        "recovery_time": time.as_dict() if time else None,
        "recovery_point": points[0] if points else None,
        "checks": {
            "passed": sum(check["outcome"] == Outcome.PASS for check in checks),
            "not_passed": [
                f"{check['name']}: {check['reason']}" for check in checks if check["outcome"] != Outcome.PASS
            ],
        },
    }
    if wrong:
        return Verdict(Outcome.FAIL, _shortened("; ".join(dict.fromkeys(wrong))), facts)
    words = [f"all {len(checks)} checks passed"]
    words += [time.reason] if time else []
    words += [point["reason"] for point in points]
    return Verdict(Outcome.PASS, "; ".join(words), facts)


def _recovery_time(results: Sequence[Mapping[str, Any]], declared_at: datetime, target: float) -> Verdict:
    """By the component that took longest; one that was never verified takes for ever."""
    last = max(results, key=lambda one: one.get("verified_at") or "9999")
    phases = [(name, moment_of(end)) for name, end in last.get("phases", ())]
    verified = last.get("verified_at")
    return judge_recovery_time(declared_at, phases, moment_of(verified) if verified else None, target_seconds=target)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def _reported(checks: Sequence[Check]) -> list[dict[str, str]]:
    """Every check that did not pass, and as many of the others as there is room for; then one says how many more."""
    notable = [check for check in checks if check.outcome is not Outcome.PASS]
    passed = [check for check in checks if check.outcome is Outcome.PASS]
    room = max(0, MOST_CHECKS - len(notable))
    shown = notable[:MOST_CHECKS] + passed[:room]
    more = len(checks) - len(shown)
    reported = [check.as_dict() for check in shown]
    if more:
        worst = Outcome.PASS if len(notable) <= MOST_CHECKS else Outcome.FAIL
        reported.append(Check(f"{more} more", worst, "left out for want of room").as_dict())
    return reported
