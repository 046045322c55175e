"""What a snapshot run takes: names, whose a snapshot is, which resource can be taken now, and the quotas.

Names are made of the resource and the scheduled hour, so that an event that is delivered twice, or a run that is
run again, finds the first one's snapshot. A name alone proves nothing, though: ours is what carries our tags.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from opskit.clock import moment_of, timestamp
from opskit.errors import InvalidInputError
from opskit.verdict import Outcome, Verdict

# CreateDBSnapshot, DBSnapshotIdentifier: 1-255 letters, digits or hyphens; first a letter; none at the end, no two in
# a row. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html
DATABASE_SNAPSHOT_NAME = 255
# CreateSnapshot states no length for a node-based cache (255 is stated for a serverless one). 50 is that of a
# cache cluster's id, the longest identifier of the service with a stated limit below that.
# https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateSnapshot.html
# https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateCacheCluster.html
CACHE_SNAPSHOT_NAME = 50

TAG_SERVICE = "ops:service"
TAG_ENVIRONMENT = "ops:environment"
TAG_RESOURCE = "ops:resource"
TAG_HOUR = "ops:hour"
TAG_RUN = "ops:run"

_IDENTIFIER = re.compile(r"[a-z](?:-?[a-z0-9])*")
_HOUR = "%Y%m%d%H"
# A clock that is this much ahead of ours still counts as right.
_SKEW = timedelta(minutes=1)


def hour_of(moment: datetime) -> datetime:
    """The hour (UTC) that `moment` (aware) lies in: that of a scheduled event, by its scheduled time."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def judge_event(scheduled: datetime, now: datetime, *, maximum_age_seconds: float) -> Verdict:
    """PASS if the run for `scheduled` may start; the facts hold its hour. FAIL for an event too old, or of the future.

    The hour is that of the schedule and never that of the clock: an event that is delivered late, or twice across
    the turn of the hour, must find the same names.
    """
    facts = {"hour": timestamp(hour_of(scheduled)), "age_seconds": round((now - scheduled).total_seconds(), 1)}
    if scheduled > now + _SKEW:
        return Verdict(Outcome.FAIL, f"the event is of {timestamp(scheduled)}, which is still to come", facts)
    if (now - scheduled).total_seconds() > maximum_age_seconds:
        reason = f"the event is {facts['age_seconds']} s old; after {maximum_age_seconds:.0f} s its hour is not taken"
        return Verdict(Outcome.FAIL, reason, facts)
    return Verdict(Outcome.PASS, f"the run for {hour_of(scheduled):%Y-%m-%d %H}:00 UTC", facts)


def snapshot_name(service: str, environment: str, resource: str, hour: datetime, *, limit: int) -> str:
    """`<service>-<environment>-<resource>-<yyyymmddhh>`, in lower case, as RDS and ElastiCache store names.

    A name that would be longer than `limit` loses the end of its first three parts to a digest of them: two
    resources never share one. Raises InvalidInputError for a part that no name can have.
    """
    parts = (service.lower(), environment.lower(), resource.lower())
    stem = "-".join(parts)
    if not all(parts) or not _IDENTIFIER.fullmatch(stem):
        raise InvalidInputError(
            f"{stem!r} cannot begin a snapshot's name: letters, digits and single hyphens, first a letter, are allowed"
        )
    suffix = hour_of(hour).strftime(_HOUR)
    if len(stem) + 1 + len(suffix) > limit:
        digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:8]
        stem = f"{stem[: limit - len(suffix) - len(digest) - 2].rstrip('-')}-{digest}"
    return f"{stem}-{suffix}"


def snapshot_tags(service: str, environment: str, resource: str, hour: datetime, run: str) -> dict[str, str]:
    """The tags of a snapshot that `run` (an execution's name) takes of `resource` for `hour`."""
    return {
        TAG_SERVICE: service,
        TAG_ENVIRONMENT: environment,
        TAG_RESOURCE: resource,
        TAG_HOUR: timestamp(hour_of(hour)),
        TAG_RUN: run,
    }


def not_ours(wanted: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """Why a snapshot that was found under our name is not the one wanted, or None if it is.

    Both are tags. The run may differ: the snapshot of an earlier delivery, or of a run that died, is as good.
    """
    wrong = [
        f"{tag} is {found[tag]!r}, not {value!r}" if tag in found else f"it has no tag {tag}"
        for tag, value in wanted.items()
        if tag != TAG_RUN and found.get(tag) != value
    ]
    return "; ".join(wrong) or None


def hour_tagged(tags: Mapping[str, str], service: str, environment: str) -> tuple[str, datetime] | None:
    """The resource and the hour that a snapshot's tags name; None if it is not ours, or its tags are damaged."""
    if tags.get(TAG_SERVICE) != service or tags.get(TAG_ENVIRONMENT) != environment or not tags.get(TAG_RESOURCE):
        return None
    try:
        hour = moment_of(tags.get(TAG_HOUR, ""))
    except ValueError:
        return None
    return (tags[TAG_RESOURCE], hour) if hour == hour_of(hour) else None


@dataclass(frozen=True, slots=True)
class Quota:
    """How many there are, and how many there may be; manual DB snapshots of an account and region, for one."""

    used: int
    maximum: int

    @property
    def free(self) -> int:
        """How many more there may be; never below 0, though a quota may be lowered below what is used."""
        return max(0, self.maximum - self.used)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; with `free`."""
        return asdict(self) | {"free": self.free}


class Preflight(StrEnum):
    """What follows from the quota before a run."""

    PROCEED = "PROCEED"
    PRUNE_FIRST = "PRUNE_FIRST"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class PreflightPlan:
    """What to do before snapshots are taken, why, and how many must be pruned first."""

    decision: Preflight
    reason: str
    prune: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"decision": self.decision.value}


def preflight(quota: Quota, needed: int, prunable: int) -> PreflightPlan:
    """Whether a run that takes `needed` snapshots fits, with as many left for the run after it.

    `prunable`: how many the retention plan would delete now. REFUSE when what is needed does not fit even then:
    nothing beyond the policy is ever deleted to make room.
    """
    usage = f"{quota.used} of {quota.maximum} used, {needed} needed"
    room = quota.maximum - quota.used  # below 0 where the quota was lowered, or others have used it up
    if room >= 2 * needed:
        return PreflightPlan(Preflight.PROCEED, f"{usage}, and as many left for the next run")
    if room + prunable < needed:
        reason = f"{usage}, {prunable} to prune by policy: raise the quota, or keep fewer; nothing was taken or deleted"
        return PreflightPlan(Preflight.REFUSE, reason)
    short = min(prunable, 2 * needed - room)
    if short > 0:
        return PreflightPlan(Preflight.PRUNE_FIRST, f"{usage}: {short} are pruned first", short)
    return PreflightPlan(Preflight.PROCEED, f"{usage}; too few are left for the next run, and none is to prune")
