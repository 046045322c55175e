"""ECR and EKS on the platform, asked through boto3; the automation plane is a stand-in here."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fixtures.automation import config_in, eventually
from tests.sandbox.fixtures.platform import OPERATOR, Platform, StandIn, running_platform

ROLE = "arn:aws:iam::000000000000:role/detection-api-dev-cluster-operator"
MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "annotations": {"v": "1"}}
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    config = config_in(tmp_path_factory.mktemp("platform"))
    automation = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", int(config.automation_url.rsplit(":", 1)[1])), automation.handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with running_platform(config, automation) as platform:
            yield platform
    finally:
        server.shutdown()
        server.server_close()


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_push_is_announced_with_the_digest_of_the_manifest(platform: Platform) -> None:
    ecr, repository = platform.client("ecr"), platform.name("repository")
    ecr.create_repository(repositoryName=repository)
    pushed = ecr.put_image(repositoryName=repository, imageManifest=MANIFEST, imageTag="1.2.3")["image"]
    digest = f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}"
    assert pushed["imageId"] == {"imageDigest": digest, "imageTag": "1.2.3"}

    def event() -> dict[str, Any] | None:
        events = platform.automation.events
        return next((one for one in events if one["detail"]["repository-name"] == repository), None)

    assert eventually(event) == {
        "source": "aws.ecr",
        "detail_type": "ECR Image Action",
        "detail": {
            "result": "SUCCESS",
            "repository-name": repository,
            "image-digest": digest,
            "action-type": "PUSH",
            "image-tag": "1.2.3",
        },
        "resources": [],
    }
    wanted = [{"imageDigest": digest}, {"imageDigest": "sha256:" + "0" * 64}, {"imageTag": "none"}]
    answer = ecr.batch_get_image(repositoryName=repository, imageIds=wanted)
    assert [image["imageManifest"] for image in answer["images"]] == [MANIFEST]
    assert [failure["imageId"] for failure in answer["failures"]] == wanted[1:]


def test_a_tag_that_moves_leaves_the_old_image_reachable_by_digest(platform: Platform) -> None:
    ecr, repository = platform.client("ecr"), platform.name("repository")
    ecr.create_repository(repositoryName=repository)
    manifests = [MANIFEST, MANIFEST.replace('"1"', '"2"')]
    digests = [
        ecr.put_image(repositoryName=repository, imageManifest=text, imageTag="live")["image"]["imageId"]["imageDigest"]
        for text in manifests
    ]
    wanted = [{"imageDigest": digests[0]}, {"imageTag": "live"}]
    found = ecr.batch_get_image(repositoryName=repository, imageIds=wanted)["images"]
    assert [image["imageManifest"] for image in found] == manifests
    again = ecr.put_image(repositoryName=repository, imageManifest=manifests[0], imageTag="back")["image"]
    assert again["imageId"]["imageDigest"] == digests[0]


def test_pushing_into_a_missing_repository_is_refused(platform: Platform) -> None:
    with pytest.raises(ClientError) as caught:
        platform.client("ecr").put_image(repositoryName="none", imageManifest=MANIFEST, imageTag="1")
    assert code_of(caught) == ("RepositoryNotFoundException", 400)


@pytest.fixture(scope="module")
def cluster(platform: Platform) -> str:
    name = platform.name("cluster")
    platform.client("eks").create_cluster(
        name=name,
        roleArn="arn:aws:iam::000000000000:role/cluster",
        resourcesVpcConfig={"subnetIds": []},
    )
    return name


def test_a_cluster_answers_with_the_sandbox_kubernetes_api(platform: Platform, cluster: str) -> None:
    found = platform.client("eks").describe_cluster(name=cluster)["cluster"]
    assert found["endpoint"] == platform.config.kubernetes_url
    assert found["certificateAuthority"]["data"] == "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="
    assert found["arn"] == f"arn:aws:eks:us-east-1:000000000000:cluster/{cluster}"
    assert found["accessConfig"]["authenticationMode"] == "API"


def test_access_entries_from_creation_to_deletion(platform: Platform, cluster: str) -> None:
    eks = platform.client("eks")
    named = {"clusterName": cluster, "principalArn": ROLE}
    entry = eks.create_access_entry(**named, kubernetesGroups=["operators"], tags={"a": "b"})["accessEntry"]
    assert entry["type"] == "STANDARD"
    assert entry["username"].endswith(":assumed-role/detection-api-dev-cluster-operator/{{SessionName}}")
    assert ":access-entry/" in entry["accessEntryArn"]
    assert eks.describe_access_entry(**named)["accessEntry"] == entry
    assert eks.list_access_entries(clusterName=cluster)["accessEntries"] == [ROLE]
    with pytest.raises(eks.exceptions.ResourceInUseException):
        eks.create_access_entry(**named)
    updated = eks.update_access_entry(**named, kubernetesGroups=["viewers"])["accessEntry"]
    assert updated["kubernetesGroups"] == ["viewers"]

    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
    scope = {"type": "namespace", "namespaces": ["detection-api"]}
    associated = eks.associate_access_policy(**named, policyArn=policy, accessScope=scope)
    assert associated["associatedAccessPolicy"]["accessScope"] == scope
    listed = eks.list_associated_access_policies(**named)["associatedAccessPolicies"]
    assert [one["policyArn"] for one in listed] == [policy]
    eks.disassociate_access_policy(**named, policyArn=policy)
    assert eks.list_associated_access_policies(**named)["associatedAccessPolicies"] == []

    eks.delete_access_entry(**named)
    with pytest.raises(eks.exceptions.ResourceNotFoundException):
        eks.describe_access_entry(**named)


@pytest.fixture
def node_group(platform: Platform, cluster: str) -> dict[str, str]:
    """What names a new node group of 1 to 3 nodes, of which there are 2."""
    named = {"clusterName": cluster, "nodegroupName": platform.name("nodes")}
    platform.client("eks").create_nodegroup(
        **named, nodeRole="arn:aws:iam::000000000000:role/nodes", subnets=[], scalingConfig=sizes(1, 3, 2)
    )
    return named


def sizes(low: int, high: int, desired: int) -> dict[str, int]:
    return {"minSize": low, "maxSize": high, "desiredSize": desired}


def test_a_node_group_is_updating_while_its_size_changes(platform: Platform, node_group: dict[str, str]) -> None:
    eks = platform.client("eks")

    def described() -> dict[str, Any]:
        return dict(eks.describe_nodegroup(**node_group)["nodegroup"])

    assert described()["status"] == "ACTIVE"
    update = eks.update_nodegroup_config(**node_group, scalingConfig={"desiredSize": 3})["update"]
    assert (update["status"], update["params"]) == ("InProgress", [{"type": "DesiredSize", "value": "3"}])
    assert described()["status"] == "UPDATING"
    assert described()["scalingConfig"] == sizes(1, 3, 3)
    with pytest.raises(ClientError) as caught:
        eks.update_nodegroup_config(**node_group, scalingConfig={"desiredSize": 2})
    assert code_of(caught) == ("ResourceInUseException", 409)
    eventually(lambda: described()["status"] == "ACTIVE")
    about = {"name": node_group["clusterName"], "nodegroupName": node_group["nodegroupName"], "updateId": update["id"]}
    assert eks.describe_update(**about)["update"]["status"] == "Successful"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"desiredSize": 4}, "desired capacity 4 can't be greater than max size 3"),
        ({"desiredSize": 0}, "Minimum capacity 1 can't be greater than desired size 0"),
        ({"minSize": 3}, "Minimum capacity 3 can't be greater than desired size 2"),
        ({"maxSize": 1}, "desired capacity 2 can't be greater than max size 1"),
    ],
)
def test_a_node_groups_size_stays_within_its_bounds(
    platform: Platform, node_group: dict[str, str], wanted: dict[str, int], words: str
) -> None:
    eks = platform.client("eks")
    with pytest.raises(eks.exceptions.InvalidParameterException, match=words):
        eks.update_nodegroup_config(**node_group, scalingConfig=wanted)
    found = eks.describe_nodegroup(**node_group)["nodegroup"]
    assert (found["status"], found["scalingConfig"]) == ("ACTIVE", sizes(1, 3, 2))


def test_a_node_group_that_there_is_not(platform: Platform, cluster: str) -> None:
    eks = platform.client("eks")
    with pytest.raises(eks.exceptions.ResourceNotFoundException):
        eks.update_nodegroup_config(clusterName=cluster, nodegroupName="none", scalingConfig={"desiredSize": 2})


def test_a_node_group_is_a_resource_of_its_own(platform: Platform, node_group: dict[str, str]) -> None:
    arn = platform.client("eks").describe_nodegroup(**node_group)["nodegroup"]["nodegroupArn"]
    asked: list[str] = []
    platform.automation.decide = lambda question: asked.append(question["resource"]) or "allowed"  # type: ignore[func-returns-value]
    try:
        platform.client("eks", "ASIAOPERATOR", "token").describe_nodegroup(**node_group)
    finally:
        platform.automation.decide = lambda _: "allowed"
    assert asked == [arn]
    assert f":nodegroup/{node_group['clusterName']}/{node_group['nodegroupName']}/" in arn


def test_access_entries_that_are_refused(platform: Platform, cluster: str) -> None:
    eks = platform.client("eks")
    for arguments, error in (
        ({"clusterName": "none", "principalArn": ROLE}, "ResourceNotFoundException"),
        ({"clusterName": cluster, "principalArn": OPERATOR}, "InvalidParameterException"),
        (
            {"clusterName": cluster, "principalArn": ROLE, "kubernetesGroups": ["system:masters"]},
            "InvalidParameterException",
        ),
    ):
        with pytest.raises(ClientError) as caught:
            eks.create_access_entry(**arguments)
        assert code_of(caught)[0] == error
