from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from opskit.ledger import Approval, ApprovalError, Decision, Ledger

from .stand_ins import START, Interruption, ManualClock, die, once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EXPIRY = START + timedelta(hours=1)


def ask(ledger: Ledger, token: str = "token-1", digest: str = "sha256:bb") -> Approval:  # noqa: S107 - a task token
    return ledger.request_approval("first", token, subject=f"shop@{digest}", digest=digest, expires_at=EXPIRY)


def test_an_approval_is_asked_for_and_found(ledger: Ledger) -> None:
    asked = ask(ledger)
    assert ledger.approval("first") == asked
    assert asked == Approval("first", "shop@sha256:bb", "sha256:bb", START, EXPIRY, "token-1")
    assert ledger.approval("second") is None


def test_the_task_token_is_not_shown_by_accident(ledger: Ledger) -> None:
    assert "token-1" not in repr(ask(ledger))


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_a_decision_is_kept_with_who_when_and_why(ledger: Ledger, clock: ManualClock, decision: str) -> None:
    ask(ledger)
    clock.advance(10)
    decided = ledger.decide("first", decision, "ana", "looks good", digest="sha256:bb")
    assert decided == ledger.approval("first")
    assert decided.decision is Decision(decision)
    assert (decided.decided_by, decided.decided_at, decided.reason) == ("ana", clock.now(), "looks good")
    assert decided.task_token == "token-1"


def test_a_second_answer_is_refused_with_the_first(ledger: Ledger) -> None:
    ask(ledger)
    ledger.decide("first", Decision.REJECTED, "ana", "not today")
    with pytest.raises(ApprovalError, match=r"first was rejected by ana at 2026-11-23T12:00:00\.000000Z: not today"):
        ledger.decide("first", Decision.APPROVED, "bo", "yes")
    assert ledger.decide("first", Decision.REJECTED, "ana", "not today").decision is Decision.REJECTED


def test_of_two_answers_at_the_same_moment_one_counts(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    ask(ledger)

    def rival() -> None:
        ledger.decide("first", Decision.REJECTED, "bo", "no")

    with once(dynamodb, "before-call.dynamodb.UpdateItem", rival), pytest.raises(ApprovalError, match="rejected by bo"):
        ledger.decide("first", Decision.APPROVED, "ana", "yes")


def test_an_answer_that_got_lost_can_be_given_again(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    ask(ledger)
    with once(dynamodb, "after-call.dynamodb.UpdateItem", die), pytest.raises(Interruption):
        ledger.decide("first", Decision.APPROVED, "ana", "yes")
    assert ledger.decide("first", Decision.APPROVED, "ana", "yes").task_token == "token-1"


def test_after_the_expiry_only_its_expiry_is_taken(ledger: Ledger, clock: ManualClock) -> None:
    ask(ledger)
    clock.advance(3600)
    for decision in (Decision.APPROVED, Decision.REJECTED):
        with pytest.raises(ApprovalError, match=r"expired at 2026-11-23T13:00:00\.000000Z"):
            ledger.decide("first", decision, "ana", "late")
    assert ledger.decide("first", Decision.EXPIRED, "release", "nobody answered").decision is Decision.EXPIRED


def test_an_approval_of_another_image_is_refused(ledger: Ledger) -> None:
    ask(ledger)
    with pytest.raises(ApprovalError, match="first asks about sha256:bb, not sha256:cc"):
        ledger.decide("first", Decision.APPROVED, "ana", "yes", digest="sha256:cc")
    unanswered = ledger.approval("first")
    assert unanswered is not None
    assert unanswered.decision is None


def test_what_was_never_asked_cannot_be_answered(ledger: Ledger) -> None:
    with pytest.raises(ApprovalError, match="first has not asked"):
        ledger.decide("first", Decision.APPROVED, "ana", "yes")


def test_a_retried_state_asks_with_its_new_token(ledger: Ledger) -> None:
    ask(ledger)
    ask(ledger, "token-2")
    assert ledger.decide("first", Decision.APPROVED, "ana", "yes").task_token == "token-2"


def test_an_answer_is_not_asked_away(ledger: Ledger) -> None:
    ask(ledger)
    decided = ledger.decide("first", Decision.APPROVED, "ana", "yes")
    assert ask(ledger, "token-2") == decided == ledger.approval("first")


def test_a_question_that_changed_meanwhile_is_not_answered(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    ask(ledger)
    with (
        once(dynamodb, "before-call.dynamodb.UpdateItem", lambda: ask(ledger, "token-2", "sha256:cc") and None),
        pytest.raises(ApprovalError, match="asked again while this was decided"),
    ):
        ledger.decide("first", Decision.APPROVED, "ana", "yes")


def test_an_approval_leaves_the_table_in_the_end(ledger: Ledger, dynamodb: "DynamoDBClient") -> None:
    ask(ledger)
    key = {"pk": {"S": "shop#test"}, "sk": {"S": "APPROVAL#first"}}
    item = dynamodb.get_item(TableName="shop-test-ledger", Key=key)["Item"]
    assert int(item["ttl"]["N"]) == (EXPIRY + timedelta(days=30)).timestamp()


def test_an_approval_travels_as_json(ledger: Ledger) -> None:
    asked = ask(ledger)
    assert Approval.from_dict(asked.as_dict()) == asked
    decided = ledger.decide("first", Decision.APPROVED, "ana", "yes")
    assert Approval.from_dict(decided.as_dict()) == decided
