"""Steps against moto: ledger, bucket, topic and balancer answer as AWS does; the cluster is a double."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_lambda_powertools.metrics import Metrics
from moto import mock_aws

from opskit import clients
from opskit.adapters.cluster import Cluster, DeploymentState
from opskit.ledger import ReleaseRecord
from opskit.platform import Platform
from opskit.settings import Settings
from opskit.step import Execution, Run
from opskit.traffic import Colour, Weights

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OLD = "000000000000.dkr.ecr.us-east-1.amazonaws.com/detection-api@sha256:" + "a" * 64
NEW = "000000000000.dkr.ecr.us-east-1.amazonaws.com/detection-api@sha256:" + "b" * 64
ARN = "arn:aws:states:us-east-1:000000000000:execution:detection-api-dev-release"
SETTINGS = {
    "lease_seconds": 60,
    "poll_seconds": 5,
    "bake_poll_seconds": 10,
    "stable_polls": 1,
    "rollout_timeout_seconds": 60,
    "smoke_paths": "/health, /version",
    "metric_period_seconds": 60,
    "metric_delay_seconds": 0,
    "baseline_seconds": 300,
    "minimum_requests": 100,
    "inconclusive_wait_seconds": 30,
    "approval_seconds": 900,
    "bake_seconds": 60,
    "error_rate_increase": 0.01,
    "latency_factor": 1.5,
    "latency_increase_seconds": 0.1,
    "latency_limit_seconds": 1.0,
    "drain_seconds": 30,
    "drain_timeout_seconds": 120,
}


@dataclass
class FixedClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class ClusterDouble:
    """Remembers what was asked of it; what it runs is what it was told to run."""

    states: dict[Colour, DeploymentState | None] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def deployment(self, colour: Colour) -> DeploymentState | None:
        return self.states.get(colour)

    def pods(self, colour: Colour) -> tuple[()]:
        return ()

    def deploy(self, colour: Colour, *, image: str, replicas: int, annotations: dict[str, str]) -> None:
        self.asked.append(("deploy", colour, image, replicas))
        self.states[colour] = running(image, replicas)

    def scale(self, colour: Colour, replicas: int) -> None:
        self.asked.append(("scale", colour, replicas))

    def pause_scale_down(self, colour: Colour) -> bool:
        self.asked.append(("pause", colour))
        return True

    def resume_scale_down(self, colour: Colour) -> bool:
        self.asked.append(("resume", colour))
        return True


def running(image: str, replicas: int) -> DeploymentState:
    return DeploymentState(
        name="x",
        image=image,
        replicas=replicas,
        generation=1,
        observed_generation=1,
        updated=replicas,
        ready=replicas,
        available=replicas,
        unavailable=0,
    )


@pytest.fixture(autouse=True)
def no_metrics_of_others() -> Iterator[None]:
    """Powertools keeps what is not published yet in one place for the whole process."""
    yield
    Metrics(namespace="tests").clear_metrics()


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "000000000000")
    with mock_aws():
        yield


@pytest.fixture
def platform() -> Platform:
    """What a step reads of the platform; the load balancer is a name only (`load_balancer.py` makes one)."""
    balancer = "arn:aws:elasticloadbalancing:us-east-1:000000000000:{}/app/detection-api/50dc6c495c0c9188"
    group = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/detection-api-{}/73e2d6bc24d8a067"
    return Platform(
        service="detection-api",
        environment="dev",
        listener_arn=balancer.format("listener") + "/f2f7dc8efc522ab2",
        load_balancer_arn=balancer.format("loadbalancer"),
        target_group_blue_arn=group.format("blue"),
        target_group_green_arn=group.format("green"),
        service_url="http://127.0.0.1:9",
        test_header="X-Release-Colour",
        cluster_name="c",
        cluster_arn="arn:aws:eks:us-east-1:000000000000:cluster/c",
        cluster_operator_role_arn="arn:aws:iam::000000000000:role/operator",
        namespace="detection-api",
        image_repository="detection-api",
        image_repository_arn="arn:aws:ecr:us-east-1:000000000000:repository/detection-api",
        release_alarms=(),
        function_subnet_ids=("subnet-1",),
        function_security_group_id="sg-1",
        database_name="detections",
        database_key_arn="arn:aws:kms:us-east-1:123456789012:key/database",
        cache_user="none",
        cache_key_arn="arn:aws:kms:us-east-1:123456789012:key/cache",
        backup_bucket="detection-api-dev-backups",
        backup_key_arn="arn:aws:kms:us-east-1:123456789012:key/backup",
        cache_export_bucket="detection-api-dev-cache-exports",
        terraform_state_bucket="detection-api-terraform-state",
        terraform_state_key="dev/platform.tfstate",
        drill_subnet_group="detection-api-dev-drill",
        drill_cache_subnet_group="detection-api-dev-drill",
        drill_security_group_id="sg-2",
        alarm_resources=(),
        node_group="none",
    )


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> dict[Colour, int]:
    """How many healthy targets each colour is seen to have; moto knows no health checks."""
    from opskit.adapters.balancer import Balancer, Targets

    counts = {Colour.BLUE: 2, Colour.GREEN: 2}
    monkeypatch.setattr(
        Balancer,
        "targets",
        lambda self, colour: Targets(healthy=counts[colour], unhealthy=0, initial=0, draining=0, unused=0),
    )
    return counts


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> ClusterDouble:
    double = ClusterDouble({Colour.BLUE: running(OLD, 2), Colour.GREEN: None})
    monkeypatch.setattr(Cluster, "connect", lambda *_, **__: double)
    return double


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def run(platform: Platform, clock: FixedClock) -> Run:
    clients.client("dynamodb").create_table(
        TableName="ledger",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    clients.client("s3").create_bucket(Bucket="evidence")
    topic = clients.client("sns").create_topic(Name="operations")["TopicArn"]
    return Run(
        settings=Settings("detection-api", "dev", "ledger", "evidence", topic),
        execution=Execution(
            "arn:aws:states:us-east-1:000000000000:execution:detection-api-dev-release:r1", "r1", START
        ),
        load_platform=lambda: platform,
        clock=clock,
    )


@pytest.fixture
def plan() -> dict[str, Any]:
    """A release of NEW onto green, two pods, blue live with OLD."""
    return {
        "decision": "PROCEED",
        "reason": "because",
        "operation": "release",
        "from_colour": "blue",
        "to_colour": "green",
        "from_image": OLD,
        "from_digest": OLD.partition("@")[2],
        "image": NEW,
        "digest": NEW.partition("@")[2],
        "replicas": 2,
        "required_healthy": 2,
        "deploy": True,
        "analyse": False,
        "steps": [{"weight": 10, "bake_seconds": 60}, {"weight": 100, "bake_seconds": 60}],
        "overridden_alarms": [],
        "weights_before": {"blue": 100, "green": 0},
        "live_revision": None,
    }


@pytest.fixture
def event(run: Run, plan: dict[str, Any]) -> dict[str, Any]:
    """What a step in the middle of a release gets, with the lock held and the record open."""
    lock = run.ledger.acquire(run.execution.id, "a release", 60)
    run.ledger.open_record(
        ReleaseRecord(
            execution_id=run.execution.id,
            execution_name=run.execution.name,
            operation="release",
            started_at=run.execution.started_at,
            from_colour=Colour.BLUE,
            to_colour=Colour.GREEN,
            weights=Weights(100, 0),
        )
    )
    request = {
        "minimum_requests": 100,
        "inconclusive_wait_seconds": 30,
        "approval_seconds": 900,
        "strategy": "canary",
        "requested_by": "tester",
    }
    return {"settings": SETTINGS, "plan": plan, "request": request, "lock": lock.as_dict(), "step": 0}
