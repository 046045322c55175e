"""Drill, always: delete what it made; asked again until all of it is gone."""

from typing import Any

from opskit.adapters.copies import Copies
from opskit.clock import moment_of
from opskit.decisions.drill import may_touch
from opskit.decisions.manifest import Kind
from opskit.errors import NotReadyError
from opskit.step import Run, step
from opskit.verdict import Outcome, Verdict


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `{"outcome", "reason", "left", "since"}`: PASS once nothing is left, WAIT while something is.

    FAIL: something must not be touched, or the time is out; the reaper has it from here. Needs no lock, for whoever has
    that now has other names. Name, tags and sources are checked right before each deletion.
    """
    plan, now = event["plan"], run.clock.now()
    since = event["since"] or now.isoformat()
    copies = Copies()
    left: dict[str, Verdict] = {}
    for kind, name in plan["names"].items():
        verdict = _delete(copies, Kind(kind), name, plan)
        if verdict.outcome is not Outcome.PASS:
            left[name] = verdict
    refused = [verdict.reason for verdict in left.values() if verdict.outcome is Outcome.FAIL]
    waited = (now - moment_of(since)).total_seconds()
    answer = {"left": list(left), "since": since}
    if not left:
        return Verdict(Outcome.PASS, "nothing is left of the drill").as_dict() | answer
    reasons = "; ".join(verdict.reason for verdict in left.values())
    if len(refused) == len(left):
        return Verdict(Outcome.FAIL, reasons).as_dict() | answer
    if waited >= event["settings"]["teardown_timeout_seconds"]:
        return Verdict(Outcome.FAIL, f"after {waited:.0f} s: {reasons}").as_dict() | answer
    return Verdict(Outcome.WAIT, reasons).as_dict() | answer


def _delete(copies: Copies, kind: Kind, name: str, plan: dict[str, Any]) -> Verdict:
    sources = [source["identifier"] for source in plan["sources"].values()]
    arns = [source["arn"] for source in plan["sources"].values()]
    try:
        return copies.delete(
            kind, name, lambda found, tags: may_touch(plan["drill"], found, tags, sources, source_arns=arns)
        )
    except NotReadyError as error:
        return Verdict(Outcome.WAIT, str(error))
