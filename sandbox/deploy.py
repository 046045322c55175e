"""Build the automation stack with the real SAM CLI and deploy it into a sandbox.

`python -m sandbox.deploy --config <dir>/config.json [--template template.yaml] [Name=Value …]`
"""

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from botocore.session import Session as BotocoreSession

from sandbox.build import build
from sandbox.config import Config, environment
from sandbox.sam_cli import ROOT, SAM, DeployError, Progress, environ, no_settings, stream

__all__ = ["ROOT", "DeployError", "Deployment", "deploy", "failed_events"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack, and how long it took in seconds (`build_seconds` is 0 for a build that was kept)."""

    stack: str
    outputs: dict[str, str]
    build_seconds: float
    deploy_seconds: float


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
    command += no_settings(home)
    if parameters:
        command += ["--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items())]
    try:
        stream(command, environ(home, **environment(config)), progress)
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
