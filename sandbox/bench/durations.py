"""How long AWS takes, where that is known from, and the stack's waits on a clock that runs faster.

Nobody publishes how long RDS takes to restore. What is public is how long the acceptance tests of the Terraform
provider take, as its maintainers paste their runs into pull requests: whole tests of small, nearly empty databases,
with creation and destruction. A test that restores, less one that only creates and destroys, is what the restore adds.
Such differences are between runs of different days; they are orders of magnitude, not promises.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.bench.production import defaults
from sandbox.kubernetes.manifests import Pace

_PROVIDER = "https://github.com/hashicorp/terraform-provider-aws"
_STORES = Path(__file__).parents[2] / "kubernetes" / "base" / "stores.yaml"


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds that AWS takes for something, what exactly that is, and the source."""

    seconds: float
    what: str
    source: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


DATABASE = Duration(
    790,
    "an instance restored from a snapshot, from the call until it is available. Derived: the test of such a restore "
    "(1,261 s) less that of an instance alone (475 s), and so too much rather than too little, for the snapshot "
    "itself (about 100 s) and the deletion of another instance are in it",
    f"{_PROVIDER}/issues/27801, {_PROVIDER}/issues/23560",
)
CACHE = Duration(
    648,
    "a replication group, from the call until it is available. The test of one that is created and destroyed, and so "
    "too much rather than too little: the destruction is in it; a snapshot is not loaded in it",
    f"{_PROVIDER}/issues/49428",
)
OTHERS = {
    "to a moment, the fastest test": Duration(
        801, "1,276 s less 475 s; the wait for the first backup is in it", f"{_PROVIDER}/issues/15969"
    ),
    "to a moment, the slowest test": Duration(
        1010, "1,485 s less 475 s; the wait for the first backup is in it", f"{_PROVIDER}/issues/33699"
    ),
    "from a snapshot, the slowest test": Duration(
        1267, "1,742 s less 475 s; a variant that modifies the instance after the restore", f"{_PROVIDER}/issues/27801"
    ),
}
"""Of which no restore is run: what the recovery time would be is reckoned with the overhead that was measured."""

COLD_START = Duration(
    1.0,
    "a function's first call, which every function of a restore is likely to be. Assumed: in the sandbox it costs "
    "milliseconds, and nothing here can measure it",
    "none",
)

LEAST = {
    "RestorePollSeconds": 1,
    "RestoreTimeoutSeconds": 60,
    "RestoreServicePollSeconds": 1,
    "RestoreServiceTimeoutSeconds": 25,
    "LeaseSeconds": 30,
    "RecoveryTimeTargetSeconds": 1,
}
"""The stack's waits that are scaled, and what they must be at least: what this machine does is not any faster."""


def scaled(scale: float) -> dict[str, int]:
    """The stack's parameters on a clock that runs `scale` times as fast; whole seconds, rounded up."""
    production = defaults()
    return {name: max(least, math.ceil(production[name] / scale)) for name, least in LEAST.items()}


def waits(scale: float) -> dict[str, dict[str, float]]:
    """Each wait in seconds: `production`'s, what it is `here`, and what that is on production's clock."""
    production, here = defaults(), scaled(scale)
    pairs = {name: (production[name], float(seconds)) for name, seconds in here.items()}
    pairs["ENDPOINT_POLL_SECONDS of the service"] = (_endpoint_poll(), float(Pace().endpoint_poll))
    return {
        name: {"production": given, "here": seconds, "here_on_productions_clock": round(seconds * scale, 3)}
        for name, (given, seconds) in pairs.items()
    }


def _endpoint_poll() -> float:
    documents = yaml.safe_load_all(_STORES.read_text(encoding="utf-8"))
    return next(float(one["data"]["ENDPOINT_POLL_SECONDS"]) for one in documents if one["kind"] == "ConfigMap")
