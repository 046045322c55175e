"""`ops preflight` against moto: what is read, what is chosen, what it exits with."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme

from cli.preflight import checklist, running
from cli.preflight.check import Check, Group, Sources
from cli.preflight.finding import Finding, failed, passed
from cli.preflight.running import PAUSE, look, rounds, run_all
from cli.session import Choices, Session
from tests.unit.cli.conftest import Ops
from tests.unit.cli.given import NAME, REGION, shift

BUCKET, KEY = "detection-api-terraform-state", "dev/platform.tfstate"


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def checks(ops: Ops, *names: str) -> dict[str, dict[str, Any]]:
    ran = ops("preflight", "--json", "--only", ",".join(names))
    return {one["name"]: one for one in ran.document["checks"]}


@pytest.fixture
def states(platform: Mapping[str, str]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_public_access_block(
        Bucket=BUCKET,
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        ),
    )


@pytest.mark.usefixtures("states")
def test_the_state_its_bucket_and_its_lock(ops: Ops) -> None:
    names = ("state-bucket", "state-lock", "state")
    found = checks(ops, *names)
    assert {name: one["outcome"] for name, one in found.items()} == {
        "state-bucket": "PASS",
        "state-lock": "PASS",
        "state": "FAIL",
    }
    document = {"version": 4, "serial": 1, "lineage": "x", "resources": [{}]}
    client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=json.dumps(document).encode())
    client("s3").put_object(Bucket=BUCKET, Key=f"{KEY}.tflock", Body=b'{"ID": "1f", "Who": "ana"}')
    client("s3").delete_public_access_block(Bucket=BUCKET)
    found = checks(ops, *names)
    assert {name: one["outcome"] for name, one in found.items()} == {
        "state-bucket": "FAIL",
        "state-lock": "FAIL",
        "state": "PASS",
    }
    assert "terraform force-unlock 1f" in found["state-lock"]["advice"]


def test_before_there_is_a_contract_the_state_is_looked_for_where_bootstrap_puts_it(ops: Ops, aws: None) -> None:
    account = client("sts").get_caller_identity()["Account"]
    bucket = f"shop-terraform-state-{account}"
    found = checks(ops, "state-bucket", "contract")
    assert {one["outcome"] for one in found.values()} == {"FAIL"}
    assert found["state-bucket"]["reason"] == f"there is no bucket {bucket}"
    client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    assert checks(ops, "state-lock")["state-lock"]["outcome"] == "PASS"
    client("s3").put_object(Bucket=bucket, Key="test/platform.tfstate.tflock", Body=b'{"ID": "1f", "Who": "ana"}')
    found = checks(ops, "state-bucket", "state-lock")
    assert "not versioned" in found["state-bucket"]["reason"]
    assert "held by ana" in found["state-lock"]["reason"]


def test_the_state_is_looked_for_where_terraform_is_told_to_keep_it() -> None:
    """By deploy.sh, which says the bucket, and by the environments' files, which say the key."""
    root = Path(__file__).parents[4]
    for environment in ("dev", "staging", "prod"):
        said = (root / f"terraform/environments/{environment}.tfbackend").read_text()
        assert f'key    = "{environment}/platform.tfstate"' in said
    assert "${SERVICE:-detection-api}-terraform-state-$account" in (root / "scripts/plan.sh").read_text()


def test_a_bucket_that_is_not_there(ops: Ops, platform: Mapping[str, str]) -> None:
    found = checks(ops, "state-bucket", "state-lock")
    assert found["state-bucket"]["outcome"] == "FAIL"
    assert found["state-lock"]["outcome"] == "INCONCLUSIVE"


def test_an_https_listener_and_its_certificate(ops: Ops, platform: Mapping[str, str]) -> None:
    def serve(arn: str, url: str) -> dict[str, Any]:
        client("elbv2").modify_listener(
            ListenerArn=platform["listener_arn"], Protocol="HTTPS", Certificates=[{"CertificateArn": arn}]
        )
        client("ssm").put_parameter(Name="/shop/test/platform/service_url", Value=url, Overwrite=True)
        return checks(ops, "certificate")["certificate"]

    made = trustme.CA().issue_cert("*.shop.example")
    imported = client("acm").import_certificate(
        Certificate=made.cert_chain_pems[0].bytes(), PrivateKey=made.private_key_pem.bytes()
    )["CertificateArn"]
    assert serve(imported, "https://api.shop.example")["outcome"] == "PASS"
    assert "not for other.example" in serve(imported, "https://other.example")["reason"]
    asked = client("acm").request_certificate(DomainName="api.shop.example")["CertificateArn"]
    assert "PENDING_VALIDATION" in serve(asked, "https://api.shop.example")["reason"]


@pytest.mark.usefixtures("ledger")
def test_weights_and_targets(ops: Ops, platform: Mapping[str, str]) -> None:
    found = checks(ops, "weights", "targets")
    assert found["weights"]["outcome"] == "PASS"
    assert found["targets"]["outcome"] == "FAIL"
    shift(platform, blue=50, green=50)
    assert checks(ops, "weights")["weights"]["outcome"] == "FAIL"


def test_alarms_need_a_confirmed_subscription(ops: Ops, platform: Mapping[str, str]) -> None:
    sns, cloudwatch = client("sns"), client("cloudwatch")
    topic = sns.create_topic(Name="ops")["TopicArn"]
    alarm = {"Namespace": "N", "MetricName": "M", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    more = {"ComparisonOperator": "GreaterThanThreshold", "Statistic": "Sum"}
    cloudwatch.put_metric_alarm(AlarmName=f"{NAME}-a", AlarmActions=[topic], **alarm, **more)
    cloudwatch.put_metric_alarm(AlarmName="another-b", **alarm, **more)
    assert "no confirmed subscription" in checks(ops, "alarm-destinations")["alarm-destinations"]["reason"]
    queue = client("sqs").create_queue(QueueName="q")["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    found = checks(ops, "alarm-destinations")["alarm-destinations"]
    assert (found["outcome"], found["facts"]["alarms"]) == ("PASS", 1)


def test_the_stack_and_the_login_of_the_pipeline(ops: Ops, platform: Mapping[str, str]) -> None:
    found = checks(ops, "stack", "pipeline-identity")
    assert {one["outcome"] for one in found.values()} == {"FAIL"}
    body = {"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}
    client("cloudformation").create_stack(StackName=f"{NAME}-automation", TemplateBody=json.dumps(body))
    url = "https://token.actions.githubusercontent.com"
    client("iam").create_open_id_connect_provider(Url=url, ThumbprintList=["a" * 40], ClientIDList=["x"])
    found = checks(ops, "stack", "pipeline-identity")
    assert {one["outcome"] for one in found.values()} == {"PASS"}, found


def test_a_contract_with_a_gap(ops: Ops, platform: Mapping[str, str]) -> None:
    client("ssm").delete_parameter(Name="/shop/test/platform/namespace")
    found = checks(ops, "contract", "certificate")
    assert found["contract"]["outcome"] == "FAIL"
    assert "/shop/test/platform/namespace is missing" in found["contract"]["reason"]
    assert found["certificate"]["outcome"] == "INCONCLUSIVE"


def test_people_see_groups_outcomes_and_what_to_do(ops: Ops, platform: Mapping[str, str]) -> None:
    ran = ops("preflight", "--only", "credentials", "--only", "certificate,state-bucket")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert "Before a deployment" in lines
    assert any(line.startswith("  FAIL") and "state-bucket" in line for line in lines)
    assert any("→ apply terraform/bootstrap" in line for line in lines)
    assert lines[-1] == "shop in test: 2 PASS, 1 FAIL"


def test_it_looks_again_at_everything_until_all_of_it_passes(
    ops: Ops, platform: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: dict[str, int] = {"late": 0, "early": 0}

    def a_check_that_passes(name: str, after: int) -> Check:
        def looked(_: Sources) -> Finding:
            looks[name] += 1
            return passed("well") if looks[name] > after else failed("not yet", "wait")

        return Check(name, Group.BEFORE, name, looked)

    given = (a_check_that_passes("late", 2), a_check_that_passes("early", 0))
    monkeypatch.setattr(checklist, "CHECKS", given)
    monkeypatch.setattr(checklist, "NAMES", ("late", "early"))
    monkeypatch.setattr(running, "PAUSE", 0.01)
    assert ops("preflight").code == 1
    assert looks == {"late": 1, "early": 1}
    ran = ops("preflight", "--wait", "60")
    assert ran.code == 0
    assert looks == {"late": 3, "early": 3}
    assert "not yet: late FAIL; looking again" in ran.out


def test_waiting_ends_when_its_time_is_over() -> None:
    now = count(0, 2)  # seconds, at each look at the clock
    slept: list[float] = []
    left = list(rounds(20, lambda: float(next(now)), slept.append))
    assert left[0] > left[1] > left[-1] == 0.0
    assert max(slept) == PAUSE
    assert list(rounds(0)) == [0.0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--only", "nonsense"), "no such check: nonsense. There are: credentials, state-bucket"),
        (("--only", "drill", "--skip", "drill"), "leave no check"),
        (("prod", "--environment", "dev"), "contradict each other"),
        (("Pro_d",), "is not a name"),
    ],
)
def test_wrong_usage(ops: Ops, options: tuple[str, ...], says: str) -> None:
    ran = ops("preflight", *options)
    assert ran.code == 2
    assert says in ran.err


def test_the_environment_may_be_an_argument(ops: Ops, aws: None) -> None:
    ran = ops("preflight", "prod", "--only", "credentials", "--json")
    assert (ran.code, ran.document["environment"]) == (0, "prod")


def test_skipped_checks_are_left_out() -> None:
    names = [check.name for check in checklist.chosen((), ("drill,backup", "objectives"))]
    assert names == [name for name in checklist.NAMES if name not in ("drill", "backup", "objectives")]


def test_names_are_unique_and_every_group_has_some() -> None:
    assert len(set(checklist.NAMES)) == len(checklist.NAMES)
    assert [check.group for check in checklist.CHECKS] == sorted(
        (check.group for check in checklist.CHECKS), key=list(Group).index
    )


@pytest.fixture
def sources() -> Sources:
    return Sources(Session(Choices(service="shop", environment="test")), datetime.now(UTC))


def a_check(name: str, finding: Finding) -> Check:
    return Check(name, Group.BEFORE, name, lambda _: finding)


def test_without_credentials_nothing_else_is_tried(sources: Sources) -> None:
    def never(_: Sources) -> Finding:
        raise AssertionError("was tried")

    told: list[str] = []
    given = (a_check("credentials", failed("none", "log in")), Check("other", Group.BEFORE, "o", never))
    found = run_all(given, sources, lambda check, _: told.append(check.name))
    assert [(name, one.outcome.value) for name, one in found.items()] == [
        ("credentials", "FAIL"),
        ("other", "INCONCLUSIVE"),
    ]
    assert "no credentials" in found["other"].reason
    assert told == ["credentials"]


def test_a_defect_of_one_check_neither_passes_nor_stops_the_others(sources: Sources) -> None:
    def broken(_: Sources) -> Finding:
        raise KeyError("Gone")

    given = (Check("broken", Group.BEFORE, "b", broken), a_check("well", passed("fine")))
    found = run_all(given, sources, lambda *_: None)
    assert found["broken"].outcome == "INCONCLUSIVE"
    assert "KeyError: 'Gone'" in found["broken"].reason
    assert found["well"].outcome == "PASS"
    assert look(replace(given[0], look=given[1].look), sources) == found["well"]
