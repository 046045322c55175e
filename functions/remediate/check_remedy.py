"""Remediate: is the alarm OK by now? An alarm that cannot be read is looked at again until the time is out."""

from typing import Any

from opskit.adapters.alarms import Alarms
from opskit.clock import moment_of, timestamp
from opskit.decisions.remedy_check import judge_remedy
from opskit.errors import MeasurementError
from opskit.step import Run, step


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the verdict, `at` being when it was reached: PASS, FAIL, INCONCLUSIVE, or WAIT.

    Raises:
        LockLostError: another execution has taken the lock on the resource.
    """
    run.hold(event["reservation"] | {"settings": event["settings"]})
    admission, unreadable, alarm = event["admission"], None, None
    try:
        (reading,) = Alarms().read([admission["alarm"]["name"]])
        alarm = reading.state
    except MeasurementError as error:
        unreadable = str(error)
    now = run.clock.now()
    verdict = judge_remedy(
        alarm,
        unreadable=unreadable,
        acted_at=moment_of(event["acted_at"]),
        verify_seconds=event["reservation"]["plan"]["verify_seconds"],
        now=now,
    )
    return verdict.as_dict() | {"at": timestamp(now)}
