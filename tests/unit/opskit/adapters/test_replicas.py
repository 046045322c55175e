import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme

from opskit.adapters.kubernetes_api import KubernetesApi
from opskit.adapters.replicas import Eviction, PodAddress, Replicas
from opskit.decisions.capacity import Pods
from opskit.errors import ClusterError
from opskit.traffic import Colour

from .servers import Request, Server
from .test_cluster import Answers, api_server, deployment, ok, pem, refusal

POD = "/api/v1/namespaces/detection-api/pods/detection-api-green-1/eviction"
SCALER = "/apis/autoscaling/v2/namespaces/detection-api/horizontalpodautoscalers/detection-api-green"
GREEN = "/apis/apps/v1/namespaces/detection-api/deployments/detection-api-green"
BUDGET = "Cannot evict pod as it would violate the pod's disruption budget."
CREATED = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def replicas(authority: trustme.CA, answer: Answers) -> Iterator[tuple[Replicas, Server]]:
    with api_server(authority, answer) as server:
        api = KubernetesApi(server.url, pem(authority), lambda: "token")
        yield Replicas(api, namespace="detection-api", service="detection-api"), server


def refused(status: int, *causes: dict[str, str], message: str = BUDGET, reason: str = "TooManyRequests") -> Any:
    answered, headers, body = refusal(status, reason, message)
    document = json.loads(body) | {"details": {"causes": list(causes)}}
    return answered, headers | {"Retry-After": "10"}, json.dumps(document).encode()


def test_an_eviction_is_asked_for_by_name_and_uid(authority: trustme.CA) -> None:
    with replicas(authority, lambda _: (201, {}, b'{"kind": "Status", "status": "Success"}')) as (adapter, server):
        assert adapter.evict("detection-api-green-1", "u1") == Eviction(True, "evicted")
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", POD)
    assert json.loads(request.body) == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "detection-api-green-1", "namespace": "detection-api"},
        "deleteOptions": {"preconditions": {"uid": "u1"}},
    }


def test_a_budget_without_room_is_an_answer_and_asked_once(authority: trustme.CA) -> None:
    cause = {
        "reason": "DisruptionBudget",
        "message": "The disruption budget x needs 2 healthy pods and has 2 currently",
    }
    with replicas(authority, lambda _: refused(429, cause)) as (adapter, server):
        found = adapter.evict("detection-api-green-1", "u1")
    assert not found.evicted
    assert "violate the pod's disruption budget" in found.reason
    assert "needs 2 healthy pods and has 2 currently" in found.reason
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "reason"), [(404, "NotFound"), (409, "Conflict")])
def test_a_pod_that_is_gone_or_another_by_now_needs_no_eviction(
    authority: trustme.CA, status: int, reason: str
) -> None:
    with replicas(authority, lambda _: refused(status, message="not there", reason=reason)) as (adapter, _):
        found = adapter.evict("detection-api-green-1", "u1")
    assert found.evicted
    assert "not there" in found.reason


@pytest.mark.parametrize("status", [403, 429, 500])
def test_every_other_refusal_is_an_error(authority: trustme.CA, status: int) -> None:
    with replicas(authority, lambda _: refused(status, message="no")) as (adapter, _):  # noqa: SIM117
        with pytest.raises(ClusterError, match=f"{status} .*no"):
            adapter.evict("detection-api-green-1", "u1")


@pytest.mark.parametrize(
    ("scaler", "found"),
    [({"minReplicas": 2, "maxReplicas": 4}, Pods(3, 2, 4)), ({"maxReplicas": 4}, Pods(3, 1, 4)), (None, Pods(3))],
)
def test_the_number_of_pods_and_the_autoscaler_s_bounds(
    authority: trustme.CA, scaler: dict[str, int] | None, found: Pods
) -> None:
    def answer(request: Request) -> Any:
        if request.path == GREEN:
            return ok(deployment())
        assert request.path == SCALER
        return ok({"spec": scaler}) if scaler else refusal(404, "NotFound", "no")

    with replicas(authority, answer) as (adapter, _):
        assert adapter.pods(Colour.GREEN) == found


def test_there_may_be_no_deployment(authority: trustme.CA) -> None:
    with replicas(authority, lambda _: refusal(404, "NotFound", "no")) as (adapter, _):
        assert adapter.pods(Colour.GREEN) is None


def test_numbers_are_merged_and_nothing_else(authority: trustme.CA) -> None:
    with replicas(authority, lambda _: ok({})) as (adapter, server):
        adapter.raise_minimum(Colour.GREEN, 3)
        adapter.scale(Colour.GREEN, 3)
    assert [(request.method, request.path, json.loads(request.body)) for request in server.requests] == [
        ("PATCH", SCALER, {"spec": {"minReplicas": 3}}),
        ("PATCH", GREEN, {"spec": {"replicas": 3}}),
    ]
    assert {request.headers["content-type"] for request in server.requests} == {"application/merge-patch+json"}


def pod(name: str, *, host: str = "10.0.0.1", ip: str | None = "10.0.1.5", **changes: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"u-{name}", "creationTimestamp": "2026-11-23T12:00:00Z", **changes},
        "spec": {"containers": [{"ports": [{"containerPort": 8000, "hostPort": 31000}, {"containerPort": 9090}]}]},
        "status": {
            "hostIP": host,
            **({"podIP": ip} if ip else {}),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def test_where_pods_are_reached(authority: trustme.CA) -> None:
    items = [
        pod("c", ip=None),
        pod("b", host="10.0.1.5"),
        pod("a", deletionTimestamp="2026-11-23T12:01:00Z"),
    ]
    with replicas(authority, lambda _: ok({"items": items})) as (adapter, server):
        found = adapter.addresses(Colour.GREEN)
    assert server.requests[0].query["labelSelector"] == "app.kubernetes.io/name=detection-api,colour=green"
    assert found == (
        PodAddress("a", "u-a", CREATED, "10.0.1.5", (8000, 9090), True, True),
        PodAddress("b", "u-b", CREATED, "10.0.1.5", (31000, 9090), True, False),
        PodAddress("c", "u-c", CREATED, None, (8000, 9090), True, False),
    )
    targets = {"10.0.1.5:31000": "unhealthy", "10.0.1.5:8000": "healthy", "None:8000": "unhealthy"}
    assert [one.at(targets).ip for one in found] == ["10.0.1.5:8000", "10.0.1.5:31000", None]
