"""What a disruption budget holds up and what it lets go. That pods are replaced shows test_operator_causes."""

from typing import Any

import pytest

from sandbox.kubernetes import evictions
from sandbox.kubernetes.api import Api
from sandbox.kubernetes.controllers import conditions
from sandbox.kubernetes.controllers.owners import reference
from sandbox.kubernetes.errors import StatusError
from sandbox.kubernetes.resources import (
    BUDGETS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    Target,
    discovery,
    resolve,
)
from sandbox.kubernetes.store import Key, Object, Store

LABELS = {"app": "api"}


class Cluster:
    """A Deployment of `replicas` pods, and what can be done to them."""

    def __init__(self, replicas: int = 3) -> None:
        self.store = Store()
        self.api = Api(self.store)
        deployment = self._create(DEPLOYMENTS, "api", {"replicas": replicas})
        self.replica_set = self._create(REPLICA_SETS, "api-1", {"replicas": replicas}, owner=deployment)
        for number in range(replicas):
            self.add(f"pod-{number}")

    def _create(self, kind: Any, name: str, spec: Object, owner: Object | None = None, **more: Any) -> Object:
        metadata = {"name": name, "namespace": "n", "labels": LABELS}
        if owner is not None:
            metadata["ownerReferences"] = [reference(owner)]  # type: ignore[assignment]
        return self.store.create(kind, {"metadata": metadata, "spec": spec, **more})

    def add(self, name: str, *, ready: bool = True, phase: str = "Running") -> None:
        status = {"phase": phase, "conditions": []}
        self._create(PODS, name, {"terminationGracePeriodSeconds": 5}, self.replica_set, status=status)
        self.set_ready(name, ready)

    def set_ready(self, name: str, ready: bool) -> None:
        with self.store.editing(Key(PODS, "n", name)) as pod:
            conditions.put(pod, "Ready", ready)

    def budget(self, name: str = "api", selector: Object | None = None, **spec: Any) -> None:
        self._create(BUDGETS, name, {"selector": selector or {"matchLabels": LABELS}, **spec})

    def standing(self, name: str = "api") -> evictions.Standing:
        return evictions.standing_of(self.store, self.store.get(Key(BUDGETS, "n", name)))

    def evict(self, name: str, *, dry_run: bool = False, **body: Any) -> Object:
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, **body}
        return self.api.evict(Target(PODS, "n", name, "eviction"), eviction, dry_run=dry_run)

    def ending(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.store.select(PODS) if "deletionTimestamp" in pod["metadata"]}


def refused(cluster: Cluster, name: str, **body: Any) -> StatusError:
    with pytest.raises(StatusError) as caught:
        cluster.evict(name, **body)
    return caught.value


def test_as_many_go_as_the_budget_allows_and_then_it_says_why_not() -> None:
    cluster = Cluster(3)
    cluster.budget(maxUnavailable=1)
    answer = cluster.evict("pod-0")
    assert (answer["kind"], answer["status"], answer["code"]) == ("Status", "Success", 201)
    error = refused(cluster, "pod-1")
    assert (error.code, error.reason) == (429, "TooManyRequests")
    assert error.message == "Cannot evict pod as it would violate the pod's disruption budget."
    assert error.details is not None
    assert error.details["causes"] == [
        {"reason": "DisruptionBudget", "message": "The disruption budget api needs 2 healthy pods and has 2 currently"}
    ]
    assert cluster.ending() == {"pod-0"}
    # As soon as the replacement is ready, the next may go.
    cluster.add("pod-3")
    cluster.evict("pod-1")
    assert cluster.ending() == {"pod-0", "pod-1"}


@pytest.mark.parametrize(
    ("spec", "standing"),
    [
        ({"maxUnavailable": 1}, (4, 4, 3)),
        ({"maxUnavailable": "50%"}, (4, 4, 2)),
        ({"maxUnavailable": "30%"}, (4, 4, 2)),  # rounded up
        ({"maxUnavailable": 0}, (4, 4, 4)),
        ({"maxUnavailable": 9}, (4, 4, 0)),
        ({"minAvailable": 3}, (4, 4, 3)),
        ({"minAvailable": "60%"}, (4, 4, 3)),
        ({}, (4, 4, 1)),
    ],
)
def test_what_a_budget_comes_to(spec: dict[str, Any], standing: tuple[int, int, int]) -> None:
    cluster = Cluster(4)
    cluster.budget(**spec)
    found = cluster.standing()
    assert (found.expected, found.healthy, found.desired) == standing
    assert found.allowed == 4 - standing[2]


def test_a_pod_that_is_not_ready_goes_under_always_allow_whatever_the_rest_does() -> None:
    cluster = Cluster(2)
    cluster.budget(maxUnavailable=0, unhealthyPodEvictionPolicy="AlwaysAllow")
    assert refused(cluster, "pod-0").code == 429
    cluster.set_ready("pod-0", False)
    cluster.evict("pod-0")
    assert cluster.ending() == {"pod-0"}


def test_without_it_only_while_enough_others_are_healthy() -> None:
    cluster = Cluster(3)
    cluster.budget(minAvailable=2)
    cluster.set_ready("pod-0", False)
    cluster.set_ready("pod-1", False)
    assert refused(cluster, "pod-0").code == 429
    cluster.set_ready("pod-1", True)
    cluster.evict("pod-0")
    assert refused(cluster, "pod-1").code == 429


def test_what_ends_or_has_not_begun_is_no_disruption() -> None:
    cluster = Cluster(1)
    cluster.budget(maxUnavailable=0)
    cluster.add("waiting", ready=False, phase="Pending")
    cluster.add("done", ready=False, phase="Succeeded")
    for name in ("waiting", "done", "waiting"):
        cluster.evict(name)
    assert cluster.ending() == {"waiting", "done"}


def test_a_budget_of_others_holds_up_nobody() -> None:
    cluster = Cluster(2)
    cluster.budget("others", {"matchLabels": {"app": "other"}}, maxUnavailable=0)
    cluster.evict("pod-0")
    assert cluster.ending() == {"pod-0"}


def test_two_budgets_for_one_pod_are_not_supported() -> None:
    cluster = Cluster(2)
    cluster.budget("first", maxUnavailable=2)
    cluster.budget("second", maxUnavailable=2)
    assert refused(cluster, "pod-1").code == 500


def test_an_eviction_is_checked_before_it_is_done() -> None:
    cluster = Cluster(2)
    assert refused(cluster, "pod-0", kind="Pod").code == 400
    assert refused(cluster, "pod-0", metadata={"name": "pod-1"}).code == 400
    assert refused(cluster, "pod-0", deleteOptions={"preconditions": {"uid": "another"}}).code == 409
    assert refused(cluster, "none").code == 404
    cluster.evict("pod-0", dry_run=True)
    cluster.evict("pod-0", deleteOptions={"dryRun": ["All"]})
    assert cluster.ending() == set()


def test_the_subresource_is_found_and_listed() -> None:
    target = resolve("/api/v1/namespaces/n/pods/pod-0/eviction")
    assert (target.resource, target.name, target.subresource) == (PODS, "pod-0", "eviction")
    listed = discovery("/api/v1") or {}
    (entry,) = [one for one in listed["resources"] if one["name"] == "pods/eviction"]
    assert (entry["kind"], entry["verbs"]) == ("Eviction", ["create"])
