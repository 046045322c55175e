"""`ops preflight` against a running sandbox: healthy, and broken in one way after the other."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from cli.preflight.checklist import NAMES
from opskit.decisions.manifest import Kind
from opskit.traffic import Weights
from sandbox.operator import Operator
from tests.preflight.conftest import Preflight
from tests.recovery.past import ago, manifest


def test_a_healthy_environment_passes(preflight: Preflight) -> None:
    looked = preflight()
    assert looked.wrong == {}, looked.words
    assert looked.code == 0
    assert [check["name"] for check in looked.document["checks"]] == list(NAMES)
    assert looked.document["outcome"] == "PASS"
    assert "plain HTTP" in looked.of("certificate")["reason"]


@contextmanager
def a_lock_left_behind(operator: Operator) -> Iterator[None]:
    platform = operator.platform
    key, bucket = f"{platform.terraform_state_key}.tflock", platform.terraform_state_bucket
    operator.write(key, b'{"ID": "6f1c", "Who": "ana@laptop", "Operation": "OperationTypeApply"}', bucket)
    yield
    operator.remove(key, bucket)


@contextmanager
def a_state_bucket_that_forgets(operator: Operator) -> Iterator[None]:
    s3, bucket = operator.clients["s3"], operator.platform.terraform_state_bucket
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    yield
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


@contextmanager
def an_alarm_that_nobody_hears(operator: Operator) -> Iterator[None]:
    cloudwatch, name = operator.clients["cloudwatch"], f"{operator.config.name}-mute"
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Test",
        MetricName="Test",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    yield
    cloudwatch.delete_alarms(AlarmNames=[name])


@contextmanager
def traffic_moved_by_hand(operator: Operator) -> Iterator[None]:
    before = operator.weights()
    live = operator.ledger.live()
    assert live is not None
    operator.set_weights(Weights.all_to(live.colour.other))
    yield
    operator.set_weights(before)


@contextmanager
def a_quota_that_is_used_up(operator: Operator) -> Iterator[None]:
    operator.engine_fault("rds", quota={"ManualSnapshots": 1})
    yield
    operator.calm_engines()


@contextmanager
def a_backup_that_failed(operator: Operator) -> Iterator[None]:
    manifest(operator, "preflight-cache", finished=ago(minutes=5), cache_taken=ago(minutes=9), failed=Kind.STATE)
    yield
    manifest(operator, "preflight-cache", finished=ago(minutes=1), cache_taken=ago(minutes=9))


@contextmanager
def an_alarm_that_fires(operator: Operator) -> Iterator[None]:
    operator.fire_alarm()
    yield
    operator.calm_alarms()


Break = Callable[[Operator], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("broken", "wrong", "says"),
    [
        (a_lock_left_behind, ["state-lock"], "ana@laptop"),
        (a_state_bucket_that_forgets, ["state-bucket"], "Suspended"),
        (an_alarm_that_nobody_hears, ["alarm-destinations"], "no action: detection-api-dev-mute"),
        (a_quota_that_is_used_up, ["quota-database-snapshots"], "of 1 manual DB snapshots"),
        (a_backup_that_failed, ["backup"], "INCOMPLETE"),
        (an_alarm_that_fires, ["release-alarms"], "firing"),
        # The old colour runs nothing since the release, so more than the ledger stands against it.
        (traffic_moved_by_hand, ["weights", "targets", "pods", "health"], "drift: the balancer has"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_broken_fails_and_nothing_else(
    operator: Operator, preflight: Preflight, broken: Break, wrong: list[str], says: str
) -> None:
    with broken(operator):
        looked = preflight()
    assert looked.wrong == dict.fromkeys(wrong, "FAIL"), looked.words
    assert looked.code == 1
    assert says in looked.of(wrong[0])["reason"]
    assert all(looked.of(name)["advice"] for name in wrong)


def test_what_cannot_be_read_is_inconclusive(operator: Operator, preflight: Preflight) -> None:
    operator.engine_fault("rds", operation="DescribeDBInstances", error="AccessDenied", message="told to refuse")
    try:
        looked = preflight()
    finally:
        operator.calm_engines()
    assert looked.wrong == {"database-version": "INCONCLUSIVE"}, looked.words
    assert looked.code == 6
    assert "told to refuse" in looked.of("database-version")["reason"]


def test_a_contract_with_a_gap_fails_and_what_rests_on_it_cannot_be_told(
    operator: Operator, preflight: Preflight
) -> None:
    name = f"/{operator.config.service}/{operator.config.environment}/platform/listener_arn"
    ssm, value = operator.clients["ssm"], operator.platform.listener_arn
    ssm.delete_parameter(Name=name)
    try:
        looked = preflight()
    finally:
        ssm.put_parameter(Name=name, Value=value, Type="String")
    assert looked.code == 1
    assert looked.of("contract")["outcome"] == "FAIL"
    assert name in looked.of("contract")["reason"]
    assert looked.wrong.pop("contract") == "FAIL"
    assert looked.of("weights")["outcome"] == "INCONCLUSIVE"
    assert looked.of("credentials")["outcome"] == looked.of("stack")["outcome"] == "PASS"


def test_an_environment_that_is_not_there_fails(preflight: Preflight) -> None:
    looked = preflight("nowhere", "--only", "credentials,contract,stack")
    assert looked.code == 1
    assert looked.wrong == {"contract": "FAIL", "stack": "FAIL"}
