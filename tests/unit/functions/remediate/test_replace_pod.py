"""The step that replaces a pod: one, by its uid, within the disruption budget."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from functions.remediate import replace_pod
from opskit.adapters.replicas import Eviction, PodAddress, Replicas
from opskit.errors import LockLostError
from opskit.step import Run
from opskit.traffic import Colour
from tests.unit.functions.conftest import START
from tests.unit.functions.remediate.acting import acting, announced, remediation


def pod(name: str, address: str, *, age: float = 3600, **changes: Any) -> PodAddress:
    created = START - timedelta(seconds=age)
    return replace(PodAddress(name, f"u-{name}", created, address, (8000,), True, False), **changes)


@dataclass
class Service:
    """Pods of each colour, what the balancer thinks of them, and who was evicted."""

    pods: dict[Colour, tuple[PodAddress, ...]]
    targets: dict[str, str]
    evicted: list[tuple[str, str]] = field(default_factory=list)
    answer: Eviction = field(default_factory=lambda: Eviction(True, "evicted"))

    def addresses(self, colour: Colour) -> tuple[PodAddress, ...]:
        return self.pods[colour]

    def evict(self, name: str, uid: str) -> Eviction:
        self.evicted.append((name, uid))
        return self.answer


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    double = Service(
        {
            Colour.BLUE: (pod("a", "10.0.1.1"), pod("b", "10.0.1.2"), pod("c", "10.0.1.3")),
            Colour.GREEN: (pod("g", "10.0.1.9"),),
        },
        {"10.0.1.1:8000": "healthy", "10.0.1.2:8000": "unhealthy", "10.0.1.3:8000": "healthy"},
    )
    monkeypatch.setattr(Replicas, "connect", lambda *_, **__: double)
    monkeypatch.setattr(replace_pod, "target_states", lambda _: double.targets)
    return double


@pytest.fixture
def run(run: Run) -> Run:
    return remediation(run, run.platform)


@pytest.fixture
def event(run: Run) -> dict[str, Any]:
    return acting(run, run.platform.target_group_blue_arn, older_than_seconds=120)


def call(event: dict[str, Any], run: Run) -> dict[str, Any]:
    done: dict[str, Any] = replace_pod.handler.__wrapped__(event, run)
    assert set(done) == {"done", "what", "facts", "capture"}
    return done


def test_the_pod_behind_the_unhealthy_target_is_evicted(run: Run, event: dict[str, Any], service: Service) -> None:
    done = call(event, run)
    assert done["done"]
    assert service.evicted == [("b", "u-b")]
    assert (done["facts"]["pod"], done["facts"]["target"]) == ("b", "10.0.1.2:8000")
    assert [facts["uid"] for facts in announced(run)] == ["u-b"]


@pytest.mark.parametrize(
    "targets",
    [
        {"10.0.1.1:8000": "healthy", "10.0.1.2:8000": "draining", "10.0.1.3:8000": "healthy"},
        {"10.0.1.1:8000": "healthy", "10.0.1.3:8000": "healthy"},
    ],
)
def test_a_pod_that_was_taken_out_because_it_is_not_ready_is_evicted(
    run: Run, event: dict[str, Any], service: Service, targets: dict[str, str]
) -> None:
    a, b, c = service.pods[Colour.BLUE]
    service.pods[Colour.BLUE] = (a, replace(b, ready=False), c)
    service.targets = targets
    assert call(event, run)["done"]
    assert service.evicted == [("b", "u-b")]


def test_a_pod_that_is_not_ready_but_still_serves_stays(run: Run, event: dict[str, Any], service: Service) -> None:
    a, b, c = service.pods[Colour.BLUE]
    service.pods[Colour.BLUE] = (a, replace(b, ready=False), c)
    service.targets = dict.fromkeys(service.targets, "healthy")
    assert not call(event, run)["done"]
    assert service.evicted == []


def test_what_is_repeated_is_about_the_same_pod(run: Run, event: dict[str, Any], service: Service) -> None:
    call(event, run)
    service.targets["10.0.1.3:8000"] = "unhealthy"
    service.answer = Eviction(True, "gone already")
    assert call(event, run)["done"]
    assert service.evicted == [("b", "u-b"), ("b", "u-b")]


def test_a_budget_without_room_is_the_reason_given(run: Run, event: dict[str, Any], service: Service) -> None:
    service.answer = Eviction(False, "it would violate the pod's disruption budget")
    done = call(event, run)
    assert not done["done"]
    assert "disruption budget" in done["what"]


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ({"10.0.1.1:8000": "healthy", "10.0.7.7:8000": "unhealthy"}, "no pod of this colour"),
        ({"10.0.1.1:8000": "healthy", "10.0.1.2:9090": "unhealthy"}, "no pod of this colour"),
        ({"10.0.1.1:8000": "healthy", "10.0.1.9:8000": "unhealthy"}, "no pod of this colour"),
        ({"10.0.1.1:8000": "healthy", "10.0.1.2:8000": "initial"}, "1 healthy, 1 initial"),
        ({"10.0.1.1:8000": "unhealthy", "10.0.1.2:8000": "unhealthy"}, "none of the 2 targets is healthy"),
        ({}, "targets: none"),
    ],
)
def test_a_target_that_is_no_pod_s_fault_costs_no_pod(
    run: Run, event: dict[str, Any], service: Service, targets: dict[str, str], words: str
) -> None:
    service.targets = targets
    done = call(event, run)
    assert not done["done"]
    assert words in done["what"]
    assert service.evicted == []
    assert announced(run) == []


def test_one_at_a_time_and_no_pod_that_has_only_begun(run: Run, event: dict[str, Any], service: Service) -> None:
    a, b, c = service.pods[Colour.BLUE]
    service.pods[Colour.BLUE] = (replace(a, terminating=True), b, c)
    assert "one at a time" in call(event, run)["what"]
    service.pods[Colour.BLUE] = (a, pod("b", "10.0.1.2", age=60), c)
    assert "younger than" in call(event, run)["what"]
    assert service.evicted == []


def test_another_target_group_is_none_of_ours(run: Run, service: Service) -> None:
    done = call(acting(run, "arn:aws:other", older_than_seconds=0), run)
    assert not done["done"]
    assert "not a target group of the service" in done["what"]
    assert service.evicted == []


def test_without_the_lock_no_pod_goes(run: Run, event: dict[str, Any], service: Service) -> None:
    run.ledger.seize(run.execution.id, owner="somebody", purpose="else", lease_seconds=60, name="remedy:resource")
    with pytest.raises(LockLostError):
        call(event, run)
    assert service.evicted == []
