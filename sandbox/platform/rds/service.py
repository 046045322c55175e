"""The concern for RDS: which operation is answered by what."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.config import Config
from sandbox.platform import versions
from sandbox.platform.application import Forward
from sandbox.platform.authorization import via_service
from sandbox.platform.automation import Automation
from sandbox.platform.calls import Answer, Call
from sandbox.platform.engines import Faults
from sandbox.platform.errors import AwsError
from sandbox.platform.metrics import Publisher
from sandbox.platform.rds import metrics, permissions
from sandbox.platform.rds.changes import Changes
from sandbox.platform.rds.creation import Creation, shape_of
from sandbox.platform.rds.descriptions import Descriptions
from sandbox.platform.rds.lifecycle import Lifecycle
from sandbox.platform.rds.records import Instance, Snapshot
from sandbox.platform.rds.restoration import Restoration
from sandbox.platform.rds.snapshots import Snapshots
from sandbox.platform.rds.state import SERVICE, State
from sandbox.postgres.processes import Usage, usage_of

_NAMED_BY = (
    "DBInstanceIdentifier",
    "SourceDBInstanceIdentifier",
    "TargetDBInstanceIdentifier",
    "DBSnapshotIdentifier",
)
# moto would answer these from instances of its own, which there are none of.
_UNSERVED = ("StartDBInstance", "StopDBInstance", "CreateDBCluster", "StartExportTask")


class Databases:
    """RDS. Instances and snapshots are answered from here, groups by moto."""

    service = SERVICE

    def __init__(self, config: Config, *, automation: Automation, faults: Faults, moto_lock: threading.RLock) -> None:
        state = self.state = State(config, automation=automation, faults=faults, moto_lock=moto_lock)
        self._publisher = Publisher(
            metrics.NAMESPACE,
            self._readings,
            metrics.values,
            dimension=metrics.DIMENSION,
            endpoint_url=config.automation_url,
            region=config.region,
            period=config.metric_period_seconds,
        )
        lifecycle = Lifecycle(state)
        creation, changes = Creation(state, lifecycle), Changes(state, lifecycle)
        restoration, snapshots = Restoration(state, lifecycle), Snapshots(state, lifecycle)
        self._descriptions = descriptions = Descriptions(state, restoration)
        self._on_instances: Mapping[str, Callable[[Call], Instance]] = {
            "CreateDBInstance": creation.create,
            "CreateDBInstanceReadReplica": creation.create_replica,
            "RestoreDBInstanceFromDBSnapshot": restoration.from_snapshot,
            "RestoreDBInstanceToPointInTime": restoration.to_point_in_time,
            "ModifyDBInstance": changes.modify,
            "RebootDBInstance": changes.reboot,
            "PromoteReadReplica": changes.promote,
            "DeleteDBInstance": changes.delete,
        }
        self._on_snapshots: Mapping[str, Callable[[Call], Snapshot]] = {
            "CreateDBSnapshot": snapshots.create,
            "CopyDBSnapshot": snapshots.copy,
            "DeleteDBSnapshot": snapshots.delete,
        }
        self._reading: Mapping[str, Callable[[Call], Answer]] = {
            "DescribeDBInstances": descriptions.instances,
            "DescribeDBSnapshots": descriptions.snapshots,
            "DescribeDBInstanceAutomatedBackups": descriptions.automated_backups,
            "DescribeAccountAttributes": descriptions.account,
            "DescribeDBEngineVersions": versions.of_databases,
            "DescribeDBMajorEngineVersions": versions.of_major_databases,
        }

    def handle(self, call: Call, forward: Forward) -> Answer:
        """Answer one RDS call; raises `AwsError`."""
        names = {str(call.params[name]).lower() for name in _NAMED_BY if call.params.get(name)}
        self.state.faults.refuse(SERVICE, call.operation, names)
        if call.operation in self._on_instances:
            instance = self._on_instances[call.operation](call)
            self._publisher.start()
            return call.answer({"DBInstance": shape_of(self.state, instance)})
        if call.operation in self._on_snapshots:
            snapshot = self._on_snapshots[call.operation](call)
            return call.answer({"DBSnapshot": snapshot.shape()})
        if call.operation in self._reading:
            return self._reading[call.operation](call)
        if call.operation in ("AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource"):
            return self._descriptions.tags(call, forward)
        if call.operation == "DescribeDBParameterGroups" and call.params.get("DBParameterGroupName"):
            # moto answers with an empty list for one that there is not.
            self.state.placement.parameter_group(call.params["DBParameterGroupName"])
        if call.operation in _UNSERVED:
            raise AwsError("InvalidAction", f"The platform plane does not serve {call.operation}")
        return forward()

    def _readings(self) -> dict[str, Usage]:
        with self.state.lock:
            running = {one.server.pid: one.name for one in self.state.instances.values()}
        found = usage_of(number for number in running if number is not None)
        return {running[number]: usage for number, usage in found.items()}

    def conditions(self, call: Call, resource: str) -> Mapping[str, Any]:
        """The condition keys: the call's tags, and those of an instance or snapshot that there is."""
        if call.prefix != SERVICE:
            return via_service(call, SERVICE)
        asked = call.params.get("Tags") or ()
        keys = [tag["Key"] for tag in asked] + list(call.params.get("TagKeys") or ())
        context: dict[str, Any] = {
            f"{name}/{tag['Key']}": tag.get("Value", "") for tag in asked for name in ("aws:RequestTag", "rds:req-tag")
        }
        if keys:
            context["aws:TagKeys"] = keys
        with self.state.lock:
            found: list[Instance | Snapshot] = [
                *(one for one in self.state.instances.values() if one.arn == resource),
                *(one for one in self.state.snapshots.values() if one.arn == resource),
            ]
            for tag in (tag for one in found for tag in one.tags):
                context[f"aws:ResourceTag/{tag['Key']}"] = tag["Value"]
                kind = "db" if ":db:" in resource else "snapshot"
                context[f"rds:{kind}-tag/{tag['Key']}"] = tag["Value"]
        return context

    def dependents(self, call: Call) -> Sequence[tuple[Call, Sequence[str]]]:
        """Further calls as which this one is authorized, with their resources."""
        return permissions.dependents(call, self.state.config.account, self._key_of)

    def _key_of(self, call: Call) -> str | None:
        """The customer's key of what a call makes: its own, or that of what it is made of."""
        params, state = call.params, self.state
        key = params.get("KmsKeyId")
        with state.lock:
            snapshot = state.snapshots.get(str(params.get("DBSnapshotIdentifier", "")).rpartition(":")[2].lower())
            source = state.instances.get(str(params.get("SourceDBInstanceIdentifier", "")).rpartition(":")[2].lower())
            for made_of in (snapshot, source):
                key = key or (made_of.facts.get("KmsKeyId") if made_of is not None else None)
        return key if key and key.startswith("arn:aws:kms:") else None

    def tagged(self) -> list[tuple[str, dict[str, str]]]:
        """ARN and tags of every instance and snapshot."""
        with self.state.lock:
            found: list[Instance | Snapshot] = [*self.state.instances.values(), *self.state.snapshots.values()]
            return [(one.arn, {tag["Key"]: tag.get("Value", "") for tag in one.tags}) for one in found]

    def close(self) -> None:
        """Stop every engine."""
        self.state.close()
