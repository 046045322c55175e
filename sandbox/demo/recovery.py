"""The chapters about backups, disasters, drills and what they prove."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opskit.clock import moment_of, timestamp
from sandbox.demo.stage import Stage
from sandbox.load.writes import missing

COMPONENTS = 5


def begin_snapshot(stage: Stage) -> None:
    """The hour strikes: what the schedule would start."""
    stage.background("snapshot", "--reason", "the hour has struck")


def hourly_snapshot(stage: Stage) -> Mapping[str, Any]:
    """Database, cache, cluster configuration, Terraform state, queue: taken while clients were at it."""
    done = stage.result("snapshot")
    stage.expect(done["outcome"] == "COMPLETE", "every component was backed up and verified", done)
    newest = stage.ops("backups", "show", "latest")
    kinds = {component["kind"] for component in newest["components"]}
    stage.expect(newest["complete"] and len(kinds) == COMPONENTS, f"the manifest says so: {', '.join(sorted(kinds))}")
    again = stage.ops("snapshot", "--reason", "the same hour, a second time")
    stage.expect(again["outcome"] == "DUPLICATE", "the same hour again takes nothing twice", again)
    return {"snapshot_seconds": done["seconds"]}


def begin_drill(stage: Stage) -> None:
    """Sunday night: what the weekly schedule would start."""
    stage.background("drill", "--reason", "the weekly rehearsal")


def drill(stage: Stage) -> Mapping[str, Any]:
    """A restore beside production, verified, measured, and gone again."""
    done = stage.result("drill")
    stage.expect(done["outcome"] == "PASS", "the drill passed", done)
    output = done["output"]
    instances = stage.operator.clients["rds"].describe_db_instances()["DBInstances"]
    left = [one["DBInstanceIdentifier"] for one in instances if one["DBInstanceIdentifier"].startswith("drill-")]
    stage.expect(not left, "nothing of it is left", left)
    return {"rto_seconds": output.get("rto_seconds"), "rpo_seconds": output.get("rpo_seconds")}


def disaster(stage: Stage) -> Mapping[str, Any]:
    """Somebody deletes rows, then drops a table, while clients write; it is undone to the moment before."""
    operator = stage.operator
    before = operator.endpoint("database")
    rows = int(operator.sql("SELECT count(*) FROM detections")[0][0])
    time.sleep(1)  # so that the moment before the mistake is told apart from it
    moment = datetime.now(UTC)
    operator.sql("DELETE FROM detections WHERE received_at < now() - interval '5 seconds'")
    operator.sql("DROP TABLE detections")
    stage.say(f"at {moment:%H:%M:%S}, with {rows} rows, somebody deletes most of them, then drops the table")
    began = time.monotonic()
    done = stage.ops(
        "restore", "--moment", timestamp(moment), "--component", "database",
        "--replace", "--no-approval", "--reason", "a migration that should not have run",
    )  # fmt: skip
    seconds = round(time.monotonic() - began, 1)
    stage.expect(done["outcome"] == "REPLACED", "restored, and the service uses it", done)
    after = operator.endpoint("database")
    stage.expect(after != before, f"the service was pointed to {after}; no pod was restarted")
    found = int(operator.sql("SELECT count(*) FROM detections")[0][0])
    stage.expect(found >= rows, f"{found} rows: those of before, and what came since", found)
    clients = stage.settled()
    present = {str(row[0]) for row in operator.sql("SELECT id FROM detections")}
    lost = missing(stage.clients.acknowledged(), present)
    early = [one for one in lost if moment_of(one.at) < moment]
    stage.expect(not early, "whatever was acknowledged before the mistake is there", early[:3])
    output = done["output"]
    return {
        "restore_seconds": seconds,
        "recovery_seconds": output["recovery_time"]["facts"]["seconds"],
        "clients_could_not_read_for": round(clients.reads.longest_seconds, 1),
        "heartbeats_lost_seconds": output["recovery_point"]["facts"]["seconds"],
        "rows_lost_that_came_after": len(lost),
    }


def objectives(stage: Stage) -> Mapping[str, Any]:
    """What all of this proves, as the five-minute check sees it; and that nobody has edited the proof."""
    told = stage.ops("objectives", "--now")
    stage.expect(told["outcome"] == "PASS", "every objective holds", told["reason"])
    chain = stage.ops("evidence", "verify")
    stage.expect(bool(chain.get("intact", True)), "the chain of evidence is whole", chain)
    return {"objectives": len(told["objectives"]), "evidence_records": chain.get("records")}
