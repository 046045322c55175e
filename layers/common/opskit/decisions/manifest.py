"""The manifest of a snapshot run: what was backed up, whether each part was verified, and where it is.

A restore takes a set that belongs together from one manifest, and a drill compares with what it says. Its bytes are
canonical JSON, so that its hash, kept apart from it, shows any edit.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from urllib.parse import quote

from opskit.clock import moment_of, timestamp
from opskit.decisions.evidence import canonical, sha256
from opskit.errors import ManifestError

VERSION = 1
FOLDER = "manifests"
PREFIX = f"{FOLDER}/"


def object_key(folder: str, hour: datetime, run: str, ending: str) -> str:
    """`<folder>/YYYY/MM/DD/HH-<run><ending>`: where an object of a run is; the order of keys is the order of hours."""
    return f"{folder}/{hour:%Y/%m/%d/%H}-{quote(run, safe='')}{ending}"


class Kind(StrEnum):
    """What a component is of."""

    DATABASE = "database"
    CACHE = "cache"
    CLUSTER = "cluster_configuration"
    STATE = "terraform_state"
    DATA = "application_data"


class Status(StrEnum):
    """How the backup of a component ended. What was not verified counts for nothing."""

    VERIFIED = "VERIFIED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a run.

    Attributes:
        kind: what it is of.
        resource: the DB instance, the replication group, the namespace and so on.
        status: VERIFIED, FAILED or SKIPPED.
        reason: why it failed or was skipped; for a verified one, anything worth saying.
        id: the name of the snapshot, or the key of the object; None if there is none.
        taken_at: the moment of which the data is (aware).
        bytes: size; of a DB snapshot its allocated storage.
        sha256: checksum of an object's bytes.
        counts: what was counted, by name (`tables`, `rows`, `keys`, `objects`, ...).
        contents: what a drill compares with (see `contents`), captured `before` and `after` the backup.
    """

    kind: Kind
    resource: str
    status: Status
    reason: str | None = None
    id: str | None = None
    taken_at: datetime | None = None
    bytes: int | None = None
    sha256: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    contents: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind.value,
            "resource": self.resource,
            "status": self.status.value,
            "reason": self.reason,
            "id": self.id,
            "taken_at": timestamp(self.taken_at) if self.taken_at else None,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "counts": self.counts,
            "contents": self.contents,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; KeyError, TypeError or ValueError for anything else."""
        return cls(
            kind=Kind(data["kind"]),
            resource=data["resource"],
            status=Status(data["status"]),
            reason=data.get("reason"),
            id=data.get("id"),
            taken_at=moment_of(data["taken_at"]) if data.get("taken_at") else None,
            bytes=data.get("bytes"),
            sha256=data.get("sha256"),
            counts=dict(data.get("counts", {})),
            contents=dict(data.get("contents", {})),
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the run `run` (an execution's name) backed up for `hour`. `required`: kinds without which none is whole."""

    service: str
    environment: str
    hour: datetime
    run: str
    started_at: datetime
    finished_at: datetime
    components: tuple[Component, ...]
    required: tuple[Kind, ...] = tuple(Kind)

    @property
    def missing(self) -> tuple[str, ...]:
        """Why it is not complete, one line each: every component that was not verified, every kind that has none."""
        bad = [
            f"{part.kind} {part.resource}: {part.status}{f', {part.reason}' if part.reason else ''}"
            for part in self.components
            if part.status is not Status.VERIFIED
        ]
        there = {part.kind for part in self.components}
        return (*bad, *(f"{kind}: nothing of it was backed up" for kind in self.required if kind not in there))

    @property
    def complete(self) -> bool:
        """Whether every component was verified, and none of the required kinds lacks."""
        return not self.missing

    @property
    def key(self) -> str:
        """The object key; the order of keys is the order of hours."""
        return object_key(FOLDER, self.hour, self.run, ".json")

    def component(self, kind: Kind, resource: str | None = None) -> Component | None:
        """The verified component of `kind` (and `resource`); None if there is none."""
        for part in self.components:
            if part.kind is kind and part.status is Status.VERIFIED and resource in (None, part.resource):
                return part
        return None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; with `complete` and `missing`, for people and other programs."""
        return {
            "version": VERSION,
            "service": self.service,
            "environment": self.environment,
            "hour": timestamp(self.hour),
            "run": self.run,
            "started_at": timestamp(self.started_at),
            "finished_at": timestamp(self.finished_at),
            "required": [kind.value for kind in self.required],
            "complete": self.complete,
            "missing": list(self.missing),
            "components": [part.as_dict() for part in self.components],
        }

    def to_bytes(self) -> bytes:
        """Its one form: canonical JSON."""
        return canonical(self.as_dict())

    @property
    def sha256(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal: to be kept apart from it."""
        return sha256(self.to_bytes())


def parse(content: bytes, *, sha256_recorded: str | None = None) -> Manifest:
    """The manifest in `content`.

    Raises ManifestError, with what is wrong, if it is not the one whose hash was recorded (where that is given), not
    JSON, of another version, lacks something, or contradicts itself.
    """
    found = sha256(content)
    if sha256_recorded is not None and found != sha256_recorded:
        raise ManifestError(f"the manifest was changed: its SHA-256 is {found}, {sha256_recorded} was recorded")
    try:
        data = json.loads(content)
    except ValueError as error:
        raise ManifestError(f"the manifest is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ManifestError(f"the manifest is a JSON {type(data).__name__}, not an object")
    if data.get("version") != VERSION:
        raise ManifestError(f"the manifest has version {data.get('version')!r}; {VERSION} is understood")
    try:
        manifest = Manifest(
            service=data["service"],
            environment=data["environment"],
            hour=moment_of(data["hour"]),
            run=data["run"],
            started_at=moment_of(data["started_at"]),
            finished_at=moment_of(data["finished_at"]),
            components=tuple(Component.from_dict(part) for part in data["components"]),
            required=tuple(Kind(kind) for kind in data["required"]),
        )
    except KeyError as error:
        raise ManifestError(f"the manifest lacks {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ManifestError(f"the manifest is malformed: {error}") from None
    if data.get("complete") is not manifest.complete:
        raise ManifestError(
            f"the manifest says complete: {data.get('complete')}, but its components say {manifest.complete}"
            f"{': ' + '; '.join(manifest.missing) if manifest.missing else ''}"
        )
    return manifest


@dataclass(frozen=True, slots=True)
class Choice:
    """The manifest that was chosen, or None, and why."""

    manifest: Manifest | None
    reason: str


def choose_latest(
    manifests: Iterable[Manifest], *, before: datetime | None = None, allow_incomplete: bool = False
) -> Choice:
    """The newest complete manifest, of those finished at or before `before` if that is given.

    An incomplete one is chosen only with `allow_incomplete`, and then only if it is newer and has a verified part.
    """
    limit = f" at or before {timestamp(before)}" if before else ""
    candidates = sorted(
        (m for m in manifests if before is None or m.finished_at <= before),
        key=lambda manifest: (manifest.hour, manifest.finished_at, manifest.run),
        reverse=True,
    )
    for manifest in candidates:
        if manifest.complete:
            return Choice(manifest, f"the newest complete manifest{limit}, of {timestamp(manifest.hour)}")
        if allow_incomplete and any(part.status is Status.VERIFIED for part in manifest.components):
            return Choice(manifest, f"incomplete, as was allowed: {'; '.join(manifest.missing)}")
    if not candidates:
        return Choice(None, f"there is no manifest{limit}")
    newest = candidates[0]
    reason = f"none of {len(candidates)} manifests{limit} is complete; the newest lacks {'; '.join(newest.missing)}"
    return Choice(None, reason)


def choose_by_snapshot(manifests: Iterable[Manifest], snapshot: str, *, allow_incomplete: bool = False) -> Choice:
    """The manifest that has `snapshot` (the name of a DB or cache snapshot, or an object's key) as verified.

    Of several, as a cache backup may be in two hours' manifests, the first: the run that took it.
    """
    having = sorted(
        (m for m in manifests if any(part.id == snapshot for part in m.components)),
        key=lambda manifest: (manifest.hour, manifest.finished_at, manifest.run),
    )
    if not having:
        return Choice(None, f"no manifest names {snapshot}")
    verified = [
        m for m in having if any(part.id == snapshot and part.status is Status.VERIFIED for part in m.components)
    ]
    if not verified:
        return Choice(None, f"{snapshot} was never verified, says the manifest of {timestamp(having[0].hour)}")
    for manifest in verified:
        if manifest.complete:
            return Choice(manifest, f"the complete manifest of {timestamp(manifest.hour)} names {snapshot}")
    if allow_incomplete:
        return Choice(verified[0], f"incomplete, as was allowed: {'; '.join(verified[0].missing)}")
    return Choice(None, f"{snapshot} is of an incomplete set: {'; '.join(verified[0].missing)}")
