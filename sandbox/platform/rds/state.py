"""Every instance and snapshot of the account and region, and what all operations on them need."""

import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sandbox.addresses import Address, NoAddressError
from sandbox.config import Config
from sandbox.platform.automation import Automation
from sandbox.platform.engines import Faults
from sandbox.platform.errors import AwsError
from sandbox.platform.rds import events
from sandbox.platform.rds.endpoint import Endpoint
from sandbox.platform.rds.placement import Placement
from sandbox.platform.rds.records import READY, Instance, Snapshot, serves
from sandbox.platform.rds.secrets import Secrets
from sandbox.postgres.archive import Archive
from sandbox.postgres.server import Server

log = logging.getLogger(__name__)

SERVICE = "rds"
MANUAL_SNAPSHOTS = 100
"""Per region ("Quotas and constraints for Amazon RDS" in the RDS user guide)."""
INSTANCES = 40


class State:
    """Guarded by `lock`; engines are worked on without it, in the threads of `run`."""

    def __init__(self, config: Config, *, automation: Automation, faults: Faults, moto_lock: threading.RLock) -> None:
        self.config = config
        self.automation = automation
        self.faults = faults
        self.lock = threading.RLock()
        self.placement = Placement(config.account, config.region, moto_lock)
        self.secrets = Secrets(config)
        self.instances: dict[str, Instance] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.retained: dict[str, Instance] = {}
        """Deleted instances whose automated backups were kept, by resource id."""
        self.directory = config.dir / "engines" / "rds"
        self.ended = threading.Event()
        # On AWS an endpoint's name follows from the instance's; here its address does, also after its end.
        self._addresses: dict[tuple[str, int], Address] = {}
        self._jobs = ThreadPoolExecutor(32, thread_name_prefix="rds")
        faults.on_change(self.follow_faults)

    # Names and look-ups.

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a resource (`db`, `snapshot`, …)."""
        return f"arn:aws:rds:{self.config.region}:{self.config.account}:{kind}:{name}"

    @property
    def template(self) -> Path:
        """Where the cluster is that new ones are copied from."""
        return self.directory / "template"

    def instance(self, name: str | None) -> Instance:
        """The instance with an identifier or ARN; raises `AwsError`."""
        wanted = (name or "").rpartition(":")[2].lower()
        found = self.instances.get(wanted)
        if found is None:
            raise AwsError("DBInstanceNotFound", f"DBInstance {wanted} not found.", 404)
        return found

    def snapshot(self, name: str | None) -> Snapshot:
        """The snapshot with an identifier or ARN; raises `AwsError`."""
        wanted = (name or "").lower()
        wanted = wanted.partition(":snapshot:")[2] or wanted
        found = self.snapshots.get(wanted)
        if found is None:
            raise AwsError("DBSnapshotNotFound", f"DBSnapshot {wanted} not found.", 404)
        return found

    def check_new_instance(self, name: str) -> None:
        """Raise `AwsError` if there is one of that name, or no room for another."""
        if name in self.instances:
            raise AwsError("DBInstanceAlreadyExists", "DB instance already exists")
        if len(self.instances) >= self.quota("DBInstances", INSTANCES):
            raise AwsError("InstanceQuotaExceeded", "DB Instance quota exceeded")

    def check_new_snapshot(self, name: str) -> None:
        """Raise `AwsError` if there is one of that name, or no room for another manual one."""
        if name in self.snapshots:
            raise AwsError(
                "DBSnapshotAlreadyExists", f"Cannot create the snapshot because a snapshot {name} already exists."
            )
        limit = self.quota("ManualSnapshots", MANUAL_SNAPSHOTS)
        if self.manual_snapshots() >= limit:
            raise AwsError(
                "SnapshotQuotaExceeded", f"Cannot create more than {limit} manual snapshots: the quota is used up."
            )

    def manual_snapshots(self) -> int:
        """How many there are, those in creation included."""
        return sum(snapshot.kind == "manual" for snapshot in self.snapshots.values())

    def quota(self, name: str, default: int) -> int:
        """The quota, which a fault may set."""
        return int((self.faults.standing(SERVICE, "*", "quota") or {}).get(name, default))

    # Making and removing what an instance consists of.

    def make(self, facts: dict[str, Any], port: int, **more: Any) -> Instance:
        """A new instance's record, in the store; its engine is made by a job."""
        resource_id = f"db-{uuid.uuid4().hex[:26].upper()}"
        server = Server(
            self.directory / "instances" / resource_id,
            lambda: self.placement.parameters(facts["DBParameterGroups"][0]["DBParameterGroupName"]),
        )
        archive = Archive(server, server.directory / "archive", self.config.database_archive_seconds)
        instance = Instance(resource_id=resource_id, facts=facts, server=server, archive=archive, port=port, **more)
        self.instances[instance.name] = instance
        return instance

    def open_endpoint(self, instance: Instance) -> None:
        """Give it its address; raises `OSError` if its port is not to be had."""
        with self.lock:
            key = (instance.name, instance.port)
            address = self._addresses.get(key) or self._new_address(instance.port)
            self._addresses[key] = address
            instance.endpoint = Endpoint(self.config, instance.server, instance.resource_id, address)

    def _new_address(self, port: int) -> Address:
        taken = {address.host for address in self._addresses.values()}
        try:
            return Address.find(port, avoid=taken)
        except NoAddressError:
            # Names that came and went: the oldest gives way.
            used = {one.endpoint.address for one in self.instances.values() if one.endpoint is not None}
            for key, address in self._addresses.items():
                if address not in used and address.port == port:
                    del self._addresses[key]
                    return address
            raise

    def discard(self, instance: Instance, *, keep_backups: bool) -> None:
        """Stop its engine and remove its files, except its backups if they are to be kept."""
        if instance.endpoint is not None:
            instance.endpoint.close()
        instance.archive.stop()
        instance.server.stop()
        automated = [one for one in self.snapshots.values() if one.resource_id == instance.resource_id]
        with self.lock:
            if self.instances.get(instance.name) is instance:
                del self.instances[instance.name]
            if keep_backups:
                self.retained[instance.resource_id] = instance
            for snapshot in automated if not keep_backups else ():
                if snapshot.kind == "automated":
                    self.snapshots.pop(snapshot.name, None)
                    if snapshot.base is not None:
                        snapshot.base.remove()
        shutil.rmtree(instance.server.data if keep_backups else instance.server.directory, ignore_errors=True)

    # Statuses.

    def status(self, instance: Instance) -> str:
        """What it shows, which a fault may say."""
        held = self.faults.standing(SERVICE, instance.name, "status")
        return str(held) if held and instance.status != "deleting" else instance.status

    def set_status(self, instance: Instance, status: str) -> None:
        """Change it; the endpoint answers or refuses accordingly."""
        with self.lock:
            if instance.status != "deleting":
                instance.status = status
        self.follow(instance)

    def follow(self, instance: Instance) -> None:
        """Let endpoint and archive do as status and faults say."""
        endpoint = instance.endpoint
        if endpoint is not None:
            if serves(self.status(instance)) and instance.server.running:
                endpoint.open(iam=instance.iam)
            else:
                endpoint.close()
        instance.archive.hold(self.faults.standing(SERVICE, instance.name, "archive") == "held")

    def follow_faults(self) -> None:
        """The same for all instances."""
        with self.lock:
            instances = list(self.instances.values())
        for instance in instances:
            self.follow(instance)

    def check_ready(self, instance: Instance, doing: str) -> None:
        """Raise `AwsError` unless it is available."""
        status = self.status(instance)
        if status not in READY:
            raise AwsError(
                "InvalidDBInstanceState", f"Cannot {doing} because the instance {instance.name} is currently {status}."
            )

    # Jobs.

    def run(self, instance: Instance, job: Callable[[], None]) -> None:
        """Run `job` in the background, after those that work on `instance` already."""

        def work() -> None:
            with instance.work:
                try:
                    job()
                except Exception:
                    log.exception("a job on %s failed", instance.name)
                    self.set_status(instance, "failed")

        self._jobs.submit(work)

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job`, which raises nothing, in the background."""
        self._jobs.submit(job)

    def pace(self, seconds: float | None = None, *, until: threading.Event | None = None) -> None:
        """Wait as long as a status lasts."""
        (until or self.ended).wait(self.config.engine_pace_seconds if seconds is None else seconds)

    def effects(self, operation: str, targets: Collection[str]) -> dict[str, Any]:
        """What faults say of an operation that begins."""
        return self.faults.effects(SERVICE, operation, targets)

    def announce(self, kind: events.Kind, about: Instance | Snapshot, **words: str) -> None:
        """Put an event on the bus."""
        events.emit(self.automation, kind, name=about.name, arn=about.arn, **words)

    def close(self) -> None:
        """Stop every engine, at once."""
        self.ended.set()
        self._jobs.shutdown(wait=False, cancel_futures=True)
        for instance in list(self.instances.values()):
            if instance.endpoint is not None:
                instance.endpoint.close()
            instance.server.halt()
