"""Releases that are refused before anything changes, with a reason that helps."""

import json

import pytest
from botocore.exceptions import ClientError

from opskit.traffic import Weights
from tests.workflow.seen import closed


@pytest.fixture(autouse=True)
def nothing_changes(operator, live):
    deployed = operator.deployments()
    yield
    assert operator.ledger.live() == live
    assert operator.deployments() == deployed


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({}, "InvalidInputError", "image is missing"),
        ({"image": "1.0.0", "colour": "blue"}, "InvalidInputError", "colour"),
        ({"image": 7}, "InvalidInputError", "image"),
        ({"image": "1.0.0", "strategy": "rolling"}, "InvalidInputError", "strategy"),
        ({"image": "1.0.0", "strategy": "canary"}, "InvalidInputError", "canary needs steps"),
        ({"image": "1.0.0", "environment": "prod"}, "InvalidInputError", "releases to dev"),
        ({"operation": "rollback", "image": "1.0.0"}, "InvalidInputError", "takes no image"),
        ({"image": "99.99.99"}, "UnknownImageError", "99.99.99"),
        ({"image": "detection-api@sha256:" + "0" * 64}, "UnknownImageError", "sha256:000"),
        ({"image": "somebody/else:1.0.0"}, "UnknownImageError", "somebody/else"),
    ],
)
def test_bad_input(operator, given, error, says):
    done = operator.run(**given)
    assert (done.status, done.error) == ("FAILED", error)
    assert says in done.cause
    assert "AcquireLock" not in done.states
    closed(operator, done, "REFUSED")


def test_an_alarm_that_is_firing_already(operator, version):
    tag = version()
    name = operator.fire_alarm()
    done = operator.run(image=tag)
    assert (done.status, done.error) == ("FAILED", "ReleaseRefusedError")
    assert name in done.cause
    assert "Threshold Crossed" in done.cause
    closed(operator, done, "REFUSED")


def test_weights_that_were_changed_by_hand(operator, live, version):
    operator.set_weights(Weights.split(live.colour, 70))
    done = operator.run(image=version())
    assert (done.status, done.error) == ("FAILED", "ReleaseRefusedError")
    assert "traffic is split" in done.cause
    assert "70" in done.cause


def test_the_second_of_two_releases_is_refused_and_told_who_holds_the_lock(operator, version):
    tag = version()
    first = operator.start(image=tag, approval=True)
    operator.wait_for_state(first, "RequestApproval")
    second = operator.run(image=version())
    assert (second.status, second.error) == ("FAILED", "LockHeldError")
    assert first.rpartition(":")[2] in second.cause
    closed(operator, second, "REFUSED")
    assert operator.execution(first).status == "RUNNING"


def test_the_same_name_twice_is_one_release(operator, version):
    given = {"image": version(), "approval": True}
    first = operator.start("twice-the-same", **given)
    assert operator.start("twice-the-same", **given) == first
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        operator.start("twice-the-same", **(given | {"reason": "another"}))


def test_an_unknown_environment(operator):
    machine = operator.machine.replace("-dev-", "-nowhere-")
    with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
        operator.clients["stepfunctions"].start_execution(stateMachineArn=machine, input=json.dumps({"image": "1"}))
