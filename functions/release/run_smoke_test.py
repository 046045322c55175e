"""Release: the new version, asked through the balancer's test route, before any client is sent to it."""

from typing import Any

from opskit.adapters.probe import Probe
from opskit.decisions.smoke import judge_smoke
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the verdict on one round of smoke tests."""
    colour = Colour(event["plan"]["to_colour"])
    run.hold(event)
    probe = Probe(run.platform.service_url, run.platform.test_header, colour)
    paths = [path.strip() for path in event["settings"]["smoke_paths"].split(",") if path.strip()]
    verdict = judge_smoke({path: probe.get(path) for path in paths}, colour)
    run.ledger.update_record(run.record_key, "smoke test", verdict.as_dict())
    return verdict.as_dict()
