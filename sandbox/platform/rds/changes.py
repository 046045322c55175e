"""ModifyDBInstance, RebootDBInstance, PromoteReadReplica and DeleteDBInstance."""

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.platform.calls import Call
from sandbox.platform.errors import AwsError
from sandbox.platform.rds import configuration, events
from sandbox.platform.rds.creation import check_password
from sandbox.platform.rds.lifecycle import Lifecycle
from sandbox.platform.rds.records import AVAILABLE, READY, TERMINAL, Instance
from sandbox.platform.rds.state import State
from sandbox.postgres import backup, roles
from sandbox.postgres.binaries import PostgresError

# What waits for the maintenance window unless ApplyImmediately is given ("Settings for DB instances" in the RDS
# user guide).
_DEFERRED = (
    "AllocatedStorage",
    "DBInstanceClass",
    "Iops",
    "LicenseModel",
    "MultiAZ",
    "StorageThroughput",
    "StorageType",
)
_AFTER_BACKUP = READY | {"backing-up"}


class Changes:
    """Handlers of the operations that change or end an instance."""

    def __init__(self, state: State, lifecycle: Lifecycle) -> None:
        self._state = state
        self._lifecycle = lifecycle

    def modify(self, call: Call) -> Instance:
        """ModifyDBInstance."""
        params, state = call.params, self._state
        with state.lock:
            instance = state.instance(params.get("DBInstanceIdentifier"))
            status = state.status(instance)
            if status == "incompatible-parameters":
                status = AVAILABLE
            if status not in READY:
                raise AwsError(
                    "InvalidDBInstanceState",
                    f"Database instance is not in available state: {instance.name} is {status}.",
                )
            now, later = self._plan(params)
            name = params.get("NewDBInstanceIdentifier")
            if name is not None:
                name = configuration.identifier(name, "NewDBInstanceIdentifier")
                if name != instance.name and name in state.instances:
                    raise AwsError("DBInstanceAlreadyExists", "DB instance already exists")
                if not params.get("ApplyImmediately"):
                    later["DBInstanceIdentifier"], name = name, None
            password = self._new_password(instance, params, now)
            effects = state.effects(call.operation, {instance.name})
            instance.facts["PendingModifiedValues"] = {**instance.facts["PendingModifiedValues"], **later}
            protection = now.pop("DeletionProtection", None)
            if protection is not None:
                # At once, and without the instance being unavailable to anything else.
                instance.facts["DeletionProtection"] = protection
            if not (now or name or password):
                return instance
            instance.status = "modifying"

        def job() -> None:
            state.pace(effects.get("seconds"), until=instance.doomed)
            self._apply(instance, now, name, password)
            state.set_status(instance, effects.get("end_status") or AVAILABLE)

        state.run(instance, job)
        return instance

    def _plan(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Members that change now, and those that wait."""
        state = self._state
        facts = configuration.given(params)
        if params.get("EngineVersion"):
            facts["EngineVersion"] = configuration.engine_version(params["EngineVersion"])
        if params.get("DBParameterGroupName"):
            facts["DBParameterGroups"] = state.placement.parameter_group(params["DBParameterGroupName"])
            facts["DBParameterGroups"][0]["ParameterApplyStatus"] = "pending-reboot"
        if params.get("VpcSecurityGroupIds"):
            instance = state.instance(params["DBInstanceIdentifier"])
            group = state.placement.check_subnet_group(instance.facts["DBSubnetGroup"])
            facts["VpcSecurityGroups"] = state.placement.security_groups(params["VpcSecurityGroupIds"], group["VpcId"])
        later = {}
        if not params.get("ApplyImmediately"):
            later = {name: facts.pop(name) for name in _DEFERRED if name in facts}
        return facts, later

    def _new_password(self, instance: Instance, params: Mapping[str, Any], now: dict[str, Any]) -> str | None:
        secrets, secret = self._state.secrets, instance.facts.get("MasterUserSecret")
        if params.get("MasterUserPassword"):
            if params.get("ManageMasterUserPassword"):
                raise AwsError("InvalidParameterCombination", "Give MasterUserPassword or ManageMasterUserPassword.")
            check_password(params["MasterUserPassword"])
            return str(params["MasterUserPassword"])
        if params.get("ManageMasterUserPassword") and not secret:
            password, made = secrets.create(instance.master, instance.arn)
            now["MasterUserSecret"] = {**made, "KmsKeyId": params.get("MasterUserSecretKmsKeyId", "aws/secretsmanager")}
            return password
        if params.get("RotateMasterUserPassword"):
            if not secret:
                raise AwsError("InvalidParameterCombination", "RDS does not manage this instance's password.")
            return secrets.rotate(instance.master, secret["SecretArn"])
        return None

    def _apply(self, instance: Instance, now: dict[str, Any], name: str | None, password: str | None) -> None:
        state = self._state
        before = instance.retention
        with state.lock:
            instance.facts.update(now)
        if password is not None:
            roles.set_password(instance.server, instance.master, password)
            state.announce(events.PASSWORD_RESET, instance)
        if instance.retention and not before:
            self._lifecycle.begin_backups(instance)
        elif before and not instance.retention:
            self._lifecycle.end_backups(instance)
        if name is not None and name != instance.name:
            self._rename(instance, name)

    def _rename(self, instance: Instance, name: str) -> None:
        """A new identifier, endpoint and ARN, after a reboot ("Renaming a DB instance" in the RDS user guide)."""
        state = self._state
        state.set_status(instance, "renaming")
        if instance.endpoint is not None:
            instance.endpoint.close()
        with state.lock:
            if name in state.instances:
                raise AwsError("DBInstanceAlreadyExists", "DB instance already exists")
            del state.instances[instance.name]
            instance.facts.update(DBInstanceIdentifier=name, DBInstanceArn=state.arn("db", name))
            state.instances[name] = instance
        self._restart(instance)
        state.open_endpoint(instance)
        state.pace(until=instance.doomed)

    def reboot(self, call: Call) -> Instance:
        """RebootDBInstance: connections are cut, and a new parameter group takes effect."""
        state = self._state
        with state.lock:
            instance = state.instance(call.params.get("DBInstanceIdentifier"))
            status = state.status(instance)
            if status not in _AFTER_BACKUP and status != "incompatible-parameters":
                raise AwsError(
                    "InvalidDBInstanceState", f"The instance {instance.name} cannot be rebooted, it is {status}."
                )
            effects = state.effects(call.operation, {instance.name})
            instance.status = "rebooting"

        def job() -> None:
            state.follow(instance)
            state.announce(events.SHUT_DOWN, instance)
            self._restart(instance)
            state.pace(effects.get("seconds"), until=instance.doomed)
            with state.lock:
                for group in instance.facts["DBParameterGroups"]:
                    group["ParameterApplyStatus"] = "in-sync"
            state.set_status(instance, effects.get("end_status") or AVAILABLE)
            state.announce(events.RESTARTED, instance)

        state.run(instance, job)
        return instance

    def _restart(self, instance: Instance) -> None:
        instance.server.stop()
        if instance.source is None:
            # A replica's configuration says whom it follows.
            instance.server.configure(password_users=(instance.master,))
        instance.server.start()

    def promote(self, call: Call) -> Instance:
        """PromoteReadReplica."""
        state = self._state
        with state.lock:
            instance = state.instance(call.params.get("DBInstanceIdentifier"))
            if instance.source is None:
                raise AwsError("InvalidDBInstanceState", f"DB Instance {instance.name} is not a read replica.")
            state.check_ready(instance, "promote the read replica")
            instance.facts["BackupRetentionPeriod"] = call.params.get("BackupRetentionPeriod", 1)
            instance.status = "modifying"
        state.run(instance, lambda: self._promote(instance))
        return instance

    def _promote(self, instance: Instance) -> None:
        state = self._state
        backup.promote(instance.server, password_users=(instance.master,))
        with state.lock:
            source, instance.source = instance.source, None
            if source is not None and instance in source.replicas:
                source.replicas.remove(instance)
        if instance.retention:
            self._lifecycle.begin_backups(instance)
        state.set_status(instance, AVAILABLE)

    def delete(self, call: Call) -> Instance:
        """DeleteDBInstance, also of an instance that is still being created, if no final snapshot is wanted."""
        params, state = call.params, self._state
        with state.lock:
            instance = state.instance(params.get("DBInstanceIdentifier"))
            if instance.status == "deleting":
                text = f"Instance {instance.name} is already being deleted."
                raise AwsError("InvalidDBInstanceState", text)
            if instance.facts["DeletionProtection"]:
                raise AwsError(
                    "InvalidParameterCombination",
                    "Cannot delete protected DB Instance, please disable deletion protection and try again.",
                )
            take = self._final_snapshot(instance, params)
            effects = state.effects(call.operation, {instance.name})
            abandon = instance.status == "creating"
            instance.status = "deleting"
            instance.doomed.set()
        if abandon:
            instance.server.halt()
        keep = params.get("DeleteAutomatedBackups") is False and bool(instance.retention)

        def job() -> None:
            if take is not None:
                take()
            state.follow(instance)
            state.pace(effects.get("seconds"))
            for replica in list(instance.replicas):
                state.run(replica, lambda replica=replica: self._promote(replica))  # type: ignore[misc]
            with state.lock:
                if instance.source is not None and instance in instance.source.replicas:
                    instance.source.replicas.remove(instance)
            if "MasterUserSecret" in instance.facts:
                state.secrets.delete(instance.facts["MasterUserSecret"]["SecretArn"])
            state.discard(instance, keep_backups=keep)
            state.announce(events.DELETED, instance)

        state.run(instance, job)
        return instance

    def _final_snapshot(self, instance: Instance, params: Mapping[str, Any]) -> Callable[[], None] | None:
        name, skip = params.get("FinalDBSnapshotIdentifier"), bool(params.get("SkipFinalSnapshot"))
        if skip and name:
            raise AwsError(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier can not be specified when deleting with SkipFinalSnapshot.",
            )
        if skip:
            return None
        if instance.source is not None:
            raise AwsError("InvalidParameterCombination", "A read replica takes no final snapshot.")
        if not name:
            raise AwsError(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
            )
        status = self._state.status(instance)
        if status in TERMINAL or status == "creating":
            raise AwsError(
                "InvalidDBInstanceState", f"Cannot create a final snapshot because {instance.name} is {status}."
            )
        name = configuration.identifier(name, "FinalDBSnapshotIdentifier")
        self._state.check_new_snapshot(name)
        snapshot = self._lifecycle.record(instance, name, "manual")
        self._state.snapshots[name] = snapshot

        def take() -> None:
            try:
                self._lifecycle.take(instance, snapshot)
            except PostgresError as error:
                events.log_failure(name, error)

        return take
