"""`make measure-automation`: what the workflows use on AWS, counted where they run: states, invocations, API requests.

Each workflow is run a few times, the functions that schedules call are called, and docs/cost/automation.json says
what it took. `make cost` makes a month of it. Durations are this machine's, and waits the sandbox's: neither is AWS's,
and `make cost` says what it takes for them.
"""

import json
import re
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import urllib3

from opskit.clock import timestamp
from sandbox.config import Config
from sandbox.load import Load, Plan
from sandbox.operator import Execution, Operator
from sandbox.provision import Progress, setup
from sandbox.supervisor import Options, sandbox

OUT = Path(__file__).parents[2] / "docs" / "cost" / "automation.json"

# Hours that are over can be backed up, one after the other, and few sets are kept, so that old ones are pruned.
PARAMETERS = {
    "RestorableLagTargetSeconds": "8",
    "SnapshotEventAgeSeconds": "1000000",
    "SnapshotRetention": "hourly=2,daily=1",
}
RATE = 100.0
MOST_SECONDS = 900
# The first hours have nothing to prune; of the others, one has a backup of the cache and one has none.
FIRST_SNAPSHOTS, SNAPSHOTS = 4, 2
OBJECTIVES = 5
CALLS = 10
# Of all alarms that a runbook treats the one whose metric is fed here, so that it can be made to fire and to be OK.
ALARM, FIRING, CALM = "eks-cpu", 95.0, 10.0

_REPORT = re.compile(r"REPORT RequestId: \S+\tDuration: ([\d.]+) ms")
_ROUTINE = re.compile(r"(START|END|REPORT) RequestId: ")


@dataclass(frozen=True, slots=True)
class Mark:
    """What had been counted at a moment: requests, and lines of every function's log."""

    requests: dict[tuple[str, str, str], dict[str, int]]
    lines: dict[str, int]


class Meter:
    """Reads the sandbox's counts."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        pages = operator.clients["lambda"].get_paginator("list_functions").paginate()
        listed = [found for page in pages for found in page["Functions"]]
        prefix = f"{operator.config.name}-"
        self.functions = {
            found["FunctionName"].removeprefix(prefix): found
            for found in listed
            if found["FunctionName"].startswith(prefix)
        }
        self._role_of = {name: found["Role"].rpartition("/")[2] for name, found in self.functions.items()}

    def mark(self) -> Mark:
        """Now."""
        answer = urllib3.request("GET", f"{self._operator.config.automation_url}/_sandbox/requests", timeout=10)
        requests = {
            (str(found.pop("principal")), found.pop("service"), found.pop("operation")): found
            for found in answer.json()["requests"]
        }
        return Mark(requests, {name: len(self._lines(name)) for name in self.functions})

    def since(self, mark: Mark) -> dict[str, dict[str, Any]]:
        """By function that was invoked since: invocations, seconds, bytes of its log, requests per invocation."""
        now = self.mark()
        found = {}
        for name in sorted(self.functions):
            lines = self._lines(name)[mark.lines[name] :]
            seconds = [float(match[1]) / 1000 for line in lines if (match := _REPORT.match(line))]
            if not seconds:
                continue
            written = sum(len(line) for line in lines if not _ROUTINE.match(line))
            found[name] = {
                "invocations": len(seconds),
                "seconds": {"least": round(min(seconds), 3), "most": round(max(seconds), 3)},
                "log_bytes": round(written / len(seconds)),
                "requests": self._requests(self._role_of[name], mark, now, len(seconds)),
            }
        return found

    def _requests(self, role: str, mark: Mark, now: Mark, invocations: int) -> dict[str, dict[str, float]]:
        found = {}
        for (principal, service, operation), counted in now.requests.items():
            before = mark.requests.get((principal, service, operation), {})
            grown = {what: number - before.get(what, 0) for what, number in counted.items()}
            if principal == role and grown["count"]:
                each = {what: round(number / invocations, 3) for what, number in grown.items()}
                found[f"{service}:{operation}"] = {what: number for what, number in each.items() if number}
        return found

    def _lines(self, name: str) -> list[str]:
        group = (self.functions[name].get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
        client = self._operator.clients["logs"]
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]


def scheduled(operator: Operator) -> list[str]:
    """The functions that schedules call directly, by their names without service and environment."""
    client, found = operator.clients["scheduler"], []
    for schedule in client.list_schedules()["Schedules"]:
        target = client.get_schedule(Name=schedule["Name"])["Target"]["Arn"]
        if ":function:" in target:
            found.append(target.rpartition(":")[2].removeprefix(f"{operator.config.name}-"))
    return sorted(found)


def expect(done: Execution, outcome: str | None = None) -> Execution:
    """The execution, if it succeeded, and with this outcome if one is given."""
    if done.status != "SUCCEEDED" or (outcome and done.output.get("outcome") != outcome):
        raise SystemExit(f"{done.name} ended {done.status}: {done.cause or done.output}")
    return done


def walked(executions: Sequence[Execution]) -> dict[str, Any]:
    """How often each state is entered, on average, and what follows from it."""
    visits = Counter(name for done in executions for name in done.states)
    states = {name: round(number / len(executions), 2) for name, number in sorted(visits.items())}
    return {"executions": len(executions), "transitions": round(sum(states.values()), 2), "states": states}


def snapshots(operator: Operator) -> list[Execution]:
    """The runs of some hours, without those of the first."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=48)
    found = []
    for number in range(FIRST_SNAPSHOTS + SNAPSHOTS):
        at = timestamp(hour + timedelta(hours=number))
        found.append(expect(operator.run(workflow="snapshot", scheduled_at=at)))
        _progress(f"snapshot {number + 1} of {FIRST_SNAPSHOTS + SNAPSHOTS}")
    return found[FIRST_SNAPSHOTS:]


def objectives(operator: Operator) -> None:
    """Judge the objectives a few times; an express execution says only by its report that it has ended."""
    for _ in range(OBJECTIVES):
        name = operator.start(workflow="objectives").rpartition(":")[2]
        operator.until(
            lambda: json.loads(operator.read("objectives/latest.json")) if operator.keys("objectives/") else {},
            lambda report, name=name: report.get("execution") == name,
            f"the report of {name}",
            seconds=60,
        )


def remediations(operator: Operator) -> list[Execution]:
    """One that ends before it would act; and one that an alarm's event starts, which acts and sees that it helps."""
    planned = expect(operator.run(workflow="remediate", alarm=ALARM, dry_run=True), "PLANNED")
    with operator.feeding(ALARM, FIRING):
        operator.wait_for_alarm(ALARM)
        event: dict[str, Any] = {
            "source": "aws.cloudwatch",
            "detail-type": "CloudWatch Alarm State Change",
            "id": str(uuid.uuid4()),
            "time": timestamp(datetime.now(UTC)),
            "resources": [operator.alarm_arn(ALARM)],
        }
        started = operator.start(workflow="remediate", **event)
        operator.wait_for_state(started, "WaitForAlarm")
    with operator.feeding(ALARM, CALM):
        return [planned, expect(operator.wait(started), "RESOLVED")]


def measure(operator: Operator) -> dict[str, Any]:
    """Run everything; what was counted."""
    meter, workflows, functions = Meter(operator), {}, scheduled(operator)
    for function in functions:  # so that the first call is none of those that are counted
        operator.call(function, {})
    mark = meter.mark()
    workflows["snapshot"] = walked(snapshots(operator))
    workflows["drill"] = walked([expect(operator.run(workflow="drill"))])
    _progress("a drill")
    workflows["restore"] = walked([expect(operator.run(workflow="restore"))])
    _progress("a restore")
    with Load(Plan(url=operator.config.service_url, rate=RATE, seconds=MOST_SECONDS)) as load:
        workflows["release"] = walked([expect(operator.run(image="1.2.0"))])
        load.stop()
    _progress("a release")
    workflows["remediate"] = walked(remediations(operator))
    _progress("two remediations")
    counted = meter.since(mark)
    with operator.pulse():
        objectives(operator)  # the verdict changes, which people are told; in the long run it does not
        mark = meter.mark()
        objectives(operator)
    for _ in range(CALLS):
        for function in functions:
            operator.call(function, {})
    _progress("what schedules call")
    return {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "workflows": workflows,
        "functions": dict(sorted((counted | meter.since(mark)).items())),
    }


def _setup(config: Config, progress: Progress) -> dict[str, Any]:
    return setup(config, progress, engines=True, parameters=PARAMETERS)


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> int:
    """Measure, and write what was counted."""
    with (
        tempfile.TemporaryDirectory(prefix="ops-measure-") as directory,
        sandbox(Path(directory) / "sandbox", Options(setup=_setup), progress=_progress) as config,
    ):
        counted = measure(Operator(config))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(counted, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{OUT}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
