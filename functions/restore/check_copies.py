"""Restore: are the copies there, and set up as was asked for? Asked again until each is, or never will be."""

from typing import Any

from opskit.adapters.copies import Copies
from opskit.clock import moment_of, timestamp
from opskit.decisions.copies import copy_of
from opskit.decisions.placement import differences
from opskit.decisions.restore_source import configuration_of
from opskit.step import Run, step
from opskit.verdict import Outcome


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the outcome of all: WAIT while any is under way, then FAIL if any failed, else PASS; and `looks`.

    Each look (see `opskit.adapters.copies.Look.as_dict`) also has `from_source`: where the copy differs from the
    source's configuration, be it that this was asked for.

    Raises:
        LockLostError: another execution has taken the lock.
    """
    plan, begun = event["plan"], event["begun"]
    if begun["lock"]:
        run.hold({"lock": begun["lock"], "settings": event["settings"]})
    now = run.clock.now()
    waited = (now - moment_of(begun["begun_at"])).total_seconds()
    looks = {}
    for kind, part in plan["parts"].items():
        if kind in begun["refused"]:
            looks[kind] = _refused(part["copy"]["name"], begun["refused"][kind])
        else:
            looks[kind] = _look(part, waited, event["settings"]["restore_timeout_seconds"])
    outcomes = [look["outcome"] for look in looks.values()]
    worst = next(one for one in (Outcome.WAIT, Outcome.FAIL, Outcome.PASS) if one in outcomes)
    reasons = [f"{kind}: {look['reason']}" for kind, look in looks.items() if look["outcome"] == worst]
    return {"outcome": worst.value, "reason": "; ".join(reasons), "looks": looks, "at": timestamp(now)}


def _look(part: dict[str, Any], waited: float, limit: float) -> dict[str, Any]:
    copy = copy_of(part["copy"])
    look = Copies().look(copy, waited_seconds=waited, limit_seconds=limit)
    from_source = []
    if look.verdict.outcome is Outcome.PASS and look.state is not None:
        source = configuration_of(copy.kind, part["source"]["configuration"])
        from_source = [one.as_dict() for one in differences(source, look.state.configuration)]
    return look.as_dict() | {"from_source": from_source}


def _refused(name: str, reason: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        "status": None,
        "arn": None,
        "endpoint": None,
        "resource_id": None,
        "differences": [],
        "from_source": [],
    }
    return {"outcome": Outcome.FAIL.value, "reason": f"{name} could not be begun: {reason}", "name": name, **nothing}
