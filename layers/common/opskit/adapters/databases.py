"""The DB instances of an account and region, and their snapshots (RDS).

Descriptions carry their tags, so one paginated listing answers for a whole fleet: nothing here calls AWS once for
each snapshot. What is created gets a given name and tags, so that a call that is repeated finds what the first made.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from opskit import clients
from opskit.adapters.aws_failures import code_of, named
from opskit.adapters.database_state import (
    DatabaseSnapshot,
    DatabaseState,
    RestoreWindow,
    tag_list,
)
from opskit.decisions.snapshot import Quota, not_ours
from opskit.errors import MeasurementError, NameTakenError, NotFoundError

# The name of the quota in DescribeAccountAttributes; AWS Backup's snapshots do not count towards it.
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_AccountQuota.html
MANUAL_SNAPSHOTS = "ManualSnapshots"
PAGE = 100


class Databases:
    """RDS. Methods raise NotFoundError, NotReadyError and QuotaExceededError for those refusals (`aws_failures`)."""

    def __init__(self, client: Any = None) -> None:
        self._client = client or clients.client("rds")

    def instances(self) -> tuple[DatabaseState, ...]:
        """Every DB instance of the account and region with its tags, by identifier; one call for each 100."""
        pages = self._client.get_paginator("describe_db_instances").paginate(PaginationConfig={"PageSize": PAGE})
        found = [DatabaseState.of(described) for page in pages for described in page["DBInstances"]]
        return tuple(sorted(found, key=lambda state: state.identifier))

    def statuses(self, identifiers: Iterable[str]) -> dict[str, str]:
        """The status of each of these DB instances that is there; one call for each 100."""
        return {
            described["DBInstanceIdentifier"]: described.get("DBInstanceStatus", "unknown")
            for described in self._filtered("describe_db_instances", "DBInstances", "db-instance-id", identifiers)
        }

    def instance(self, identifier: str) -> DatabaseState | None:
        """The DB instance `identifier`, or None."""
        try:
            found = self._client.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
        except ClientError as error:
            if code_of(error) == "DBInstanceNotFound":
                return None
            raise
        return DatabaseState.of(found[0]) if found else None

    def snapshots(self) -> tuple[DatabaseSnapshot, ...]:
        """Every manual snapshot of the account and region with its tags, by name; one call for each 100.

        Automated ones, and those of AWS Backup, are neither ours to delete nor in the quota. An error on any page is
        raised, for a listing that is not whole must not be acted on.
        """
        pages = self._client.get_paginator("describe_db_snapshots").paginate(
            SnapshotType="manual", PaginationConfig={"PageSize": PAGE}
        )
        found = [DatabaseSnapshot.of(described) for page in pages for described in page["DBSnapshots"]]
        return tuple(sorted(found, key=lambda snapshot: snapshot.name))

    def snapshots_named(self, names: Iterable[str]) -> dict[str, DatabaseSnapshot]:
        """Those of these snapshots that are there, with their tags, by name; one call for each 100."""
        described = self._filtered("describe_db_snapshots", "DBSnapshots", "db-snapshot-id", names)
        found = (DatabaseSnapshot.of(one) for one in described)
        return {snapshot.name: snapshot for snapshot in found}

    def snapshot(self, name: str) -> DatabaseSnapshot | None:
        """The snapshot `name`, or None."""
        try:
            found = self._client.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]
        except ClientError as error:
            if code_of(error) == "DBSnapshotNotFound":
                return None
            raise
        return DatabaseSnapshot.of(found[0]) if found else None

    def take_snapshot(self, database: str, name: str, tags: Mapping[str, str]) -> DatabaseSnapshot:
        """Begin a snapshot of `database`; repeated, return the one that the first call began.

        Raises NameTakenError if a snapshot of that name is not ours, or of another database; NotReadyError if the
        instance is neither `available` nor `storage-optimization`; QuotaExceededError.
        """
        try:
            with named(f"snapshot {name} of {database}"):
                made = self._client.create_db_snapshot(
                    DBInstanceIdentifier=database, DBSnapshotIdentifier=name, Tags=tag_list(tags)
                )
        except ClientError as error:
            if code_of(error) != "DBSnapshotAlreadyExists":
                raise
            found = self.snapshot(name)
            if found is None:  # deleted between the two calls
                raise
            difference = not_ours(tags, found.tags)
            if found.database != database:
                difference = f"it is of {found.database}, not of {database}"
            if difference:
                raise NameTakenError(
                    f"There is a snapshot {name} already: {difference}. Rename or delete it by hand."
                ) from error
            return found
        return DatabaseSnapshot.of(made["DBSnapshot"])

    def delete_snapshot(self, name: str) -> bool:
        """Delete the manual snapshot `name`; False if it was gone already. Raises NotReadyError while it is in use."""
        try:
            with named(f"delete snapshot {name}"):
                self._client.delete_db_snapshot(DBSnapshotIdentifier=name)
        except NotFoundError:
            return False
        return True

    def snapshot_quota(self) -> Quota:
        """Manual snapshots: used and allowed, of the account in this region. Raises MeasurementError if not listed."""
        listed = self._client.describe_account_attributes()["AccountQuotas"]
        for quota in listed:
            if quota["AccountQuotaName"] == MANUAL_SNAPSHOTS:
                return Quota(used=quota["Used"], maximum=quota["Max"])
        raise MeasurementError(f"DescribeAccountAttributes lists no {MANUAL_SNAPSHOTS}, so the quota is not known")

    def restore_window(self, resource_id: str) -> RestoreWindow | None:
        """The moments to which the instance with this DbiResourceId can be restored; None without automated backups.

        Also of an instance that was deleted, as long as its automated backups are retained.
        """
        found = self._client.describe_db_instance_automated_backups(DbiResourceId=resource_id)
        for backup in found["DBInstanceAutomatedBackups"]:
            window = backup.get("RestoreWindow", {})
            if "EarliestTime" in window and "LatestTime" in window:
                return RestoreWindow(window["EarliestTime"], window["LatestTime"])
        return None

    def restore_snapshot(self, identifier: str, snapshot: str, arguments: Mapping[str, Any]) -> DatabaseState:
        """Begin to restore `snapshot` into the new instance `identifier`; repeated, return what the first call began.

        `arguments` are those of `restore.database_arguments`, with the tags by which a repeated call knows its own.
        Raises NameTakenError if there is an instance of that name that carries others.
        """
        what = f"restore {snapshot} into {identifier}"
        return self._restore(
            what, "restore_db_instance_from_db_snapshot", DBInstanceIdentifier=identifier,
            DBSnapshotIdentifier=snapshot, **arguments,
        )  # fmt: skip

    def restore_moment(
        self,
        identifier: str,
        moment: datetime | None,
        arguments: Mapping[str, Any],
        *,
        source: str | None = None,
        resource_id: str | None = None,
    ) -> DatabaseState:
        """Begin to restore a database as it was at `moment` (aware; None: the latest) into the new `identifier`.

        The database is the instance `source`, or one that was deleted, by its `resource_id` (DbiResourceId).
        Otherwise as `restore_snapshot`.
        """
        origin = {"SourceDBInstanceIdentifier": source, "SourceDbiResourceId": resource_id}
        given = {name: value for name, value in origin.items() if value}
        if len(given) != 1:
            raise ValueError(f"either source or resource_id, not {origin}")
        point: dict[str, Any] = {"RestoreTime": moment} if moment else {"UseLatestRestorableTime": True}
        return self._restore(
            f"restore {source or resource_id} into {identifier}", "restore_db_instance_to_point_in_time",
            TargetDBInstanceIdentifier=identifier, **given, **point, **arguments,
        )  # fmt: skip

    def delete_instance(self, identifier: str) -> bool:
        """Delete a DB instance with its automated backups and without a final snapshot; False if it was gone already.

        For what a drill made, never for a source: the caller has checked `drill.may_touch`. A final snapshot would
        count towards the quota, and RDS refuses to take one of an instance whose restore failed.
        """
        try:
            with named(f"delete {identifier}"):
                self._client.delete_db_instance(
                    DBInstanceIdentifier=identifier, SkipFinalSnapshot=True, DeleteAutomatedBackups=True
                )
        except NotFoundError:
            return False
        return True

    def retag(self, arn: str, add: Mapping[str, str], remove: Sequence[str] = ()) -> None:
        """Set the tags `add` of an instance and take the tags `remove` off it. Raises NotFoundError if it is gone."""
        with named(f"tag {arn}"):
            if remove:
                self._client.remove_tags_from_resource(ResourceName=arn, TagKeys=list(remove))
            if add:
                self._client.add_tags_to_resource(ResourceName=arn, Tags=tag_list(add))

    def protect(self, identifier: str) -> None:
        """Protect an instance from being deleted; at once, and without a restart.

        https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteInstance.html
        """
        with named(f"protect {identifier}"):
            self._client.modify_db_instance(
                DBInstanceIdentifier=identifier, DeletionProtection=True, ApplyImmediately=True
            )

    def _filtered(self, operation: str, field: str, name: str, values: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        # The filters take lists, of which RDS states no limit: as many values as a page has results.
        # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBSnapshots.html
        for chunk in _chunks(values):
            pages = self._client.get_paginator(operation).paginate(
                Filters=[{"Name": name, "Values": chunk}], PaginationConfig={"PageSize": PAGE}
            )
            for page in pages:
                yield from page[field]

    def _restore(self, what: str, operation: str, **arguments: Any) -> DatabaseState:
        identifier = arguments.get("DBInstanceIdentifier") or arguments["TargetDBInstanceIdentifier"]
        try:
            with named(what):
                made = getattr(self._client, operation)(**arguments)
        except ClientError as error:
            if code_of(error) != "DBInstanceAlreadyExists":
                raise
            found = self.instance(identifier)
            if found is None:  # deleted between the two calls
                raise
            wanted = {tag["Key"]: tag["Value"] for tag in arguments["Tags"]}
            difference = not_ours(wanted, found.tags)
            if difference:
                raise NameTakenError(f"There is a DB instance {identifier} already: {difference}.") from error
            return found
        return DatabaseState.of(made["DBInstance"])


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    return (ordered[start : start + PAGE] for start in range(0, len(ordered), PAGE))
