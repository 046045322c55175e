"""Scan the plan of every environment with checkov:  python -m scripts.scan_platform [SARIF]

What is found and has no reason in terraform/policy-exceptions.yaml is printed and, as SARIF for GitHub's code scanning,
written to the file; the exit code then is 1. The plans are made offline with the provider for tests.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.document_platform import planned
from tests.infrastructure import terraform as tf
from tests.infrastructure.platform import Platform

CHECKOV = tf.ROOT / ".venv-checkov/bin/checkov"
EXCEPTIONS = yaml.safe_load((tf.SOURCE / "policy-exceptions.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True, order=True)
class Finding:
    """A failed check, of an environment's plan or of `bootstrap`."""

    environment: str
    check: str
    address: str
    name: str = ""
    guideline: str | None = None


def scan(platforms: Mapping[str, Platform]) -> list[Finding]:
    """Every failed check, excused or not."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for environment, platform in platforms.items():
            file = Path(folder) / f"{environment}.plan.json"
            file.write_text(json.dumps(platform.plan), encoding="utf-8")
            files += ["--file", str(file)]
        found = [*_checkov(*files, "--framework", "terraform_plan")]
    return [*found, *_checkov("--directory", str(tf.SOURCE / "bootstrap"), "--framework", "terraform")]


def excused(finding: Finding, exceptions: Iterable[Mapping[str, Any]] = EXCEPTIONS) -> bool:
    """Whether one of the exceptions is for it."""
    return any(
        finding.check == entry["check"]
        and finding.environment in (*entry.get("environments", tf.ENVIRONMENTS), "bootstrap")
        and any(
            finding.address == name or finding.address.startswith((f"{name}[", f"{name}."))
            for name in entry["resources"]
        )
        for entry in exceptions
    )


def sarif(findings: Iterable[Finding]) -> dict[str, Any]:
    """Findings as SARIF 2.1.0, at the block that declares the resource."""
    found = sorted(set(findings))
    rules = {
        finding.check: {
            "id": finding.check,
            "shortDescription": {"text": finding.name or finding.check},
            **({"helpUri": finding.guideline} if finding.guideline else {}),
        }
        for finding in found
    }
    results = [
        {
            "ruleId": finding.check,
            "level": "error",
            "message": {"text": f"{finding.environment}: {finding.address}: {finding.name or finding.check}"},
            "locations": [{"physicalLocation": _location(finding)}],
        }
        for finding in found
    ]
    driver = {"name": "checkov", "informationUri": "https://www.checkov.io/", "rules": list(rules.values())}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return {"$schema": schema, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _location(finding: Finding) -> dict[str, Any]:
    folder = tf.SOURCE / ("bootstrap" if finding.environment == "bootstrap" else "")
    kind, _, name = re.sub(r"\[.*", "", finding.address).partition(".")
    declared = re.compile(rf'^(?:resource|data) "{re.escape(kind)}" "{re.escape(name)}" \{{', re.MULTILINE)
    for path in sorted(folder.glob("*.tf")):
        text = path.read_text(encoding="utf-8")
        if block := declared.search(text):
            line = text.count("\n", 0, block.start()) + 1
            uri = str(path.relative_to(tf.ROOT))
            return {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
    return {"artifactLocation": {"uri": str((folder / "main.tf").relative_to(tf.ROOT))}, "region": {"startLine": 1}}


def _checkov(*arguments: str) -> Iterator[Finding]:
    command = [str(CHECKOV), *arguments, "--skip-download", "--quiet", "--compact", "--output", "json"]
    offline = os.environ | {"CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=offline, timeout=240, check=False)  # noqa: S603
    report = json.loads(done.stdout)
    if not report["summary"]["passed"]:
        raise RuntimeError(f"checkov has checked nothing: {done.stderr}")
    for failed in report["results"]["failed_checks"]:
        name = failed["file_path"].rpartition("/")[2].partition(".")[0]
        environment = name if name in tf.ENVIRONMENTS else "bootstrap"
        yield Finding(environment, failed["check_id"], failed["resource"], failed["check_name"], failed["guideline"])


def main() -> None:
    """Scan, tell, write."""
    found = scan(planned())
    bad = [finding for finding in found if not excused(finding)]
    for finding in bad:
        print(f"{finding.environment}: {finding.check}: {finding.address}: {finding.name}")  # noqa: T201
    if sys.argv[1:]:
        path = Path(sys.argv[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sarif(bad), indent=2) + "\n", encoding="utf-8")
    print(f"{len(bad)} findings; {len(found) - len(bad)} more have their reasons in policy-exceptions.yaml")  # noqa: T201
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
