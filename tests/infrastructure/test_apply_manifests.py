"""scripts/apply_manifests.py, with a kubectl that answers from files: what it renders is real, the cluster is not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infrastructure.manifests import ENVIRONMENTS, ROOT, container, of, pods

OLD, NEW = (f"registry/detection-api@sha256:{digit * 64}" for digit in "ab")

KUBECTL = f"""#!{sys.executable}
import json, pathlib, sys
import yaml
from sandbox.kubernetes.kustomize import build

folder, arguments = pathlib.Path(__file__).parent, sys.argv[1:]
if arguments[0] == "get":
    found = folder / (arguments[1].replace("/", "-") + ".json")
    print(found.read_text() if found.exists() else "")
elif arguments[0] == "kustomize":
    print(yaml.safe_dump_all(build(pathlib.Path(arguments[1]))))
elif arguments[0] == "apply":
    (folder / "arguments.json").write_text(json.dumps(arguments))
    (folder / "applied.yaml").write_text(sys.stdin.read())
    sys.exit(int((folder / "status").read_text()) if (folder / "status").exists() else 0)
"""
VALUES = {
    "SERVICE": "detection-api",
    "ENVIRONMENT": "prod",
    "TARGET_GROUP_BLUE_ARN": "arn:blue",
    "TARGET_GROUP_GREEN_ARN": "arn:green",
    "DATABASE_USER": "detection_api",
    "SERVICE_ROLE_ARN": "arn:role",
    "BACKUP_BUCKET": "backups",
    "QUEUE_VOLUME": "fs-1::fsap-1",
    "CACHE_TLS": "true",
    **{f"BALANCER_SUBNET_{n}": f"10.0.10{n}.0/24" for n in (1, 2, 3)},
    **{f"STORE_SUBNET_{n}": f"10.0.{n}.0/24" for n in (1, 2, 3)},
}


class Machine:
    """A directory that stands for kubectl and its cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "kubectl").write_text(KUBECTL)
        (folder / "kubectl").chmod(0o755)
        self.values = dict(VALUES)

    def runs(self, colour: str, image: str, replicas: int) -> None:
        containers = [{"name": "proxy", "image": "p"}, {"name": "app", "image": image}]
        spec = {"replicas": replicas, "template": {"spec": {"containers": containers}}}
        (self.folder / f"deployment-detection-api-{colour}.json").write_text(json.dumps({"spec": spec}))

    def apply(self, environment: str, *options: str) -> "subprocess.CompletedProcess[str]":
        given = self.folder / "values.json"
        given.write_text(json.dumps(self.values))
        command = [sys.executable, str(ROOT / "scripts/apply_manifests.py"), environment, "--values", str(given)]
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [*command, *options],
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
            timeout=60,
            check=False,
        )

    @property
    def applied(self) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all((self.folder / "applied.yaml").read_text()))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def started(manifests: list[dict[str, Any]]) -> dict[str, tuple[str, int]]:
    return {
        name.rpartition("-")[2]: (container(each["spec"]["template"])["image"], each["spec"]["replicas"])
        for name, each in of(manifests, "Deployment").items()
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_at_first_the_colours_start_as_the_overlay_says(machine: Machine, environment: str) -> None:
    done = machine.apply(environment, "--image", NEW)
    assert done.returncode == 0, done.stderr
    least = of(machine.applied, "HorizontalPodAutoscaler")["detection-api-blue"]["spec"]["minReplicas"]
    assert started(machine.applied) == {"blue": (NEW, least), "green": (NEW, 0)}
    assert "${" not in (machine.folder / "applied.yaml").read_text()
    kinds = [each["kind"] for each in machine.applied]
    assert kinds.index("TargetGroupBinding") < kinds.index("Deployment")


def test_later_releases_and_autoscalers_keep_what_they_chose(machine: Machine) -> None:
    machine.runs("blue", OLD, 0)
    machine.runs("green", NEW, 7)
    assert machine.apply("prod").returncode == 0
    assert started(machine.applied) == {"blue": (OLD, 0), "green": (NEW, 7)}
    # What dumps the queue is of the version that serves.
    assert container(pods(machine.applied)["queue-dump"])["image"] == NEW


def test_it_applies_as_itself_and_forces_nothing(machine: Machine) -> None:
    assert machine.apply("dev", "--image", NEW, "--dry-run").returncode == 0
    arguments = json.loads((machine.folder / "arguments.json").read_text())
    assert {"--server-side", "--field-manager=detection-ops-provision", "--dry-run=server"} <= set(arguments)
    assert "--force-conflicts" not in arguments


def test_a_conflict_is_the_script_s_failure_too(machine: Machine) -> None:
    (machine.folder / "status").write_text("1")
    assert machine.apply("dev", "--image", NEW).returncode == 1


def test_without_an_image_nothing_is_started(machine: Machine) -> None:
    done = machine.apply("dev")
    assert done.returncode != 0
    assert "--image" in done.stderr
    assert not (machine.folder / "applied.yaml").exists()


def test_a_value_that_is_missing_is_named(machine: Machine) -> None:
    del machine.values["BALANCER_SUBNET_2"]
    done = machine.apply("dev", "--image", NEW)
    assert done.returncode != 0
    assert "BALANCER_SUBNET_2" in done.stderr
    assert not (machine.folder / "applied.yaml").exists()


def test_what_is_filled_in_stays_a_string(machine):
    """kubectl leaves out quotes that YAML does not need; a ConfigMap takes nothing but strings."""
    machine.runs("blue", OLD, 2)
    machine.runs("green", NEW, 0)
    assert machine.apply("prod").returncode == 0
    settings = [each["data"] for each in machine.applied if each["kind"] == "ConfigMap"]
    assert any("CACHE_TLS" in data for data in settings)
    assert all(isinstance(value, str) for data in settings for value in data.values())
