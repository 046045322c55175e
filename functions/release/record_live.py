"""Release: the new version has proven itself; from here on it is what a rollback leaves, not where it goes."""

from typing import Any

from opskit.ledger import Live, Version
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Record the new live colour, with the one before it. Safe to repeat."""
    plan = event["plan"]
    lock = run.hold(event)
    current = run.ledger.live()
    if current is None or current.release != run.execution.name:
        run.ledger.record_live(
            Live(
                colour=Colour(plan["to_colour"]),
                image=plan["image"],
                digest=plan["digest"],
                previous=_previous(plan, current),
                release=run.execution.name,
                at=run.clock.now(),
            ),
            lock=lock,
            expected_revision=plan["live_revision"],
            record_key=run.record_key,
            event=("recorded as live", {"colour": plan["to_colour"], "image": plan["image"]}),
        )
    return {"recorded_at": run.clock.now().timestamp()}


def _previous(plan: dict[str, Any], current: Live | None) -> Version | None:
    """What a later rollback goes back to: nothing once it has gone back, for the version it left was no good."""
    if current is not None and current.image == plan["image"]:
        return current.previous
    if plan["operation"] == "rollback" or not plan["from_image"]:
        return None
    return Version(colour=Colour(plan["from_colour"]), image=plan["from_image"], digest=plan["from_digest"])
