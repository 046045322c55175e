"""Restore: delete the copies that failed, which AWS bills; the good ones stay."""

from functools import partial
from typing import Any

from opskit.adapters.copies import Copies, endpoint_of
from opskit.adapters.endpoints import Endpoints
from opskit.decisions.manifest import Kind
from opskit.decisions.restoration import may_delete
from opskit.step import Run, step
from opskit.verdict import Outcome


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return `deleted` and `left` (each with the reason). Deletes only what is this restore's by name and tag.

    Of `event["looks"]` those that failed; with None, when nothing was ever looked at, all. Safe to repeat.

    Raises:
        NotReadyError: AWS does not delete a copy in its status yet.
    """
    plan, looks = event["plan"], event["looks"]
    names = {Kind(kind): part["copy"]["name"] for kind, part in plan["parts"].items()}
    failed = [kind for kind in names if looks is None or looks[kind.value]["outcome"] == Outcome.FAIL]
    copies, deleted, left = Copies(), [], []
    for kind in failed:
        live = _live(run, copies, kind, names[kind])
        permitted = partial(may_delete, plan["restore_id"], tuple(names.values()), live)
        verdict = copies.delete(kind, names[kind], permitted)
        if verdict.outcome is Outcome.FAIL:
            left.append({"kind": kind.value, "name": names[kind], "reason": verdict.reason})
        else:
            deleted.append({"kind": kind.value, "name": names[kind], "reason": verdict.reason})
    run.ledger.note(run.operation_key, "discarded", {"deleted": deleted, "left": left})
    return {"deleted": deleted, "left": left}


def _live(run: Run, copies: Copies, kind: Kind, name: str) -> tuple[str | None, ...]:
    """The copy's own name if the service's endpoint is the copy's."""
    where = Endpoints(run.settings.service, run.settings.environment).read(kind.value).text
    state = copies.state(kind, name)
    return (name,) if state is not None and endpoint_of(state) == where else ()
