"""What a release takes with the waits that are deployed to production and the work that was measured.

The work of each state is the median of what it took in the sandbox. The waits are the template's defaults. Two
durations belong to neither and are assumed, generously, because nothing here can measure them: see `ASSUMED`.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "template.yaml"

ASSUMED = {
    # Image pull on a warm node, start and readiness probe of a small service.
    "pods_ready": 30,
    # The load balancer controller registers a ready pod, and a new target is in service after one passed check at
    # the specification's interval of 30 s
    # (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html).
    "targets_healthy": 35,
}

WAITS = frozenset({"WaitForRollout", "Bake", "WaitForDrain"})
# Not part of a blue-green release that needs no approval.
POLLED = {"CheckRollout", "JudgeBake", "CheckDrained"}

Path_ = Sequence[tuple[str, float]]


class _Tolerant(yaml.CSafeLoader):
    """Reads a template without knowing CloudFormation's tags."""


_Tolerant.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def defaults() -> dict[str, float]:
    """The numeric parameters of the template with their defaults, which are production's values."""
    parameters = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Tolerant)["Parameters"]  # noqa: S506
    return {
        name: float(parameter["Default"]) for name, parameter in parameters.items() if parameter["Type"] == "Number"
    }


def production_seconds(measured: Sequence[Path_]) -> dict[str, Any]:
    """Seconds of a blue-green release without approval, and what they consist of.

    `measured` has the states of releases that succeeded, each with its seconds.
    """
    settings = defaults()
    by_state: dict[str, list[float]] = {}
    for path in measured:
        for name, seconds in path:
            if name not in WAITS:
                by_state.setdefault(name, []).append(seconds)
    work = {name: statistics.median(values) for name, values in by_state.items()}
    poll = settings["PollSeconds"]
    rollout = sum(ASSUMED.values()) + settings["StablePolls"] * poll
    bake = settings["BakeSeconds"] + settings["MetricDelaySeconds"] + settings["BakePollSeconds"]
    # The old colour has been without traffic for the whole bake when draining begins, so one look suffices unless
    # the drain is to last longer than the bake.
    drain = max(0.0, settings["DrainSeconds"] - bake) + poll
    looks = {
        "CheckRollout": rollout // poll,
        "JudgeBake": bake // settings["BakePollSeconds"],
        "CheckDrained": drain // poll,
    }
    assumed_work = work.get("CheckRollout", 0.1)
    worked = sum(work.get(name, assumed_work) * looks.get(name, 1) for name in {*work, *POLLED})
    total = rollout + bake + drain + worked
    return {
        "seconds": round(total, 1),
        "rollout_seconds": rollout,
        "bake_seconds": bake,
        "drain_seconds": drain,
        "work_seconds": round(worked, 1),
        "assumed": ASSUMED,
    }
