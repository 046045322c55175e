"""`make bench-release`: switches back and forth under load, and what a release takes with production's waits.

Half of the switches are releases to a version that is kept warm, half are rollbacks from it. A few releases of a
version that fails its clients follow, to time the rollback that the workflow itself decides on.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.bench.figures import progress, spread
from sandbox.bench.history import Passage, expect, passages
from sandbox.bench.production import production_seconds
from sandbox.load import Load, Plan, Report
from sandbox.operator import Operator
from sandbox.provision import setup
from sandbox.supervisor import Options, sandbox

OUT = Path(__file__).parents[2] / "out" / "bench" / "release.json"
RATE = 200.0
MOST_SECONDS = 3600
TARGET_ROLLBACK_SECONDS = 10.0
TARGET_RELEASE_SECONDS = 300.0


def seconds_to_confirmed(path: Sequence[Passage], decided: str | None, confirmed: str) -> float:
    """From the end of the last state `decided` (None: the start) to the end of the first state `confirmed` after."""
    start = 0.0 if decided is None else [p.left for p in path if p.name == decided][-1]
    return next(p.left for p in path if p.name == confirmed and p.left >= start) - start


def switch_back_and_forth(operator: Operator, count: int) -> tuple[list[list[Passage]], list[list[Passage]]]:
    """Release and roll back in turn, `count` switches in all; the passages of releases and of rollbacks."""
    releases, rollbacks = [], []
    for number in range(count):
        if number % 2 == 0:
            done = expect(operator.run(image="1.2.0", keep_warm=True, bake_seconds=0), "SUCCEEDED")
            releases.append(passages(operator, done.arn))
        else:
            done = expect(operator.run(operation="rollback", keep_warm=True), "SUCCEEDED")
            rollbacks.append(passages(operator, done.arn))
        progress(f"switch {number + 1} of {count}")
    return releases, rollbacks


def fail_clients(operator: Operator, count: int) -> list[list[Passage]]:
    """Release a version that fails its clients; the passages, with the rollback that was decided on."""
    found = []
    for number in range(count):
        version = f"bench-{number}"
        operator.push(version, "errors")
        done = expect(operator.run(image=version, bake_seconds=30, minimum_requests=50), "FAILED")
        if done.error != "BakeFailedError":
            raise SystemExit(f"{done.name} failed for another reason: {done.cause}")
        found.append(passages(operator, done.arn))
        operator.calm_alarms()
        progress(f"automatic rollback {number + 1} of {count}")
    return found


def measure(operator: Operator, switches: int, automatic: int) -> dict[str, Any]:
    """Run everything under load; the figures."""
    with Load(Plan(url=operator.config.service_url, rate=RATE, seconds=MOST_SECONDS)) as load:
        releases, rollbacks = switch_back_and_forth(operator, switches)
        clients = load.stop()
    with Load(Plan(url=operator.config.service_url, rate=RATE, seconds=MOST_SECONDS)) as load:
        failing = fail_clients(operator, automatic)
        suffered = load.stop()
    asked = spread([seconds_to_confirmed(path, None, "ShiftTraffic") for path in rollbacks])
    decided = spread([seconds_to_confirmed(path, "JudgeBake", "RestoreTraffic") for path in failing])
    release = production_seconds([[(p.name, p.seconds) for p in path] for path in releases])
    return {
        "switches": {"count": switches, **_clients(clients)},
        "rollback_seconds": {"asked_for": asked, "decided_by_the_workflow": decided},
        "bad_releases": {"count": automatic, **_clients(suffered)},
        "release_at_production_settings": release,
        "targets": {
            "failed_requests": {"target": 0, "met": clients.failed == 0},
            "rollback_seconds": {
                "target": TARGET_ROLLBACK_SECONDS,
                "met": max(asked["max"], decided["max"]) < TARGET_ROLLBACK_SECONDS,
            },
            "release_seconds": {
                "target": TARGET_RELEASE_SECONDS,
                "met": release["seconds"] <= TARGET_RELEASE_SECONDS,
            },
        },
    }


def _clients(report: Report) -> dict[str, Any]:
    return {
        "requests": report.requests,
        "failed": report.failed,
        "failures": report.failures,
        "rate": report.rate,
        "latency_seconds": {"p50": report.latency.p50, "p95": report.latency.p95, "p99": report.latency.p99},
    }


def main() -> int:
    """Run the benchmark; 0 if every target was met."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.bench.release", description=__doc__)
    parser.add_argument("--switches", type=int, default=100)
    parser.add_argument("--automatic", type=int, default=10, help="releases that fail their clients")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="ops-bench-") as directory,
        sandbox(Path(directory) / "sandbox", Options(setup=setup), progress=progress) as config,
    ):
        figures = measure(Operator(config), arguments.switches, arguments.automatic)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write("\n" + json.dumps(figures, indent=2) + "\n")
    return 0 if all(target["met"] for target in figures["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
