"""GetResources: which resources have which tags, in pages."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.fixtures.elasticache import Rig, refuses, running_rig

PREFIX = "arn:aws:elasticache:us-east-1:000000000000"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two groups, of which one is tagged, and three snapshots of it."""
    with running_rig(tmp_path_factory.mktemp("tagging")) as rig:
        rig.create(
            ReplicationGroupId="tagged", Tags=[{"Key": "backup", "Value": "true"}, {"Key": "Service", "Value": ""}]
        )
        rig.create(ReplicationGroupId="bare")
        for number in range(3):
            rig.snapshot("tagged", SnapshotName=f"hourly-{number}", Tags=[{"Key": "tier", "Value": "hourly"}])
        yield rig


def found(rig: Rig, **arguments: Any) -> dict[str, dict[str, str]]:
    pages = rig.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(**arguments)
    listed = [one for page in pages for one in page["ResourceTagMappingList"]]
    return {one["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in listed}


def test_every_tagged_resource_is_listed_with_its_tags_over_all_pages(rig: Rig) -> None:
    for size in (1, 2, 100):
        listed = found(rig, ResourceTypeFilters=["elasticache"], PaginationConfig={"PageSize": size})
        assert listed == {
            f"{PREFIX}:replicationgroup:tagged": {"backup": "true", "Service": ""},
            f"{PREFIX}:cluster:tagged-001": {"backup": "true", "Service": ""},
            **{f"{PREFIX}:snapshot:hourly-{number}": {"tier": "hourly"} for number in range(3)},
        }


def test_filters_by_type_tag_and_arn(rig: Rig) -> None:
    group, snapshot = f"{PREFIX}:replicationgroup:tagged", f"{PREFIX}:snapshot:hourly-1"
    assert set(found(rig, ResourceTypeFilters=["elasticache:replicationgroup"])) == {group}
    assert set(found(rig, ResourceARNList=[snapshot, f"{PREFIX}:snapshot:none"])) == {snapshot}
    everything: dict[str, Any] = {"ResourceTypeFilters": ["elasticache"]}
    assert len(found(rig, TagFilters=[{"Key": "tier"}], **everything)) == 3
    assert found(rig, TagFilters=[{"Key": "tier", "Values": ["daily"]}], **everything) == {}
    assert found(rig, TagFilters=[{"Key": "tier"}, {"Key": "backup"}], **everything) == {}


def test_a_removed_tag_is_gone(rig: Rig) -> None:
    arn = f"{PREFIX}:snapshot:hourly-2"
    rig.api.remove_tags_from_resource(ResourceName=arn, TagKeys=["tier"])
    assert arn not in found(rig, ResourceTypeFilters=["elasticache"])
    rig.api.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "tier", "Value": "hourly"}])
    assert found(rig, ResourceARNList=[arn]) == {arn: {"tier": "hourly"}}


def test_what_the_sandbox_does_not_know_is_refused(rig: Rig) -> None:
    client = rig.client("resourcegroupstaggingapi")
    refuses("InvalidParameterException", client.get_resources)
    refuses("InvalidParameterException", client.get_resources, ResourceTypeFilters=["elasticache", "sqs"])
    refuses("InvalidParameterException", client.get_resources, ResourceTypeFilters=["rds"], ResourcesPerPage=101)
    refuses("InvalidParameterException", client.get_tag_keys)
    refuses("PaginationTokenExpiredException", client.get_resources, ResourceTypeFilters=["rds"], PaginationToken="x")


def test_it_is_one_action_on_everything(rig: Rig) -> None:
    questions: list[tuple[str, str]] = []

    def decide(question: dict[str, Any]) -> str:
        questions.append((question["action"], question["resource"]))
        return "implicitDeny"

    rig.automation.decide = decide
    client = rig.client("resourcegroupstaggingapi", "ASIAOPERATOR", "token")
    refuses("AccessDeniedException", client.get_resources, ResourceTypeFilters=["elasticache"])
    assert questions == [("tag:GetResources", "*")]
    rig.automation.decide = lambda _: "allowed"


def test_it_can_be_told_to_fail(rig: Rig) -> None:
    rig._engines("POST", {"service": "tagging", "target": "*", "fault": {"error": "ThrottledException", "times": 1}})
    client = rig.client("resourcegroupstaggingapi")
    refuses("ThrottledException", client.get_resources, ResourceTypeFilters=["elasticache"])
    assert found(rig, ResourceTypeFilters=["elasticache"])
