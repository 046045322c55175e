"""The platform with the real automation plane: its IAM decides, its event bus and CloudWatch receive."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fixtures.automation import Plane, eventually, running_plane
from tests.sandbox.fixtures.platform import Live, Platform, running_platform


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("planes")) as plane:
        yield plane


@pytest.fixture(scope="module")
def platform(plane: Plane) -> Iterator[Platform]:
    with running_platform(plane.config) as platform:
        yield platform


@pytest.fixture(scope="module")
def live(platform: Platform) -> Iterator[Live]:
    live = Live(platform)
    yield live
    live.close()


def test_a_role_may_do_what_its_policy_says_on_that_listener_only(plane: Plane, live: Live) -> None:
    iam, sts = plane.client("iam"), plane.client("sts")
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="shifter", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]
    statements = [
        {"Effect": "Allow", "Action": "elasticloadbalancing:Describe*", "Resource": "*"},
        {"Effect": "Allow", "Action": "elasticloadbalancing:ModifyListener", "Resource": live.listener},
    ]
    iam.put_role_policy(
        RoleName="shifter",
        PolicyName="shift",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
    )
    session = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="release-1")["Credentials"]

    def client(service: str, token: str = session["SessionToken"]) -> Any:
        return live.platform.client(service, session["AccessKeyId"], token)

    client("elbv2").modify_listener(ListenerArn=live.listener, DefaultActions=live.action(60, 40))
    (found,) = client("elbv2").describe_listeners(ListenerArns=[live.listener])["Listeners"]
    weights = [one["Weight"] for one in found["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]]
    assert weights == [60, 40]

    for refused in (
        lambda: client("elbv2").delete_listener(ListenerArn=live.listener),
        lambda: client("elbv2").register_targets(
            TargetGroupArn=live.groups["blue"], Targets=[live.backends["green"].target]
        ),
        lambda: client("eks").list_clusters(),
        lambda: client("ecr").describe_repositories(),
    ):
        with pytest.raises(ClientError, match="not authorized to perform") as caught:
            refused()
        assert ":assumed-role/shifter/release-1" in caught.value.response["Error"]["Message"]
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        client("elbv2", "made-up").describe_listeners(ListenerArns=[live.listener])

    principal = live.platform.journal()[-1]
    assert principal["status"] == 403


def test_a_push_reaches_a_rule_on_the_default_bus(plane: Plane, platform: Platform) -> None:
    sqs, events, ecr = plane.client("sqs"), plane.client("events"), platform.client("ecr")
    queue = sqs.create_queue(QueueName="pushes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.ecr"], "detail": {"action-type": ["PUSH"], "result": ["SUCCESS"]}}
    events.put_rule(Name="pushes", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="pushes", Targets=[{"Id": "queue", "Arn": arn}])
    ecr.create_repository(repositoryName="detection-api")
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"})
    image = ecr.put_image(repositoryName="detection-api", imageManifest=manifest, imageTag="1.0.0")["image"]
    message = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))[0]
    event = json.loads(message["Body"])
    assert event["detail-type"] == "ECR Image Action"
    assert event["detail"]["repository-name"] == "detection-api"
    assert event["detail"]["image-tag"] == "1.0.0"
    assert event["detail"]["image-digest"] == image["imageId"]["imageDigest"]


def test_response_times_can_be_read_as_percentiles(plane: Plane, live: Live) -> None:
    live.shift(100, 0)
    assert [live.get() for _ in range(20)] == [(200, "blue")] * 20
    cloudwatch = plane.client("cloudwatch")
    suffix = live.groups["blue"].rsplit(":", 1)[1]
    balancer = live.balancer.rsplit(":", 1)[1].removeprefix("loadbalancer/")
    dimensions = [{"Name": "TargetGroup", "Value": suffix}, {"Name": "LoadBalancer", "Value": balancer}]

    def read(metric: str, statistic: str) -> list[float]:
        now = datetime.now(UTC)
        query = {
            "Id": "q",
            "MetricStat": {
                "Metric": {"Namespace": "AWS/ApplicationELB", "MetricName": metric, "Dimensions": dimensions},
                "Period": 60,
                "Stat": statistic,
            },
        }
        answer = cloudwatch.get_metric_data(
            MetricDataQueries=[query], StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(minutes=1)
        )
        return list(answer["MetricDataResults"][0]["Values"])

    eventually(lambda: sum(read("RequestCount", "Sum")) == 20)
    assert all(0 < value < 5 for value in read("TargetResponseTime", "p95"))
    assert read("TargetResponseTime", "p95")
    assert max(read("HealthyHostCount", "Maximum")) == 1.0
