"""Pods that the balancer was told to forget because they are not ready: they are what was unhealthy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from opskit.decisions.unhealthy import HEALTHY, UNHEALTHY, Pod


def with_taken_out(pods: Sequence[Pod], targets: Mapping[str, str]) -> tuple[list[Pod], dict[str, str]]:
    """`pods` and the states of their `targets`, in which a pod that is not ready counts as unhealthy.

    The load balancer controller takes a pod out of the target group when it is not ready any more. Its target drains
    then, and is gone a little later, while the pod stays as broken as it is. One that the balancer still calls healthy
    serves, whatever its readiness; one that is only starting is told by its age.
    """
    seen, states = [], dict(targets)
    for pod in pods:
        # A pod that has no target any more goes by its name.
        place = pod.ip or pod.name
        if not pod.ready and not pod.terminating and states.get(place) != HEALTHY:
            states[place] = UNHEALTHY
            seen.append(replace(pod, ip=place))
        else:
            seen.append(pod)
    return seen, states
