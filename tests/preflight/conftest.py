"""One sandbox with engines, in which all is well, and a receiver in the place of Slack."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from sandbox.config import Config, environment
from sandbox.operator import Operator
from sandbox.provision import Progress, setup
from sandbox.provision.clients import Clients
from sandbox.supervisor import Options, sandbox
from tests.preflight.receiver import Receiver, receiver
from tests.recovery.past import ago, drill, manifest


@pytest.fixture(scope="session")
def slack() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory, slack: Receiver) -> Iterator[Config]:
    def with_slack(config: Config, progress: Progress) -> dict[str, Any]:
        secrets = Clients(config)["secretsmanager"]
        arn = secrets.create_secret(Name=f"{config.name}-slack", SecretString=slack.url)["ARN"]
        return setup(config, progress, engines=True, parameters={"SlackSecretArn": arn})

    directory: Path = tmp_path_factory.mktemp("sandbox") / "sandbox"
    with sandbox(directory, Options(setup=with_slack)) as running:
        yield running


@pytest.fixture(scope="session")
def operator(config: Config) -> Operator:
    operator = Operator(config)
    # What the template switches off where nothing runs by itself.
    cloudwatch = operator.clients["cloudwatch"]
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=config.name)["MetricAlarms"]
    cloudwatch.enable_alarm_actions(AlarmNames=[alarm["AlarmName"] for alarm in alarms])
    return operator


@pytest.fixture(scope="session")
def snapshot(operator: Operator) -> str:
    """A release, a backup of the cache, and records of a backup of everything and of a drill."""
    released = operator.run(image="1.1.0", bake_seconds=0)
    assert released.status == "SUCCEEDED", released.cause
    api, name = operator.clients["elasticache"], "preflight-cache"
    api.create_snapshot(SnapshotName=name, ReplicationGroupId=operator.config.name)
    operator.until(
        lambda: api.describe_snapshots(SnapshotName=name)["Snapshots"][0]["SnapshotStatus"],
        lambda status: status == "available",
        "the backup of the cache",
        seconds=60,
    )
    manifest(operator, name, finished=ago(minutes=50), cache_taken=ago(minutes=55))
    drill(operator, ended=ago(days=3), rto=700, rpo=60)
    return name


@dataclass(frozen=True)
class Looked:
    """What `ops preflight` said."""

    code: int
    document: dict[str, Any]

    def of(self, name: str) -> dict[str, Any]:
        return next(check for check in self.document["checks"] if check["name"] == name)

    @property
    def wrong(self) -> dict[str, str]:
        """The checks that did not pass, and their outcome."""
        return {one["name"]: one["outcome"] for one in self.document["checks"] if one["outcome"] != "PASS"}

    @property
    def words(self) -> str:
        """Why."""
        return "\n".join(f"{name}: {self.of(name)['reason']}" for name in self.wrong)


Preflight = Callable[..., Looked]


@pytest.fixture
def preflight(operator: Operator, snapshot: str) -> Preflight:
    operator.call("objectives-stamp-heartbeat", {})
    execution = operator.start(workflow="objectives", requested_by="a test").rpartition(":")[2]
    operator.until(
        lambda: json.loads(operator.read(key)) if (key := "objectives/latest.json") in operator.keys("obj") else {},
        lambda report: report.get("execution") == execution,
        "the report",
        seconds=60,
    )

    def look(*options: str) -> Looked:
        ran = CliRunner(env=environment(operator.config)).invoke(app, ["preflight", "--json", *options])
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
        return Looked(ran.exit_code, json.loads(ran.stdout))

    return look
