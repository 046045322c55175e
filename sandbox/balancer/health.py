"""The health of one target, as a state machine without I/O.

Source: "Health checks for Application Load Balancer target groups" in the Elastic Load Balancing user guide
(states, thresholds, "after your target is registered, it must pass one health check to be considered
healthy") and the `TargetHealth` type of its API reference (reason codes).
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Target health states of the ELBv2 API."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Health:
    """What DescribeTargetHealth says of one target; a healthy one has neither reason nor description."""

    state: State
    reason: str | None = None
    description: str | None = None


REGISTERING = Health(State.INITIAL, "Elb.RegistrationInProgress", "Target registration is in progress")
CHECKING = Health(State.INITIAL, "Elb.InitialHealthChecking", "Initial health checks in progress")
HEALTHY = Health(State.HEALTHY)
DRAINING = Health(State.DRAINING, "Target.DeregistrationInProgress", "Target deregistration is in progress")
NOT_IN_USE = Health(
    State.UNUSED,
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one health check; a failed one says why with an ELBv2 reason code."""

    passed: bool
    reason: str | None = None
    description: str | None = None


PASSED = Outcome(True)
TIMED_OUT = Outcome(False, "Target.Timeout", "Request timed out")
NO_ANSWER = Outcome(False, "Target.FailedHealthChecks", "Health checks failed")


def code_mismatch(status: int) -> Outcome:
    """A check answered with a status outside the target group's matcher."""
    return Outcome(False, "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")


class HealthTracker:
    """Counts consecutive results and moves between initial, healthy and unhealthy."""

    def __init__(self) -> None:
        self.health = REGISTERING
        self._passes = 0
        self._failures = 0

    def record(self, outcome: Outcome, *, healthy_threshold: int, unhealthy_threshold: int) -> bool:
        """Take in one check's outcome; True if the state changed.

        A target in its initial state needs one passed check, an unhealthy one `healthy_threshold` in a row;
        `unhealthy_threshold` failures in a row make any target unhealthy.
        """
        before = self.health.state
        if outcome.passed:
            self._passes, self._failures = self._passes + 1, 0
            if before is State.INITIAL or self._passes >= healthy_threshold:
                self.health = HEALTHY
        else:
            self._passes, self._failures = 0, self._failures + 1
            if self._failures >= unhealthy_threshold or before is State.UNHEALTHY:
                self.health = Health(State.UNHEALTHY, outcome.reason, outcome.description)
            elif before is State.INITIAL:
                self.health = CHECKING
        return self.health.state is not before


def matches(codes: str, status: int) -> bool:
    """Whether a status lies in a matcher such as `200`, `200,202` or `200-299`."""
    for part in codes.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
