"""What is in a drill's copies, compared with the manifest and with the source at the cut."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from opskit.clock import moment_of
from opskit.decisions.contents import CacheContents, DatabaseContents
from opskit.decisions.manifest import Component
from opskit.decisions.recovery import (
    EXACT,
    Check,
    Tolerance,
    check_cache,
    check_database,
    judge_recovery_point,
)
from opskit.decisions.rehearsal import LATEST
from opskit.verdict import Outcome, Verdict

# The name under which a drill's tolerances are about the keys of the cache, and not about a table.
CACHE_KEYS = "cache"

# A state's data may have 256 KB: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MOST_CARRIED_BYTES = 150_000

_NONE: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


def carried(contents: DatabaseContents) -> dict[str, Any] | None:
    """`contents` (JSON-ready) as a state can carry them: without checksums if need be; None if that is too much, too.

    Without the source's checksums it is not known which tables stood still, so none is compared by its rows.
    """
    for smaller in (contents, replace(contents, checksums={})):
        plain = smaller.as_dict()
        if len(json.dumps(plain)) <= MOST_CARRIED_BYTES:
            return plain
    return None


def check_restored_database(
    method: str,
    recorded: Component,
    source: Mapping[str, Any],
    found: DatabaseContents,
    *,
    tolerances: Mapping[str, Mapping[str, Any]] = _NONE,
) -> tuple[Check, ...]:
    """Compare the copy with the manifest's component `recorded`, and with the source at the cut (`source["contents"]`).

    A snapshot lies between the two captures around it. The end of the log lies between the manifest's last capture and
    the source at the cut; where that could not be read, the tables may have grown, and nothing bounds by how much.
    """
    given = {table: Tolerance(**allowed) for table, allowed in tolerances.items()}
    before, after = _captures(recorded)
    default = EXACT
    if method == LATEST:
        before = after or before
        after = DatabaseContents.from_dict(source["contents"]) if source["contents"] else None
        default = EXACT if after else Tolerance(more=None)
    checks = check_database(before, after, found, tolerances=given, default=default)
    if method == LATEST and after is None:
        reason = f"it could not be read at the cut, so growth was not bounded: {source['problem']}"
        checks = (*checks, Check("source", Outcome.INCONCLUSIVE, reason))
    return checks


def judge_lost_data(source: Mapping[str, Any], found: DatabaseContents, *, target_seconds: float) -> Verdict:
    """The recovery point: the source's newest heartbeat at the cut (`source["heartbeat"]`) against the copy's."""
    newest = moment_of(source["heartbeat"]) if source["heartbeat"] else None
    return judge_recovery_point(newest, found.heartbeat, target_seconds=target_seconds)


def check_restored_cache(
    recorded: Component,
    found: CacheContents,
    *,
    loaded_at: datetime,
    tolerances: Mapping[str, Mapping[str, Any]] = _NONE,
) -> tuple[Check, ...]:
    """Compare the copy of the cache, as it was at `loaded_at`, with the two captures around its backup."""
    allowed = Tolerance(**tolerances[CACHE_KEYS]) if CACHE_KEYS in tolerances else EXACT
    after = recorded.contents.get("after")
    return check_cache(
        recorded_cache(recorded),
        found,
        loaded_at=loaded_at,
        after=CacheContents.from_dict(after) if after else None,
        tolerance=allowed,
    )


def recorded_cache(recorded: Component) -> CacheContents:
    """What the manifest says of the cache before its backup: the keys that are looked for in the copy."""
    return CacheContents.from_dict(recorded.contents["before"])


def _captures(recorded: Component) -> tuple[DatabaseContents, DatabaseContents | None]:
    later = recorded.contents.get("after")
    first = DatabaseContents.from_dict(recorded.contents["before"])
    return first, DatabaseContents.from_dict(later) if later else None
