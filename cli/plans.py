"""What a dry run planned, for people; `--json` has all of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.output import elapsed, facts, moment, nested, short_image, table
from cli.remedies import render_remedy_plan
from cli.workflows import Workflow

if TYPE_CHECKING:
    from rich.console import Console

Plan = Mapping[str, Any]


def render_plan(console: "Console", workflow: Workflow, plan: Plan) -> None:
    """Print the plan in the output of a dry run of `workflow`."""
    renderer = {
        Workflow.RELEASE: _release,
        Workflow.SNAPSHOT: _snapshot,
        Workflow.RESTORE: _restore,
        Workflow.DRILL: _drill,
        Workflow.REMEDIATE: render_remedy_plan,
    }.get(workflow, nested)
    renderer(console, plan)


def _release(console: "Console", plan: Plan) -> None:
    steps = plan.get("steps") or ()
    facts(
        console,
        [
            ("decision", plan.get("decision")),
            ("from", _side(plan.get("from_colour"), plan.get("from_image"))),
            ("to", _side(plan.get("to_colour"), plan.get("image"))),
            ("replicas", plan.get("replicas")),
            ("needs healthy", plan.get("required_healthy")),
            ("steps", ", ".join(f"{step['weight']}% for {step['bake_seconds']}s" for step in steps)),
            *(("warning", warning) for warning in plan.get("warnings") or ()),
        ],
    )


def _side(colour: str | None, image: str | None) -> str:
    return f"{colour} {short_image(image)}" if colour else ""


def _snapshot(console: "Console", plan: Plan) -> None:
    quota = plan.get("quota") or {}
    # What a duplicate or a refused run would do, it would not.
    asked = (plan.get("request") or {}).get("components") or () if "take" in plan else ()
    facts(
        console,
        [
            ("decision", plan.get("decision")),
            ("hour", moment(plan["hour"]) if plan.get("hour") else None),
            ("quota", f"{quota['used']} of {quota['maximum']} manual snapshots used" if quota else None),
            ("copied", ", ".join(kind for kind in asked if kind not in ("database", "cache"))),
            *(("warning", warning) for warning in plan.get("warnings") or ()),
        ],
    )
    rows = [
        ("take", part["kind"], part["resource"], part.get("snapshot") or "-", _why(part))
        for part in plan.get("take") or ()
    ]
    rows += [
        ("has", part["kind"], part["resource"], part.get("id") or "-", _why(part)) for part in plan.get("known") or ()
    ]
    rows += [
        ("prune", part.get("kind", "database"), part["resource"], part["name"], _why(part))
        for part in plan.get("prune") or ()
    ]
    _table(console, ("", "COMPONENT", "OF", "NAME", "WHY"), rows)
    if plan.get("prune_deferred"):
        console.print(f"{plan['prune_deferred']} more are due for deletion, and left to later runs")
    if plan.get("prune_blocked"):
        console.print(f"nothing would be pruned: {plan['prune_blocked']}", style="yellow")


def _why(part: Mapping[str, Any]) -> str:
    phase = part.get("phase") or part.get("status")
    words = part.get("reason") or ""
    return f"{phase}: {words}" if phase in ("FAILED", "SKIPPED") else str(words)


def _restore(console: "Console", plan: Plan) -> None:
    parts = plan.get("parts") or {}
    facts(
        console,
        [
            ("decision", plan.get("decision")),
            ("mode", plan.get("mode")),
            ("removed by", moment(plan["expires_at"]) if plan.get("expires_at") else None),
        ],
    )
    for kind, part in parts.items():
        lost = part.get("lost_seconds")
        console.print()
        facts(
            console,
            [
                (kind, f"{part['source']['name']} -> {part['copy']['name']}"),
                ("  from", part.get("reason")),
                ("  data of", moment(part["at"]) if part.get("at") else None),
                ("  loses", f"{elapsed(lost)} up to now" if lost is not None else None),
                ("  compared with", (part.get("manifest") or {}).get("key")),
                *((f"  {name}", value) for name, value in _configured(part["copy"])),
            ],
        )
    _list(console, "cut over", plan.get("will_cut_over") or ())


def _drill(console: "Console", plan: Plan) -> None:
    manifest = plan.get("manifest") or {}
    names: Mapping[str, str] = plan.get("names") or {}
    sources: Mapping[str, Any] = plan.get("sources") or {}
    facts(
        console,
        [
            ("decision", plan.get("decision")),
            ("drill", plan.get("drill")),
            ("method", plan.get("method")),
            ("compared with", manifest.get("key")),
            ("gone by", moment(plan["expires_at"]) if plan.get("expires_at") else None),
        ],
    )
    for kind, name in names.items():
        console.print()
        copy = plan.get(kind) or {}
        facts(
            console,
            [
                (kind, f"{sources.get(kind, {}).get('identifier', '?')} -> {name}"),
                ("  from", copy.get("snapshot") or "the end of the log"),
                *((f"  {field}", value) for field, value in _configured(copy)),
            ],
        )
    rest = [kind for kind in plan.get("components") or () if kind not in names]
    _list(console, "read and checked", rest)
    _list(console, "torn down", (f"{kind} {name}" for kind, name in names.items()))


# What costs, or decides who can reach the copy.
_SHOWN = ("instance_class", "node_type", "engine_version", "subnet_group", "security_groups", "parameter_group")


def _configured(copy: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The part of a copy's configuration that a person decides by."""
    configuration = copy.get("configuration") or {}
    found = [(name.replace("_", " "), configuration.get(name)) for name in _SHOWN]
    return [(name, ", ".join(value) if isinstance(value, list) else value) for name, value in found]


def _list(console: "Console", title: str, items: Iterable[str]) -> None:
    found = list(items)
    if found:
        console.print()
        console.print(title)
        for item in found:
            console.print(f"  {item}")


def _table(console: "Console", columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        console.print()
        table(console, columns, rows)
