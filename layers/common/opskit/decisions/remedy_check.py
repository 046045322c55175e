"""Whether an action helped: the alarm itself says so, not the success of the action."""

from datetime import datetime, timedelta

from opskit.adapters.alarms import AlarmState
from opskit.clock import timestamp
from opskit.verdict import Outcome, Verdict


def judge_remedy(
    alarm: AlarmState | None, *, unreadable: str | None, acted_at: datetime, verify_seconds: float, now: datetime
) -> Verdict:
    """PASS when the alarm is OK; until `verify_seconds` after the action WAIT for that.

    Then FAIL for an alarm that still fires, and INCONCLUSIVE for one that cannot be read (`alarm` is None, and
    `unreadable` says why) or has no data.
    """
    waited = (now - acted_at).total_seconds()
    facts = {
        "state": alarm.state if alarm else None,
        "since": timestamp(alarm.since) if alarm else None,
        "waited_seconds": round(waited, 3),
        "verify_seconds": verify_seconds,
    }
    if alarm is not None and alarm.state == "OK":
        return Verdict(Outcome.PASS, f"the alarm is OK, {waited:.0f} s after the action", facts)
    found = f"the alarm is {alarm.state}" if alarm else f"the alarm cannot be read: {unreadable}"
    if now < acted_at + timedelta(seconds=verify_seconds):
        return Verdict(Outcome.WAIT, found, facts)
    late = f"{found}, {waited:.0f} s after the action; it was given {verify_seconds:g} s"
    return Verdict(Outcome.FAIL if alarm and alarm.firing else Outcome.INCONCLUSIVE, late, facts)
