"""Approval by a person: given, refused, not given in time."""

import pytest

from opskit.traffic import Weights
from tests.workflow.seen import closed, states_in_order


@pytest.fixture
def waiting(operator, live, version):
    """A release that waits for a decision, and what it asks."""

    def start(**given):
        arn = operator.start(image=version(), approval=True, bake_seconds=0, **given)
        asked = operator.until(
            lambda: operator.ledger.approval(arn.rpartition(":")[2]), lambda a: a is not None, "a request", seconds=30
        )
        return arn, asked

    return start


def test_approved(operator, live, waiting):
    arn, asked = waiting()
    assert operator.weights() == Weights.all_to(live.colour)
    operator.approve(asked, by="the captain")
    done = operator.wait(arn)
    assert done.status == "SUCCEEDED", done.cause
    states_in_order(done, "AcquireLock", "RequestApproval", "ConfirmPlan", "DeployColour")
    assert closed(operator, done, "SUCCEEDED").approval["approved_by"] == "the captain"


def test_rejected(operator, live, waiting):
    arn, asked = waiting()
    operator.reject(asked, "not on a Friday")
    done = operator.wait(arn)
    assert (done.status, done.error) == ("FAILED", "ApprovalRejectedError")
    assert "not on a Friday" in done.cause
    assert "DeployColour" not in done.states
    assert operator.ledger.live() == live


def test_expired(operator, live, waiting):
    arn, _ = waiting(approval_seconds=3)
    done = operator.wait(arn)
    assert (done.status, done.error) == ("FAILED", "ApprovalExpiredError")
    assert "nobody approved within 3 s" in done.cause
    assert operator.ledger.holder() is None
    assert operator.ledger.live() == live
    closed(operator, done, "REFUSED")


def test_an_approval_of_another_digest_does_not_count(operator, live, waiting):
    arn, asked = waiting()
    operator.answer(asked, {"approved_by": "the captain", "digest": "sha256:" + "0" * 64})
    done = operator.wait(arn)
    assert (done.status, done.error) == ("FAILED", "ReleaseRefusedError")
    assert "DeployColour" not in done.states


def test_what_changed_while_people_thought_is_noticed(operator, live, waiting):
    arn, asked = waiting()
    operator.set_weights(Weights.split(live.colour, 60))
    operator.approve(asked)
    done = operator.wait(arn)
    assert (done.status, done.error) == ("FAILED", "ReleaseRefusedError")
    assert "traffic is split" in done.cause
    assert "DeployColour" not in done.states
