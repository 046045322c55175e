"""The namespace as a real HTTP server tells it: kinds that are there, one that is not served, no Secret asked for."""

import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from opskit.adapters.kubernetes_api import KubernetesApi
from opskit.adapters.namespace import KINDS, export_namespace
from opskit.errors import ClusterError

from .servers import Reply, Request, Server, serve

CONFIG_MAPS = "/api/v1/namespaces/n/configmaps"
SCALERS = "/apis/autoscaling/v2/namespaces/n/horizontalpodautoscalers"


def reply(status: int, body: Any) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


def listing(kind: str, version: str, *items: dict[str, Any], more: str | None = None) -> Reply:
    metadata = {"continue": more} if more else {}
    return reply(200, {"apiVersion": version, "kind": f"{kind}List", "metadata": metadata, "items": list(items)})


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": "u", "namespace": "n"}, **more}


def answer(request: Request) -> Reply:
    if request.path == CONFIG_MAPS:
        if request.query.get("continue") == "token":
            return listing("ConfigMap", "v1", named("a", data={"password": "hunter2", "level": "info"}))
        return listing("ConfigMap", "v1", named("b", data={"level": "debug"}), more="token")
    if request.path == SCALERS:
        return reply(404, {"kind": "Status", "message": "the server could not find the requested resource"})
    if request.path == "/apis/apps/v1/namespaces/n/deployments":
        return listing("Deployment", "apps/v1", named("api", spec={"replicas": 2}, status={"replicas": 2}))
    return listing("Thing", "v1")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serve(answer, context) as running:
        yield running


def api(server: Server, authority: trustme.CA) -> KubernetesApi:
    return KubernetesApi(server.url, authority.cert_pem.bytes().decode(), lambda: "token")


def test_every_kind_is_exported_page_by_page_and_can_be_applied_again(server: Server, authority: trustme.CA) -> None:
    export = export_namespace(api(server, authority), "n")
    assert export.as_dict()["kind"] == "List"
    assert [(one["kind"], one["metadata"]["name"]) for one in export.objects] == [
        ("ConfigMap", "a"),
        ("ConfigMap", "b"),
        ("Deployment", "api"),
    ]
    assert export.objects[2] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "n"},
        "spec": {"replicas": 2},
    }
    assert (export.counts["configmaps"], export.counts["deployments"]) == (2, 1)


def test_a_kind_that_is_not_served_is_noted_and_secrets_are_redacted(server: Server, authority: trustme.CA) -> None:
    export = export_namespace(api(server, authority), "n")
    assert export.absent == ("/apis/autoscaling/v2/horizontalpodautoscalers",)
    assert export.redacted == 1
    assert "hunter2" not in json.dumps(export.as_dict())


def test_no_secret_is_asked_for(server: Server, authority: trustme.CA) -> None:
    export_namespace(api(server, authority), "n")
    asked = {request.path.rpartition("/")[2] for request in server.requests}
    assert asked == {plural for _, plural in KINDS}
    assert "secrets" not in asked


def test_an_api_that_refuses_a_kind_is_an_error(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with (
        serve(lambda _: reply(403, {"kind": "Status", "message": "configmaps is forbidden"}), context) as server,
        pytest.raises(ClusterError, match="forbidden"),
    ):
        export_namespace(api(server, authority), "n")
