"""The operations that read: instances, snapshots, automated backups, quotas, tags."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sandbox.platform.application import Forward
from sandbox.platform.calls import Answer, Call
from sandbox.platform.errors import AwsError
from sandbox.platform.rds.creation import shape_of
from sandbox.platform.rds.records import Instance, Snapshot, Tags, tags_of
from sandbox.platform.rds.restoration import Restoration
from sandbox.platform.rds.state import INSTANCES, MANUAL_SNAPSHOTS, State

T = TypeVar("T")
_INSTANCE_FILTERS: Mapping[str, Callable[[Instance], Sequence[str]]] = {
    "db-instance-id": lambda one: (one.name, one.arn),
    "dbi-resource-id": lambda one: (one.resource_id,),
    "engine": lambda one: (one.facts["Engine"],),
}
_SNAPSHOT_FILTERS: Mapping[str, Callable[[Snapshot], Sequence[str]]] = {
    "db-instance-id": lambda one: (one.facts["DBInstanceIdentifier"], one.facts["DBInstanceArn"]),
    "db-snapshot-id": lambda one: (one.name, one.arn),
    "dbi-resource-id": lambda one: (one.resource_id,),
    "snapshot-type": lambda one: (one.kind,),
    "engine": lambda one: (one.facts["Engine"],),
}
_KINDS = frozenset({"manual", "automated", "shared", "public", "awsbackup"})


class Descriptions:
    """Handlers of the operations that change nothing, and of those on tags."""

    def __init__(self, state: State, restoration: Restoration) -> None:
        self._state = state
        self._restoration = restoration

    def instances(self, call: Call) -> Answer:
        """DescribeDBInstances."""
        params, state = call.params, self._state
        with state.lock:
            if params.get("DBInstanceIdentifier"):
                found = [state.instance(params["DBInstanceIdentifier"])]
            else:
                found = sorted(state.instances.values(), key=lambda one: one.name)
            found = filtered(found, params.get("Filters"), _INSTANCE_FILTERS)
            page, marker = paged(found, params, lambda one: one.name)
            shapes = [shape_of(state, one) for one in page]
        return call.answer({"DBInstances": shapes, **marker})

    def snapshots(self, call: Call) -> Answer:
        """DescribeDBSnapshots. Without `SnapshotType`, manual and automated ones."""
        params, state = call.params, self._state
        kind, instance = params.get("SnapshotType"), (params.get("DBInstanceIdentifier") or "").lower()
        if kind is not None and kind not in _KINDS:
            raise AwsError("InvalidParameterValue", f"Invalid snapshot type: {kind}")
        with state.lock:
            if params.get("DBSnapshotIdentifier"):
                found = [state.snapshot(params["DBSnapshotIdentifier"])]
            else:
                found = sorted(state.snapshots.values(), key=lambda one: one.name)
            found = [
                one
                for one in filtered(found, params.get("Filters"), _SNAPSHOT_FILTERS)
                if kind in (None, one.kind)
                and instance in ("", one.facts["DBInstanceIdentifier"], one.facts["DBInstanceArn"].lower())
                and params.get("DbiResourceId") in (None, one.resource_id)
            ]
            page, marker = paged(found, params, lambda one: one.name)
            shapes = [one.shape() for one in page]
        return call.answer({"DBSnapshots": shapes, **marker})

    def automated_backups(self, call: Call) -> Answer:
        """DescribeDBInstanceAutomatedBackups: of instances that are, and of deleted ones whose were kept."""
        params, state = call.params, self._state
        name, resource_id = params.get("DBInstanceIdentifier"), params.get("DbiResourceId")
        with state.lock:
            alive = [(one, "active") for one in state.instances.values() if one.retention]
            found = [
                (one, status)
                for one, status in (*alive, *((one, "retained") for one in state.retained.values()))
                if name in (None, one.name) and resource_id in (None, one.resource_id)
            ]
            page, marker = paged(
                sorted(found, key=lambda pair: pair[0].resource_id), params, lambda p: p[0].resource_id
            )
            shapes = [self._automated_backup(one, status) for one, status in page]
        return call.answer({"DBInstanceAutomatedBackups": shapes, **marker})

    def _automated_backup(self, instance: Instance, status: str) -> dict[str, Any]:
        bases = [one.base.ended_at for one in self._restoration.bases(instance) if one.base]
        window = {"EarliestTime": min(bases, default=None), "LatestTime": instance.archive.latest}
        names = ("DBInstanceArn", "DBInstanceIdentifier", "Engine", "EngineVersion", "MasterUsername")
        more = ("AllocatedStorage", "BackupRetentionPeriod", "StorageType")
        return {
            **{name: instance.facts[name] for name in (*names, *more)},
            "DbiResourceId": instance.resource_id,
            "DBInstanceAutomatedBackupsArn": self._state.arn("auto-backup", f"ab-{instance.resource_id[3:].lower()}"),
            "Encrypted": bool(instance.facts.get("StorageEncrypted")),
            "Port": instance.port,
            "Region": self._state.config.region,
            "RestoreWindow": {name: moment for name, moment in window.items() if moment is not None},
            "Status": status,
            "TagList": instance.tags,
        }

    def account(self, call: Call) -> Answer:
        """DescribeAccountAttributes: quotas and what is used of them."""
        state = self._state
        with state.lock:
            used = {
                "DBInstances": (len(state.instances), INSTANCES),
                "ManualSnapshots": (state.manual_snapshots(), MANUAL_SNAPSHOTS),
                "AllocatedStorage": (
                    sum(int(one.facts["AllocatedStorage"]) for one in state.instances.values()),
                    100_000,
                ),
                "ReadReplicasPerMaster": (
                    max((len(one.replicas) for one in state.instances.values()), default=0),
                    15,
                ),
            }
            quotas = [
                {"AccountQuotaName": name, "Used": count, "Max": state.quota(name, limit)}
                for name, (count, limit) in used.items()
            ]
        return call.answer({"AccountQuotas": quotas})

    def tags(self, call: Call, forward: Forward) -> Answer:
        """AddTagsToResource, RemoveTagsFromResource and ListTagsForResource; of groups, moto's."""
        arn = call.params.get("ResourceName", "")
        kind = arn.split(":")[5] if arn.count(":") > 5 else ""
        if kind not in ("db", "snapshot"):
            return forward()
        state = self._state
        with state.lock:
            one: Instance | Snapshot = state.instance(arn) if kind == "db" else state.snapshot(arn)
            if call.operation == "ListTagsForResource":
                return call.answer({"TagList": one.tags})
            if call.operation == "AddTagsToResource":
                added: Tags = tags_of(call.params) or []
                gone = {tag["Key"] for tag in added}
            else:
                added, gone = [], set(call.params.get("TagKeys") or ())
            one.tags = [tag for tag in one.tags if tag["Key"] not in gone] + added
        return call.answer({})


def filtered(
    found: Sequence[T], filters: Sequence[Mapping[str, Any]] | None, known: Mapping[str, Callable[[T], Sequence[str]]]
) -> list[T]:
    """Those of `found` that pass all `filters`; raises `AwsError` for a filter that there is not."""
    rest = list(found)
    for each in filters or ():
        values = known.get(each.get("Name", ""))
        if values is None:
            raise AwsError("InvalidParameterValue", f"Unrecognized filter name: {each.get('Name')}")
        wanted = set(each.get("Values") or ())
        rest = [one for one in rest if wanted.intersection(values(one))]
    return rest


def paged(found: Sequence[T], params: Mapping[str, Any], key: Callable[[T], str]) -> tuple[list[T], dict[str, str]]:
    """A page of `found`, sorted by `key`, and its `Marker` if there are more."""
    size = params.get("MaxRecords") or 100
    if not 20 <= size <= 100:
        raise AwsError("InvalidParameterValue", f"Invalid value {size} for MaxRecords. Must be between 20 and 100")
    try:
        after = base64.urlsafe_b64decode((params.get("Marker") or "").encode()).decode()
    except ValueError:
        raise AwsError("InvalidParameterValue", "The marker is not valid.") from None
    rest = [one for one in found if key(one) > after]
    page = list(rest[:size])
    if len(rest) <= size:
        return page, {}
    return page, {"Marker": base64.urlsafe_b64encode(key(page[-1]).encode()).decode()}
