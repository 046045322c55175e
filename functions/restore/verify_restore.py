"""Restore: is the data there, can it be read and written, and how much was lost?"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from opskit.adapters.copies import read_authorities
from opskit.adapters.database_contents import newest_heartbeat, read_contents, verify_read_write
from opskit.adapters.keyspace import open_cache, read_cache_contents, read_expiries, verify_write
from opskit.adapters.manifests import Manifests
from opskit.adapters.sql import connect
from opskit.clock import moment_of, timestamp
from opskit.decisions.contents import DatabaseContents
from opskit.decisions.manifest import Kind
from opskit.decisions.recovery import Check, judge_recovery_point
from opskit.decisions.restored import check_restored_cache, check_restored_database, judge_restored
from opskit.decisions.swaps import Swap, digest_of, swaps_of
from opskit.errors import CacheError, DatabaseError, UnavailableError
from opskit.step import Run, step
from opskit.verdict import Outcome

READER, WRITER = "ops_reader", "ops_heartbeat"
# Data of a new instance comes from S3 when it is first read.
STATEMENT_SECONDS = 240
# Longer than this function may run.
LEASE_SECONDS = 900
# A statement that took longer: https://www.postgresql.org/docs/current/errcodes-appendix.html
QUERY_CANCELED = "57014"
HEARTBEAT_SEEN = "heartbeat of the copy"


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return the verdict with its checks, `recovery_point`, and for `replace` the `swaps` with their `digest`.

    Raises:
        UnavailableError: a copy cannot be reached (yet).
        LockLostError: another execution has taken the lock.
    """
    plan, looks, begun = event["plan"], event["looks"], event["begun"]
    if begun["lock"]:
        run.hold({"lock": begun["lock"]}, lease_seconds=LEASE_SECONDS)
    checks: list[Check] = []
    lost = judge_recovery_point(None, None, target_seconds=event["settings"]["recovery_point_seconds"])
    heartbeat: datetime | None = None
    for kind, part in plan["parts"].items():
        host, port = _address(looks[kind]["endpoint"])
        if kind == Kind.DATABASE:
            heartbeat, found = _database(run, part, begun, host, port)
            checks += found
            source = _source_heartbeat(run, part, moment_of(event["request"]["declared_at"]))
            lost = judge_recovery_point(source, heartbeat, target_seconds=event["settings"]["recovery_point_seconds"])
        else:
            checks += _cache(run, part, host, port)
    verdict = judge_restored(checks)
    swaps = _swaps(plan, looks)
    run.ledger.note(run.operation_key, "verified the data", {"outcome": verdict.outcome, "reason": verdict.reason})
    return verdict.as_dict() | {
        "heartbeat": timestamp(heartbeat) if heartbeat else None,
        "recovery_point": lost.as_dict(),
        "swaps": [swap.as_dict() for swap in swaps],
        "digest": digest_of(swaps) if swaps else None,
        "at": timestamp(run.clock.now()),
    }


def _database(
    run: Run, part: dict[str, Any], begun: dict[str, Any], host: str, port: int
) -> tuple[datetime | None, list[Check]]:
    """The newest heartbeat that was restored, and the checks; a write is made last, for it adds a heartbeat."""
    authorities, name = read_authorities(run.platform.backup_bucket), run.platform.database_name
    contents: DatabaseContents | None = None
    checks: list[Check] = []
    with connect(
        host, port, database=name, user=READER, authorities=authorities, statement_seconds=STATEMENT_SECONDS
    ) as session:
        heartbeat = _seen_before(run, newest_heartbeat(session))
        try:
            contents = replace(read_contents(session), heartbeat=heartbeat)
        except DatabaseError as error:
            if error.sqlstate != QUERY_CANCELED:
                raise
            checks.append(Check("contents", Outcome.INCONCLUSIVE, f"not counted within {STATEMENT_SECONDS} s: {error}"))
    if contents is not None:
        at = moment_of(part["at"]) if part["at"] else None
        checks += check_restored_database(
            contents, _recorded(run, part, Kind.DATABASE), exact=part["exact"], at=at,
            begun_at=moment_of(begun["begun_at"]),
        )  # fmt: skip
    with connect(host, port, database=name, user=WRITER, authorities=authorities) as session:
        try:
            verify_read_write(session)
            checks.append(Check("write", Outcome.PASS, "a row was written and read back"))
        except DatabaseError as error:
            checks.append(Check("write", Outcome.FAIL, str(error)))
    return heartbeat, checks


def _seen_before(run: Run, newest: datetime | None) -> datetime | None:
    """The newest heartbeat as it was before the first attempt of this step wrote one of its own."""
    record = run.ledger.operation_of(run.workflow, run.execution.name)
    for seen in record.events if record else ():
        if seen.what == HEARTBEAT_SEEN:
            return moment_of(seen.facts["at"]) if seen.facts["at"] else None
    run.ledger.note(run.operation_key, HEARTBEAT_SEEN, {"at": timestamp(newest) if newest else None})
    return newest


def _source_heartbeat(run: Run, part: dict[str, Any], cut: datetime) -> datetime | None:
    """The newest heartbeat at the source when the disaster was declared; None if it cannot be read any more."""
    if not part["source"]["there"]:
        return None
    host, port = _address(part["source"]["endpoint"])
    authorities = read_authorities(run.platform.backup_bucket)
    try:
        with connect(host, port, database=run.platform.database_name, user=READER, authorities=authorities) as session:
            return newest_heartbeat(session, until=cut)
    except (DatabaseError, UnavailableError):
        run.logger.warning("the source's heartbeat could not be read", exc_info=True)
        return None


def _cache(run: Run, part: dict[str, Any], host: str, port: int) -> list[Check]:
    user = run.platform.cache_user
    recorded = _recorded(run, part, Kind.CACHE)
    with open_cache(
        host,
        port,
        tls=part["copy"]["configuration"]["transit_encryption"],
        user=None if user == "none" else user,
        group=part["copy"]["name"],
    ) as client:
        # Those of the keys that were sampled at the source, not another sample.
        sampled = recorded.get("before", {}).get("expiries", {})
        contents = replace(read_cache_contents(client, sample=0), expiries=read_expiries(client, sampled))
        checks = list(check_restored_cache(contents, recorded, loaded_at=run.clock.now()))
        try:
            verify_write(client)
            checks.append(Check("cache write", Outcome.PASS, "a key was written and read back"))
        except CacheError as error:
            checks.append(Check("cache write", Outcome.FAIL, str(error)))
    return checks


def _recorded(run: Run, part: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """What the manifest says was in the source; nothing, if there is no manifest to compare with."""
    recorded = part["manifest"]
    if recorded is None:
        return {}
    found = Manifests(run.platform.backup_bucket, run.ledger).read(recorded["key"], sha256=recorded["sha256"])
    # By name, for a cache's backup may be in several manifests; and by the names of those that it has replaced.
    names = (part["source"]["name"], *part["source"]["formerly"])
    known = [component for name in names if (component := found.component(kind, name))]
    taken = [component for component in known if component.id == part["copy"].get("snapshot")]
    return dict((taken or known)[0].contents) if known else {}


def _swaps(plan: dict[str, Any], looks: dict[str, Any]) -> tuple[Swap, ...]:
    if plan["mode"] != "replace":
        return ()
    return swaps_of(
        [
            {
                "kind": kind,
                "from_name": part["source"]["name"],
                "from_endpoint": part["source"]["endpoint"],
                "to_name": looks[kind]["name"],
                "to_endpoint": looks[kind]["endpoint"],
            }
            for kind, part in plan["parts"].items()
        ]
    )


def _address(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    return host, int(port)
