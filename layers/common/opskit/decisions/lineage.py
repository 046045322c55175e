"""Which database and which cache the service has used, and when: every restore that replaces gives it another.

Their backups are on record under the names that they had then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from opskit.clock import moment_of
from opskit.decisions.manifest import Kind, Manifest
from opskit.decisions.swaps import swaps_of
from opskit.ledger import OperationRecord


@dataclass(frozen=True, slots=True)
class Succession:
    """At `at` (aware) the service's `kind` changed from one name to another, for good."""

    kind: Kind
    at: datetime
    before: str
    after: str


def successions(records: Iterable[OperationRecord]) -> tuple[Succession, ...]:
    """From the records of restores, oldest first: those swaps that held (`facts.swapped`)."""
    found = []
    for record in records:
        for swap in swaps_of(record.facts.get("swapped") or []):
            at = _cut_at(record)
            if at is not None:
                found.append(Succession(swap.kind, at, swap.from_name, swap.to_name))
    return tuple(sorted(found, key=lambda one: (one.at, one.kind)))


def live_at(kind: Kind, name: str, history: Sequence[Succession], moment: datetime) -> str:
    """What the service used at `moment`; `name` is what it uses now."""
    own = [one for one in history if one.kind is kind]
    until = [one for one in own if one.at <= moment]
    if until:
        return until[-1].after
    return own[0].before if own else name


def former_names(kind: Kind, name: str, history: Iterable[Succession]) -> tuple[str, ...]:
    """All other names that the service's `kind` has had."""
    names = {known for one in history if one.kind is kind for known in (one.before, one.after)}
    return tuple(sorted(names - {name}))


def under_one_name(
    manifests: Iterable[Manifest], kind: Kind, name: str, history: Sequence[Succession]
) -> tuple[Manifest, ...]:
    """`manifests`, in which the backups of whatever was live when they were taken count as those of `name`."""
    return tuple(
        replace(
            manifest,
            components=tuple(
                replace(part, resource=name)
                if part.kind is kind and part.taken_at and part.resource == live_at(kind, name, history, part.taken_at)
                else part
                for part in manifest.components
            ),
        )
        for manifest in manifests
    )


def _cut_at(record: OperationRecord) -> datetime | None:
    """When its cut-over was made; of one whose event was lost, when it ended."""
    for event in record.events:
        if event.what == "cut over":
            return moment_of(event.facts["at"])
    return record.ended_at
