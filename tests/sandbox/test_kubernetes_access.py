"""Who gets in, and what they may do: EKS tokens against the real STS, access entries and RBAC."""

import base64
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.signers import RequestSigner
from lightkube import Client
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster, Context, User
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Namespace, Pod, PodEviction, Secret, Service
from lightkube.types import PatchType

from tests.sandbox.fixtures.kubernetes import NAMESPACE, Rig, running_rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(tmp_path_factory.mktemp("access") / "sandbox") as made:
        made.apply(made.push(), replicas=0)
        yield made


def role(rig: Rig, name: str) -> str:
    iam = rig.clients["iam"]
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}'
    )
    return str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"])


def token(
    rig: Rig,
    role_arn: str,
    *,
    cluster: str | None = None,
    url: str | None = None,
    header: str = "x-k8s-aws-id",
    expires: int = 60,
    secret: str | None = None,
) -> str:
    """A token as `aws eks get-token` makes it, or spoilt in one way."""
    credentials = rig.clients["sts"].assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    session = boto3.Session(
        credentials["AccessKeyId"],
        secret or credentials["SecretAccessKey"],
        credentials["SessionToken"],
        region_name=rig.config.region,
    )
    client = session.client("sts", endpoint_url=rig.config.automation_url)
    signer = RequestSigner(
        client.meta.service_model.service_id, rig.config.region, "sts", "v4", session.get_credentials(), session.events
    )
    request = {
        "method": "GET",
        "url": f"{url or rig.config.automation_url}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {header: cluster or rig.config.name},
        "context": {},
    }
    presigned = signer.generate_presigned_url(
        request, region_name=rig.config.region, expires_in=expires, operation_name=""
    )
    return "k8s-aws-v1." + base64.urlsafe_b64encode(presigned.encode()).decode().rstrip("=")


def client(rig: Rig, bearer: str) -> Client:
    config = KubeConfig(
        clusters={"c": Cluster(server=rig.config.kubernetes_url, certificate_auth=str(rig.config.tls_dir / "ca.pem"))},
        users={"u": User(token=bearer)},
        contexts={"c": Context(cluster="c", user="u")},
        current_context="c",
    )
    return Client(config=config.get(), namespace=NAMESPACE, trust_env=False)


def status_of(call: Any) -> int:
    with pytest.raises(ApiError) as caught:
        call()
    return int(caught.value.status.code)


@pytest.fixture(scope="module")
def operator(rig: Rig) -> Client:
    return client(rig, token(rig, rig.operator_role_arn))


def test_the_operator_may_release(rig: Rig, operator: Client) -> None:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "detection-api-green"}}
    body["metadata"]["annotations"] = {"released": "yes"}  # type: ignore[index]
    operator.patch(
        Deployment, "detection-api-green", body, patch_type=PatchType.APPLY, field_manager="detection-ops", force=True
    )
    assert operator.get(Deployment, "detection-api-green").metadata.annotations["released"] == "yes"
    assert list(operator.list(Pod)) == []


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda client: client.delete(Deployment, "detection-api-blue"),
        lambda client: list(client.list(Secret)),
        lambda client: client.get(Service, "detection-api-blue"),
        lambda client: client.get(Deployment, "another"),
        lambda client: list(client.list(Pod, namespace="kube-system")),
        lambda client: list(client.list(Namespace)),
    ],
)
def test_the_operator_may_do_nothing_else(operator: Client, forbidden: Any) -> None:
    assert status_of(lambda: forbidden(operator)) == 403


def test_the_operator_may_evict_and_not_delete(operator: Client) -> None:
    eviction = PodEviction(metadata=ObjectMeta(name="none", namespace=NAMESPACE))
    assert status_of(lambda: operator.create(eviction, "none")) == 404
    assert status_of(lambda: operator.delete(Pod, "none")) == 403
    elsewhere = PodEviction(metadata=ObjectMeta(name="none", namespace="kube-system"))
    assert status_of(lambda: operator.create(elsewhere, "none", namespace="kube-system")) == 403


def test_a_role_without_an_access_entry_is_a_stranger(rig: Rig) -> None:
    stranger = client(rig, token(rig, role(rig, "stranger")))
    assert status_of(lambda: list(stranger.list(Pod))) == 401


def test_an_access_entry_alone_allows_nothing(rig: Rig) -> None:
    arn = role(rig, "powerless")
    rig.clients["eks"].create_access_entry(clusterName=rig.config.name, principalArn=arn)
    assert status_of(lambda: list(client(rig, token(rig, arn)).list(Pod))) == 403


@pytest.mark.parametrize(
    "spoilt",
    [
        {"cluster": "another-cluster"},
        {"header": "x-k8s-other"},
        {"url": "http://127.0.0.1:9"},
        {"secret": "not-the-secret"},
        {"expires": 901},
    ],
    ids=lambda spoilt: next(iter(spoilt)),
)
def test_a_spoilt_token_is_refused(rig: Rig, spoilt: dict[str, Any]) -> None:
    bad = client(rig, token(rig, rig.operator_role_arn, **spoilt))
    assert status_of(lambda: list(bad.list(Pod))) == 401


@pytest.mark.parametrize("bearer", ["k8s-aws-v1.", "k8s-aws-v1.!!!", "k8s-aws-v2.aHR0cDovLzEyNy4wLjAuMQ", "guess"])
def test_what_is_no_token_is_refused(rig: Rig, bearer: str) -> None:
    assert status_of(lambda: list(client(rig, bearer).list(Pod))) == 401


def test_the_administrators_token_is_private(rig: Rig) -> None:
    path = rig.config.dir / "kubernetes-admin.token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert any(each.metadata.name == NAMESPACE for each in rig.kubernetes.list(Namespace))
