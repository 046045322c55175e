"""A restore's copies: what they are called, the tags that they carry, and what may be deleted of them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from opskit.clock import timestamp
from opskit.decisions.drill import TAG_EXPIRES
from opskit.decisions.snapshot import TAG_ENVIRONMENT, TAG_SERVICE
from opskit.errors import InvalidInputError
from opskit.verdict import Outcome, Verdict

TAG_RESTORE = "ops:restore-id"
TAG_REPLACED_BY = "ops:replaced-by"
TAG_KEEP_UNTIL = "ops:keep-until"


def restore_id(execution_name: str, started_at: datetime) -> str:
    """The id of the restore that an execution is: 12 characters, the same whenever it is asked."""
    return hashlib.sha256(f"{execution_name}/{timestamp(started_at)}".encode()).hexdigest()[:12]


def restore_name(service: str, environment: str, execution_name: str, started_at: datetime, *, limit: int) -> str:
    """`<service>-<environment>-r<yymmddhhmm>-<4 hexadecimal digits>`: what a restore calls its copy.

    Without the date where that is too long for `limit` characters, with more digits instead. Raises InvalidInputError
    if there is no room for that either: a shorter prefix would not be the service's any more.
    """
    digits = restore_id(execution_name, started_at)
    prefix = f"{service}-{environment}"
    for suffix in (f"r{started_at:%y%m%d%H%M}-{digits[:4]}", f"r{digits[:8]}", f"r{digits[:4]}"):
        name = f"{prefix}-{suffix}"
        if len(name) <= limit:
            return name
    raise InvalidInputError(f"{prefix} leaves no room for the name of a copy: {limit} characters are allowed")


def restore_tags(identity: str, expires: datetime, *, service: str, environment: str) -> dict[str, str]:
    """The tags of a copy until it is live. None of the source's, or it would be backed up and monitored as live."""
    return {
        TAG_RESTORE: identity,
        TAG_EXPIRES: timestamp(expires),
        TAG_SERVICE: service,
        TAG_ENVIRONMENT: environment,
    }


def may_delete(
    identity: str, expected: Sequence[str], live: Sequence[str | None], identifier: str, tags: Mapping[str, str]
) -> Verdict:
    """PASS if the restore `identity` may delete what is called `identifier`; asked right before it does.

    It must be one of the names that were planned (`expected`), carry this restore's tag, and not be live. `live`: the
    identifiers that the service uses now; None for one that could not be found out, and then nothing is deleted.
    """
    facts: dict[str, Any] = {"name": identifier, "restore": identity, "tag": tags.get(TAG_RESTORE)}
    wrong = []
    if identifier not in expected:
        wrong.append("it is none of this restore's copies")
    if tags.get(TAG_RESTORE) != identity:
        wrong.append(f"its tag {TAG_RESTORE} is {tags.get(TAG_RESTORE)!r}")
    if None in live:
        wrong.append("it is not known what is live")
    if identifier in live:
        wrong.append("it is live")
    if wrong:
        return Verdict(Outcome.FAIL, f"{identifier} is not to be deleted: {'; '.join(wrong)}", facts)
    return Verdict(Outcome.PASS, f"{identifier} is this restore's own", facts)
