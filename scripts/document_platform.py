#!/usr/bin/env python3
"""Write what follows from terraform/: docs/terraform.md, docs/environments.md and the pictures docs/platform-*.svg.

    .venv/bin/python scripts/document_platform.py

The first is made of the files, the others of a plan of each environment, made offline with the provider for tests.
The tests fail when one is not what this would write.
"""

import itertools
import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from scripts.draw_platform import picture
from tests.infrastructure import terraform as tf
from tests.infrastructure.platform import Platform

DOCS = tf.ROOT / "docs"
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^# -- (.+?) -+$", re.MULTILINE)

# What people look for first; each is read from the plan.
_FACTS = (
    ("nodes, on demand", lambda p: _nodes(p, "on_demand")),
    ("nodes, spot", lambda p: _nodes(p, "spot")),
    ("NAT gateways", lambda p: len(p.of("nat_gateway"))),
    ("database", lambda p: p["db_instance.main"]["instance_class"]),
    ("storage of the database, growing up to", lambda p: _storage(p["db_instance.main"])),
    ("standby of the database", lambda p: p["db_instance.main"]["multi_az"]),
    ("read replicas", lambda p: len(p.of("db_instance", "replica"))),
    ("days of database backups", lambda p: p["db_instance.main"]["backup_retention_period"]),
    ("cache", lambda p: p["elasticache_replication_group.main"]["node_type"]),
    ("nodes of the cache", lambda p: p["elasticache_replication_group.main"]["num_cache_clusters"]),
    ("failover of the cache", lambda p: p["elasticache_replication_group.main"]["automatic_failover_enabled"]),
    ("encryption of the cache", lambda p: p["elasticache_replication_group.main"]["transit_encryption_enabled"]),
    ("HTTPS", lambda p: p.variables["https"]),
    ("deletion protection", lambda p: p.variables["deletion_protection"]),
    ("days for which backups are locked", lambda p: p.variables["backup_lock_days"]),
    ("days of logs", lambda p: p.variables["log_retention_days"]),
    ("detailed monitoring", lambda p: p.variables["detailed_monitoring"]),
)


def reference() -> str:
    """docs/terraform.md: the files, variables and outputs of terraform/."""
    lines = [
        "# The platform's Terraform",
        "",
        "Written by `scripts/document_platform.py`. What the environments set: [environments.md](environments.md),",
        "what the automation is told in [platform-contract.md](platform-contract.md).",
        "",
        "## Files",
        "",
        "| file | what is in it |",
        "| --- | --- |",
        *(
            f"| [`{path.name}`](../terraform/{path.name}) | {_purpose(path)} |"
            for path in sorted(tf.SOURCE.glob("*.tf"))
        ),
        "",
        "## Variables",
        "",
    ]
    text = (tf.SOURCE / "variables.tf").read_text()
    sections = [(found.start(), found[1]) for found in _SECTION.finditer(text)]
    heading = ""
    for found in _BLOCK.finditer(text):
        section = next((name for start, name in reversed(sections) if start < found.start()), "names")
        if section != heading:
            heading = section
            lines += ["", f"### {heading.capitalize()}", ""] if lines[-1] else [f"### {heading.capitalize()}", ""]
            lines += ["| variable | type | default | |", "| --- | --- | --- | --- |"]
        lines.append(f"| {' | '.join(_variable(found[2], found[3]))} |")
    lines += ["", "## Outputs", "", "| output | |", "| --- | --- |"]
    for found in _BLOCK.finditer((tf.SOURCE / "outputs.tf").read_text()):
        lines.append(f"| `{found[2]}` | {_argument(found[3], 'description')} |")
    return "\n".join(lines) + "\n"


def environments(platforms: dict[str, Platform]) -> str:
    """docs/environments.md: what each environment has, how they differ, and who talks to whom."""
    names = list(platforms)
    heading = [f"| | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    counts = {name: Counter(_kind(r.kind) for r in p.resources.values()) for name, p in platforms.items()}
    kinds = sorted(set().union(*counts.values()))
    differing = [kind for kind in kinds if len({counts[name][kind] for name in names}) > 1]
    lines = [
        "# Environments",
        "",
        "Written by `scripts/document_platform.py` from a plan of each environment.",
        "",
        "## What differs",
        "",
        *heading,
        *(_row(what, [read(platform) for platform in platforms.values()]) for what, read in _FACTS),
        "",
        "## How many resources",
        "",
        *heading,
        _row("all", [sum(counts[name].values()) for name in names]),
        *(_row(f"`{kind}`", [counts[name][kind] for name in names]) for kind in differing),
        "",
        f"The other {len(kinds) - len(differing)} types have the same number in each.",
        "",
        "## Every variable that is not the same everywhere",
        "",
        *heading,
        *(
            _row(f"`{name}`", [json.dumps(platform.variables.get(name)) for platform in platforms.values()])
            for name in sorted(set().union(*(platform.variables for platform in platforms.values())))
            if len({json.dumps(platform.variables.get(name)) for platform in platforms.values()}) > 1
        ),
        "",
        "## Who talks to whom",
        "",
        "Drawn from the plans by `scripts/draw_platform.py`: boxes are resources where they are placed, arrows the",
        "rules of security groups, routes, and who may write to which bucket. Production:",
        "",
        f"![Production](platform-{names[-1]}.svg)",
        "",
        f"The others: {', '.join(f'[{name}](platform-{name}.svg)' for name in names[:-1])}.",
    ]
    return "\n".join(lines) + "\n"


def planned() -> dict[str, Platform]:
    """Every environment's platform."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tf.serving(folder, known=True) as terraform:
            copy = tf.copy_configuration(folder / "terraform")
            return {name: Platform(name, terraform.plan(copy, name)) for name in tf.ENVIRONMENTS}


def pages(platforms: dict[str, Platform]) -> dict[Path, str]:
    """Each page and picture, and what it should be."""
    pictures = {DOCS / f"platform-{name}.svg": picture(platform) for name, platform in platforms.items()}
    return {DOCS / "terraform.md": reference(), DOCS / "environments.md": environments(platforms), **pictures}


def _purpose(path: Path) -> str:
    """The first sentence of the comment that a file begins with."""
    comment = itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
    text = " ".join(line.lstrip("# ") for line in comment)
    return re.match(r".*?\.(?= |$)", text)[0]  # type: ignore[index]


def _variable(name: str, body: str) -> tuple[str, str, str, str]:
    default = _argument(body, "default")
    kind = _argument(body, "type")
    shown = "required" if default is None else f"`{default}`"
    rules = re.findall(r'error_message = "(.*)"', body)
    return f"`{name}`", f"`{kind}`", shown, " ".join([str(_argument(body, "description")), *rules])


def _argument(body: str, name: str) -> str | None:
    found = re.search(rf"^  {name} += (.+)$", body, re.MULTILINE)
    return found and found[1].strip('"')


def _kind(kind: str) -> str:
    return kind.removeprefix("aws_")


def _row(what: str, values: list[Any]) -> str:
    shown = {True: "yes", False: "no"}
    cells = [shown[value] if isinstance(value, bool) else str(value) for value in values]
    return f"| {what} | {' | '.join(cells)} |"


def _nodes(platform: Platform, name: str) -> str:
    groups = platform.of("eks_node_group", name)
    if not groups:
        return "none"
    ((scaling,),) = [group["scaling_config"] for group in groups]
    return f"{scaling['min_size']} to {scaling['max_size']}, {', '.join(groups[0]['instance_types'])}"


def _storage(database: Any) -> str:
    return f"{database['allocated_storage']} GB, {database['max_allocated_storage']} GB"


def main() -> None:
    """Write the pages."""
    for path, text in pages(planned()).items():
        path.write_text(text)
        print(path.relative_to(tf.ROOT))  # noqa: T201


if __name__ == "__main__":
    main()
