"""`make bench-recovery`: recovery time at AWS's durations, a restore beside the same by hand, and what is lost.

Three parts, each described where it is: `scaled_restore`, `random_moments`, `bare_restore`. With `--quick` all are so
small that the whole takes less than a minute; it shows that they work, and its times mean nothing.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.bench import bare_restore, durations, machine, random_moments, scaled_restore
from sandbox.bench.figures import progress
from sandbox.config import Config
from sandbox.operator import Operator
from sandbox.provision import setup
from sandbox.supervisor import Options, sandbox

OUT = Path(__file__).parents[2] / "out" / "bench"
FULL, TRIAL = "recovery.json", "recovery-trial.json"
PARTS = ("scaled", "moments", "bare")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured. `scale`: the clock of `scaled` runs so many times as fast as AWS's."""

    scale: float = 5.0
    restores: int = 20
    side_by_side: int = 2
    mebibytes: int = 1100
    repetitions: int = 3
    parts: tuple[str, ...] = PARTS


QUICK = Size(scale=200.0, restores=2, mebibytes=40, repetitions=1)


def sandboxes(size: Size, *, quick: bool) -> list[tuple[Mapping[str, str], tuple[str, ...]]]:
    """The sandboxes that it takes, one after the other: parameters of the stack, and the parts that are measured.

    The scaled restore has waits of its own, so it has a sandbox of its own, unless times do not matter.
    """
    waits = {name: str(seconds) for name, seconds in durations.scaled(size.scale).items()}
    groups = [("scaled", "moments", "bare")] if quick else [("scaled",), ("moments", "bare")]
    chosen = [tuple(part for part in group if part in size.parts) for group in groups]
    # The hour may be older than the schedule would allow.
    either = {"SnapshotEventAgeSeconds": "1000000"}
    return [({**either, **waits} if "scaled" in parts else either, parts) for parts in chosen if parts]


def measure(operator: Operator, size: Size, parts: tuple[str, ...]) -> dict[str, Any]:
    """The figures of some parts, by name, each with the seconds that it took."""
    measures: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
        "scaled": ("restore_at_aws_durations", lambda: scaled_restore.measure(operator, size.scale)),
        "moments": (
            "recovery_point",
            lambda: random_moments.measure(operator, size.restores, size.side_by_side),
        ),
        "bare": (
            "restore_beside_by_hand",
            lambda: bare_restore.measure(operator, size.mebibytes, size.repetitions),
        ),
    }
    found = {}
    for part in parts:
        name, run = measures[part]
        began = datetime.now(UTC)
        found[name] = run()
        found[name]["measuring_took_seconds"] = round((datetime.now(UTC) - began).total_seconds(), 1)
    return found


def targets(figures: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """What was to be reached, and whether it was: None where the run says nothing about it."""
    found: dict[str, Any] = {}
    if "restore_at_aws_durations" in figures:
        measured = figures["restore_at_aws_durations"]["as_measured"]
        seconds, ratio = float(measured["recovery_seconds"]), float(measured["ratio"])
        limit, most = scaled_restore.TARGET_SECONDS, scaled_restore.TARGET_RATIO
        found["recovery_seconds"] = {"target": limit, "found": seconds, "met": None if quick else seconds <= limit}
        found["recovery_ratio"] = {"target": most, "found": ratio, "met": None if quick else ratio <= most}
    if "recovery_point" in figures:
        point = figures["recovery_point"]
        rows, too_new = point["rows_lost"]["all"], point["rows_too_new"]
        found["rows_lost"] = {"target": 0, "found": rows, "met": rows == 0}
        found["rows_too_new"] = {"target": 0, "found": too_new, "met": too_new == 0}
    return found


def run(size: Size, *, quick: bool) -> dict[str, Any]:
    """Everything; the report."""
    began, here = datetime.now(UTC), machine.facts()
    figures: dict[str, Any] = {}
    for parameters, parts in sandboxes(size, quick=quick):
        with (
            tempfile.TemporaryDirectory(prefix="ops-bench-") as directory,
            sandbox(Path(directory) / "sandbox", Options(setup=_setup(parameters)), progress=progress) as config,
        ):
            figures |= measure(Operator(config), size, parts)
    return {
        "began_at": began.isoformat(timespec="seconds"),
        "took_seconds": round((datetime.now(UTC) - began).total_seconds(), 1),
        "trial": quick or size != Size(),
        "machine": here,
        **figures,
        "targets": targets(figures, quick=quick),
    }


def _setup(parameters: Mapping[str, str]) -> Callable[[Config, Callable[[str], None]], Mapping[str, Any]]:
    return lambda config, tell: setup(config, tell, engines=True, parameters=parameters)


def _size(arguments: argparse.Namespace) -> Size:
    given = {name: value for name, value in vars(arguments).items() if name != "quick" and value is not None}
    if "parts" in given:
        given["parts"] = tuple(part for part in PARTS if part in given["parts"])
    base = QUICK if arguments.quick else Size()
    return Size(**{name: given.get(name, getattr(base, name)) for name in Size.__dataclass_fields__})


def main() -> int:
    """Run the benchmark; 0 unless a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.bench.recovery", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="as small as can be, to see that it works")
    parser.add_argument("--scale", type=float, help="how many times as fast as AWS the clock runs (5)")
    parser.add_argument("--restores", type=int, help="restores to random moments (20)")
    parser.add_argument("--side-by-side", type=int, help="of them at a time (2)")
    parser.add_argument("--mebibytes", type=int, help="size of the database that is restored by hand too (1100)")
    parser.add_argument("--repetitions", type=int, help="of which so often (3)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="only these")
    arguments = parser.parse_args()
    report = run(_size(arguments), quick=arguments.quick)
    text = json.dumps(report, indent=2) + "\n"
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / (TRIAL if report["trial"] else FULL)).write_text(text, encoding="utf-8")
    sys.stdout.write("\n" + text)
    return 1 if any(target["met"] is False for target in report["targets"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
