"""`python -m scripts.policy_use [--fresh] [DIRECTORY]`: join recordings with the template, write the report.

DIRECTORY holds what the sandboxes of a test run recorded. Without `--fresh`, what was known to be used before and is
still allowed stays known; so a run of some tests adds, and a run of none writes the page again.
"""

import argparse
import json
import sys
from pathlib import Path

from scripts.policy_use import used as recordings
from scripts.policy_use.allowed import ROOT, roles
from scripts.policy_use.explained import explanations, reason, unused
from scripts.policy_use.page import page

PAGE = ROOT / "docs" / "policy-use.md"
REPORT = ROOT / "out" / "policy-use.json"


def main() -> int:
    """Write docs/policy-use.json, docs/policy-use.md and out/policy-use.json; 1 if something is unexplained."""
    parser = argparse.ArgumentParser(prog="python -m scripts.policy_use", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="forget what was known before")
    parser.add_argument("directory", type=Path, nargs="?")
    chosen = parser.parse_args()
    files = sorted(chosen.directory.glob("*.jsonl")) if chosen.directory else []
    if chosen.directory and not files:
        parser.error(f"nothing was recorded in {chosen.directory}")
    allowed, known = roles(), explanations()
    before = {} if chosen.fresh else recordings.of_template(recordings.load(), allowed)
    used = recordings.merged(before, recordings.recorded(files, allowed))
    recordings.save(used)
    PAGE.write_text(page(allowed, used, known), encoding="utf-8")
    items = [(item, reason(item, known)) for item in unused(allowed, used)]
    report = {
        name: {
            "allowed": {label: vars(statement) for label, statement in role.statements.items()},
            "used": used.get(name, {}),
            "never_used": [
                {**vars(item), "why": found.why if found else None} for item, found in items if item.role == name
            ],
        }
        for name, role in allowed.items()
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    unexplained = [str(item) for item, found in items if found is None]
    for path in (recordings.KEPT, PAGE, REPORT):
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    for line in unexplained:
        sys.stderr.write(f"never used and not explained: {line}\n")
    return 1 if unexplained else 0


sys.exit(main())
