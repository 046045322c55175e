"""The replication groups of an account and region, and their snapshots (ElastiCache).

Descriptions of ElastiCache carry no tags. They come from the Resource Groups Tagging API, 100 resources a call, so
that no listing asks once for each snapshot; it may lag by some seconds, so a name that is taken is checked with the
one resource itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from opskit import clients
from opskit.adapters.aws_failures import code_of, named
from opskit.adapters.cache_state import CacheSnapshot, CacheState
from opskit.adapters.database_state import tag_list, tags_of
from opskit.decisions.snapshot import not_ours
from opskit.errors import NameTakenError, NotFoundError

# DescribeSnapshots gives 50 at most, the other two 100.
# https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_DescribeSnapshots.html
SNAPSHOT_PAGE = 50
PAGE = 100


class Caches:
    """ElastiCache. Methods raise NotFoundError, NotReadyError and QuotaExceededError for those refusals."""

    def __init__(self, client: Any = None, tagging: Any = None) -> None:
        self._client = client or clients.client("elasticache")
        self._given_tagging = tagging

    def groups(self) -> tuple[CacheState, ...]:
        """Every replication group of the account and region with its tags, by identifier; three listings in all."""
        groups = self._listed("describe_replication_groups", "ReplicationGroups", PAGE)
        clusters = self._listed("describe_cache_clusters", "CacheClusters", PAGE, ShowCacheNodeInfo=True)
        tags = self._tags()
        found = [CacheState.of(group, clusters, tags.get(group["ARN"], {})) for group in groups]
        return tuple(sorted(found, key=lambda state: state.identifier))

    def group(self, identifier: str) -> CacheState | None:
        """The replication group `identifier` with its tags, or None, also if it goes while it is asked for."""
        try:
            with named(f"describe {identifier}"):
                found = self._client.describe_replication_groups(ReplicationGroupId=identifier)["ReplicationGroups"]
            if not found:
                return None
            clusters = self._listed("describe_cache_clusters", "CacheClusters", PAGE, ShowCacheNodeInfo=True)
            return CacheState.of(found[0], clusters, self._tags_of(found[0]["ARN"]))
        except NotFoundError:
            return None

    def snapshots(self) -> tuple[CacheSnapshot, ...]:
        """Every manual snapshot of the account and region with its tags, by name.

        An error on any page is raised, for a listing that is not whole must not be acted on.
        """
        described = self._listed("describe_snapshots", "Snapshots", SNAPSHOT_PAGE, SnapshotSource="user")
        tags = self._tags()
        found = [CacheSnapshot.of(snapshot, tags.get(snapshot["ARN"], {})) for snapshot in described]
        return tuple(sorted(found, key=lambda snapshot: snapshot.name))

    def snapshots_without_tags(self) -> dict[str, CacheSnapshot]:
        """Every manual snapshot of the account and region, by name; one call for each 50."""
        described = self._listed("describe_snapshots", "Snapshots", SNAPSHOT_PAGE, SnapshotSource="user")
        return {snapshot.name: snapshot for snapshot in (CacheSnapshot.of(one, {}) for one in described)}

    def statuses(self) -> dict[str, str]:
        """The status of every replication group, by identifier; one call for each 100."""
        groups = self._listed("describe_replication_groups", "ReplicationGroups", PAGE)
        return {group["ReplicationGroupId"]: group.get("Status", "unknown") for group in groups}

    def snapshot(self, name: str) -> CacheSnapshot | None:
        """The snapshot `name` with its tags, or None."""
        try:
            with named(f"describe snapshot {name}"):
                found = self._client.describe_snapshots(SnapshotName=name)["Snapshots"]
        except NotFoundError:
            return None
        return CacheSnapshot.of(found[0], self._tags_of(found[0]["ARN"])) if found else None

    def take_snapshot(
        self, group: str, name: str, tags: Mapping[str, str], *, node: str | None = None
    ) -> CacheSnapshot:
        """Begin a snapshot of `group`, from its member `node` if given; repeated, return what the first call began.

        Raises NameTakenError if a snapshot of that name is not ours, or of another group; NotReadyError if the group
        is not `available`; QuotaExceededError, also from the 21st backup of a node in 24 hours on.
        """
        source = {"CacheClusterId": node} if node else {"ReplicationGroupId": group}
        try:
            with named(f"snapshot {name} of {group}"):
                made = self._client.create_snapshot(SnapshotName=name, Tags=tag_list(tags), **source)
        except ClientError as error:
            if code_of(error) != "SnapshotAlreadyExists":
                raise
            found = self.snapshot(name)
            if found is None:  # deleted between the two calls
                raise
            difference = not_ours(tags, found.tags)
            if difference:
                raise NameTakenError(
                    f"There is a cache snapshot {name} already: {difference}. Delete it by hand."
                ) from error
            return found
        return CacheSnapshot.of(made["Snapshot"], tags)

    def export_snapshot(self, name: str, bucket: str, target: str) -> None:
        """Begin to copy the snapshot `name` to `bucket` as `<target>.rdb` (one object for each shard).

        The bucket must be of the same region and account, and let `<region>.elasticache-snapshot.amazonaws.com` write;
        https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/backups-exporting.html. The snapshot's status is
        `copying` meanwhile.
        """
        with named(f"export snapshot {name}"):
            self._client.copy_snapshot(SourceSnapshotName=name, TargetSnapshotName=target, TargetBucket=bucket)

    def delete_snapshot(self, name: str) -> bool:
        """Delete the manual snapshot `name`; False if it was gone already. Raises NotReadyError while it is in use."""
        try:
            with named(f"delete snapshot {name}"):
                self._client.delete_snapshot(SnapshotName=name)
        except NotFoundError:
            return False
        return True

    def restore_snapshot(self, identifier: str, snapshot: str, arguments: Mapping[str, Any]) -> CacheState:
        """Begin to restore `snapshot` into the new group `identifier`; repeated, return what the first call began.

        `arguments` are those of `restore.cache_arguments`. Raises NameTakenError if there is a group of that name that
        carries other tags.
        """
        try:
            with named(f"restore {snapshot} into {identifier}"):
                made = self._client.create_replication_group(
                    ReplicationGroupId=identifier,
                    ReplicationGroupDescription=f"Restored from {snapshot}",
                    SnapshotName=snapshot,
                    **arguments,
                )["ReplicationGroup"]
        except ClientError as error:
            if code_of(error) != "ReplicationGroupAlreadyExists":
                raise
            found = self.group(identifier)
            if found is None:  # deleted between the two calls
                raise
            difference = not_ours({tag["Key"]: tag["Value"] for tag in arguments["Tags"]}, found.tags)
            if difference:
                raise NameTakenError(f"There is a replication group {identifier} already: {difference}.") from error
            return found
        return CacheState.of(made, [], {tag["Key"]: tag["Value"] for tag in arguments["Tags"]})

    def delete_group(self, identifier: str) -> bool:
        """Delete a replication group without a final snapshot; False if it was gone already.

        For what a drill made, never for a source: the caller has checked `drill.may_touch`.
        """
        try:
            with named(f"delete {identifier}"):
                self._client.delete_replication_group(ReplicationGroupId=identifier, RetainPrimaryCluster=False)
        except NotFoundError:
            return False
        return True

    def retag(self, arn: str, add: Mapping[str, str], remove: Sequence[str] = ()) -> None:
        """Set the tags `add` of a replication group and take the tags `remove` off it. Raises NotFoundError."""
        with named(f"tag {arn}"):
            if remove:
                self._client.remove_tags_from_resource(ResourceName=arn, TagKeys=list(remove))
            if add:
                self._client.add_tags_to_resource(ResourceName=arn, Tags=tag_list(add))

    def _listed(self, operation: str, field: str, size: int, **arguments: Any) -> list[Mapping[str, Any]]:
        pages = self._client.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **arguments)
        return [described for page in pages for described in page[field]]

    def _tags(self) -> dict[str, dict[str, str]]:
        """The tags of every resource of ElastiCache that has some, by ARN."""
        tagging = self._given_tagging or clients.client("resourcegroupstaggingapi")
        pages = tagging.get_paginator("get_resources").paginate(
            ResourceTypeFilters=["elasticache"], PaginationConfig={"PageSize": PAGE}
        )
        return {
            mapping["ResourceARN"]: tags_of(mapping, "Tags")
            for page in pages
            for mapping in page["ResourceTagMappingList"]
        }

    def _tags_of(self, arn: str) -> dict[str, str]:
        with named(f"tags of {arn}"):
            return tags_of(self._client.list_tags_for_resource(ResourceName=arn))
