"""Whether a colour is ready to receive traffic."""

from collections.abc import Sequence
from dataclasses import dataclass

from opskit.adapters.balancer import Targets
from opskit.adapters.cluster import DeploymentState, PodState
from opskit.verdict import Outcome, Verdict

# Waiting reasons from which a container recovers only by a change: there is no point in waiting them out. A pull
# that failed is none of them, for the registry may have been slow or throttled it; the kubelet tries again.
HOPELESS = frozenset({"InvalidImageName", "CreateContainerConfigError"})
# Restarts after which a crash loop is taken as one.
CRASHES = 3


@dataclass(frozen=True, slots=True)
class Expected:
    """What the plan asked of the colour: `replicas` pods of `image`, and as many healthy targets as `required`."""

    image: str
    replicas: int
    required: int


def judge_rollout(
    expected: Expected,
    deployment: DeploymentState | None,
    targets: Targets,
    pods: Sequence[PodState],
    *,
    stable: int,
    stable_needed: int,
    out_of_time: bool,
) -> Verdict:
    """PASS after `stable_needed` polls in a row with the rollout complete *and* enough healthy targets.

    A balancer with only unhealthy targets still routes to them (ALB fails open), so healthy targets are
    counted, never traffic. `stable` is the number of good polls before this one. Of `pods`, those on their way
    out and those of another image say nothing about the version that is rolled out, and are passed over.
    """
    facts = {
        "replicas": expected.replicas,
        "ready": deployment.ready if deployment else 0,
        "healthy_targets": targets.healthy,
        "required_healthy": expected.required,
        "stable": 0,
    }
    complete, lacking = _complete(expected, deployment, targets)
    if complete:
        facts["stable"] = stable + 1
        if stable + 1 >= stable_needed:
            return Verdict(Outcome.PASS, f"{targets.healthy} of {targets.total} targets are healthy", facts)
        return Verdict(Outcome.WAIT, f"ready; seen {stable + 1} of {stable_needed} times", facts)
    ours = [pod for pod in pods if pod.image == expected.image and not pod.terminating]
    broken = _broken(ours)
    if broken:
        return Verdict(Outcome.FAIL, broken, facts)
    waiting = [f"pod {pod.name}: {pod.waiting_reason}" for pod in ours if pod.waiting_reason]
    detail = f" ({'; '.join([*waiting, *targets.reasons])})" if waiting or targets.reasons else ""
    if _overdue(deployment):
        return Verdict(Outcome.FAIL, f"the Deployment exceeded its progress deadline: {lacking}{detail}", facts)
    if out_of_time:
        return Verdict(Outcome.FAIL, f"not ready in time: {lacking}{detail}", facts)
    return Verdict(Outcome.WAIT, lacking, facts)


def _complete(expected: Expected, deployment: DeploymentState | None, targets: Targets) -> tuple[bool, str]:
    if deployment is None:
        return False, "the Deployment does not exist"
    available = min(deployment.updated, deployment.ready, deployment.available)
    lacking = {
        f"the Deployment still names {deployment.image}": deployment.image != expected.image,
        "the Deployment's controller has not seen the change yet": deployment.observed_generation
        < deployment.generation,
        f"{available} of {expected.replicas} pods are available": available < expected.replicas,
        f"{deployment.unavailable} pods are unavailable": deployment.unavailable > 0,
        f"{targets.healthy} of {expected.required} targets are healthy": targets.healthy < expected.required,
    }
    first = next((words for words, true in lacking.items() if true), "")
    return not first, first


def _broken(pods: Sequence[PodState]) -> str | None:
    for pod in pods:
        if pod.waiting_reason in HOPELESS:
            return f"pod {pod.name} cannot start: {pod.waiting_reason}"
        if pod.restarts >= CRASHES:
            return f"pod {pod.name} crashes: {pod.restarts} restarts"
    return None


def _overdue(deployment: DeploymentState | None) -> bool:
    # Until the controller has seen the change, the condition is about the rollout before it.
    return (
        deployment is not None
        and deployment.progress_deadline_exceeded
        and deployment.observed_generation >= deployment.generation
    )
