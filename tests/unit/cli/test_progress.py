import json
import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cli.history_events import plain_cause
from cli.progress import Line, Progress, Status
from tests.unit.cli.events import START, Story, verdict


def fold(story: Story) -> list[Line]:
    return Progress().feed(story.events)


def polls(story: Story, *answers: tuple[str, str]) -> None:
    for outcome, reason in answers:
        story.wait("WaitForRollout", 2)
        story.task("CheckRollout", verdict(outcome, reason))
        story.choice("RolloutVerdict")


def test_a_task_makes_one_line_with_its_own_time_and_the_total() -> None:
    story = Story()
    story.task("ValidateRequest", seconds=1.5)
    story.task("PlanRelease", seconds=2)
    first, second = fold(story)
    assert (first.state, first.status, first.seconds, first.total) == ("ValidateRequest", Status.DONE, 1.5, 1.5)
    assert (second.state, second.seconds, second.total) == ("PlanRelease", 2.0, 3.5)


@pytest.mark.parametrize("kind", ["Choice", "Pass", "Succeed"])
def test_states_that_only_steer_make_no_line(kind: str) -> None:
    story = Story()
    story.enter(kind, "Steer")
    story.exit(kind, "Steer")
    assert fold(story) == []


def test_a_line_is_final_as_soon_as_its_state_is_done() -> None:
    story = Story()
    progress = Progress()
    story.task("AcquireLock")
    *before, last = story.events
    assert progress.feed(before) == []
    assert [line.state for line in progress.feed([last])] == ["AcquireLock"]
    assert progress.current is None


def test_a_poll_loop_is_one_line_with_count_last_reason_and_the_time_of_its_waits() -> None:
    story = Story()
    polls(story, ("WAIT", "1 of 3"), ("WAIT", "2 of 3"), ("PASS", "3 of 3"))
    (line,) = fold(story)
    assert (line.state, line.status, line.outcome) == ("CheckRollout", Status.DONE, "PASS")
    assert (line.visits, line.reason) == (3, "3 of 3")
    assert line.seconds == 9.0
    assert line.started == START


def test_a_poll_loop_that_passes_is_final_at_once() -> None:
    story = Story()
    polls(story, ("WAIT", "not yet"), ("PASS", "ready"))
    progress = Progress()
    cut = max(i for i, event in enumerate(story.events) if event["type"] == "TaskStateExited")
    assert [line.visits for line in progress.feed(story.events[: cut + 1])] == [2]


def test_a_poll_loop_that_fails_is_a_failed_line() -> None:
    story = Story()
    polls(story, ("WAIT", "starting"), ("FAIL", "pod web-1 crashes"))
    (line,) = fold(story)
    assert (line.status, line.visits, line.reason) == (Status.FAILED, 2, "pod web-1 crashes")


def test_an_inconclusive_loop_is_told_when_something_else_follows() -> None:
    story = Story()
    polls(story, ("INCONCLUSIVE", "3 requests"), ("INCONCLUSIVE", "7 requests"))
    progress = Progress()
    assert progress.feed(story.events) == []
    told = len(story.events)
    story.task("RestoreTraffic")
    loop, after = progress.feed(story.events[told:])
    assert (loop.state, loop.status, loop.visits, loop.reason) == (
        "CheckRollout", Status.WAITING, 2, "7 requests",
    )  # fmt: skip
    assert after.state == "RestoreTraffic"


def test_a_loop_in_each_canary_step_is_a_line_of_its_own() -> None:
    story = Story()
    for weight in (10, 50):
        story.task("ShiftTraffic", {"weight": weight})
        for outcome in ("WAIT", "PASS"):
            story.wait("Bake", 5)
            story.task("JudgeBake", verdict(outcome, f"at {weight}"))
            story.choice("BakeVerdict")
    lines = fold(story)
    assert [(line.state, line.visits) for line in lines] == [
        ("ShiftTraffic", 1), ("JudgeBake", 2), ("ShiftTraffic", 1), ("JudgeBake", 2),
    ]  # fmt: skip
    assert [line.reason for line in lines if line.state == "JudgeBake"] == ["at 10", "at 50"]


def test_a_loop_whose_check_gives_no_verdict_is_folded_after_its_first_visit() -> None:
    story = Story()
    for _ in range(5):
        story.task("CheckSomething")
        story.wait("Pause", 1)
    story.task("Next")
    assert [(line.state, line.visits) for line in fold(story)] == [
        ("CheckSomething", 1), ("CheckSomething", 4), ("Next", 1),
    ]  # fmt: skip


def test_a_wait_before_a_state_counts_into_it() -> None:
    story = Story()
    story.task("ShiftTraffic")
    story.wait("Bake", 60)
    story.task("JudgeBake", verdict("PASS", "fine"), seconds=2)
    assert fold(story)[1].seconds == 62.0


def test_a_retry_is_counted_and_its_success_is_a_success() -> None:
    story = Story()
    story.enter("Task", "DeployColour")
    story.scheduled()
    story.failed("ClusterError", "503 from the API", after=1)
    story.scheduled(after=2)
    story.succeeded(None, after=1)
    story.exit("Task", "DeployColour")
    (line,) = fold(story)
    assert (line.status, line.attempts, line.reason) == (Status.DONE, 2, "")


def test_a_caught_failure_names_the_error_and_the_sentence_in_its_cause() -> None:
    story = Story()
    story.enter("Task", "AcquireLock")
    story.scheduled()
    story.failed("LockHeldError", "held by release-1", after=1)
    story.exit("Task", "AcquireLock")
    (line,) = fold(story)
    assert (line.status, line.reason) == (Status.FAILED, "LockHeldError: held by release-1")


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("TaskTimedOut", {"taskTimedOutEventDetails": {"error": "States.Timeout", "resource": "invoke"}}),
        ("LambdaFunctionFailed", {"lambdaFunctionFailedEventDetails": {"error": "States.Timeout", "cause": ""}}),
        ("TaskSubmitFailed", {"taskSubmitFailedEventDetails": {"error": "States.Timeout"}}),
    ],
)
def test_every_kind_of_failed_attempt_is_one(kind: str, details: dict[str, object]) -> None:
    story = Story()
    story.enter("Task", "DeployColour")
    story.scheduled()
    story.add(kind, after=30, **details)
    story.exit("Task", "DeployColour")
    (line,) = fold(story)
    assert (line.status, line.reason) == (Status.FAILED, "States.Timeout")


def test_a_verdict_that_came_with_the_input_is_not_the_states_own() -> None:
    story = Story()
    old = {"verdict": verdict("FAIL", "old news")}
    story.enter("Task", "RestoreTraffic", data=old)
    story.scheduled()
    story.succeeded({"weights": {"blue": 100, "green": 0}}, after=1)
    story.exit("Task", "RestoreTraffic", data=old)
    (line,) = fold(story)
    assert (line.status, line.reason) == (Status.DONE, "")


@pytest.mark.parametrize(
    "answer",
    [
        {"verdict": {"outcome": "PASS", "reason": "fine"}},
        {"verdict": "PASS", "reason": "fine"},
        {"outcome": "PASS", "reason": "fine"},
    ],
)
def test_a_verdict_is_found_wherever_a_step_puts_it(answer: object) -> None:
    story = Story()
    story.task("Check", answer)
    (line,) = fold(story)
    assert (line.outcome, line.reason) == ("PASS", "fine")


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        # Step Functions itself, and the sandbox's.
        ("EvaluationFailed", {"evaluationFailedEventDetails": {"error": "E", "cause": "no result", "state": "S"}}),
        ("TaskFailed", {"taskFailedEventDetails": {"error": "E", "cause": "no result"}}),
    ],
)
def test_a_result_that_cannot_be_evaluated_is_a_failure(kind: str, details: dict[str, object]) -> None:
    story = Story()
    story.enter("Task", "ShiftTraffic")
    story.scheduled()
    story.succeeded({"weights": {}}, after=1)
    story.add(kind, **details)
    story.exit("Task", "ShiftTraffic")
    (line,) = fold(story)
    assert (line.status, line.reason) == (Status.FAILED, "E: no result")


@pytest.mark.parametrize("again", ["held by release-1", "LockHeldError in AcquireLock: held by release-1"])
def test_a_reason_is_told_once(again: str) -> None:
    story = Story()
    story.enter("Task", "AcquireLock")
    story.scheduled()
    story.failed("LockHeldError", "held by release-1", after=1)
    story.exit("Task", "AcquireLock")
    story.task("CloseRefused", {"outcome": "REFUSED", "reason": again})
    assert [line.reason for line in fold(story)] == ["LockHeldError: held by release-1", ""]


@pytest.mark.parametrize("answer", ["text", 3, None, [], {"verdict": 3}, {"outcome": 1}, {"reason": "asked"}])
def test_other_answers_are_no_verdict(answer: object) -> None:
    story = Story()
    story.enter("Task", "Check")
    story.scheduled()
    story.succeeded(answer, after=1)
    story.exit("Task", "Check")
    (line,) = fold(story)
    assert (line.status, line.outcome, line.reason) == (Status.DONE, "", "")


def test_a_decision_is_told_with_its_reason() -> None:
    story = Story()
    story.task("PlanRelease", {"decision": "PROCEED", "reason": "2.0 goes to green"})
    (line,) = fold(story)
    assert (line.status, line.outcome, line.reason) == (Status.DONE, "", "2.0 goes to green")


@pytest.mark.parametrize(
    ("kind", "status"), [("ExecutionAborted", Status.ABORTED), ("ExecutionTimedOut", Status.FAILED)]
)
def test_an_end_from_outside_between_two_polls_cuts_the_loop_off(kind: str, status: Status) -> None:
    story = Story()
    polls(story, ("WAIT", "1 of 3"))
    story.enter("Wait", "WaitForRollout")
    story.add(kind, after=4)
    (line,) = fold(story)
    assert (line.state, line.status, line.reason) == ("CheckRollout", status, "1 of 3")


def test_the_state_under_way_is_current_with_its_attempt() -> None:
    story = Story()
    story.enter("Task", "DeployColour")
    story.scheduled()
    story.failed("ClusterError", "503", after=1)
    story.scheduled(after=2)
    progress = Progress()
    progress.feed(story.events)
    line = progress.current
    assert line is not None
    assert (line.state, line.status, line.attempts, line.reason) == (
        "DeployColour", Status.RUNNING, 2, "ClusterError: 503",
    )  # fmt: skip
    assert line.total == 3.0


def test_between_two_polls_the_loop_is_current_and_says_in_which_pause_it_is() -> None:
    story = Story()
    polls(story, ("WAIT", "1 of 3"))
    story.enter("Wait", "WaitForRollout")
    progress = Progress()
    progress.feed(story.events)
    line = progress.current
    assert line is not None
    assert (line.state, line.status, line.reason, line.pause) == (
        "CheckRollout", Status.WAITING, "1 of 3", "WaitForRollout",
    )  # fmt: skip
    story.exit("Wait", "WaitForRollout", after=2)
    story.enter("Task", "CheckRollout")
    progress.feed(story.events[-2:])
    line = progress.current
    assert line is not None
    assert (line.status, line.visits, line.reason) == (Status.RUNNING, 2, "1 of 3")


def test_a_wait_on_its_own_is_current() -> None:
    story = Story()
    story.task("ShiftTraffic")
    story.enter("Wait", "Bake")
    progress = Progress()
    progress.feed(story.events)
    assert progress.current is not None
    assert progress.current.state == "Bake"


def test_a_task_that_waits_for_a_token_awaits_a_decision_until_it_has_one() -> None:
    story = Story()
    story.enter("Task", "RequestApproval")
    story.scheduled("invoke.waitForTaskToken")
    story.add("TaskSubmitted", taskSubmittedEventDetails={"resource": "invoke.waitForTaskToken"})
    progress = Progress()
    progress.feed(story.events)
    assert progress.current is not None
    assert progress.current.status is Status.DECISION
    told = len(story.events)
    story.succeeded({"approved_by": "ann"}, after=30)
    progress.feed(story.events[told:])
    assert progress.current is not None
    assert progress.current.status is Status.RUNNING


def test_an_uncaught_failure_closes_the_line_and_the_execution() -> None:
    story = Story()
    story.enter("Task", "DeployColour")
    story.scheduled()
    story.failed("ClusterError", "503", after=1)
    story.add("ExecutionFailed", executionFailedEventDetails={"error": "ClusterError", "cause": "503"})
    progress = Progress()
    (line,) = progress.feed(story.events)
    assert (line.status, line.reason) == (Status.FAILED, "ClusterError: 503")
    assert progress.ending is not None
    assert (progress.ending.status, progress.ending.error, progress.ending.cause) == ("FAILED", "ClusterError", "503")
    assert progress.current is None


@pytest.mark.parametrize(
    ("kind", "status"), [("ExecutionAborted", Status.ABORTED), ("ExecutionTimedOut", Status.FAILED)]
)
def test_an_end_from_outside_closes_what_was_open(kind: str, status: Status) -> None:
    story = Story()
    polls(story, ("WAIT", "1 of 3"))
    story.enter("Task", "CheckRollout")
    details = {f"{kind[0].lower()}{kind[1:]}EventDetails": {"error": "E", "cause": "stopped by hand"}}
    story.add(kind, after=4, **details)
    # A task that was under way ends later than its execution; that is no news.
    story.exit("Task", "CheckRollout", after=1)
    progress = Progress()
    lines = progress.feed(story.events)
    assert [(line.state, line.status, line.visits, line.reason) for line in lines] == [
        ("CheckRollout", status, 2, "1 of 3"),
    ]
    assert progress.ending is not None
    assert progress.ending.cause == "stopped by hand"


def test_success_carries_the_output() -> None:
    story = Story()
    story.task("Last")
    story.add("ExecutionSucceeded", executionSucceededEventDetails={"output": '{"outcome": "SUCCEEDED"}'})
    progress = Progress()
    progress.feed(story.events)
    assert progress.ending is not None
    assert progress.ending.output == {"outcome": "SUCCEEDED"}
    assert progress.ending.total == 1.0


def test_branches_of_a_parallel_state_do_not_mix() -> None:
    story = Story()
    fork = story.enter("Parallel", "RestoreBoth")
    loops = {}
    for name in ("CheckDatabase", "CheckCache"):
        entered = story.enter("Task", name, previous=fork)
        loops[name] = story.scheduled(previous=entered)
    # The answers come in crosswise: only previousEventId says whose they are.
    cache = story.failed("CacheError", "no such snapshot", previous=loops["CheckCache"], after=1)
    story.exit("Task", "CheckCache", previous=cache)
    database = story.succeeded(verdict("WAIT", "creating"), previous=loops["CheckDatabase"], after=1)
    exited = story.exit("Task", "CheckDatabase", previous=database)
    again = story.enter("Task", "CheckDatabase", previous=exited)
    again = story.scheduled(previous=again)
    again = story.succeeded(verdict("PASS", "available"), previous=again, after=3)
    story.exit("Task", "CheckDatabase", previous=again)
    story.exit("Parallel", "RestoreBoth")
    assert [(line.state, line.status, line.visits) for line in fold(story)] == [
        ("CheckCache", Status.FAILED, 1),
        ("CheckDatabase", Status.DONE, 2),
        ("RestoreBoth", Status.DONE, 1),
    ]


def test_any_portioning_of_the_events_gives_the_same_lines() -> None:
    story = Story()
    story.task("PlanRelease")
    polls(story, ("WAIT", "1"), ("WAIT", "2"), ("PASS", "3"))
    story.task("ShiftTraffic")
    polls(story, ("INCONCLUSIVE", "few"), ("INCONCLUSIVE", "few"))
    story.enter("Task", "RestoreTraffic")
    story.scheduled()
    story.failed("Throttled", "slow down", after=1)
    story.scheduled(after=1)
    story.succeeded({}, after=1)
    story.exit("Task", "RestoreTraffic")
    story.add("ExecutionFailed", executionFailedEventDetails={"error": "RolledBackError", "cause": "too few"})
    whole = fold(story)
    chance = random.Random(7)  # noqa: S311 - the same portions in every run
    for _ in range(50):
        progress = Progress()
        lines: list[Line] = []
        rest = list(story.events)
        while rest:
            size = chance.randint(1, 5)
            lines += progress.feed(rest[:size])
            rest = rest[size:]
        assert lines == whole


def test_a_recorded_canary_that_was_rolled_back() -> None:
    path = Path(__file__).parent / "histories" / "canary_rolled_back.json"
    events = json.loads(path.read_text(encoding="utf-8"))
    for event in events:
        event["timestamp"] = datetime.fromisoformat(event["timestamp"])
    progress = Progress()
    lines = progress.feed(events)
    assert [(line.state, line.status.value, line.visits) for line in lines] == [
        ("ValidateRequest", "done", 1),
        ("PlanRelease", "done", 1),
        ("AcquireLock", "done", 1),
        ("ConfirmPlan", "done", 1),
        ("NotifyStarted", "done", 1),
        ("DeployColour", "done", 1),
        ("CheckRollout", "done", 3),
        ("RunSmokeTest", "done", 1),
        ("ShiftTraffic", "done", 1),
        ("JudgeBake", "done", 4),
        ("ShiftTraffic", "done", 1),
        ("JudgeBake", "failed", 2),
        ("RestoreTraffic", "done", 1),
        ("RemoveNewColour", "done", 1),
        ("CloseRolledBack", "done", 1),
        ("NotifyRolledBack", "done", 1),
    ]
    assert lines[11].reason.startswith("alarm detection-api-dev-alb-5xx is firing")
    assert [line.total for line in lines] == sorted(line.total for line in lines)
    assert progress.ending is not None
    assert (progress.ending.status, progress.ending.error) == ("FAILED", "BakeFailedError")
    assert progress.ending.cause.endswith("23 of them failed)")


def test_histories_without_previous_event_ids_fold_as_well() -> None:
    story = Story()
    polls(story, ("WAIT", "1"), ("PASS", "2"))
    for event in story.events:
        del event["previousEventId"]
    (line,) = fold(story)
    assert (line.visits, line.reason) == (2, "2")


def test_totals_count_from_the_start_of_the_execution() -> None:
    story = Story()
    story.now += timedelta(seconds=5)
    story.task("ValidateRequest", seconds=1)
    assert fold(story)[0].total == 6.0


@pytest.mark.parametrize(
    ("cause", "plain"),
    [
        ('{"errorMessage": "no such image ", "errorType": "UnknownImageError"}', "no such image"),
        ("a sentence", "a sentence"),
        ('{"other": 1}', '{"other": 1}'),
        ("", ""),
        ("[1", "[1"),
    ],
)
def test_a_cause_is_a_sentence_whoever_wrote_it(cause: str, plain: str) -> None:
    assert plain_cause(cause) == plain


def test_a_branch_says_that_it_has_begun_something_when_it_goes_on_not_when_all_branches_end() -> None:
    story = Story()
    entered = story.enter("Parallel", "Rehearse")
    story.enter("Task", "RestoreDatabase", previous=entered)
    story.scheduled()
    asked = story.succeeded({"outcome": "WAIT", "asked_at": "12:00"}, after=1)
    left = story.exit("Task", "RestoreDatabase", previous=asked)
    # The other branch goes its own way in between.
    story.enter("Task", "RestoreCache", previous=entered)
    story.scheduled()
    story.succeeded({"outcome": "WAIT", "asked_at": "12:00"}, after=1)
    cache = story.exit("Task", "RestoreCache")
    progress = Progress()
    assert progress.feed(story.events) == []
    seen = len(story.events)
    wait = story.enter("Wait", "WaitForDatabase", previous=left)
    story.exit("Wait", "WaitForDatabase", previous=wait, after=2)
    story.enter("Task", "CheckDatabase")
    (line,) = progress.feed(story.events[seen:])
    assert (line.state, line.status, line.seconds) == ("RestoreDatabase", Status.DONE, 1.0)
    seen = len(story.events)
    story.enter("Task", "CheckCache", previous=cache)
    (line,) = progress.feed(story.events[seen:])
    assert (line.state, line.status) == ("RestoreCache", Status.DONE)


def test_in_a_branch_a_poll_loop_is_one_line_too() -> None:
    story = Story()
    story.enter("Parallel", "Rehearse")
    for outcome, reason in (("WAIT", "creating"), ("WAIT", "backing-up"), ("PASS", "available")):
        story.task("CheckDatabase", verdict(outcome, reason))
        story.wait("WaitForDatabase", 2)
    (line,) = fold(story)
    assert (line.state, line.visits, line.reason) == ("CheckDatabase", 3, "available")


def test_a_loop_that_was_left_while_it_waited_is_not_called_done() -> None:
    story = Story()
    story.task("CheckDatabase", verdict("WAIT", "it is creating"))
    story.task("DiscardFailed")
    first, _ = fold(story)
    assert (first.state, first.status, first.reason) == ("CheckDatabase", Status.WAITING, "it is creating")
