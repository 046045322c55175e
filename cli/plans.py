"""What a dry run planned, for people; `--json` has all of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cli.output import facts, nested, short_image
from cli.workflows import Workflow

if TYPE_CHECKING:
    from rich.console import Console


def render_plan(console: "Console", workflow: Workflow, plan: Mapping[str, Any]) -> None:
    """Print the plan in the output of a dry run of `workflow`."""
    if workflow is Workflow.RELEASE:
        facts(console, _release_facts(plan))
    else:
        nested(console, plan)


def _release_facts(plan: Mapping[str, Any]) -> list[tuple[str, Any]]:
    steps = plan.get("steps") or ()
    return [
        ("decision", plan.get("decision")),
        ("from", _side(plan.get("from_colour"), plan.get("from_image"))),
        ("to", _side(plan.get("to_colour"), plan.get("image"))),
        ("replicas", plan.get("replicas")),
        ("needs healthy", plan.get("required_healthy")),
        ("steps", ", ".join(f"{step['weight']}% for {step['bake_seconds']}s" for step in steps)),
        *(("warning", warning) for warning in plan.get("warnings") or ()),
    ]


def _side(colour: str | None, image: str | None) -> str:
    return f"{colour} {short_image(image)}" if colour else ""
