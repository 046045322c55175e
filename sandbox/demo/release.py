"""The chapters about releases."""

import time
from collections.abc import Mapping
from typing import Any

from opskit.traffic import Colour, Weights
from sandbox.demo.stage import Stage

BLUE, GREEN = Weights.all_to(Colour.BLUE), Weights.all_to(Colour.GREEN)


def blue_green(stage: Stage) -> Mapping[str, Any]:
    """A good version, all at once, while clients keep calling."""
    with stage.watching() as watched:
        done = stage.ops("release", "--image", "1.1.0", "--keep-warm", "--reason", "what is new in 1.1.0")
        seen = watched()
    stage.expect(done["outcome"] == "SUCCEEDED", "the release succeeded", done)
    stage.expect_weights(GREEN)
    return stage.nobody_suffered(seen)


def canary(stage: Stage) -> Mapping[str, Any]:
    """A good version, half of the traffic first; meanwhile somebody else tries to release, too."""
    with stage.watching() as watched:
        arn = stage.operator.start(
            "canary-1-2-0",
            image="1.2.0",
            strategy="canary",
            steps=[{"weight": weight, "bake_seconds": 1} for weight in (50, 100)],
            requested_by="demo",
        )
        stage.operator.wait_for_state(arn, "ShiftTraffic")
        stage.say("meanwhile, a second release:")
        refused = stage.ops("release", "--image", "1.1.0", exits=3)
        stage.expect("canary-1-2-0" in str(refused), "the second release was refused, and told who holds the lock")
        done = stage.operator.wait(arn)
        seen = watched()
    stage.expect(done.status == "SUCCEEDED", "the canary succeeded", done.cause)
    stage.expect(done.states.count("ShiftTraffic") == 2, "in two steps: half, then all")
    stage.expect_weights(GREEN)
    stage.expect(stage.operator.targets(Colour.BLUE).healthy == 0, "the old colour was drained, then stopped")
    return stage.nobody_suffered(seen)


def never_healthy(stage: Stage) -> Mapping[str, Any]:
    """A version whose health check never passes."""
    with stage.watching() as watched:
        stage.ops("release", "--image", "1.3.0-unhealthy", exits=1)
        seen = watched()
    stage.expect_weights(GREEN)
    stage.expect("1.3.0-unhealthy" not in seen.versions, "no client ever met it", seen.versions)
    return stage.nobody_suffered(seen)


def bad_under_traffic(stage: Stage) -> Mapping[str, Any]:
    """A version that passes every check and fails its clients."""
    with stage.watching() as watched:
        failed = stage.ops("release", "--image", "1.3.0-errors", exits=1)
        seen = watched()
    stage.expect("rolled back" in str(failed), "it was judged by what its clients got, and rolled back")
    stage.expect_weights(GREEN)
    record = stage.operator.ledger.history(1)[0]
    suffered = next(event.facts["suffered"] for event in record.events if event.what == "closed")
    stage.expect(record.outcome == "ROLLED_BACK", "the history says so, and how many requests suffered", record.outcome)
    return {"clients_saw_fail": seen.failed, "report_says_failed": suffered["failed"], "requests": seen.requests}


def firing_alarm(stage: Stage) -> Mapping[str, Any]:
    """The failures of the chapter before have set off an alarm, which is firing still."""
    stage.operator.push("1.5.0")
    name = next(iter(stage.operator.firing()), None) or stage.operator.fire_alarm()
    refused = stage.ops("release", "--image", "1.5.0", exits=3)
    stage.expect(name in str(refused), "refused, naming the alarm and its reason")
    stage.operator.calm_alarms()
    return {"alarm": name}


def stopped_from_outside(stage: Stage) -> Mapping[str, Any]:
    """Somebody stops the execution when a tenth of the traffic has moved."""
    with stage.watching() as watched:
        arn = stage.operator.start(
            "stopped-1-5-0",
            image="1.5.0",
            strategy="canary",
            steps=[{"weight": 10, "bake_seconds": 60}, {"weight": 100}],
        )
        stage.operator.wait_for_state(arn, "Bake")
        stage.say(f"the balancer says {stage.operator.weights()}; now stopping the execution")
        began = time.monotonic()
        stage.operator.clients["stepfunctions"].stop_execution(executionArn=arn, cause="a person pulled the plug")
        stage.operator.until(
            lambda: (stage.operator.weights(), stage.operator.ledger.holder()),
            lambda seen: seen == (GREEN, None),
            "the weights to be whole and the lock to be free",
            seconds=30,
        )
        seconds = round(time.monotonic() - began, 1)
        seen = watched()
    stage.expect(True, f"weights whole and lock free after {seconds} s")
    record = stage.operator.ledger.record_of("stopped-1-5-0")
    stage.expect(record is not None and record.outcome == "ABORTED", "the history says what happened", record)
    return {"repaired_after_seconds": seconds} | dict(stage.nobody_suffered(seen))


def roll_back(stage: Stage) -> Mapping[str, Any]:
    """Nobody wants that release any more; the old colour was kept warm."""
    with stage.watching() as watched:
        began = time.monotonic()
        stage.ops("rollback", "--reason", "customers report wrong results")
        seconds = round(time.monotonic() - began, 1)
        seen = watched()
    stage.expect_weights(BLUE)
    return {"rollback_seconds": seconds} | dict(stage.nobody_suffered(seen))
