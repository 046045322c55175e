"""Whether the new version serves as well as the old one: the judgement of a bake."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from opskit.adapters.alarms import AlarmState
from opskit.adapters.balancer import Targets
from opskit.adapters.metrics import TrafficSample
from opskit.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as worse.

    Attributes:
        minimum_requests: requests of a version below which nothing is concluded from them.
        error_rate_increase: how far the new version's 5xx rate may lie above the old one's (0.01 = one point).
        latency_factor: how many times the old version's p95 the new one's may be ...
        latency_increase_seconds: ... provided that it is at least this much more.
        latency_limit_seconds: p95 allowed where the old version gives nothing to compare with.
    """

    minimum_requests: int
    error_rate_increase: float
    latency_factor: float
    latency_increase_seconds: float
    latency_limit_seconds: float


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Where in the bake we are, in seconds: baked so far, the bake's length, and the extra wait it may be granted."""

    seconds: float
    bake_seconds: float
    extra_seconds: float

    @property
    def over(self) -> bool:
        """The bake's own time is over."""
        return self.seconds >= self.bake_seconds

    @property
    def exhausted(self) -> bool:
        """The extra wait is over as well."""
        return self.seconds >= self.bake_seconds + self.extra_seconds


def judge_bake(
    new: TrafficSample | None,
    old: TrafficSample | None,
    targets: Targets,
    alarms: Sequence[AlarmState] | None,
    *,
    required_healthy: int,
    elapsed: Elapsed,
    rules: Rules,
) -> Verdict:
    """FAIL as soon as the new version is seen to be worse; PASS only at the end of the bake and on enough traffic.

    `new` or `alarms` is None when they could not be read; `old` is None when there is nothing to compare with, and
    taken for None below the minimum of requests: a few that failed would excuse as many of the new version's.
    Too little traffic, missing data and failed reads are INCONCLUSIVE, after the extra wait.
    """
    facts = _facts(new, old, targets)
    reference = old if old and old.requests >= rules.minimum_requests else None
    worse = _worse(new, reference, targets, alarms, rules)
    if worse:
        return Verdict(Outcome.FAIL, worse, facts)
    lacking = _lacking(new, targets, alarms, required_healthy, rules)
    if not elapsed.over:
        return Verdict(Outcome.WAIT, lacking or _good(new), facts)
    if not lacking:
        return Verdict(Outcome.PASS, _good(new), facts)
    if not elapsed.exhausted:
        return Verdict(Outcome.WAIT, f"waiting longer: {lacking}", facts)
    return Verdict(Outcome.INCONCLUSIVE, lacking, facts)


def _worse(
    new: TrafficSample | None,
    old: TrafficSample | None,
    targets: Targets,
    alarms: Sequence[AlarmState] | None,
    rules: Rules,
) -> str | None:
    if targets.healthy == 0:
        return "none of the new version's targets is healthy"
    compared = _compare(new, old, rules) if new and new.requests >= rules.minimum_requests else None
    if compared:
        return compared
    return next((f"alarm {alarm.name} is firing: {alarm.reason}" for alarm in alarms or () if alarm.firing), None)


def _compare(new: TrafficSample, old: TrafficSample | None, rules: Rules) -> str | None:
    allowed = rate(old) + rules.error_rate_increase
    if rate(new) > allowed:
        compared = f"the old version: {rate(old):.1%}" if old else "no old version to compare with"
        return f"{new.errors} of {new.requests} requests failed ({rate(new):.1%}; {compared}, allowed: {allowed:.1%})"
    return _slower(new, old, rules)


def _slower(new: TrafficSample, old: TrafficSample | None, rules: Rules) -> str | None:
    if new.p95_seconds is None:
        return None
    if old is None or old.p95_seconds is None:
        if new.p95_seconds > rules.latency_limit_seconds:
            return f"p95 is {new.p95_seconds:.3f} s (limit: {rules.latency_limit_seconds:.3f} s)"
        return None
    more = new.p95_seconds - old.p95_seconds
    if new.p95_seconds > old.p95_seconds * rules.latency_factor and more >= rules.latency_increase_seconds:
        return f"p95 is {new.p95_seconds:.3f} s (the old version: {old.p95_seconds:.3f} s)"
    return None


def _lacking(
    new: TrafficSample | None,
    targets: Targets,
    alarms: Sequence[AlarmState] | None,
    required_healthy: int,
    rules: Rules,
) -> str | None:
    if alarms is None:
        return "the alarms could not be read"
    if new is None:
        return "the new version's metrics could not be read"
    if new.requests < rules.minimum_requests:
        return f"{new.requests} requests so far; {rules.minimum_requests} are needed to judge"
    if new.p95_seconds is None:
        return "no response times were reported"
    if targets.healthy < required_healthy:
        return f"{targets.healthy} of {required_healthy} targets are healthy"
    return None


def rate(sample: TrafficSample | None) -> float:
    """Failed share of a sample's requests; 0 where there were none."""
    return sample.errors / sample.requests if sample and sample.requests else 0.0


def _good(new: TrafficSample | None) -> str:
    if new is None or new.p95_seconds is None:
        return "no data yet"
    return f"{new.requests} requests, {rate(new):.1%} failed, p95 {new.p95_seconds:.3f} s"


def _facts(new: TrafficSample | None, old: TrafficSample | None, targets: Targets) -> dict[str, Any]:
    return {
        "new": new.as_dict() if new else None,
        "old": old.as_dict() if old else None,
        "healthy_targets": targets.healthy,
    }
