"""CreateDBInstance and CreateDBInstanceReadReplica."""

from typing import Any

from sandbox.platform.calls import Call
from sandbox.platform.errors import AwsError
from sandbox.platform.rds import configuration, events
from sandbox.platform.rds.lifecycle import Lifecycle
from sandbox.platform.rds.records import Instance, tags_of
from sandbox.platform.rds.state import State
from sandbox.postgres import backup, roles

DEFAULT_PORT = 5432
_REQUIRED = ("DBInstanceIdentifier", "DBInstanceClass", "Engine", "MasterUsername", "AllocatedStorage")
_RESERVED = frozenset({"rdsadmin", "postgres_admin", "rds_superuser", "rds_iam", "admin", "public"})


class Creation:
    """Handlers of the operations that make an instance of nothing, or of another that runs."""

    def __init__(self, state: State, lifecycle: Lifecycle) -> None:
        self._state = state
        self._lifecycle = lifecycle

    def create(self, call: Call) -> Instance:
        """CreateDBInstance."""
        params, state = call.params, self._state
        missing = [name for name in _REQUIRED if not params.get(name)]
        if missing:
            raise AwsError(
                "InvalidParameterValue", f"The parameter {missing[0]} must be provided and must not be blank."
            )
        if params["Engine"] != "postgres":
            raise AwsError("InvalidParameterValue", f"Invalid DB engine: {params['Engine']}")
        name, master = configuration.identifier(params["DBInstanceIdentifier"]), params["MasterUsername"]
        if master.lower() in _RESERVED or master.startswith("pg_"):
            raise AwsError("InvalidParameterValue", f"MasterUsername {master} cannot be used as it is a reserved word")
        managed, password = bool(params.get("ManageMasterUserPassword")), params.get("MasterUserPassword")
        if managed == bool(password):
            raise AwsError(
                "InvalidParameterCombination",
                "You must specify either MasterUserPassword or ManageMasterUserPassword, and not both.",
            )
        if password:
            check_password(password)
        own = {
            "Engine": "postgres",
            "EngineVersion": configuration.engine_version(params.get("EngineVersion")),
            "MasterUsername": master,
            "StorageEncrypted": bool(params.get("StorageEncrypted")),
            **{key: params[key] for key in ("DBName", "KmsKeyId") if params.get(key)},
        }
        with state.lock:
            state.check_new_instance(name)
            facts = configuration.new(params, own, state.placement, name=name, arn=state.arn("db", name))
        secret: dict[str, str] = {}
        if managed:
            password, secret = state.secrets.create(master, facts["DBInstanceArn"])
            facts["MasterUserSecret"] = {
                **secret,
                "KmsKeyId": params.get("MasterUserSecretKmsKeyId", "aws/secretsmanager"),
            }
        effects = state.effects(call.operation, {name})
        with state.lock:
            state.check_new_instance(name)
            instance = state.make(facts, params.get("Port") or DEFAULT_PORT, tags=tags_of(params) or [])

        def build() -> None:
            instance.server.create(state.template)
            instance.server.configure(password_users=(master,))
            instance.server.start()
            roles.create(instance.server, master=master, password=str(password), database=params.get("DBName"))

        state.run(
            instance,
            lambda: self._lifecycle.bring_up(
                instance, build, effects, failure="failed", announce=lambda: state.announce(events.CREATED, instance)
            ),
        )
        return instance

    def create_replica(self, call: Call) -> Instance:
        """CreateDBInstanceReadReplica; the replica streams from its source all the time."""
        params, state = call.params, self._state
        name = configuration.identifier(params.get("DBInstanceIdentifier"))
        with state.lock:
            source = state.instance(params.get("SourceDBInstanceIdentifier"))
            state.check_new_instance(name)
            state.check_ready(source, "create a read replica")
            if not source.retention:
                raise AwsError(
                    "InvalidDBInstanceState", "Automated backups are not enabled for this database instance."
                )
            inherited = {key: source.facts[key] for key in configuration.INHERITED_BY_REPLICA if key in source.facts}
            chosen: dict[str, Any] = {
                "DBSubnetGroupName": source.facts["DBSubnetGroup"],
                "DBParameterGroupName": source.facts["DBParameterGroups"][0]["DBParameterGroupName"],
                "BackupRetentionPeriod": 0,
                **params,
            }
            facts = configuration.new(chosen, inherited, state.placement, name=name, arn=state.arn("db", name))
            instance = state.make(facts, params.get("Port") or source.port, tags=tags_of(params) or [], source=source)
            source.replicas.append(instance)
        effects = state.effects(call.operation, {name, source.name})

        state.run(
            instance,
            lambda: self._lifecycle.bring_up(
                instance,
                lambda: backup.follow(instance.server, source.server, password_users=(instance.master,)),
                effects,
                failure="failed",
                announce=lambda: state.announce(events.CREATED, instance),
            ),
        )
        return instance


def check_password(password: str) -> None:
    """Raise `AwsError` unless RDS for PostgreSQL takes it."""
    if not 8 <= len(password) <= 128 or any(mark in password for mark in '/@" ') or not password.isprintable():
        raise AwsError(
            "InvalidParameterValue",
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides "
            "'/', '@', '\"', ' ' may be used, 8 to 128 of them.",
        )


def shape_of(state: State, instance: Instance) -> dict[str, Any]:
    """The API's `DBInstance` of now."""
    with state.lock:
        group = state.placement.subnet_group(instance.facts["DBSubnetGroup"])
        return instance.shape(state.status(instance), group)
