"""RestoreDBInstanceFromDBSnapshot and RestoreDBInstanceToPointInTime."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.platform.calls import Call
from sandbox.platform.errors import AwsError
from sandbox.platform.rds import configuration, events
from sandbox.platform.rds.lifecycle import Lifecycle
from sandbox.platform.rds.records import AVAILABLE, Instance, Snapshot, Tags, tags_of
from sandbox.platform.rds.state import State
from sandbox.postgres import backup


class Restoration:
    """Handlers of the operations that make an instance of a backup."""

    def __init__(self, state: State, lifecycle: Lifecycle) -> None:
        self._state = state
        self._lifecycle = lifecycle

    def from_snapshot(self, call: Call) -> Instance:
        """RestoreDBInstanceFromDBSnapshot."""
        params, state = call.params, self._state
        name = configuration.identifier(params.get("DBInstanceIdentifier"))
        with state.lock:
            snapshot = state.snapshot(params.get("DBSnapshotIdentifier"))
            base = snapshot.base
            if snapshot.status != AVAILABLE or base is None:
                raise AwsError(
                    "InvalidDBSnapshotState", f"The snapshot {snapshot.name} is {snapshot.status}, not available."
                )
            # Its instance's tags of today, if that still is there.
            alive = [one for one in state.instances.values() if one.resource_id == snapshot.resource_id]
            tags = alive[0].tags if alive else snapshot.instance_tags
            effects = state.effects(call.operation, {name, snapshot.name})
            instance = self._make(params, name, snapshot.facts, snapshot.port, tags)

        return self._begin(
            instance,
            lambda: backup.restore(instance.server, base, password_users=(instance.master,)),
            effects,
            lambda: state.announce(events.RESTORED, snapshot, source=snapshot.name),
        )

    def to_point_in_time(self, call: Call) -> Instance:
        """RestoreDBInstanceToPointInTime: the newest backup before the moment, and the archive from there on."""
        params, state = call.params, self._state
        name = configuration.identifier(params.get("TargetDBInstanceIdentifier"), "DBInstanceIdentifier")
        with state.lock:
            source = self._source(params)
            if not source.retention:
                raise AwsError(
                    "PointInTimeRestoreNotEnabled",
                    f"Point in time restore is not enabled for instance {source.name}.",
                )
            latest = source.archive.latest
            moment = self._moment(params, latest)
            bases = self.bases(source)
            if latest is None or not bases:
                raise AwsError("InvalidDBInstanceState", f"{source.name} has no backup to restore from yet.")
            usable = [one for one in bases if one.base and one.base.ended_at <= moment]
            if moment > latest or not usable:
                earliest = min(one.base.ended_at for one in bases if one.base)
                raise AwsError(
                    "InvalidParameterValue",
                    f"The specified instance cannot be restored to a time later than {stated(latest)} or earlier "
                    f"than {stated(earliest)}",
                )
            nearest = max(usable, key=lambda one: one.base.ended_at if one.base else moment).base
            assert nearest is not None  # noqa: S101 - only those with a base are usable
            effects = state.effects(call.operation, {name, source.name})
            instance = self._make(params, name, source.facts, source.port, source.tags)

        return self._begin(
            instance,
            lambda: backup.recover(
                instance.server, nearest, source.archive.directory, moment, password_users=(instance.master,)
            ),
            effects,
            lambda: state.announce(events.RESTORED_TO_TIME, instance, source=source.name),
        )

    def bases(self, source: Instance) -> list[Snapshot]:
        """The snapshots, automated and manual, that the source's archive can be replayed upon."""
        begun = [
            one
            for one in self._state.snapshots.values()
            if one.kind == "automated" and one.resource_id == source.resource_id and one.base is not None
        ]
        # The archive begins with the first automated one; what was taken before lacks the WAL in between.
        first = min((one.base.ended_at for one in begun if one.base), default=None)
        return [
            one
            for one in self._state.snapshots.values()
            if one.resource_id == source.resource_id
            and one.status == AVAILABLE
            and one.base is not None
            and first is not None
            and one.base.ended_at >= first
        ]

    def _source(self, params: Mapping[str, Any]) -> Instance:
        wanted = params.get("SourceDbiResourceId")
        if not wanted:
            return self._state.instance(params.get("SourceDBInstanceIdentifier"))
        alive = {one.resource_id: one for one in self._state.instances.values()}
        found = {**self._state.retained, **alive}.get(wanted)
        if found is None:
            raise AwsError("DBInstanceAutomatedBackupNotFound", f"No automated backup of {wanted} found.", 404)
        return found

    def _moment(self, params: Mapping[str, Any], latest: datetime | None) -> datetime:
        given, use_latest = params.get("RestoreTime"), bool(params.get("UseLatestRestorableTime"))
        if use_latest == (given is not None):
            raise AwsError(
                "InvalidParameterCombination", "You must specify either RestoreTime or UseLatestRestorableTime."
            )
        if given is None:
            return latest or datetime.now(UTC)
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(str(given).replace("Z", "+00:00"))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _make(self, params: Mapping[str, Any], name: str, source: Mapping[str, Any], port: int, tags: Tags) -> Instance:
        state = self._state
        state.check_new_instance(name)
        if params.get("Engine") not in (None, "postgres"):
            raise AwsError("InvalidParameterValue", f"Invalid DB engine: {params['Engine']}")
        if params.get("ManageMasterUserPassword"):
            raise AwsError(
                "InvalidParameterCombination",
                "ManageMasterUserPassword can be given on a restore for RDS for Oracle only; modify the instance "
                "after the restore.",
            )
        inherited = {key: source[key] for key in configuration.INHERITED if key in source}
        facts = configuration.new(params, inherited, state.placement, name=name, arn=state.arn("db", name))
        given = tags_of(params)
        return state.make(facts, params.get("Port") or port, tags=list(tags) if given is None else given)

    def _begin(
        self,
        instance: Instance,
        build: Callable[[], None],
        effects: Mapping[str, Any],
        announce: Callable[[], None],
    ) -> Instance:
        self._state.run(
            instance,
            lambda: self._lifecycle.bring_up(
                instance,
                build,
                effects,
                failure="restore-error",
                announce=announce,
            ),
        )
        return instance


def stated(moment: datetime) -> str:
    """A time as in the API's messages."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
