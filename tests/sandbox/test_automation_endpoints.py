"""The automation plane's own endpoints, for the other processes of the sandbox."""

import json
from collections.abc import Iterator

import pytest

from tests.sandbox.fixtures.automation import Plane, running_plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


def session(plane: Plane, role: str) -> dict[str, str]:
    """Credentials of a role, as an STS client of the root user gets them."""
    given = plane.client("sts").assume_role(RoleArn=role, RoleSessionName="release")["Credentials"]
    return {"access_key_id": given["AccessKeyId"], "session_token": given["SessionToken"]}


def listener_role(plane: Plane) -> str:
    listener = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener/app/one/1/2"
    return plane.role(
        {"Effect": "Allow", "Action": "elasticloadbalancing:ModifyListener", "Resource": listener},
        {"Effect": "Allow", "Action": "elasticloadbalancing:Describe*", "Resource": "*"},
        {"Effect": "Deny", "Action": "elasticloadbalancing:DescribeRules", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "rds:DeleteDBInstance",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/drill": "yes"}},
        },
    )


@pytest.mark.parametrize(
    ("action", "resource", "context", "decision"),
    [
        ("elasticloadbalancing:DescribeListeners", "*", {}, "allowed"),
        ("elasticloadbalancing:DescribeRules", "*", {}, "explicitDeny"),
        ("elasticloadbalancing:DeleteListener", "*", {}, "implicitDeny"),
        ("elasticloadbalancing:ModifyListener", "…:listener/app/one/1/2", {}, "allowed"),
        ("elasticloadbalancing:ModifyListener", "…:listener/app/two/1/2", {}, "implicitDeny"),
        ("rds:DeleteDBInstance", "*", {"aws:ResourceTag/drill": "yes"}, "allowed"),
        ("rds:DeleteDBInstance", "*", {"aws:ResourceTag/drill": "no"}, "implicitDeny"),
    ],
)
def test_a_roles_policies_decide(
    plane: Plane, action: str, resource: str, context: dict[str, str], decision: str
) -> None:
    role = listener_role(plane)
    arn = resource.replace("…", "arn:aws:elasticloadbalancing:us-east-1:000000000000")
    body = {**session(plane, role), "action": action, "resource": arn, "context": context}

    status, answer = plane.ask("/_sandbox/authorize", body)

    assert status == 200
    assert answer["decision"] == decision
    assert answer["account"] == "000000000000"
    name = role.rsplit("/", 1)[1]
    assert answer["principal_arn"] == f"arn:aws:sts::000000000000:assumed-role/{name}/release"


def test_root_may_do_everything_and_strangers_nothing(plane: Plane) -> None:
    question = {"action": "eks:CreateCluster", "resource": "*", "session_token": None}

    status, answer = plane.ask("/_sandbox/authorize", {**question, "access_key_id": "test"})
    assert (status, answer["decision"]) == (200, "allowed")

    status, answer = plane.ask("/_sandbox/authorize", {**question, "access_key_id": "AKIAUNKNOWN"})
    assert status == 403
    assert "error" in answer

    stolen = {**session(plane, listener_role(plane)), "session_token": "wrong"}
    status, answer = plane.ask("/_sandbox/authorize", {**question, **stolen})
    assert status == 403


def test_an_event_of_an_aws_service_reaches_its_rule(plane: Plane) -> None:
    bus = plane.client("events")
    url, arn = plane.queue()
    bus.put_rule(Name="pushes", EventPattern=json.dumps({"source": ["aws.ecr"], "detail": {"result": ["SUCCESS"]}}))
    bus.put_targets(Rule="pushes", Targets=[{"Id": "queue", "Arn": arn}])
    event = {
        "source": "aws.ecr",
        "detail_type": "ECR Image Action",
        "detail": {"action-type": "PUSH", "result": "SUCCESS", "image-tag": "1.2.3"},
        "resources": ["arn:aws:ecr:us-east-1:000000000000:repository/detection-api"],
    }

    status, answer = plane.ask("/_sandbox/events", event)

    assert status == 200
    received = plane.message(url)
    assert received["id"] == answer["event_id"]
    assert received["detail-type"] == "ECR Image Action"
    assert received["detail"] == event["detail"]
    assert received["resources"] == event["resources"]


def test_an_event_may_come_twice_and_late(plane: Plane) -> None:
    bus = plane.client("events")
    url, arn = plane.queue()
    bus.put_rule(Name="again", EventPattern=json.dumps({"source": ["aws.again"]}))
    bus.put_targets(Rule="again", Targets=[{"Id": "queue", "Arn": arn}])
    event = {"source": "aws.again", "detail_type": "x", "detail": {}, "event_id": "e-1", "time": 1_700_000_000}
    for _ in range(2):
        assert plane.ask("/_sandbox/events", event) == (200, {"event_id": "e-1"})
    received = [plane.message(url) for _ in range(2)]
    assert [(one["id"], one["time"]) for one in received] == [("e-1", "2023-11-14T22:13:20Z")] * 2


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/_sandbox/events", {"source": "own.app", "detail_type": "x", "detail": {}}, 400),
        ("/_sandbox/events", {"source": "aws.ecr", "detail": {}}, 400),
        ("/_sandbox/authorize", {"access_key_id": "test"}, 400),
        ("/_sandbox/unknown", {}, 404),
    ],
)
def test_bad_requests_are_refused(plane: Plane, path: str, body: dict[str, str], status: int) -> None:
    assert plane.ask(path, body)[0] == status
