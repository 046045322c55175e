"""Whether the new version answers as it should, before any client is sent to it."""

from collections.abc import Mapping

from opskit.adapters.probe import ProbeResult
from opskit.traffic import Colour
from opskit.verdict import Outcome, Verdict


def judge_smoke(results: Mapping[str, ProbeResult], colour: Colour) -> Verdict:
    """PASS when every path answered 200, and an answer that names its colour names the right one.

    `results` maps each path to what the probe got through the balancer's test route to `colour`.
    """
    facts = {path: {"status": r.status, "seconds": r.seconds, "error": r.error} for path, r in results.items()}
    if not results:
        return Verdict(Outcome.INCONCLUSIVE, "no smoke test is configured", facts)
    for path, result in results.items():
        if result.error:
            return Verdict(Outcome.FAIL, f"GET {path}: {result.error}", facts)
        if result.status != 200:
            return Verdict(Outcome.FAIL, f"GET {path} answered {result.status}", facts)
        said = result.body_json.get("colour") if isinstance(result.body_json, dict) else None
        if said not in {None, colour.value}:
            return Verdict(Outcome.FAIL, f"GET {path}: the test route to {colour} reached {said}", facts)
    return Verdict(Outcome.PASS, f"{', '.join(results)} answered 200 through the test route", facts)
