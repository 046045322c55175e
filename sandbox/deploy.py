"""Build the automation stack with the real SAM CLI and deploy it into a sandbox.

`python -m sandbox.deploy --config <dir>/config.json [--template template.yaml] [Name=Value …]`

A build is kept under `.build/sam/` by the content that went into it, so that deploying the same content again,
into this or another sandbox, only uploads and creates. Nothing of the user's AWS or SAM configuration is read.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import ClientError
from botocore.session import Session as BotocoreSession

from sandbox.config import Config, environment

ROOT = Path(__file__).parents[1]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
BUILDS = ROOT / ".build" / "sam"
SOURCES = ("functions", "layers", "statemachines")
"""Directories beside the template that a build reads."""

KEPT_BUILDS = 4
TAIL_LINES = 40
TIMEOUT_SECONDS = 600.0
"""For one command of the SAM CLI; then it is ended, which is an error."""

Progress = Callable[[str], None]


class DeployError(RuntimeError):
    """The build or the deployment failed; the message has the end of the output and what CloudFormation said."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack, and how long it took in seconds (`build_seconds` is 0 for a build that was kept)."""

    stack: str
    outputs: dict[str, str]
    build_seconds: float
    deploy_seconds: float


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)


def _digest(paths: Iterable[Path], *extra: str) -> str:
    total = hashlib.sha256("\0".join(extra).encode())
    for file in _files(paths):
        total.update(f"\0{file}\0{file.stat().st_mode & 0o111}\0".encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:24]


def _stream(command: list[str], environ: Mapping[str, str], progress: Progress) -> None:
    """Run a command, passing on its lines; raises `DeployError` with the last of them."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(  # noqa: S603 - the SAM CLI, with arguments made here
        command,
        cwd=ROOT,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        limit = threading.Timer(TIMEOUT_SECONDS, process.kill)
        limit.daemon = True  # or an interrupted deployment would be waited for
        limit.start()
        try:
            for line in process.stdout:
                text = line.rstrip()
                if text:
                    tail.append(text)
                    progress(text)
        finally:
            limit.cancel()
    if process.returncode != 0:
        said = "\n".join(tail)
        raise DeployError(f"{' '.join(command[:2])} failed with status {process.returncode}:\n{said}")


def _environ(home: Path, **more: str) -> dict[str, str]:
    """The variables of the SAM CLI: its own home, no telemetry, no AWS settings of the user's."""
    home.mkdir(parents=True, exist_ok=True)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SAM_", "PYTHON"))}
    nowhere = {name: str(home / name.lower()) for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    return {
        **inherited,
        **nowhere,
        "HOME": str(home),
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.2",
        "SAM_CLI_CHECK_UPDATES": "0",
        **more,
    }


def _no_settings(home: Path) -> list[str]:
    """Options that keep the SAM CLI from reading the samconfig.toml beside the template."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "samconfig.toml"
    file.write_text("version = 0.1\n", encoding="utf-8")
    return ["--config-file", str(file)]


def build(template: Path = ROOT / "template.yaml", progress: Progress = print) -> tuple[Path, float]:
    """Build a template, or find its kept build: the built template and the seconds it took.

    Raises `DeployError`.
    """
    if not SAM.exists():
        raise DeployError(f"the SAM CLI is not installed in {SAM.parents[1].name}")
    sources = [template, *(template.parent / name for name in SOURCES)]
    requirements = ROOT / "requirements" / "layer.txt"
    layer = _digest([requirements, ROOT / "layers" / "common"])
    target = BUILDS / _digest(sources, layer)
    BUILDS.mkdir(parents=True, exist_ok=True)
    # One at a time: two that fill the same cache trip over each other, and the second mostly finds the first's.
    with BUILDS.with_name("sam.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / "template.yaml").exists():
            os.utime(target)
            return target / "template.yaml", 0.0
        return _build(template, target, layer, progress)


def _build(template: Path, target: Path, layer: str, progress: Progress) -> tuple[Path, float]:
    started = time.monotonic()
    # The built template points at the state machines by relative path, so the draft lies beside its target.
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=BUILDS))
    home = draft.with_name(f"{draft.name}-home")
    # Used where there is no uv; an environment that uv made has no pip, the Python it was made from has.
    pip = f"{Path(sys.base_prefix) / 'bin' / 'python3'} -m pip"
    caches = {
        name: os.environ.get(name, str(Path.home() / ".cache" / tool))
        for name, tool in (("UV_CACHE_DIR", "uv"), ("PIP_CACHE_DIR", "pip"))
    }
    cache = BUILDS.with_name("sam-cache") / layer
    try:
        command = [str(SAM), "build", "--template-file", str(template), "--build-dir", str(draft)]
        command += ["--cached", "--cache-dir", str(cache), "--parallel", *_no_settings(home)]
        _stream(command, _environ(home, PIP=pip, **caches), progress)
        _as_json(draft / "template.yaml")
        if target.exists():
            shutil.rmtree(draft)
        else:
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
    _forget_old_builds()
    return target / "template.yaml", time.monotonic() - started


def _as_json(template: Path) -> None:
    """Write a built template, which has no short tags any more, as the JSON that it also may be.

    The SAM CLI reads it five times to deploy it, and YAML of this size takes it half a second each time.
    """
    data = yaml.load(template.read_text(encoding="utf-8"), yaml.CSafeLoader)
    template.write_text(json.dumps(data, indent=1), encoding="utf-8")


def _forget_old_builds() -> None:
    for root in (BUILDS, BUILDS.with_name("sam-cache")):
        kept = sorted(
            (path for path in root.iterdir() if not path.name.startswith("draft-")),
            key=lambda path: path.stat().st_mtime,
            reverse=True,
        )
        for path in kept[KEPT_BUILDS:]:
            shutil.rmtree(path, ignore_errors=True)


def _client(config: Config, service: str) -> Any:
    # No profile, whatever AWS_PROFILE says: the keys are given here.
    no_profile: Any = {"profile": (None, None, None, None)}
    return boto3.Session(botocore_session=BotocoreSession(session_vars=no_profile)).client(
        service,  # type: ignore[call-overload]  # one function for the few services used here
        endpoint_url=config.automation_url,
        region_name=config.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the sandbox's root key, not a secret
    )


def _stack(config: Config, name: str) -> dict[str, Any] | None:
    try:
        return dict(_client(config, "cloudformation").describe_stacks(StackName=name)["Stacks"][0])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise


def failed_events(config: Config, stack: str) -> list[str]:
    """What CloudFormation says failed in a stack, oldest first."""
    try:
        pages = _client(config, "cloudformation").get_paginator("describe_stack_events")
        events = [event for page in pages.paginate(StackName=stack) for event in page["StackEvents"]]
    except ClientError:
        return []
    return [
        f"{event['LogicalResourceId']} {event['ResourceStatus']}: {event.get('ResourceStatusReason', '')}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("FAILED")
    ]


def _remove_remains(config: Config, stack: str) -> None:
    """Delete a stack whose first creation failed: it can only be deleted, not updated."""
    found = _stack(config, stack)
    if found is not None and found["StackStatus"] in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"):
        client = _client(config, "cloudformation")
        client.delete_stack(StackName=stack)
        client.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def deploy(
    config: Config,
    parameters: Mapping[str, str],
    *,
    template: Path = ROOT / "template.yaml",
    stack: str | None = None,
    progress: Progress = print,
) -> Deployment:
    """Build `template` and create or update its stack in the sandbox, with the given stack parameters.

    The stack is `<service>-<environment>-automation` unless named. `progress` gets each line that the SAM CLI
    writes. Raises `DeployError`.
    """
    built, build_seconds = build(template, progress)
    started = time.monotonic()
    name = stack or f"{config.name}-automation"
    bucket = f"{config.name}-artifacts-{config.account}"
    _client(config, "s3").create_bucket(Bucket=bucket)
    _remove_remains(config, name)
    home = config.dir / "sam"
    command = [str(SAM), "deploy", "--template-file", str(built), "--stack-name", name]
    command += ["--s3-bucket", bucket, "--s3-prefix", name, "--region", config.region]
    command += ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
    command += ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"]
    command += _no_settings(home)
    if parameters:
        command += ["--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items())]
    try:
        _stream(command, _environ(home, **environment(config)), progress)
    except DeployError as error:
        failures = failed_events(config, name)
        reasons = "\nCloudFormation:\n" + "\n".join(failures) if failures else ""
        raise DeployError(f"{error}{reasons}") from None
    found = _stack(config, name)
    if found is None or not found["StackStatus"].endswith("_COMPLETE") or "ROLLBACK" in found["StackStatus"]:
        status = found["StackStatus"] if found else "missing"
        said = "\n".join(failed_events(config, name))
        raise DeployError(f"the stack {name} is {status} after its deployment:\n{said}")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    return Deployment(name, outputs, build_seconds, time.monotonic() - started)


def main() -> None:
    """Deploy from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.deploy", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the sandbox's config.json")
    parser.add_argument("--template", type=Path, default=ROOT / "template.yaml")
    parser.add_argument("parameters", nargs="*", metavar="Name=Value", help="the stack's parameters")
    arguments = parser.parse_args()
    wrong = [item for item in arguments.parameters if "=" not in item]
    if wrong:
        parser.error(f"not Name=Value: {' '.join(wrong)}")
    parameters = dict(item.split("=", 1) for item in arguments.parameters)
    try:
        done = deploy(Config.load(arguments.config), parameters, template=arguments.template.resolve())
    except DeployError as error:
        sys.exit(str(error))
    print(f"{done.stack}: built in {done.build_seconds:.1f} s, deployed in {done.deploy_seconds:.1f} s")  # noqa: T201


if __name__ == "__main__":
    main()
