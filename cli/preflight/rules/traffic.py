"""Whether traffic goes where the ledger says, to what is fit for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cli.preflight.finding import Finding, failed, passed
from opskit.adapters.balancer import Targets
from opskit.adapters.cluster import DeploymentState, PodState
from opskit.adapters.probe import ProbeResult
from opskit.ledger import Live, ReleaseRecord
from opskit.traffic import Colour, Weights


def judge_weights(weights: Weights, live: Live | None, under_way: ReleaseRecord | None) -> Finding:
    """What the balancer does against what is recorded as live, or as meant by a release that is under way."""
    facts: dict[str, Any] = {"balancer": weights.as_dict()}
    if under_way is not None:
        meant = [one for one in (under_way.weights, under_way.intent) if one is not None]
        facts["meant"] = [one.as_dict() for one in meant]
        if not meant or weights in meant:
            return passed(f"{weights.words}, as {under_way.execution_name} means it, which is under way", **facts)
    elif live is None:
        if weights.whole:
            reason = f"{weights.words}; the ledger records nothing yet: nothing was released here"
            return passed(reason, "ops release is told so with the first release", **facts)
        return failed(f"{weights.words} is split, and nothing is recorded", "ops release --adopt-live", **facts)
    elif weights.whole is live.colour:
        return passed(f"{weights.words}, and the ledger says {live.colour} ({live.release})", **facts)
    said = f"{live.colour} ({live.release})" if live else "nothing yet"
    return failed(
        f"drift: the balancer has {weights.words}, the ledger says {said}",
        "somebody moved traffic past the workflows (ModifyListener in CloudTrail): "
        "ops rollback to make it whole, or ops release --adopt-live to take it as it is",
        **facts,
    )


def judge_targets(weights: Weights, targets: Mapping[Colour, Targets]) -> Finding:
    """Every target of a colour that gets traffic is healthy, and there are two at least."""
    problems, words, advice = [], [], "see the pods (docs/runbooks/release.md)"
    for colour, group in targets.items():
        serves = weights.of(colour) > 0
        words.append(f"{colour}: {group.healthy} of {group.total} healthy{'' if serves else ', no traffic'}")
        if not serves:
            continue
        if group.healthy == 0:
            problems.append(f"{colour} has traffic and no healthy target: the balancer fails open")
        elif group.unhealthy or group.initial:
            problems.append(f"{colour}: {'; '.join(group.reasons)}")
        elif group.healthy < 2:
            problems.append(f"{colour} has one healthy target: no redundancy")
    facts = {str(colour): group.as_dict() for colour, group in targets.items()}
    if problems:
        return failed("; ".join(problems), advice, **facts)
    return passed("; ".join(words), **facts)


def judge_health(url: str, answers: Mapping[str, ProbeResult]) -> Finding:
    """Every path answers with 2xx."""
    bad = {path: answer for path, answer in answers.items() if not answer.ok}
    facts = {"url": url, "answers": {path: answer.status or answer.error for path, answer in answers.items()}}
    if not bad:
        return passed(f"{', '.join(answers)} of {url} answer", **facts)
    told = "; ".join(f"{path}: {answer.status or answer.error}" for path, answer in bad.items())
    return failed(f"{url} {told}", "see ops status, the targets and the service's log", **facts)


def judge_pods(
    serving: Sequence[Colour],
    deployments: Mapping[Colour, DeploymentState],
    pods: Mapping[Colour, Sequence[PodState]],
) -> Finding:
    """Every pod of a colour that gets traffic is running and ready, as many as are wanted."""
    problems, words = [], []
    for colour in serving:
        deployment = deployments.get(colour)
        if deployment is None:
            problems.append(f"{colour} has traffic and no Deployment")
            continue
        staying = [pod for pod in pods[colour] if not pod.terminating]
        wrong = [pod for pod in staying if not (pod.ready and pod.phase == "Running")]
        problems += [f"{pod.name} is {pod.waiting_reason or pod.phase}, not ready" for pod in wrong]
        ready = len(staying) - len(wrong)
        if ready < deployment.replicas:
            problems.append(f"{colour}: {ready} of {deployment.replicas} pods are ready")
        if deployment.replicas == 0:
            problems.append(f"{colour} has traffic and is scaled to 0")
        restarts = sum(pod.restarts for pod in staying)
        words.append(f"{colour}: {ready} of {deployment.replicas} pods ready, {restarts} restarts")
    if problems:
        return failed("; ".join(problems), "kubectl describe pod, and the pod's log; ops rollback if it is the version")
    return passed("; ".join(words))
