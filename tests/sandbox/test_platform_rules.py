"""The platform's parts without I/O: registrations, actions, IAM resources, authorization."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from sandbox.platform.authorization import Authorizer
from sandbox.platform.automation import AutomationUnavailableError
from sandbox.platform.calls import Call
from sandbox.platform.errors import AwsError
from sandbox.platform.listener_rules import check_actions, check_conditions, normal_actions
from sandbox.platform.resources import resources
from sandbox.platform.targets import TargetRegistry

ACCOUNT = "000000000000"
KNOWN = {f"tg-{number}" for number in range(9)}
A, B = ("127.0.0.1", 1001), ("127.0.0.1", 1002)


def call(action: str, protocol: str = "query", key: str = "ASIAX", **params: Any) -> Call:
    prefix, _, operation = action.partition(":")
    service = {"elasticloadbalancing": "elbv2"}.get(prefix, prefix)
    return Call(service, prefix, operation, params, "us-east-1", key, "token", protocol, model=cast(Any, None))


def weighted(*weights: int) -> list[dict[str, Any]]:
    groups = [{"TargetGroupArn": f"tg-{number}", "Weight": weight} for number, weight in enumerate(weights)]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


def test_targets_are_told_apart_by_port() -> None:
    registry = TargetRegistry()
    registry.register("tg", [A, B], 1.0)
    registry.deregister("tg", [A], 2.0)
    assert [(one.port, one.deregistering_at) for one in registry.targets("tg")] == [(1001, 2.0), (1002, None)]


def test_draining_lasts_for_the_deregistration_delay() -> None:
    registry = TargetRegistry()
    registry.register("tg", [A], 1.0)
    registry.deregister("tg", [A, B], 10.0)
    registry.deregister("tg", [A], 14.0)
    assert not registry.expire(lambda _: 5.0, 14.9)
    assert registry.expire(lambda _: 5.0, 15.0)
    assert registry.targets("tg") == ()


def test_registering_again_ends_draining_and_begins_anew() -> None:
    registry = TargetRegistry()
    registry.register("tg", [A], 1.0)
    registry.register("tg", [A], 2.0)
    assert registry.targets("tg")[0].registered_at == 1.0
    registry.deregister("tg", [A], 3.0)
    registry.register("tg", [A], 4.0)
    one = registry.targets("tg")[0]
    assert (one.registered_at, one.deregistering_at) == (4.0, None)


@pytest.mark.parametrize("actions", [weighted(100, 0), weighted(0, 999), weighted(1, 1, 1, 1, 1)])
def test_actions_that_are_right(actions: list[dict[str, Any]]) -> None:
    check_actions(actions, KNOWN)


@pytest.mark.parametrize(
    ("actions", "code"),
    [
        ([], "ValidationError"),
        (weighted(1000, 0), "ValidationError"),
        (weighted(-1, 1), "ValidationError"),
        (weighted(1, 1, 1, 1, 1, 1), "ValidationError"),
        (weighted(), "ValidationError"),
        (
            [{"Type": "forward", "TargetGroupArn": "tg-1", **weighted(1)[0]}],
            "ValidationError",
        ),
        ([{"Type": "forward", "TargetGroupArn": "gone"}], "TargetGroupNotFound"),
        ([{"Type": "redirect"}], "UnsupportedInSandbox"),
        (
            [
                {
                    "Type": "forward",
                    "ForwardConfig": {
                        **weighted(1)[0]["ForwardConfig"],
                        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
                    },
                }
            ],
            "UnsupportedInSandbox",
        ),
    ],
)
def test_actions_that_are_refused(actions: list[dict[str, Any]], code: str) -> None:
    with pytest.raises(AwsError) as caught:
        check_actions(actions, KNOWN)
    assert caught.value.code == code


def test_the_same_group_twice_is_refused() -> None:
    groups = [{"TargetGroupArn": "tg-1", "Weight": 1}] * 2
    with pytest.raises(AwsError, match="only once"):
        check_actions([{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}], KNOWN)


def test_conditions_that_the_balancer_cannot_evaluate_are_refused() -> None:
    check_conditions([{"Field": "http-header"}, {"Field": "path-pattern"}])
    with pytest.raises(AwsError, match="query-string"):
        check_conditions([{"Field": "query-string"}])


def test_actions_read_back_with_weights_in_either_form() -> None:
    single, double = normal_actions([{"Type": "forward", "TargetGroupArn": "a"}]), normal_actions(weighted(3, 0))
    assert single[0]["TargetGroupArn"] == "a"
    assert single[0]["ForwardConfig"]["TargetGroups"] == [{"TargetGroupArn": "a", "Weight": 1}]
    assert "TargetGroupArn" not in double[0]
    assert [one["Weight"] for one in double[0]["ForwardConfig"]["TargetGroups"]] == [3, 0]
    assert double[0]["ForwardConfig"]["TargetGroupStickinessConfig"] == {"Enabled": False}


ENTRY = "arn:aws:eks:us-east-1:000000000000:access-entry/c/role/000000000000/operator/"
PRINCIPAL = "arn:aws:iam::000000000000:role/path/operator"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (call("elasticloadbalancing:ModifyListener", ListenerArn="l"), ["l"]),
        (call("elasticloadbalancing:ModifyTargetGroupAttributes", TargetGroupArn="t"), ["t"]),
        (call("elasticloadbalancing:RegisterTargets", TargetGroupArn="t"), ["t"]),
        (call("elasticloadbalancing:DescribeTargetHealth", TargetGroupArn="t"), ["*"]),
        (call("elasticloadbalancing:DescribeListeners", ListenerArns=["l"]), ["*"]),
        (call("elasticloadbalancing:AddTags", ResourceArns=["a", "b"]), ["a", "b"]),
        (
            call("elasticloadbalancing:SetRulePriorities", RulePriorities=[{"RuleArn": "r", "Priority": 1}]),
            ["r"],
        ),
        (
            call("elasticloadbalancing:CreateTargetGroup", Name="n"),
            ["arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/n/*"],
        ),
        (call("ecr:PutImage", repositoryName="r"), ["arn:aws:ecr:us-east-1:000000000000:repository/r"]),
        (
            call("ecr:DescribeRepositories", repositoryNames=["r", "s"]),
            [f"arn:aws:ecr:us-east-1:000000000000:repository/{name}" for name in "rs"],
        ),
        (call("ecr:DescribeRepositories"), ["arn:aws:ecr:us-east-1:000000000000:repository/*"]),
        (call("ecr:GetAuthorizationToken"), ["*"]),
        (call("eks:DescribeCluster", name="c"), ["arn:aws:eks:us-east-1:000000000000:cluster/c"]),
        (
            call("eks:CreateAccessEntry", clusterName="c", principalArn=PRINCIPAL),
            ["arn:aws:eks:us-east-1:000000000000:cluster/c"],
        ),
        (call("eks:ListClusters"), ["*"]),
        (call("ec2:DescribeVpcs"), ["*"]),
    ],
)
def test_resources_of_a_call(made: Call, expected: list[str]) -> None:
    assert list(resources(made, ACCOUNT)) == expected


def test_access_entry_resource_names_cluster_and_principal() -> None:
    (arn,) = resources(call("eks:DescribeAccessEntry", clusterName="c", principalArn=PRINCIPAL), ACCOUNT)
    assert arn.startswith(ENTRY)


class Authority:
    """Answers from a list and remembers the questions."""

    def __init__(self, *answers: tuple[int, dict[str, Any]] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[Mapping[str, Any]] = []

    def authorize(self, **question: Any) -> tuple[int, dict[str, Any]]:
        self.asked.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def decided(decision: str) -> tuple[int, dict[str, Any]]:
    return 200, {"decision": decision, "principal_arn": "arn:aws:sts::000000000000:assumed-role/r/s"}


def refused(authority: Authority, made: Call, targets: Sequence[str] = ("arn",)) -> AwsError:
    with pytest.raises(AwsError) as caught:
        Authorizer(authority, ACCOUNT).check(made, targets)
    return caught.value


def test_root_is_not_asked_about() -> None:
    authority = Authority()
    root = call("ecr:PutImage", key="test")
    assert Authorizer(authority, ACCOUNT).check(root, ["x"]) == "arn:aws:iam::000000000000:root"
    assert authority.asked == []


def test_an_allowed_call_is_remembered_for_a_second() -> None:
    now = [0.0]
    authority = Authority(decided("allowed"), decided("implicitDeny"))
    authorizer = Authorizer(authority, ACCOUNT, clock=lambda: now[0])
    made = call("ecr:PutImage")
    for now[0] in (0.0, 0.5, 0.99):
        authorizer.check(made, ["arn"])
    assert len(authority.asked) == 1
    now[0] = 1.0
    with pytest.raises(AwsError):
        authorizer.check(made, ["arn"])


def test_each_resource_must_be_allowed() -> None:
    authority = Authority(decided("allowed"), decided("explicitDeny"))
    error = refused(authority, call("elasticloadbalancing:AddTags"), ["a", "b"])
    assert "on resource: b with an explicit deny" in error.message
    assert [question["resource"] for question in authority.asked] == ["a", "b"]


@pytest.mark.parametrize(
    ("protocol", "code", "status"),
    [
        ("query", "AccessDenied", 403),
        ("json", "AccessDeniedException", 400),
        ("rest-json", "AccessDeniedException", 403),
        ("ec2", "UnauthorizedOperation", 403),
    ],
)
def test_refusals_are_coded_by_protocol(protocol: str, code: str, status: int) -> None:
    error = refused(Authority(decided("implicitDeny")), call("ecr:PutImage", protocol))
    assert (error.code, error.status) == (code, status)
    assert "assumed-role/r/s is not authorized to perform: ecr:PutImage" in error.message


def test_unknown_keys_and_silence_let_nobody_in() -> None:
    assert refused(Authority((403, {"error": "unknown"})), call("ecr:X")).code == "InvalidClientTokenId"
    assert refused(Authority(AutomationUnavailableError("down")), call("ecr:X")).status == 503
    assert refused(Authority((200, {"decision": "perhaps"})), call("ecr:X")).status == 503
    assert refused(Authority((500, {})), call("ecr:X")).status == 503
