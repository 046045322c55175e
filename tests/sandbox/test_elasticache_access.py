"""Which ElastiCache resources a caller must be allowed to act on."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.fixtures.automation import eventually
from tests.sandbox.fixtures.elasticache import Rig, refuses, running_rig

PREFIX = "arn:aws:elasticache:us-east-1:000000000000"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_rig(tmp_path_factory.mktemp("elasticache")) as rig:
        yield rig


@pytest.fixture
def asked(rig: Rig) -> Iterator[set[tuple[str, str]]]:
    """Action and resource of what the automation plane is asked to authorize, all of which it refuses."""
    questions: set[tuple[str, str]] = set()

    def decide(question: dict[str, Any]) -> str:
        questions.add((question["action"], question["resource"]))
        return "allowed" if question["resource"].endswith((":allowed", ":default.redis7")) else "implicitDeny"

    rig.automation.decide = decide
    yield questions
    rig.automation.decide = lambda _: "allowed"


@pytest.mark.parametrize(
    ("operation", "arguments", "resource"),
    [
        ("describe_replication_groups", {}, "replicationgroup:*"),
        ("describe_replication_groups", {"ReplicationGroupId": "G"}, "replicationgroup:g"),
        ("describe_cache_clusters", {}, "cluster:*"),
        ("describe_snapshots", {}, "snapshot:*"),
        ("describe_snapshots", {"ReplicationGroupId": "g"}, "snapshot:*"),
        ("describe_cache_parameter_groups", {}, "parametergroup:*"),
        ("delete_replication_group", {"ReplicationGroupId": "g"}, "replicationgroup:g"),
        ("modify_replication_group", {"ReplicationGroupId": "g"}, "replicationgroup:g"),
        ("delete_snapshot", {"SnapshotName": "s"}, "snapshot:s"),
        ("list_tags_for_resource", {"ResourceName": f"{PREFIX}:snapshot:s"}, "snapshot:s"),
    ],
)
def test_what_is_asked_for(
    rig: Rig, asked: set[tuple[str, str]], operation: str, arguments: dict[str, Any], resource: str
) -> None:
    client = rig.client("elasticache", "ASIAOPERATOR", "token")
    refuses("AccessDenied", getattr(client, operation), **arguments)
    action = "".join(word.capitalize() for word in operation.split("_"))
    assert asked == {(f"elasticache:{action}", f"{PREFIX}:{resource}")}


def test_every_resource_of_a_call_must_be_allowed(rig: Rig, asked: set[tuple[str, str]]) -> None:
    """A drill that may restore into its own group may not for that reason read any snapshot."""
    client = rig.client("elasticache", "ASIAOPERATOR", "token")
    arguments = {"ReplicationGroupDescription": "", "CacheNodeType": "cache.t4g.micro"}
    for group, snapshot in (("allowed", "other"), ("other", "allowed")):
        refuses(
            "AccessDenied",
            client.create_replication_group,
            ReplicationGroupId=group,
            SnapshotName=snapshot,
            **arguments,
        )
    refuses("AccessDenied", client.create_snapshot, ReplicationGroupId="allowed", SnapshotName="other")
    refuses("AccessDenied", client.copy_snapshot, SourceSnapshotName="allowed", TargetSnapshotName="other")
    refuses("AccessDenied", client.delete_replication_group, ReplicationGroupId="allowed", FinalSnapshotIdentifier="no")
    client.create_replication_group(ReplicationGroupId="allowed", **arguments)
    eventually(lambda: rig.group("allowed")["Status"] == "available")


def test_tags_decide_and_giving_them_is_an_action_of_its_own(rig: Rig) -> None:
    """As drills are fenced in: only what carries a drill's tag may be deleted."""
    contexts: dict[tuple[str, str], dict[str, Any]] = {}

    def decide(question: dict[str, Any]) -> str:
        contexts[question["action"], question["resource"]] = question["context"]
        deletes = question["action"] == "elasticache:DeleteReplicationGroup"
        return "allowed" if not deletes or "aws:ResourceTag/drill" in question["context"] else "implicitDeny"

    rig.automation.decide = decide
    client = rig.client("elasticache", "ASIAOPERATOR", "token")
    arguments = {"ReplicationGroupDescription": "", "CacheNodeType": "cache.t4g.micro"}
    client.create_replication_group(ReplicationGroupId="of-a-drill", Tags=[{"Key": "drill", "Value": "7"}], **arguments)
    client.create_replication_group(ReplicationGroupId="live", **arguments)
    arn = f"{PREFIX}:replicationgroup:of-a-drill"
    for action in ("CreateReplicationGroup", "AddTagsToResource"):
        given = contexts[f"elasticache:{action}", arn]
        assert (given["aws:RequestTag/drill"], given["aws:TagKeys"]) == ("7", ["drill"])
    assert ("elasticache:AddTagsToResource", f"{PREFIX}:replicationgroup:live") not in contexts
    for name in ("of-a-drill", "live"):
        eventually(lambda name=name: rig.group(name)["Status"] == "available")
    refuses("AccessDenied", client.delete_replication_group, ReplicationGroupId="live")
    client.delete_replication_group(ReplicationGroupId="of-a-drill")
    rig.gone("of-a-drill")
    rig.automation.decide = lambda _: "allowed"


def test_what_is_not_served_is_refused_and_not_pretended(rig: Rig) -> None:
    for operation, arguments in (
        ("create_cache_cluster", {"CacheClusterId": "c"}),
        ("create_serverless_cache", {"ServerlessCacheName": "s", "Engine": "redis"}),
        ("reboot_cache_cluster", {"CacheClusterId": "c", "CacheNodeIdsToReboot": ["0001"]}),
    ):
        refuses("InvalidAction", getattr(rig.api, operation), **arguments)
