import base64
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme
from botocore.stub import Stubber

from opskit.adapters.cluster import Cluster, DeploymentState, PodState
from opskit.adapters.kubernetes_api import KubernetesApi
from opskit.errors import ClusterError
from opskit.platform import Platform
from opskit.traffic import Colour

from .conftest import aws_client
from .servers import Reply, Request, Server, serve

GREEN = "/apis/apps/v1/namespaces/detection-api/deployments/detection-api-green"
PODS = "/api/v1/namespaces/detection-api/pods"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/detection-api@sha256:" + "a" * 64

Answers = Callable[[Request], Reply]


def ok(body: Any) -> Reply:
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def refusal(status: int, reason: str, message: str) -> Reply:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": status}
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


def deployment(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "detection-api-green", "generation": 7},
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": {"annotations": {"detection-ops/release": "release-6"}},
                "spec": {"containers": [{"name": "proxy", "image": "proxy:1"}, {"name": "app", "image": IMAGE}]},
            },
        },
        "status": status,
    }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def api_server(authority: trustme.CA, answer: Answers) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serve(answer, context) as server:
        yield server


@contextmanager
def cluster(authority: trustme.CA, answer: Answers) -> Iterator[tuple[Cluster, Server]]:
    with api_server(authority, answer) as server:
        api = KubernetesApi(server.url, pem(authority), lambda: "token")
        yield Cluster(api, namespace="detection-api", service="detection-api"), server


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def test_connects_as_the_operator_with_the_cluster_s_own_authority(platform: Platform, authority: trustme.CA) -> None:
    with api_server(authority, lambda _: ok(deployment())) as server:
        eks = aws_client("eks")
        described = {
            "name": "detection-api-dev",
            "status": "ACTIVE",
            "endpoint": server.url,
            "certificateAuthority": {"data": base64.b64encode(authority.cert_pem.bytes()).decode()},
        }
        sts = aws_client("sts")
        assumed = {
            "AccessKeyId": "ASIAEXAMPLEEXAMPLE",
            "SecretAccessKey": "secret",
            "SessionToken": "session",
            "Expiration": datetime(2026, 1, 31, tzinfo=UTC),
        }
        role = {
            "RoleArn": platform.cluster_operator_role_arn,
            "RoleSessionName": "release-7",
            "DurationSeconds": 900,
        }
        with Stubber(eks) as eks_stub, Stubber(sts) as sts_stub:
            eks_stub.add_response("describe_cluster", {"cluster": described}, {"name": "detection-api-dev"})
            sts_stub.add_response("assume_role", {"Credentials": assumed}, role)
            connected = Cluster.connect(platform, session_name="release-7", eks=eks, sts=sts)
            assert server.requests == []
            assert connected.deployment(Colour.GREEN)

    (request,) = server.requests
    assert request.headers["authorization"].startswith("Bearer k8s-aws-v1.")
    assert request.path == GREEN


def test_an_unknown_cluster_and_one_without_endpoint_are_errors(platform: Platform) -> None:
    eks = aws_client("eks")
    with pytest.raises(ClusterError, match=r"DescribeCluster of detection-api-dev failed: .*ResourceNotFound"):
        Cluster.connect(platform, eks=eks)
    with Stubber(eks) as stub:
        stub.add_response("describe_cluster", {"cluster": {"status": "CREATING"}})
        with pytest.raises(ClusterError, match="status is CREATING"):
            Cluster.connect(platform, eks=eks)


def test_reads_a_deployment(authority: trustme.CA) -> None:
    found = deployment(
        observedGeneration=6,
        replicas=4,
        updatedReplicas=2,
        readyReplicas=3,
        availableReplicas=3,
        unavailableReplicas=1,
        conditions=[
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
        ],
    )
    with cluster(authority, lambda _: ok(found)) as (adapter, server):
        state = adapter.deployment(Colour.GREEN)
    assert server.requests[0].path == GREEN
    assert state == DeploymentState(
        name="detection-api-green",
        image=IMAGE,
        replicas=3,
        generation=7,
        observed_generation=6,
        updated=2,
        ready=3,
        available=3,
        unavailable=1,
        progress_deadline_exceeded=True,
        annotations={"detection-ops/release": "release-6"},
    )
    assert DeploymentState.from_dict(json.loads(json.dumps(state.as_dict()))) == state


def test_counts_that_a_new_deployment_lacks_are_zero(authority: trustme.CA) -> None:
    found = deployment()
    del found["status"]
    del found["spec"]["template"]["metadata"]
    with cluster(authority, lambda _: ok(found)) as (adapter, _):
        state = adapter.deployment(Colour.GREEN)
    assert state is not None
    assert (state.observed_generation, state.updated, state.ready, state.unavailable) == (0, 0, 0, 0)
    assert not state.progress_deadline_exceeded
    assert state.annotations == {}


def test_an_absent_deployment_is_none(authority: trustme.CA) -> None:
    gone = refusal(404, "NotFound", 'deployments.apps "detection-api-green" not found')
    with cluster(authority, lambda _: gone) as (adapter, _):
        assert adapter.deployment(Colour.GREEN) is None


def test_a_deployment_without_the_container_is_an_error(authority: trustme.CA) -> None:
    found = deployment()
    found["spec"]["template"]["spec"]["containers"].pop()
    with (
        cluster(authority, lambda _: ok(found)) as (adapter, _),
        pytest.raises(ClusterError, match="no container 'app'"),
    ):
        adapter.deployment(Colour.GREEN)


def test_deploys_by_applying_only_what_a_release_owns(authority: trustme.CA) -> None:
    with cluster(authority, lambda _: ok(deployment())) as (adapter, server):
        adapter.deploy(Colour.GREEN, image=IMAGE, replicas=4, annotations={"detection-ops/release": "release-7"})
    get, patch = server.requests
    assert (get.method, get.path) == ("GET", GREEN)
    assert (patch.method, patch.path) == ("PATCH", GREEN)
    assert patch.query == {"fieldManager": "detection-ops", "force": "true"}
    assert patch.headers["content-type"] == "application/apply-patch+yaml"
    assert json.loads(patch.body) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "detection-api-green", "namespace": "detection-api"},
        "spec": {
            "replicas": 4,
            "template": {
                "metadata": {"annotations": {"detection-ops/release": "release-7"}},
                "spec": {"containers": [{"name": "app", "image": IMAGE}]},
            },
        },
    }


def test_deploys_nothing_where_there_is_no_deployment(authority: trustme.CA) -> None:
    with cluster(authority, lambda _: refusal(404, "NotFound", "not found")) as (adapter, server):
        with pytest.raises(ClusterError, match="no Deployment detection-api-green in namespace detection-api"):
            adapter.deploy(Colour.GREEN, image=IMAGE, replicas=4, annotations={})
        assert [request.method for request in server.requests] == ["GET"]


def test_scales_without_giving_up_what_it_deployed(authority: trustme.CA) -> None:
    with cluster(authority, lambda _: ok(deployment())) as (adapter, server):
        adapter.scale(Colour.GREEN, 0)
    (patch,) = server.requests
    assert (patch.method, patch.path, patch.query) == ("PATCH", GREEN, {"fieldManager": "detection-ops"})
    assert patch.headers["content-type"] == "application/merge-patch+json"
    assert json.loads(patch.body) == {"spec": {"replicas": 0}}


@pytest.mark.parametrize(("method", "policy"), [("pause_scale_down", "Disabled"), ("resume_scale_down", "Max")])
def test_tells_an_autoscaler_whether_it_may_take_pods_away(authority: trustme.CA, method: str, policy: str) -> None:
    with cluster(authority, lambda _: ok({"metadata": {"name": "detection-api-green"}})) as (adapter, server):
        assert getattr(adapter, method)(Colour.GREEN) is True
    get, patch = server.requests
    assert get.path == "/apis/autoscaling/v2/namespaces/detection-api/horizontalpodautoscalers/detection-api-green"
    assert (patch.method, patch.path, patch.query) == ("PATCH", get.path, {"fieldManager": "detection-ops"})
    assert patch.headers["content-type"] == "application/merge-patch+json"
    assert json.loads(patch.body) == {"spec": {"behavior": {"scaleDown": {"selectPolicy": policy}}}}


def test_a_colour_without_an_autoscaler_needs_no_telling(authority: trustme.CA) -> None:
    with cluster(authority, lambda _: refusal(404, "NotFound", "not found")) as (adapter, server):
        assert adapter.pause_scale_down(Colour.GREEN) is False
        assert [request.method for request in server.requests] == ["GET"]


def pod(name: str, ready: bool, **container: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": IMAGE}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "app", "restartCount": 0, **container}],
        },
    }


def test_lists_the_pods_of_one_colour_from_every_page(authority: trustme.CA) -> None:
    failing = pod("green-b", False, restartCount=4, state={"waiting": {"reason": "CrashLoopBackOff"}})
    going = pod("green-c", False)
    going["metadata"]["deletionTimestamp"] = "2026-01-31T09:30:00Z"
    new = {"metadata": {"name": "green-a"}, "spec": going["spec"], "status": {"phase": "Pending"}}

    def pages(request: Request) -> Reply:
        if "continue" not in request.query:
            return ok({"metadata": {"continue": "more"}, "items": [going, failing]})
        return ok({"metadata": {}, "items": [new, pod("green-d", True)]})

    with cluster(authority, pages) as (adapter, server):
        pods = adapter.pods(Colour.GREEN)

    selector = "app.kubernetes.io/name=detection-api,colour=green"
    assert [(r.path, r.query["labelSelector"]) for r in server.requests] == [(PODS, selector)] * 2
    assert server.requests[1].query["continue"] == "more"
    assert pods == (
        PodState("green-a", False, "Pending", 0, None, IMAGE),
        PodState("green-b", False, "Running", 4, "CrashLoopBackOff", IMAGE),
        PodState("green-c", False, "Running", 0, None, IMAGE, terminating=True),
        PodState("green-d", True, "Running", 0, None, IMAGE),
    )
    assert PodState.from_dict(pods[0].as_dict()) == pods[0]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (refusal(403, "Forbidden", "cannot get resource"), "GET .*-green: 403 Forbidden: cannot get resource"),
        ((401, {}, b"Unauthorized"), "401 Unauthorized"),
        ((500, {}, b""), "500 with an empty body"),
        ((302, {"Location": "https://elsewhere.example/"}, b""), "302"),
        ((200, {}, b"<html>"), "200 <html>"),
    ],
)
def test_an_answer_that_is_not_an_object_is_an_error(authority: trustme.CA, reply: Reply, message: str) -> None:
    with cluster(authority, lambda _: reply) as (adapter, server):
        with pytest.raises(ClusterError, match=message):
            adapter.deployment(Colour.GREEN)
        assert len(server.requests) == 1


def test_comes_back_when_the_server_is_busy(authority: trustme.CA) -> None:
    replies = iter([refusal(429, "TooManyRequests", "come back"), ok(deployment())])
    with cluster(authority, lambda _: next(replies)) as (adapter, server):
        assert adapter.deployment(Colour.GREEN)
        assert len(server.requests) == 2


def test_reports_the_last_refusal_of_a_server_that_stays_busy(authority: trustme.CA) -> None:
    busy = refusal(429, "TooManyRequests", "come back")
    with (
        cluster(authority, lambda _: busy) as (adapter, _),
        pytest.raises(ClusterError, match="429 TooManyRequests: come back"),
    ):
        adapter.deployment(Colour.GREEN)


def test_a_server_that_is_not_there_is_an_error(authority: trustme.CA) -> None:
    with api_server(authority, lambda _: ok({})) as server:
        url = server.url
    api = KubernetesApi(url, pem(authority), lambda: "token")
    with pytest.raises(ClusterError, match=rf"GET /version at {url}: no answer"):
        api.get("/version")


def test_sends_the_token_to_no_server_of_another_authority(authority: trustme.CA) -> None:
    with api_server(trustme.CA(), lambda _: ok({})) as server:
        api = KubernetesApi(server.url, pem(authority), lambda: "token")
        with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
            api.get("/version")
        assert server.requests == []


@pytest.mark.parametrize("name", ["localhost", "127.0.0.2"])
def test_sends_the_token_to_no_server_of_another_name(authority: trustme.CA, name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with serve(lambda _: ok({}), context) as server:
        api = KubernetesApi(server.url, pem(authority), lambda: "token")
        with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
            api.get("/version")
        assert server.requests == []


def test_sends_the_token_to_no_server_without_tls() -> None:
    with pytest.raises(ClusterError, match="not https"):
        KubernetesApi("http://127.0.0.1:1", "", lambda: "token")


def test_a_malformed_authority_is_an_error() -> None:
    with pytest.raises(ClusterError, match="certificate authority"):
        KubernetesApi("https://127.0.0.1:1", "not a certificate", lambda: "token")
