"""Every statement of every policy was used in a test run, or it is said why it is there.

A new statement is used by its tests (`make policy-report POLICY_TESTS=tests/…`) or explained in
docs/policy-explained.yaml.
"""

import json

import pytest

from scripts.policy_use import allowed, explained, used
from scripts.policy_use.page import page

ROLES = allowed.roles()
USED = used.load()
EXPLANATIONS = explained.explanations()
UNUSED = list(explained.unused(ROLES, USED))


@pytest.mark.parametrize("role", ROLES)
def test_what_is_allowed_is_used_or_explained(role):
    items = [item for item in UNUSED if item.role == role and explained.reason(item, EXPLANATIONS) is None]
    assert not items, "run `make policy-report`, or remove, or explain: " + "; ".join(map(str, items))


@pytest.mark.parametrize("number", range(len(EXPLANATIONS)))
def test_an_explanation_is_about_something_that_is_never_used(number):
    assert any(EXPLANATIONS[number].fits(item) for item in UNUSED), EXPLANATIONS[number]


def test_nothing_is_said_to_be_used_that_the_template_does_not_allow():
    assert used.of_template(USED, ROLES) == USED, "run `python -m scripts.policy_use`"


def test_the_page_says_what_is_known():
    known = (explained.ROOT / "docs" / "policy-use.md").read_text(encoding="utf-8")
    assert known == page(ROLES, USED, EXPLANATIONS), "run `python -m scripts.policy_use`"


def line(**more):
    return {
        "role": "stack-PlanReleaseRole-0123456789ABC",
        "by": "detection-api-dev-release-plan-release",
        "sid": "ReadAlarms",
        "allows": ["cloudwatch:DescribeAlarms"],
        "action": "cloudwatch:DescribeAlarms",
        "resource": 0,
        **more,
    }


def read(tmp_path, *lines):
    file = tmp_path / "one.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return used.recorded([file], ROLES)


def test_a_use_is_that_of_the_function_whose_session_it_is(tmp_path):
    assert read(tmp_path, line()) == {"PlanReleaseRole": {"ReadAlarms": {"cloudwatch:DescribeAlarms": ["*"]}}}


@pytest.mark.parametrize(
    "other",
    [
        {"by": "test"},
        {"role": "detection-api-dev-service", "by": "botocore-session-1"},
        {"role": "stack-AdministratorRole-0123456789ABC", "by": "service"},
        {"sid": "", "allows": ["logs:PutLogEvents"], "action": "logs:PutLogEvents"},
    ],
    ids=["tried by a test", "of the service", "not of the stack", "managed by AWS"],
)
def test_what_is_not_of_the_function_is_left_out(tmp_path, other):
    assert read(tmp_path, line(**other)) == {}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("detection-api-dev-automation-ReleaseRole-B351670DE5F33", "ReleaseRole"),
        ("detection-api-dev-automation-SnapshotEveryHourRole-B351670DE5F33"[-64:], "SnapshotEveryHourRole"),
        ("detection-api-staging-automation-ObjectivesEveryFiveB351670DE5F33", "ObjectivesEveryFiveMinutesRole"),
    ],
)
def test_a_role_that_a_service_acts_with_is_told_by_its_name(tmp_path, name, role):
    found = used._role(name[-64:], "service", ROLES)
    assert found is not None
    assert found.name == role


def test_a_recording_of_another_template_is_refused(tmp_path):
    with pytest.raises(used.RecordingError, match="PlanReleaseRole Forgotten"):
        read(tmp_path, line(sid="Forgotten"))


def test_an_action_and_a_resource_that_nothing_used_are_both_told():
    statement = allowed.Statement("Read", ("s3:GetObject", "s3:ListBucket"), ("a", "b"))
    roles = {"Role": allowed.Role("Role", None, {"Read": statement}, ())}
    found = explained.unused(roles, {"Role": {"Read": {"s3:GetObject": ["a"]}}})
    assert [str(item) for item in found] == ["Role Read: s3:ListBucket", "Role Read: b"]
    assert [str(item) for item in explained.unused(roles, {})] == [
        "Role Read: s3:GetObject",
        "Role Read: s3:ListBucket",
    ]


@pytest.mark.parametrize("entry", [{"statements": ["X"]}, {"statements": ["X"], "why": " "}, {"why": "so"}])
def test_an_explanation_has_a_statement_and_a_reason(entry):
    with pytest.raises(ValueError, match="not an explanation"):
        explained.Explanation.read(entry)
