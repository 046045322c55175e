"""The tools that deploy.sh calls and that are not to be had here, as far as they can be real.

`python -m tests.delivery.stand_ins TOOL ARGUMENT…`; `install` puts one command for each into a folder.

- terraform: the real one, with the provider for tests behind it. It validates, checks, plans and applies terraform/ in
  a copy without the S3 backend, and keeps its state there. `init` only makes the copy. What the sandbox has provisioned
  in Terraform's place (cluster, address, manifest values) is told as outputs.
- aws: `sts get-caller-identity`, `eks describe-cluster` and `eks update-kubeconfig`, asked of the sandbox.
- kubectl: the few commands that are used, on the sandbox's Kubernetes API; what it does not have is only recorded.
- helm: recorded. There are no charts here.

Every call is recorded in $STAND_INS/calls.jsonl. One that begins with $FAIL ends with exit code 7 instead; one with
$HANG says so and waits for a signal: Terraform then ends by itself with 1, as it does, the others die of it; one with
$LINGER says so and takes a moment before it does its work.
"""

# ruff: noqa: T201 - what a command prints

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from sandbox.config import Config
from tests.infrastructure import terraform as tf

# boto3 and the Kubernetes client are loaded where they are used: a deployment calls this some forty times.

FAILED = 7
HANGING = "waits for a signal, as the test wants it"
LINGERING = "takes a moment, as the test wants it"
_NOT_IN_THE_SANDBOX = ("kubernetes/monitoring",)


def install(folder: Path, config: Config) -> dict[str, str]:
    """Put the commands into `folder`; the variables that a script needs to use them."""
    folder.mkdir(parents=True)
    for tool in ("terraform", "aws", "kubectl", "helm"):
        command = folder / tool
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {__name__} {tool} "$@"\n')
        command.chmod(0o755)
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tf.ROOT),
        "STAND_INS": str(folder),
        "SANDBOX_CONFIG": str(config.path),
    }


def calls(folder: Path, tool: str = "") -> list[str]:
    """The command lines so far, of one tool or all, in the order of their calls."""
    file = folder / "calls.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [shlex.join(line) for line in lines if not tool or line[0] == tool]


def terraform(folder: Path, arguments: list[str]) -> int:
    if arguments[0].startswith("-chdir="):
        arguments = arguments[1:]
    copy = folder / "terraform-copy"
    if arguments[0] == "init":
        if not copy.exists():
            tf.copy_configuration(copy)
        return 0
    if arguments[0] == "fmt":
        copy = tf.SOURCE
    if arguments[0] == "output" and arguments[-1] in (told := _outputs()):
        value = told[arguments[-1]]
        print(value if isinstance(value, str) else json.dumps(value))
        return 0
    os.environ.pop("TERRAFORM", None)  # which is this
    sockets = folder / f"provider-{os.getpid()}"
    sockets.mkdir()
    with tf.serving(sockets) as served:
        done = subprocess.run([*served._program(), *arguments], cwd=copy, env=served._environment(), check=False)
    return done.returncode


def _outputs() -> dict[str, Any]:
    from opskit.platform import Platform
    from sandbox.kubernetes.manifests import Values, _fillings
    from sandbox.provision import workload
    from sandbox.provision.clients import Clients

    config = Config.load(Path(os.environ["SANDBOX_CONFIG"]))
    clients = Clients(config)
    platform = Platform.load(config.service, config.environment, clients["ssm"])
    values = Values(
        image="",
        target_group_blue_arn=platform.target_group_blue_arn,
        target_group_green_arn=platform.target_group_green_arn,
        stores=workload._stores(clients),
    )
    fillings = {name: value for name, value in _fillings(values).items() if name != "IMAGE"}
    return {"cluster_name": config.name, "service_url": config.service_url, "manifest_values": fillings}


def aws(_folder: Path, arguments: list[str]) -> int:
    import boto3

    options = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    if arguments[:2] == ["sts", "get-caller-identity"]:
        print(boto3.client("sts").get_caller_identity()[options["--query"]])
        return 0
    if arguments[0] != "eks":
        raise NotImplementedError(arguments)
    cluster = boto3.client("eks").describe_cluster(name=options["--name"])["cluster"]
    if arguments[1] == "describe-cluster":
        found: Any = {"cluster": cluster}
        for name in options["--query"].split("."):
            found = found.get(name, "") if isinstance(found, dict) else ""
        print(found)
        return 0
    from sandbox.kubernetes import admin_token

    config = Config.load(Path(os.environ["SANDBOX_CONFIG"]))
    authority = cluster["certificateAuthority"]["data"]
    Path(options["--kubeconfig"]).write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {"name": "eks", "cluster": {"server": cluster["endpoint"], "certificate-authority-data": authority}}
                ],
                "users": [{"name": "eks", "user": {"token": admin_token.read(config.dir)}}],
                "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "eks"}}],
                "current-context": "eks",
            }
        )
    )
    return 0


def kubectl(_folder: Path, arguments: list[str]) -> int:  # noqa: PLR0912 - a case for each command
    from lightkube import Client
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.core.exceptions import ApiError
    from lightkube.resources.apps_v1 import Deployment
    from lightkube.resources.core_v1 import Pod, Service

    from sandbox.kubernetes.kustomize import build

    if arguments[0] == "kustomize":
        print(yaml.safe_dump_all(build(Path(arguments[1]))))
        return 0
    client = Client(config=KubeConfig.from_file(os.environ["KUBECONFIG"]).get(), trust_env=False)
    match arguments:
        case ["get", target, "--namespace", namespace, *_] if target.startswith("deployment/"):
            try:
                found = client.get(Deployment, target.partition("/")[2], namespace=namespace)
            except ApiError as error:
                if error.status.code == 404:
                    return 0
                raise
            print(json.dumps(found.to_dict()))
        case ["get", "pods,services", "--namespace", namespace]:
            for kind in (Pod, Service):
                for each in client.list(kind, namespace=namespace):
                    print(each.metadata.name)
        case ["apply", "--server-side", *_, "--filename", "-"]:
            _apply(client, list(yaml.safe_load_all(sys.stdin.read())))
        case ["apply", "--server-side", "-f", "-"]:
            _look_at_monitoring(sys.stdin.read())
        case ["apply", *_, source] if any(name in source for name in _NOT_IN_THE_SANDBOX):
            pass
        case ["get", "secret", *_]:
            return 1
        case ["create", "secret", *_]:
            pass
        case ["wait", "--for=condition=Ready", "nodes", *_]:
            list(client.list(Pod, namespace="detection-api"))
        case _:
            raise NotImplementedError(arguments)
    return 0


def _look_at_monitoring(text: str) -> None:
    """Of kinds that the sandbox's API does not know: only whether they are whole, and for some service."""
    kinds = [document["kind"] for document in yaml.safe_load_all(text)]
    if not kinds or "${" in text:
        sys.exit(f"kubectl: {kinds or 'nothing'}, or a placeholder that is left: {text}")


def _apply(client: Any, manifests: list[dict[str, Any]]) -> None:
    """As a server-side apply, at the sandbox's pace, so that pods are not replaced by slower ones."""
    from lightkube import codecs

    from sandbox.kubernetes.manifests import FIELD_MANAGER, Pace, _hasten

    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            _hasten(manifest["spec"], Pace())
        elif manifest["kind"] == "CronJob":
            manifest["spec"]["schedule"] = Pace().dump_schedule
        elif manifest["kind"] == "ConfigMap":
            manifest["data"]["ENDPOINT_POLL_SECONDS"] = str(Pace().endpoint_poll)
        client.apply(codecs.from_dict(manifest), field_manager=FIELD_MANAGER)


def helm(_folder: Path, _arguments: list[str]) -> int:
    return 0


def _is_wanted(variable: str, line: str) -> bool:
    wanted = os.environ.get(variable)
    return bool(wanted) and line.startswith(str(wanted))


def _hang(tool: str) -> None:
    if tool == "terraform":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit("terraform: stopping, as it was asked to"))
    else:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What the caller reads is not said to people.
    print(f"{tool}: {HANGING}", file=sys.stderr, flush=True)
    while True:
        time.sleep(1)


def main() -> None:
    folder, (tool, *arguments) = Path(os.environ["STAND_INS"]), sys.argv[1:]
    with (folder / "calls.jsonl").open("a") as record:
        record.write(json.dumps([tool, *arguments]) + "\n")
    line = " ".join([tool, *(each for each in arguments if not each.startswith("-chdir="))])
    if _is_wanted("FAIL", line):
        print(f"{tool}: failed, as the test wants it", file=sys.stderr)
        sys.exit(FAILED)
    if _is_wanted("HANG", line):
        _hang(tool)
    if _is_wanted("LINGER", line):
        print(f"{tool}: {LINGERING}", file=sys.stderr, flush=True)
        time.sleep(2)
    tools = {"terraform": terraform, "aws": aws, "kubectl": kubectl, "helm": helm}
    sys.exit(tools[tool](folder, arguments))


if __name__ == "__main__":
    main()
