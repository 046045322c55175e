from typing import Any

import pytest

from opskit.errors import InvalidInputError
from opskit.schema import validate

ARN = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:shop-prod-eks-cpu"
EVENT = {
    "version": "0",
    "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
    "detail-type": "CloudWatch Alarm State Change",
    "source": "aws.cloudwatch",
    "account": "123456789012",
    "time": "2026-11-23T11:59:00Z",
    "region": "us-east-1",
    "resources": [ARN],
    "detail": {"alarmName": "shop-prod-eks-cpu", "state": {"value": "ALARM"}},
}


def test_an_event_is_taken_as_it_is_delivered() -> None:
    assert validate("remediate", EVENT) == EVENT
    assert validate("remediate", EVENT | {"something": "new"})["something"] == "new"
    gov = EVENT | {"resources": [ARN.replace("arn:aws:", "arn:aws-us-gov:")]}
    assert validate("remediate", gov) == gov


def test_a_persons_request_is_filled_in() -> None:
    assert validate("remediate", {"alarm": "eks-cpu"}) == {"alarm": "eks-cpu", "dry_run": False}
    whole = {"alarm": "eks-cpu", "dry_run": True, "requested_by": "ann", "reason": "x", "environment": "dev"}
    assert validate("remediate", whole) == whole


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "must have `alarm`"),
        ({"alarm": ""}, "alarm must be"),
        ({"alarm": "eks-cpu", "resource": "arn"}, "unknown `resource`"),
        ({"alarm": "eks-cpu", "bounds": {"step": 9}}, "unknown `bounds`"),
        ({"alarm": "eks-cpu", "dry_run": "yes"}, "dry_run must be boolean"),
        (EVENT | {"source": "my.app"}, "source must be"),
        (EVENT | {"detail-type": "CloudWatch Alarm Configuration Change"}, "detail-type"),
        ({"source": "aws.cloudwatch"}, "must have `detail-type`, `id`, `time`, `resources`"),
        ({"source": "aws.cloudwatch", "alarm": "eks-cpu"}, "must have"),
        (EVENT | {"resources": []}, "resources must"),
        (EVENT | {"resources": [ARN, ARN.replace("eks-cpu", "cache-cpu")]}, "resources must"),
        (EVENT | {"resources": ["arn:aws:rds:us-east-1:123456789012:db:shop"]}, "must match pattern"),
        (EVENT | {"resources": ["shop-prod-eks-cpu"]}, "must match pattern"),
        (EVENT | {"time": "yesterday"}, "time must be date-time"),
        ({name: value for name, value in EVENT.items() if name != "time"}, "must have `time`"),
    ],
)
def test_what_is_neither_is_refused(data: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        validate("remediate", data)
    assert words in str(caught.value)
