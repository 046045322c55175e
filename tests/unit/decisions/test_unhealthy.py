from typing import Any

import pytest

from opskit.decisions.unhealthy import Pod, Replacement, pod_to_replace

from .remediation import NOW, ago


def pod(number: int, seconds: float = 9000, **changed: Any) -> Pod:
    given = {
        "name": f"api-blue-{number}",
        "uid": f"uid-{number}",
        "ip": f"10.0.1.{number}",
        "created_at": ago(seconds),
        "ready": True,
    }
    return Pod(**(given | changed))


def replaced(pods: list[Pod], **targets: str) -> Replacement:
    states = {name.replace("ip", "10.0.1."): state for name, state in targets.items()}
    return pod_to_replace(pods, states, NOW, older_than_seconds=120)


def test_the_pod_whose_target_is_unhealthy_is_replaced() -> None:
    found = replaced([pod(1), pod(2), pod(3)], ip1="healthy", ip2="unhealthy", ip3="healthy")
    assert found.pod == pod(2)
    assert found.reason == "api-blue-2: its target 10.0.1.2 is unhealthy, and 0 others are"


def test_one_at_a_time_the_oldest_first() -> None:
    pods = [pod(1), pod(2, 300), pod(3, 400)]
    found = replaced(pods, ip1="healthy", ip2="unhealthy", ip3="unhealthy")
    assert found.pod == pods[2]
    leaving = replaced([*pods, pod(4, terminating=True)], ip1="healthy", ip2="unhealthy", ip3="unhealthy")
    assert leaving == Replacement(None, "api-blue-4 is being replaced already; one at a time")
    itself = replaced([pod(1), pod(2, terminating=True)], ip1="healthy", ip2="unhealthy")
    assert itself.pod is None


@pytest.mark.parametrize(
    ("pods", "targets", "words"),
    [
        ([pod(1), pod(2)], {"ip1": "unhealthy", "ip2": "unhealthy"}, "the cause is not one pod"),
        ([pod(1)], {"ip1": "unhealthy"}, "none of the 1 targets is healthy"),
        ([pod(1), pod(2)], {"ip1": "initial", "ip2": "unhealthy"}, "the cause is not one pod"),
        ([pod(1), pod(2, 119)], {"ip1": "healthy", "ip2": "unhealthy"}, "younger than 120 s"),
        ([pod(1), pod(2)], {"ip1": "healthy", "ip2": "draining"}, "no pod of this colour has an unhealthy target"),
        ([pod(1), pod(2)], {"ip1": "healthy", "ip9": "unhealthy"}, "no pod of this colour"),
        ([pod(1), pod(2, ip=None)], {"ip1": "healthy", "ip2": "unhealthy"}, "no pod of this colour"),
        ([], {"ip2": "unhealthy"}, "no pod of this colour"),
        ([pod(1), pod(2, ready=False)], {}, "no pod of this colour"),
    ],
)
def test_none_is_replaced_where_that_would_not_help(pods: list[Pod], targets: dict[str, str], words: str) -> None:
    found = replaced(pods, **targets)
    assert found.pod is None
    assert words in found.reason


def test_a_frozen_pod_that_is_not_ready_any_more_is_replaced_too() -> None:
    assert replaced([pod(1), pod(2, 120, ready=False)], ip1="healthy", ip2="unhealthy").pod is not None
    assert pod(1).as_dict()["created_at"] == "2026-11-23T09:30:00.000000Z"
