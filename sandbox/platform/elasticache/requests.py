"""What calls about replication groups ask for: checked, and put in terms of the model."""

import re
from collections.abc import Callable
from typing import Any

from sandbox.platform.calls import Call
from sandbox.platform.elasticache.model import Group, Snapshot, now
from sandbox.platform.elasticache.parameters import family_of
from sandbox.platform.elasticache.state import State
from sandbox.platform.errors import AwsError

DEFAULT_PORT = 6379
MAX_NODES = 6
"""One primary and five replicas, to a node group without cluster mode."""

_ID = re.compile(r"[a-z](?!.*--)[a-z0-9-]{0,39}(?<!-)", re.IGNORECASE)
_DEFAULT_VERSION = {"redis": "7.1", "valkey": "8.0"}
_UNSERVED = ("GlobalReplicationGroupId", "PrimaryClusterId", "DataTieringEnabled", "UserGroupIds")
_UNSERVED_CHANGES = ("UserGroupIdsToAdd", "UserGroupIdsToRemove", "ClusterMode", "TransitEncryptionEnabled", "Engine")


def refused(message: str) -> AwsError:
    """What this sandbox does not do."""
    return AwsError("InvalidParameterCombination", f"Not served by the sandbox: {message}")


def new_group(state: State, call: Call, group_id: str, snapshot: Snapshot | None) -> Group:
    """The group that CreateReplicationGroup asks for, without nodes; raises `AwsError` for what cannot be.

    What the call leaves out, a snapshot that it is made of remembers; placement is not part of that.
    """
    params = call.params
    remembered = snapshot.source if snapshot is not None else {}
    if not _ID.fullmatch(group_id):
        raise AwsError("InvalidParameterValue", f"The parameter ReplicationGroupIdentifier is not valid: {group_id}")
    if params.get("ClusterMode") not in (None, "disabled") or (params.get("NumNodeGroups") or 1) > 1:
        raise refused("cluster mode")
    for member in _UNSERVED:
        if params.get(member):
            raise refused(member)
    if params.get("TransitEncryptionMode") == "preferred":
        raise refused("TransitEncryptionMode preferred")
    engine = params.get("Engine") or remembered.get("Engine") or "redis"
    if engine not in _DEFAULT_VERSION:
        raise AwsError("InvalidParameterValue", f"Invalid engine: {engine}")
    version = params.get("EngineVersion") or remembered.get("EngineVersion") or _DEFAULT_VERSION[engine]
    family = family_of(engine, version)
    node_type = params.get("CacheNodeType") or remembered.get("CacheNodeType")
    if not node_type:
        raise AwsError("InvalidParameterValue", "CacheNodeType is required.")
    state.memory_gib(node_type)
    parameters = state.parameters.get(params.get("CacheParameterGroupName") or f"default.{family}")
    if parameters.family != family:
        raise AwsError(
            "InvalidParameterCombination",
            f"Expected a parameter group of family {family} but found one of family {parameters.family}",
        )
    token, tls = params.get("AuthToken"), bool(params.get("TransitEncryptionEnabled"))
    if token:
        _check_token(token)
        if not tls:
            raise AwsError("InvalidParameterCombination", "AuthToken can only be used with TransitEncryptionEnabled.")
    if params.get("MultiAZEnabled") and not params.get("AutomaticFailoverEnabled"):
        raise AwsError("InvalidParameterCombination", "MultiAZ needs automatic failover to be enabled.")
    return Group(
        id=group_id,
        arn=state.arn("replicationgroup", group_id),
        description=params["ReplicationGroupDescription"],
        engine=engine,
        engine_version=version,
        node_type=node_type,
        parameter_group=parameters.name,
        subnet_group=params.get("CacheSubnetGroupName") or "default",
        security_groups=list(params.get("SecurityGroupIds") or ()),
        host="",
        port=params.get("Port") or DEFAULT_PORT,
        automatic_failover=bool(params.get("AutomaticFailoverEnabled")),
        multi_az=bool(params.get("MultiAZEnabled")),
        transit_encryption=tls,
        at_rest_encryption=bool(params.get("AtRestEncryptionEnabled")),
        kms_key=params.get("KmsKeyId"),
        auth_tokens=[token] if token else [],
        auth_token_at=now() if token else None,
        retention=params.get("SnapshotRetentionLimit") or 0,
        snapshot_window=params.get("SnapshotWindow") or "03:00-04:00",
        maintenance_window=params.get("PreferredMaintenanceWindow") or "sun:05:00-sun:06:00",
        auto_minor_upgrade=params.get("AutoMinorVersionUpgrade", True),
        topic_arn=params.get("NotificationTopicArn"),
        directory=state.directory / "groups" / group_id,
    )


def node_count(call: Call) -> int:
    """How many nodes a new group is to have; raises `AwsError`."""
    count, replicas = call.params.get("NumCacheClusters"), call.params.get("ReplicasPerNodeGroup")
    if count is not None and replicas is not None:
        raise AwsError("InvalidParameterCombination", "NumCacheClusters and ReplicasPerNodeGroup exclude each other.")
    wanted = count if count is not None else (replicas or 0) + 1
    if not 1 <= wanted <= MAX_NODES:
        raise AwsError("InvalidParameterValue", f"A replication group has 1 to {MAX_NODES} nodes, not {wanted}.")
    return int(wanted)


def _check_token(token: str) -> None:
    # AuthToken: 16 to 128 characters; of the special ones only ! & # $ ^ < > -
    if not re.fullmatch(r"[A-Za-z0-9!&#$^<>-]{16,128}", token):
        raise AwsError("InvalidParameterValue", "Invalid AuthToken provided.")


def changes(state: State, call: Call, group: Group) -> list[Callable[[], None]]:
    """What is to be set once the group is `modifying`; raises `AwsError` for what cannot be."""
    params = call.params
    found: list[Callable[[], None]] = []
    for member in _UNSERVED_CHANGES:
        if params.get(member):
            raise refused(member)

    def later(attribute: str, value: Any) -> None:
        found.append(lambda: setattr(group, attribute, value))

    for member, attribute in (
        ("ReplicationGroupDescription", "description"),
        ("SecurityGroupIds", "security_groups"),
        ("PreferredMaintenanceWindow", "maintenance_window"),
        ("SnapshotWindow", "snapshot_window"),
        ("NotificationTopicArn", "topic_arn"),
        ("AutoMinorVersionUpgrade", "auto_minor_upgrade"),
        ("EngineVersion", "engine_version"),
    ):
        if params.get(member) is not None:
            later(attribute, params[member])
    if params.get("EngineVersion"):
        family_of(group.engine, params["EngineVersion"])
    failover = params.get("AutomaticFailoverEnabled", group.automatic_failover)
    if failover and len(group.nodes) < 2:
        raise AwsError(
            "InvalidParameterCombination", "When automatic failover is enabled, there must be at least one replica."
        )
    multi_az = params.get("MultiAZEnabled", group.multi_az)
    if multi_az and not failover:
        raise AwsError("InvalidParameterCombination", "MultiAZ needs automatic failover to be enabled.")
    later("automatic_failover", failover)
    later("multi_az", multi_az)
    _snapshotting(call, group, later)
    if name := params.get("CacheParameterGroupName"):
        parameters = state.parameters.get(name)
        if parameters.family != family_of(group.engine, params.get("EngineVersion") or group.engine_version):
            raise AwsError(
                "InvalidParameterCombination", f"{name} is of family {parameters.family}, which does not fit."
            )
        later("parameter_group", parameters.name)
    if node_type := params.get("CacheNodeType"):
        state.memory_gib(node_type)
        if params.get("ApplyImmediately"):
            later("node_type", node_type)
            later("pending_node_type", None)
        else:
            group.pending_node_type = node_type
    _auth(call, group, later)
    return found


def _snapshotting(call: Call, group: Group, later: Callable[[str, Any], None]) -> None:
    named, retention = call.params.get("SnapshottingClusterId"), call.params.get("SnapshotRetentionLimit")
    if named is not None:
        if group.node(named) is None:
            raise AwsError("CacheClusterNotFound", f"CacheCluster not found: {named}", 404)
        later("snapshotting_cluster", named)
    if retention is not None:
        if retention and named is None and group.snapshotting_cluster is None:
            raise AwsError(
                "InvalidParameterCombination",
                "Must specify both SnapshotRetentionLimit and SnapshottingClusterId to turn on snapshots",
            )
        later("retention", retention)


def _auth(call: Call, group: Group, later: Callable[[str, Any], None]) -> None:
    token, strategy = call.params.get("AuthToken"), call.params.get("AuthTokenUpdateStrategy") or "ROTATE"
    if strategy == "DELETE":
        later("auth_tokens", [])
    elif token:
        _check_token(token)
        if not group.transit_encryption:
            raise AwsError("InvalidParameterCombination", "AuthToken can only be used with TransitEncryptionEnabled.")
        # ROTATE: the old one works beside the new one, until SET.
        later("auth_tokens", [token] if strategy == "SET" else [token, *group.auth_tokens[:1]])
        later("auth_token_at", now())
