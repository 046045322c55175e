"""CreateDBSnapshot, CopyDBSnapshot and DeleteDBSnapshot."""

import time
from datetime import UTC, datetime

from sandbox.platform.calls import Call
from sandbox.platform.errors import AwsError
from sandbox.platform.rds import configuration, events
from sandbox.platform.rds.lifecycle import Lifecycle
from sandbox.platform.rds.records import AVAILABLE, Instance, Snapshot, tags_of
from sandbox.platform.rds.state import State
from sandbox.postgres.backup import BaseBackup
from sandbox.postgres.binaries import PostgresError
from sandbox.postgres.server import copy


class Snapshots:
    """Handlers of the operations on snapshots."""

    def __init__(self, state: State, lifecycle: Lifecycle) -> None:
        self._state = state
        self._lifecycle = lifecycle

    def create(self, call: Call) -> Snapshot:
        """CreateDBSnapshot: the instance is `backing-up` meanwhile, and takes no other one."""
        params, state = call.params, self._state
        name = configuration.identifier(params.get("DBSnapshotIdentifier"), "DBSnapshotIdentifier")
        with state.lock:
            instance = state.instance(params.get("DBInstanceIdentifier"))
            state.check_ready(instance, "create a snapshot")
            state.check_new_snapshot(name)
            effects = state.effects(call.operation, {name, instance.name})
            snapshot = self._lifecycle.record(instance, name, "manual")
            snapshot.tags = (tags_of(params) or []) + [
                tag for tag in snapshot.tags if tag["Key"] not in {given["Key"] for given in tags_of(params) or ()}
            ]
            state.snapshots[name] = snapshot
            instance.status = "backing-up"

        def job() -> None:
            began = time.monotonic()
            try:
                if effects.get("end_status") in (None, AVAILABLE):
                    self._take_slowly(instance, snapshot, effects, began)
                else:
                    self._stay(instance, effects, began)
                    with state.lock:
                        snapshot.status = effects["end_status"]
            except PostgresError as error:
                events.log_failure(name, error)
            finally:
                state.set_status(instance, AVAILABLE)

        state.run(instance, job)
        return snapshot

    def _take_slowly(self, instance: Instance, snapshot: Snapshot, effects: dict[str, object], began: float) -> None:
        self._stay(instance, effects, began)
        if not instance.doomed.is_set():
            self._lifecycle.take(instance, snapshot)

    def _stay(self, instance: Instance, effects: dict[str, object], began: float) -> None:
        usual = self._state.config.engine_pace_seconds
        rest = float(str(effects.get("seconds", usual))) - (time.monotonic() - began)
        self._state.pace(max(0.0, rest), until=instance.doomed)

    def copy(self, call: Call) -> Snapshot:
        """CopyDBSnapshot, within the region. Tags are copied only if `CopyTags` says so."""
        params, state = call.params, self._state
        name = configuration.identifier(params.get("TargetDBSnapshotIdentifier"), "DBSnapshotIdentifier")
        with state.lock:
            source = state.snapshot(params.get("SourceDBSnapshotIdentifier"))
            if source.status != AVAILABLE or source.base is None:
                raise AwsError("InvalidDBSnapshotState", f"The snapshot {source.name} is {source.status}.")
            state.check_new_snapshot(name)
            snapshot = Snapshot(
                name=name,
                arn=state.arn("snapshot", name),
                kind="manual",
                resource_id=source.resource_id,
                facts=source.facts,
                port=source.port,
                vpc_id=source.vpc_id,
                tags=tags_of(params) or (list(source.tags) if params.get("CopyTags") else []),
                instance_tags=source.instance_tags,
                instance_created_at=source.instance_created_at,
                started_at=datetime.now(UTC),
                copied_from=source.arn,
            )
            state.snapshots[name] = snapshot
            base = source.base
        directory = state.directory / "snapshots" / f"copy-{time.time_ns()}"

        def job() -> None:
            state.pace()
            try:
                copy(base.directory, directory)
            except OSError as error:  # the source was deleted meanwhile, which fails a copy on AWS too
                events.log_failure(name, error)
                snapshot.status = "failed"
                return
            with state.lock:
                snapshot.base = BaseBackup(directory, base.ended_at)
                snapshot.status = AVAILABLE

        state.submit(job)
        return snapshot

    def delete(self, call: Call) -> Snapshot:
        """DeleteDBSnapshot; manual ones only, and not while they are made."""
        state = self._state
        with state.lock:
            snapshot = state.snapshot(call.params.get("DBSnapshotIdentifier"))
            if snapshot.kind != "manual":
                raise AwsError("InvalidDBSnapshotState", "Deletion of automated snapshots is not supported.")
            if snapshot.status not in (AVAILABLE, "failed"):
                raise AwsError("InvalidDBSnapshotState", f"The snapshot {snapshot.name} is {snapshot.status}.")
            del state.snapshots[snapshot.name]
            snapshot.status = "deleted"
        if snapshot.base is not None:
            # A restore that reads it has it opened or fails, as one does that begins now.
            state.submit(snapshot.base.remove)
        state.announce(events.DELETED_SNAPSHOT, snapshot)
        return snapshot
