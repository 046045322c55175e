"""The sandbox itself, as `ops sandbox` starts it, without the automation stack (tests/workflow deploys that)."""

import json
import os
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from opskit.platform import Platform
from sandbox import processes
from sandbox.config import Config, environment
from sandbox.health import wait_until
from sandbox.processes import Register
from sandbox.provision import setup
from sandbox.provision.clients import Clients
from sandbox.supervisor import Options, down, status, up


def ops(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("ops"), "sandbox", *arguments],
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    directory = tmp_path_factory.mktemp("real") / "box"
    config = up(directory, Options(setup=partial(setup, deploy=False)))
    yield config
    down(directory)
    assert processes.find_all(config.dir) == set()
    assert not directory.exists()


def get(url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=5) as response:  # noqa: S310
        return json.load(response)


def test_the_first_version_is_live_on_blue(running: Config) -> None:
    assert get(f"{running.service_url}/version")["version"] == "1.0.0"
    assert get(f"{running.service_url}/version")["colour"] == "blue"
    assert get(f"{running.service_url}/version", {"X-Release-Colour": "blue"})["colour"] == "blue"


def test_the_contract_is_complete(running: Config) -> None:
    platform = Platform.load(running.service, running.environment, Clients(running)["ssm"])
    assert platform.service_url == running.service_url
    assert platform.release_alarms == tuple(
        f"detection-api-dev-{alarm}" for alarm in ("alb-5xx", "alb-elb-5xx", "alb-response-time")
    )
    alarms = Clients(running)["cloudwatch"].describe_alarms(AlarmNamePrefix="detection-api-dev-")["MetricAlarms"]
    assert {alarm["AlarmName"]: platform.alarm_resource(alarm["AlarmName"]) is not None for alarm in alarms} == {
        item.partition("=")[0]: True for item in platform.alarm_resources
    }


def test_provisioning_again_changes_nothing(running: Config) -> None:
    clients = Clients(running)
    read = partial(Platform.load, running.service, running.environment, clients["ssm"])
    before = read()
    rules = clients["elbv2"].describe_rules(ListenerArn=before.listener_arn)["Rules"]
    setup(running, deploy=False)
    assert read() == before
    assert clients["elbv2"].describe_rules(ListenerArn=before.listener_arn)["Rules"] == rules


def test_status_tells_programs_where_everything_is(running: Config) -> None:
    answer = ops("status", "--json", "--dir", str(running.dir))
    found = json.loads(answer.stdout)
    assert answer.returncode == 0
    assert found["state"] == "up"
    assert found["service_url"] == running.balancer_url
    assert found["automation_url"] == running.automation_url
    assert {process["name"] for process in found["processes"]} == {"automation", "platform", "balancer", "kubernetes"}
    assert all(process["alive"] and process["healthy"] for process in found["processes"])
    assert all(psutil.pid_exists(process["pid"]) for process in found["processes"])


def test_env_prints_what_an_aws_client_needs(running: Config) -> None:
    answer = ops("env", "--dir", str(running.dir), env={"AWS_PROFILE": "work"})
    lines = answer.stdout.splitlines()
    exported = dict(shlex.split(line)[1].split("=", 1) for line in lines if line.startswith("export "))
    assert answer.returncode == 0
    assert exported == environment(running) | {"OPS_SANDBOX_DIR": str(running.dir)}
    assert "unset AWS_PROFILE" in lines


def test_a_second_up_changes_nothing(running: Config) -> None:
    before = Register.load(running.dir).processes
    answer = ops("up", "--dir", str(running.dir))
    assert answer.returncode == 0
    assert "already up" in answer.stderr
    assert Register.load(running.dir).processes == before


def test_status_of_nothing(tmp_path: Path) -> None:
    answer = ops("status", "--json", "--dir", str(tmp_path / "none"))
    assert answer.returncode == 1
    assert json.loads(answer.stdout)["state"] == "down"
    assert not (tmp_path / "none").exists()


def test_env_of_nothing(tmp_path: Path) -> None:
    answer = ops("env", "--dir", str(tmp_path))
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "ops sandbox up" in answer.stderr


def test_a_crash_of_every_component_leaves_nothing_after_down(tmp_path: Path) -> None:
    directory = tmp_path / "box"
    config = up(directory, Options(setup=partial(setup, deploy=False)), lambda _: None)
    everything = processes.find_all(config.dir, Register.load(directory).processes)
    assert len(everything) >= 4 + 2  # the components and the first version's pods
    for record in Register.load(directory).processes:
        record.find().kill()
    wait_until(
        {"death": lambda: not any(record.find() for record in Register.load(directory).processes)},
        timeout_seconds=10,
    )
    assert status(directory).state != "up"
    assert ops("status", "--dir", str(directory)).returncode == 1

    assert ops("down", "--dir", str(directory)).returncode == 0
    assert not directory.exists()
    remaining = [p for p in everything if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert remaining == []
