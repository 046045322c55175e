"""What operations have in common: how an instance becomes available, or does not, and how it is backed up."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.platform.rds import events
from sandbox.platform.rds.records import AVAILABLE, Instance, Snapshot
from sandbox.platform.rds.state import State
from sandbox.postgres import backup
from sandbox.postgres.binaries import PostgresError

KEEP_AUTOMATED = 3
"""Automated snapshots of an instance that are kept; on AWS it is a number of days."""


class Abandoned(Exception):  # noqa: N818 - an order, not a failure
    """The instance is being deleted; the job on it ends here."""


class Lifecycle:
    """Parts of jobs; each runs in a job's thread, with the instance's `work` held."""

    def __init__(self, state: State) -> None:
        self._state = state

    def bring_up(
        self,
        instance: Instance,
        build: Callable[[], None],
        effects: Mapping[str, Any],
        *,
        failure: str,
        announce: Callable[[], None],
    ) -> None:
        """Take a new instance from `creating` to `available`, or to the status that `effects` or a failure say.

        `build` makes and starts the engine; `failure` is the status when it cannot.
        """
        state, began = self._state, time.monotonic()
        try:
            end = effects.get("end_status")
            if end not in (None, AVAILABLE):
                self._wait(instance, began, effects)
                self._fail(instance, end)
                return
            try:
                build()
                self._check(instance)
                state.open_endpoint(instance)
            except PostgresError as error:
                events.log_failure(instance.name, error)
                self._fail(instance, failure)
                return
            except OSError as error:
                events.log_failure(instance.name, error)
                self._fail(instance, "incompatible-network")
                return
            self._wait(instance, began, effects)
            with state.lock:
                instance.created_at = datetime.now(UTC)
                instance.facts.update(effects.get("set") or {})
            announce()
            if instance.retention:
                state.set_status(instance, "backing-up")
                self.begin_backups(instance)
                state.pace(until=instance.doomed)
            self._check(instance)
            state.set_status(instance, AVAILABLE)
        except Abandoned:
            return

    def begin_backups(self, instance: Instance) -> None:
        """Start the archive and take the base that it is replayed upon."""
        instance.archive.start()
        snapshot = self.automated(instance)
        self.take(instance, snapshot)
        instance.archive.reach(snapshot.base.ended_at if snapshot.base else datetime.now(UTC))

    def end_backups(self, instance: Instance) -> None:
        """Stop the archive and remove automated snapshots."""
        instance.archive.stop()
        self._prune(instance, keep=0)

    def automated(self, instance: Instance) -> Snapshot:
        """A new automated snapshot's record, in the store."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S")
        with self._state.lock:
            snapshot = self.record(instance, f"rds:{instance.name}-{stamp}", "automated")
            self._state.snapshots[snapshot.name] = snapshot
        return snapshot

    def record(self, instance: Instance, name: str, kind: str) -> Snapshot:
        """A snapshot's record, of the instance as it is now."""
        group = self._state.placement.subnet_group(instance.facts["DBSubnetGroup"])
        return Snapshot(
            name=name,
            arn=self._state.arn("snapshot", name),
            kind=kind,
            resource_id=instance.resource_id,
            facts={**instance.facts},
            port=instance.port,
            vpc_id=group["VpcId"] if group else None,
            tags=list(instance.tags) if instance.facts["CopyTagsToSnapshot"] else [],
            instance_tags=list(instance.tags),
            instance_created_at=instance.created_at,
            started_at=datetime.now(UTC),
        )

    def take(self, instance: Instance, snapshot: Snapshot) -> None:
        """Take the base backup of a snapshot; raises `PostgresError`, the snapshot `failed` then."""
        state = self._state
        manual = snapshot.kind == "manual"
        state.announce(events.CREATING_SNAPSHOT if manual else events.CREATING_AUTOMATED, snapshot)
        directory = state.directory / "snapshots" / f"{instance.resource_id}-{time.time_ns()}"
        try:
            base = backup.take(instance.server, directory)
        except PostgresError:
            with state.lock:
                snapshot.status = "failed"
            raise
        with state.lock:
            snapshot.base = base
            snapshot.status = AVAILABLE
        state.announce(events.CREATED_SNAPSHOT if manual else events.CREATED_AUTOMATED, snapshot)
        if not manual:
            self._prune(instance, keep=KEEP_AUTOMATED)

    def _prune(self, instance: Instance, *, keep: int) -> None:
        with self._state.lock:
            automated = [
                one
                for one in self._state.snapshots.values()
                if one.kind == "automated" and one.resource_id == instance.resource_id and one.base is not None
            ]
            old = sorted(automated, key=lambda one: one.name, reverse=True)[keep:]
            for one in old:
                del self._state.snapshots[one.name]
        for one in old:
            if one.base is not None:
                one.base.remove()

    def _fail(self, instance: Instance, status: str) -> None:
        instance.archive.stop()
        instance.server.stop()
        with self._state.lock:
            instance.created_at = datetime.now(UTC)
        self._state.set_status(instance, status)
        self._state.announce(events.failure(status), instance, status=status)

    def _wait(self, instance: Instance, began: float, effects: Mapping[str, Any]) -> None:
        """Stay in a status for the usual time, or for the seconds that a fault says."""
        usual = self._state.config.engine_pace_seconds
        rest = float(effects.get("seconds", usual)) - (time.monotonic() - began)
        self._state.pace(max(0.0, rest), until=instance.doomed)
        self._check(instance)

    def _check(self, instance: Instance) -> None:
        if instance.doomed.is_set() or self._state.ended.is_set():
            raise Abandoned

    def stay(self, seconds: float | None, until: threading.Event | None = None) -> None:
        """Stay in a status for a while."""
        self._state.pace(seconds, until=until)
