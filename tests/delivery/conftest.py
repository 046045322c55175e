"""A sandbox with engines and no automation stack: the scripts deploy it, as they would on AWS."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.config import Config, environment
from sandbox.deploy import ROOT
from sandbox.load import Load, Plan
from sandbox.operator import Operator
from sandbox.provision import Progress, setup
from sandbox.provision.stack import SHORT_WAITS
from sandbox.supervisor import Options, sandbox
from tests.delivery import stand_ins
from tests.infrastructure import terraform as tf
from tests.infrastructure.platform import Platform

OPS = ROOT / ".venv/bin/ops"
# As in the tests of recovery: the archive follows within a second, and tests do not wait for the hour.
WAITS = {
    **SHORT_WAITS,
    "RestorableLagTargetSeconds": "8",
    "SnapshotEventAgeSeconds": "1000000",
    "SnapshotRetention": "hourly=3,daily=1",
    "ReleaseOnPush": "false",
}


def _setup(config: Config, progress: Progress) -> dict[str, Any]:
    return setup(config, progress, engines=True, deploy=False)


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    directory: Path = tmp_path_factory.mktemp("sandbox") / "sandbox"
    with sandbox(directory, Options(setup=_setup)) as running:
        yield running


@pytest.fixture(scope="session")
def operator(config: Config) -> Operator:
    return Operator(config)


# A shell's background job ignores SIGINT, and so does all that it starts: tests, too, may be such a job.
_HEARING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


@dataclass(frozen=True)
class Ran:
    """How a script ended, and what it said on both streams."""

    code: int
    output: str
    calls: list[str]

    @property
    def stages(self) -> list[str]:
        """The stages that began, in order."""
        return re.findall(r"^== \d/6 (\w+) ==", self.output, re.MULTILINE)


@dataclass
class Shell:
    """A shell of somebody who may deploy, in which the sandbox is the AWS account."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, script: str, *arguments: str, seconds: float = 600, **more: str) -> Ran:
        tools = self.folder / "tools"
        before = len(stand_ins.calls(tools))
        done = subprocess.run(
            [str(ROOT / "scripts" / script), *arguments],
            cwd=self.folder,
            env={**self._environ, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Ran(done.returncode, done.stdout, stand_ins.calls(tools)[before:])

    def interrupt(
        self, script: str, *arguments: str, number: int, once: Callable[[str], bool], alone: bool = False, **more: str
    ) -> Ran:
        """Run as `run` does, and send a signal to the whole group, as Ctrl-C does, once that is true of its output.

        With `alone` to the script only, as `kill` does. Fails if anything that it has started outlives it.
        """
        tools, said = self.folder / "tools", self.folder / "interrupted.txt"
        before = len(stand_ins.calls(tools))
        with (
            said.open("w") as file,
            subprocess.Popen(
                [sys.executable, "-c", _HEARING, str(ROOT / "scripts" / script), *arguments],
                cwd=self.folder,
                env={**self._environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as running,
        ):
            try:
                end = time.monotonic() + 300
                while not once(said.read_text()):
                    assert running.poll() is None, f"ended too early:\n{said.read_text()}"
                    assert time.monotonic() < end, f"did not come so far:\n{said.read_text()}"
                    time.sleep(0.05)
                (os.kill if alone else os.killpg)(running.pid, number)
                code = running.wait(120)
                assert _of_group(running.pid) == []
            finally:
                for pid in _of_group(running.pid):
                    os.kill(pid, signal.SIGKILL)
        return Ran(code, said.read_text(), stand_ins.calls(tools)[before:])

    @property
    def _environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OPS_", "TF_"))}
        return {**own, **self.variables}


def _of_group(group: int) -> list[int]:
    """The processes of a group that run; a zombie does not."""
    listed = subprocess.run(["/bin/ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True)
    lines = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, of, state in lines if int(of) == group and not state.startswith("Z")]


@pytest.fixture(scope="session")
def shell(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder: Path = tmp_path_factory.mktemp("shell")
    return Shell(
        folder,
        {
            **environment(config),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "HOME": str(folder),
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
            "SAM_CLI_POLL_DELAY": "0.2",
            "SAM_CONFIG": str(_samconfig(folder)),
            "HEALTH_TIMEOUT": "60",
            "LOG": str(folder / "deploy.log"),
            **stand_ins.install(folder / "tools", config),
        },
    )


def _samconfig(folder: Path) -> Path:
    """The deployed one, with waits that suit the sandbox after each environment's own parameters."""
    text = (ROOT / "samconfig.toml").read_text()
    waits = "".join(f'  "{name}={value}",\n' for name, value in WAITS.items())
    names = "|".join(WAITS)
    text = re.sub(rf'^  "({names})=.*",\n', "", text, flags=re.MULTILINE)
    path = folder / "samconfig.toml"
    path.write_text(re.sub(r"^\]$", f"{waits}]", text, flags=re.MULTILINE))
    return path


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make build-automation` makes: built once, deployed by every test that deploys."""
    path: Path = tmp_path_factory.mktemp("build") / "automation.tar.gz"
    subprocess.run(["/bin/sh", str(ROOT / "scripts/build-automation.sh"), str(path)], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def clients(config: Config) -> Iterator[Load]:
    """Somebody who uses the service: a release is judged by what clients get."""
    with Load(Plan(url=config.service_url, seconds=3600, rate=40)) as running:
        yield running


@pytest.fixture(scope="session")
def deployed(shell: Shell, archive: Path, clients: Load) -> Ran:
    """The first deployment, all of it, with a release."""
    done = shell.run("deploy.sh", "dev", IMAGE="1.1.0", BUILD=str(archive))
    if done.code == 0:
        shutil.copy(ROOT / "out/plans/dev.tfplan", shell.folder / "first.tfplan")
    return done


@pytest.fixture
def ops(shell: Shell, deployed: Ran) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`ops` in that shell."""
    assert deployed.code == 0, deployed.output

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(OPS), *arguments],
            env=shell._environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def policies(tmp_path_factory, config):
    """Role → its policy, for the sandbox's account and environment."""
    with tf.serving(tmp_path_factory.mktemp("provider"), known=True) as served:
        folder = tf.copy_configuration(tmp_path_factory.mktemp("bootstrap") / "terraform") / "bootstrap"
        served.run(folder, "plan", "-input=false", "-out=plan.tfplan", "-var=github_repository=acme/operations")
        planned = Platform("bootstrap", json.loads(served.run(folder, "show", "-json", "plan.tfplan")))
    return {
        policy.index: policy["policy"]
        .replace("123456789012", config.account)
        .replace(f"{config.service}-staging", config.name)
        .replace(f"{config.service}/staging", f"{config.service}/{config.environment}")
        for policy in planned.of("iam_role_policy")
    }


@pytest.fixture(scope="session")
def credentials(policies, operator):
    """Role → the variables of somebody who has assumed it."""

    def assume(role):
        iam, name = operator.clients["iam"], f"pipeline-{role}"
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="pipeline", PolicyDocument=policies[role])
        given = operator.clients["sts"].assume_role(RoleArn=arn, RoleSessionName="GitHubActions")["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    made = {role: assume(role) for role in ("release-dev", "verify-staging", "plan-dev")}
    return lambda role: made[role]
