#!/usr/bin/env python3
"""Draw every statemachines/<name>.asl.json as docs/workflow-<name>.svg.

    .venv/bin/python -m scripts.draw_workflows      (make diagrams)

scripts/workflow_graph.py says what is left out. The tests fail when a picture is not of its definition.
"""

import hashlib
import html
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

from scripts.graphviz import svg
from scripts.workflow_graph import Reduced, gathered, reduce

ROOT = Path(__file__).parents[1]
_FILL = {"Succeed": "#dff0d8", "Fail": "#f6d9d5", "Choice": "#fdf3d0", "Task": "#dbe9f6"}
_FAILURE = 'style=dashed, color="#a94442", fontcolor="#a94442"'


def definitions() -> dict[str, Path]:
    """The definition of each workflow, by name."""
    return {path.name.removesuffix(".asl.json"): path for path in sorted((ROOT / "statemachines").glob("*.asl.json"))}


def picture_of(name: str) -> Path:
    """Where a workflow's picture is."""
    return ROOT / "docs" / f"workflow-{name}.svg"


def graph(name: str, text: str) -> str:
    """A definition in Graphviz's language."""
    found = reduce(json.loads(text))
    left_out = textwrap.fill("not drawn: " + ", ".join(found.folded), 110).replace("\n", "\\n")
    return "\n".join(
        [
            f'digraph "{name}" {{ rankdir=TB; nodesep=0.3; ranksep=0.4; bgcolor="white"; compound=true;',
            f'fontname="Helvetica"; fontsize=9; fontcolor="#777777"; labelloc=b; label="{left_out}";',
            'node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, color="#777777",',
            'margin="0.12,0.07"];',
            'edge [fontname="Helvetica", fontsize=9, color="#555555", fontcolor="#333333", arrowsize=0.7];',
            '"start" [label="", shape=circle, width=0.16, fillcolor="#555555"];',
            *(_arrow("start", way.target, way.label) for way in found.entries),
            *_boxes(found, ""),
            *_arrows(found, "", ""),
            "}",
        ]
    )


def _boxes(found: Reduced, prefix: str) -> Iterator[str]:
    """What is placed: steps, ends, notes of failures, and around them the frames of branches."""
    for name in found.kept:
        if not _joins(found, prefix, name):
            yield _box(found, prefix, name)
    for number, (_, errors, sources) in enumerate(gathered(found.failures)[1]):
        label = f"{errors or 'failure'}\\nof {len(sources)} steps"
        yield f'"{prefix}failures {number}" [label="{label}", shape=plaintext, style="", fontcolor="#a94442"];'
    for name, branches in found.branches.items():
        yield f'"{prefix}{name} joined" [label="", shape=circle, width=0.1, fillcolor="#555555"];'
        for number, branch in enumerate(branches):
            inner = f"{prefix}{name} {number} "
            yield f'subgraph "cluster {inner}" {{ label=""; style="rounded,filled"; fillcolor="#fafafa"; color="#bbb";'
            yield from _boxes(branch, inner)
            yield "}"


def _arrows(found: Reduced, prefix: str, joined: str) -> Iterator[str]:
    """The ways between; those that end a branch lead to `joined`, from where the state around it goes on."""

    def place(name: str) -> str:
        return joined if _joins(found, prefix, name) else prefix + name

    for way in found.ways:
        if way.source in found.kept and not _joins(found, prefix, way.source):
            leaves = f"{prefix}{way.source} joined" if way.source in found.branches else prefix + way.source
            yield _arrow(leaves, place(way.target), way.label)
    single, shared = gathered(found.failures)
    for way in single:
        yield _arrow(prefix + way.source, place(way.target), way.label or "fails", _FAILURE)
    for number, (target, _, _) in enumerate(shared):
        yield _arrow(f"{prefix}failures {number}", place(target), "", _FAILURE)
    for name, branches in found.branches.items():
        for number, branch in enumerate(branches):
            inner = f"{prefix}{name} {number} "
            for way in branch.entries:
                after = f"{prefix}{name} joined"
                target = after if _joins(branch, inner, way.target) else inner + way.target
                yield _arrow(prefix + name, target, way.label)
            yield from _arrows(branch, inner, f"{prefix}{name} joined")


def _joins(found: Reduced, prefix: str, name: str) -> bool:
    """A branch's own end is no end of the machine."""
    return bool(prefix) and found.states[name]["Type"] == "Succeed"


def _box(found: Reduced, prefix: str, name: str) -> str:
    kind = found.states[name]["Type"]
    label = f"{name}\\nside by side" if found.states[name].get("Branches") else name
    label = f"{name}\\nfor each" if kind == "Map" else label
    shape = ", shape=diamond, style=filled" if kind == "Choice" else ""
    return f'"{prefix}{name}" [label="{label}", fillcolor="{_FILL.get(kind, "white")}"{shape}];'


def _arrow(source: str, target: str, label: str, style: str = "") -> str:
    return f'"{source}" -> "{target}" [label="{label}"{", " + style if style else ""}];'


def origin(text: str) -> str:
    """What a picture says of the definition that it was drawn from."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"<!-- drawn by scripts/draw_workflows.py from a definition of sha256 {digest} -->"


def picture(name: str, text: str) -> str:
    """A definition as SVG; raises CalledProcessError if it cannot be laid out."""
    drawn = svg(graph(name, text))
    comment = html.escape(json.loads(text).get("Comment", name), quote=False)
    head, tag, rest = drawn.partition("<svg")
    opening, end, content = rest.partition(">")
    return f"{head}{origin(text)}\n{tag}{opening}{end}\n<desc>{comment}</desc>{content}"


def main() -> None:
    """Write all of them, and remove those of workflows that are gone."""
    wanted = {picture_of(name): path for name, path in definitions().items()}
    for stale in set((ROOT / "docs").glob("workflow-*.svg")) - wanted.keys():
        stale.unlink()
    for path, definition in wanted.items():
        name = definition.name.removesuffix(".asl.json")
        path.write_text(picture(name, definition.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
