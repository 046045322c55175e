"""A drill: what it is called, what it may touch, when it is to be gone, and what it has measured."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from opskit.clock import moment_of, timestamp
from opskit.errors import InvalidInputError
from opskit.verdict import Outcome, Verdict

# Its records and its lock in the ledger.
WORKFLOW = "drill"
LOCK = "drill"

PREFIX = "drill-"
# A DB instance's identifier has 63 characters at most, a replication group's 40; letters, digits, single hyphens.
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
# https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html
DATABASE_NAME = 63
CACHE_NAME = 40

TAG_DRILL = "ops:drill-id"
TAG_EXPIRES = "ops:expires-at"
TAG_SERVICE = "ops:drill-service"
TAG_ENVIRONMENT = "ops:drill-environment"

_ID = re.compile(r"[a-z0-9]{8,16}")
# For a copy whose tag cannot be read: no drill lasts as long.
LONGEST = timedelta(hours=12)


def drill_id(execution: str, started_at: datetime) -> str:
    """The id of the drill that `execution` is: 12 characters, the same for the same execution and start."""
    return hashlib.sha256(f"{execution}/{timestamp(started_at)}".encode()).hexdigest()[:12]


def drill_name(identity: str, resource: str, *, limit: int) -> str:
    """`drill-<id>-<resource>`, cut to `limit`: what the drill `identity` calls its copy of `resource`.

    A copy is not a copy's source: raises InvalidInputError if `resource` is itself a drill's, or the id is none.
    """
    if not _ID.fullmatch(identity):
        raise InvalidInputError(f"{identity!r} is not a drill's id: 8 to 16 lower-case letters and digits")
    name = re.sub(r"[^a-z0-9]+", "-", resource.lower()).strip("-")
    if not name or resource.lower().startswith(PREFIX):
        raise InvalidInputError(f"{resource!r} cannot be drilled: it has no name, or is a drill's own copy")
    return f"{PREFIX}{identity}-{name}"[:limit].rstrip("-")


def drill_tags(identity: str, expires: datetime, *, service: str, environment: str) -> dict[str, str]:
    """The tags of everything a drill makes. None of the source's: by those it would be backed up and monitored."""
    return {
        TAG_DRILL: identity,
        TAG_EXPIRES: timestamp(expires),
        TAG_SERVICE: service,
        TAG_ENVIRONMENT: environment,
    }


def may_touch(
    identity: str, identifier: str, tags: Mapping[str, str], sources: Sequence[str], *, source_arns: Sequence[str] = ()
) -> Verdict:
    """PASS if the drill `identity` may change or delete what is called `identifier`; asked right before it does.

    Name and tag must both be the drill's, and it must be none of the sources (by name or ARN): either proof alone could
    be someone's mistake. The functions' policies say the same.
    """
    facts = {"identifier": identifier, "drill": identity, "tag": tags.get(TAG_DRILL)}
    wrong = []
    if not _ID.fullmatch(identity):
        wrong.append(f"{identity!r} is not a drill's id")
    if identifier in sources or identifier in source_arns:
        wrong.append("it is a source")
    if not identifier.startswith(f"{PREFIX}{identity}-"):
        wrong.append(f"its name does not begin with {PREFIX}{identity}-")
    if tags.get(TAG_DRILL) != identity:
        wrong.append(f"its tag {TAG_DRILL} is {tags.get(TAG_DRILL)!r}")
    if wrong:
        return Verdict(Outcome.FAIL, f"{identifier} is not to be touched: {'; '.join(wrong)}", facts)
    return Verdict(Outcome.PASS, f"{identifier} is the drill's own", facts)


class Reap(StrEnum):
    """What the reaper does with something that looks like a drill's."""

    DELETE = "DELETE"
    LEAVE = "LEAVE"
    ALARM = "ALARM"


@dataclass(frozen=True, slots=True)
class Survivor:
    """Something that looks like a drill's, and what follows."""

    identifier: str
    decision: Reap
    reason: str
    drill: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"decision": self.decision.value}


def judge_survivor(
    identifier: str, tags: Mapping[str, str], now: datetime, *, created_at: datetime | None, running: frozenset[str]
) -> Survivor | None:
    """Whether the reaper deletes it; None if nothing about it is a drill's.

    `running`: ids of drills whose execution still runs, read after the resources were listed, or a drill that starts
    in between would lose its copy. A drill is deleted after its time even then, for an execution
    that hangs is one of those that leave things behind; before its time only if it no longer runs. What has the name
    but not the tag, or the tag but not the name, is never deleted: someone must look.
    """
    drill = tags.get(TAG_DRILL)
    named = identifier.startswith(PREFIX)
    if not named and drill is None:
        return None
    if drill is None or not _ID.fullmatch(drill) or not identifier.startswith(f"{PREFIX}{drill}-"):
        reason = f"its name is {'' if named else 'not '}a drill's, but its tag {TAG_DRILL} is {drill!r}"
        return Survivor(identifier, Reap.ALARM, reason, drill)
    expires, words = _expiry(tags, created_at)
    if expires is None:
        return Survivor(identifier, Reap.ALARM, words, drill)
    if now >= expires:
        return Survivor(identifier, Reap.DELETE, f"its time was over at {timestamp(expires)}{words}", drill)
    if drill not in running:
        return Survivor(identifier, Reap.DELETE, "its drill no longer runs", drill)
    return Survivor(identifier, Reap.LEAVE, f"its drill runs, until {timestamp(expires)} at most{words}", drill)


def expires_at(started_at: datetime, lifetime_seconds: float) -> datetime:
    """When everything that a drill made is to be gone. Raises ValueError for a lifetime over `LONGEST`, or none."""
    lifetime = timedelta(seconds=lifetime_seconds)
    if not timedelta(0) < lifetime <= LONGEST:
        raise ValueError(f"a drill lasts up to {LONGEST}, not {lifetime}")
    return started_at + lifetime


def _expiry(tags: Mapping[str, str], created_at: datetime | None) -> tuple[datetime | None, str]:
    limit = created_at + LONGEST if created_at else None
    try:
        expires = moment_of(tags.get(TAG_EXPIRES, ""))
    except ValueError:
        words = f" (its tag {TAG_EXPIRES} is {tags.get(TAG_EXPIRES)!r}, so {LONGEST} after its creation)"
        return limit, words if limit else f"its tag {TAG_EXPIRES} is {tags.get(TAG_EXPIRES)!r}, its age unknown"
    # A tag can be changed to a day that never comes.
    return (min(expires, limit) if limit else expires), ""
