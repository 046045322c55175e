"""The components of a run's manifest, from what its steps have found."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from opskit.decisions.manifest import Component, Kind, Status
from opskit.decisions.taking import Part

# As `live` and the captured contents name the two; see `capture_contents`.
_NAMES = {Kind.DATABASE: "database", Kind.CACHE: "cache"}

Captured = Mapping[str, Mapping[str, Any]]


def resource_components(
    parts: Iterable[Part], live: Mapping[str, Mapping[str, Any] | None], before: Captured, after: Captured
) -> list[Component]:
    """A component for each part; that of the service's own resource VERIFIED only with its contents.

    A fleet's other databases are verified by status, size, encryption and tags, for nobody looks into them.
    """
    components = []
    for part in parts:
        component = part.component()
        own = live.get(_NAMES[part.kind])
        if own and own["identifier"] == part.resource and component.status is Status.VERIFIED:
            component = _with_contents(component, before.get(_NAMES[part.kind]), after.get(_NAMES[part.kind]))
            # What a restore must know of it when it is gone.
            component = replace(component, contents=component.contents | own.get("source", {}))
        components.append(component)
    return components


def other_component(kind: Kind, result: Mapping[str, Any] | None, problem: str | None) -> list[Component]:
    """The component that a step returned, or the one that says why it did not; none where it was not asked."""
    if result:
        return [Component.from_dict(result)]
    return [Component(kind, str(kind), Status.FAILED, problem)] if problem else []


def _with_contents(
    component: Component, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Component:
    contents: dict[str, Any] = {}
    for when, captured in (("before", before), ("after", after)):
        if captured is None or "contents" not in captured:
            problem = captured["problem"] if captured else "nobody looked"
            reason = f"its contents {when} the backup are not known: {problem}"
            return replace(component, status=Status.FAILED, reason=reason)
        contents[when] = captured["contents"]
    return replace(component, contents=component.contents | contents, counts=_counts(contents["before"]))


def _counts(contents: Mapping[str, Any]) -> dict[str, int]:
    if "rows" in contents:
        return {"tables": len(contents["rows"]), "rows": sum(contents["rows"].values())}
    return {"keys": contents["keys"], "expiring": contents["expiring"]}
