"""The end of a drill: what it made is deleted and nothing else, and what it has shown is on record."""

import json
from datetime import timedelta
from typing import Any

import pytest

from functions.drill import close_drill, tear_down_drill, verify_drill_objects
from opskit import clients
from opskit.adapters.copies import Copies
from opskit.clock import timestamp
from opskit.decisions.drill import LOCK, WORKFLOW
from opskit.decisions.drill_outcome import component_result
from opskit.decisions.manifest import Kind, Manifest
from opskit.decisions.recovery import Check
from opskit.errors import NotReadyError
from opskit.ledger import OperationRecord
from opskit.step import Run
from opskit.verdict import Outcome, Verdict
from tests.unit.functions.conftest import FixedClock
from tests.unit.functions.drill.conftest import SETTINGS, call, left, make_group, make_instance, part


def tags(event: dict[str, Any], **changes: str) -> dict[str, str]:
    return dict(event["plan"]["database"]["tags"]) | changes


@pytest.fixture
def made(event: dict[str, Any]) -> None:
    """The drill's copies, and the production that they were made from."""
    make_instance(event["plan"]["names"]["database"], tags(event))
    make_group(event["plan"]["names"]["cache"], tags(event))
    make_instance("db", {"backup": "true"})
    make_group("cache", {"backup": "true"})


def torn_down(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Asked until it is over, ten times at most."""
    done = call(tear_down_drill, event, run)
    for _ in range(9):
        if done["outcome"] == "WAIT":
            done = call(tear_down_drill, event, run, since=done["since"])
    return done


def test_what_the_drill_made_is_deleted_and_production_is_not(event: dict[str, Any], run: Run, made: None) -> None:
    assert call(tear_down_drill, event, run)["outcome"] == "WAIT"
    done = torn_down(event, run)
    assert (done["outcome"], done["left"]) == ("PASS", [])
    assert left() == ["cache", "db"]


def test_nothing_made_is_nothing_to_delete(event: dict[str, Any], run: Run) -> None:
    assert call(tear_down_drill, event, run)["outcome"] == "PASS"


def test_it_needs_no_lock(event: dict[str, Any], run: Run, made: None) -> None:
    run.ledger.seize(run.execution.id, owner="another", purpose="drill", lease_seconds=60, name=LOCK)
    assert torn_down(event, run)["outcome"] == "PASS"


@pytest.mark.parametrize("name", ["db", "drill-000000000000-db"])
def test_a_name_that_is_not_the_drill_s_is_never_deleted(
    event: dict[str, Any], run: Run, made: None, name: str
) -> None:
    if name != "db":
        make_instance(name, tags(event))
    event["plan"]["names"]["database"] = name
    done = torn_down(event, run)
    assert (done["outcome"], done["left"]) == ("FAIL", [name])
    assert "not to be touched" in done["reason"]
    assert name in left()


def test_a_copy_without_the_drill_s_tag_is_never_deleted(event: dict[str, Any], run: Run) -> None:
    name = event["plan"]["names"]["database"]
    make_instance(name, tags(event, **{"ops:drill-id": "another00000"}))
    done = torn_down(event, run)
    assert (done["outcome"], done["left"]) == ("FAIL", [name])
    assert left() == [name]


def test_a_source_is_never_deleted_whatever_it_is_called(event: dict[str, Any], run: Run, made: None) -> None:
    name = event["plan"]["names"]["database"]
    event["plan"]["sources"]["database"]["identifier"] = name
    done = torn_down(event, run)
    assert "it is a source" in done["reason"]
    assert name in left()


def test_one_that_cannot_be_deleted_yet_is_waited_for_until_time_is_out(
    event: dict[str, Any], run: Run, made: None, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: Copies, kind: Kind, name: str, permitted: Any) -> Verdict:
        raise NotReadyError(f"{name} is creating")

    monkeypatch.setattr(Copies, "delete", busy)
    done = call(tear_down_drill, event, run)
    assert (done["outcome"], done["since"]) == ("WAIT", run.clock.now().isoformat())
    clock.advance(299)
    assert call(tear_down_drill, event, run, since=done["since"])["outcome"] == "WAIT"
    clock.advance(1)
    done = call(tear_down_drill, event, run, since=done["since"])
    assert done["outcome"] == "FAIL"
    assert done["left"] == list(event["plan"]["names"].values())
    assert "after 300 s" in done["reason"]


def results(run: Run, *database: Check, verified: float = 100) -> list[dict[str, Any]]:
    good = Check("rows of sites", Outcome.PASS, "12; 12 expected")
    at = [timestamp(run.execution.started_at + timedelta(seconds=seconds)) for seconds in (10, 90, verified)]
    point = Verdict(Outcome.PASS, "60 s of heartbeats were lost", {"seconds": 60}).as_dict()
    times = {"phases": [["ask", at[0]], ["restore", at[1]]], "verified_at": at[2]}
    return [
        component_result("database", database or [good], recovery_point=point, **times),
        component_result("cache", [good], **times),
        component_result("objects", [good]),
    ]


TORN_DOWN = {"outcome": "PASS", "left": []}


def record(run: Run) -> OperationRecord:
    found = run.ledger.operation_of(WORKFLOW, "r1")
    assert found is not None
    return found


def evidence(run: Run) -> dict[str, Any]:
    body = clients.client("s3").get_object(Bucket="evidence", Key=record(run).evidence)["Body"].read()
    return dict(json.loads(body)["body"])


def test_a_drill_that_passed_is_on_record_with_all_that_it_showed(event: dict[str, Any], run: Run) -> None:
    done = call(close_drill, event, run, results=results(run), teardown=TORN_DOWN)
    assert (done["outcome"], done["rto_seconds"], done["rpo_seconds"]) == ("PASS", 100, 60)
    assert done["drill_id"] == event["plan"]["drill"]
    found, body = record(run), evidence(run)
    assert (found.outcome, found.evidence) == ("PASS", done["evidence"])
    assert found.facts["names"] == event["plan"]["names"]  # what it began with is kept
    assert found.facts["rto_seconds"] == 100
    assert body["results"] == results(run)
    assert body["plan"] == event["plan"]
    assert body["facts"]["checks"] == {"passed": 3, "not_passed": []}
    assert run.ledger.holder(LOCK) is None


def test_a_drill_that_failed_says_why_in_all_places(event: dict[str, Any], run: Run) -> None:
    bad = Check("rows of detections", Outcome.FAIL, "3; 1000 expected")
    done = call(close_drill, event, run, results=results(run, bad), teardown=TORN_DOWN)
    assert done["outcome"] == "FAIL"
    assert "rows of detections: 3; 1000 expected" in done["reason"]
    assert record(run).outcome_reason == evidence(run)["outcome_reason"] == done["reason"]


def test_closing_again_changes_nothing(event: dict[str, Any], run: Run) -> None:
    first = call(close_drill, event, run, results=results(run), teardown=TORN_DOWN)
    assert call(close_drill, event, run, results=results(run), teardown=TORN_DOWN) == first
    assert run.evidence.verify().records == 1


def test_what_was_left_behind_fails_it(event: dict[str, Any], run: Run) -> None:
    done = call(close_drill, event, run, results=results(run), teardown={"outcome": "FAIL", "left": ["drill-1-db"]})
    assert (done["outcome"], done["reason"]) == ("FAIL", "not torn down: drill-1-db")


def test_results_that_are_missing_fail_it(event: dict[str, Any], run: Run) -> None:
    done = call(close_drill, event, run, results=results(run)[:1], teardown=TORN_DOWN)
    assert "cache: it was never looked at" in done["reason"]
    assert "objects: it was never looked at" in done["reason"]


@pytest.mark.parametrize("given", [{}, {"requested_by": 7, "reason": ["x"]}, "text", None, [1]])
def test_one_that_was_refused_before_it_began_is_on_record_too(run: Run, given: Any) -> None:
    failure = {"error": "InvalidInputError", "cause": "the input must be object", "state": "PlanDrill"}
    event = {"settings": SETTINGS, "input": given, "failure": failure}
    nothing = dict.fromkeys(("request", "plan", "lock", "results", "teardown"))
    done = call(close_drill, event, run, **nothing)
    assert (done["outcome"], done["reason"]) == ("FAIL", "PlanDrill: the input must be object")
    assert record(run).outcome == "FAIL"
    assert record(run).facts["names"] == {}
    assert evidence(run)["plan"] is None


def test_a_refusal_by_plan_gives_its_reason(event: dict[str, Any], run: Run) -> None:
    event["plan"] |= {"decision": "REFUSE", "reason": "there is no complete manifest"}
    done = call(close_drill, event, run)
    assert (done["outcome"], done["reason"]) == ("FAIL", "there is no complete manifest")


def test_the_lock_of_a_step_whose_answer_was_lost_is_freed(event: dict[str, Any], run: Run) -> None:
    call(close_drill, event, run, lock=None, results=results(run), teardown=TORN_DOWN)
    assert run.ledger.holder(LOCK) is None


def test_the_lock_of_another_drill_is_not(event: dict[str, Any], run: Run) -> None:
    run.ledger.seize(run.execution.id, owner="another", purpose="drill", lease_seconds=60, name=LOCK)
    for lock in (event["lock"], None):
        call(close_drill, event, run, lock=lock, results=results(run), teardown=TORN_DOWN)
    holder = run.ledger.holder(LOCK)
    assert holder is not None
    assert holder.owner == "another"


def test_nobody_to_tell_is_no_failure(event: dict[str, Any], run: Run) -> None:
    clients.client("sns").delete_topic(TopicArn=run.settings.topic_arn)
    assert call(close_drill, event, run, results=results(run), teardown=TORN_DOWN)["outcome"] == "PASS"


def checked(event: dict[str, Any], run: Run, *components: str) -> dict[str, Any]:
    event["plan"]["components"] = list(components)
    return call(verify_drill_objects, event, run)


def test_the_manifest_is_checked_whatever_was_asked_for(event: dict[str, Any], run: Run, whole: Manifest) -> None:
    done = checked(event, run, "database")
    assert [check["name"] for check in done["checks"]] == ["manifest"]
    assert done["outcome"] == "PASS"
    clients.client("s3").delete_object(Bucket=run.platform.backup_bucket, Key=whole.key)
    assert "there is no object" in checked(event, run, "database")["reason"]


@pytest.mark.parametrize("kind", [Kind.CLUSTER, Kind.STATE])
@pytest.mark.parametrize(
    ("body", "words"), [(b"{}", "SHA-256 is"), (b"{", "it is not JSON"), (None, "it is not there")]
)
def test_documents_are_read(
    event: dict[str, Any], run: Run, whole: Manifest, kind: Kind, body: bytes | None, words: str
) -> None:
    if body is not None:
        key = part(whole, kind).id
        clients.client("s3").put_object(Bucket=run.platform.backup_bucket, Key=key, Body=body)
    done = checked(event, run, kind.value)
    assert done["outcome"] == "FAIL"
    assert words in done["reason"]


def test_an_export_that_the_manifest_does_not_name_is_not_taken_for_good(event: dict[str, Any], run: Run) -> None:
    done = checked(event, run, "cache")
    assert done["outcome"] == "INCONCLUSIVE"
    assert "the manifest names no export of it" in done["reason"]
