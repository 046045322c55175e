"""The rendered manifests pass the checks of others: the API's own schemas, and checkov."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sandbox.kubernetes.kustomize import Manifest
from tests.infrastructure.manifests import ENVIRONMENTS, ROOT, VERSIONS, container, monitoring, of, pods, rendered

VALIDATE = ROOT / ".venv-kubernetes/bin/kubernetes-validate"
CHECKOV = ROOT / ".venv-checkov/bin/checkov"
CONFIGURATION = ROOT / "kubernetes/.checkov.yaml"

TEXT = {"type": "string", "minLength": 1}


def thing(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object with these fields and no others."""
    properties = required | optional
    return {"type": "object", "required": [*required], "properties": properties, "additionalProperties": False}


CUSTOM: dict[str, dict[str, Any]] = {
    # https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/targetgroupbinding/spec/
    "TargetGroupBinding": thing(
        {
            "targetGroupARN": {"type": "string", "pattern": "^arn:[^:]+:elasticloadbalancing:"},
            "serviceRef": thing({"name": TEXT, "port": {"type": ["string", "integer"]}}),
        },
        targetType={"enum": ["instance", "ip"]},
    ),
    # https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PodMonitor
    "PodMonitor": thing(
        {
            "selector": {"type": "object", "minProperties": 1},
            "podMetricsEndpoints": {
                "type": "array",
                "minItems": 1,
                "items": thing(
                    {"port": TEXT},
                    path={"type": "string", "pattern": "^/"},
                    interval={"type": "string", "pattern": "^[0-9]+s$"},
                    scrapeTimeout={"type": "string", "pattern": "^[0-9]+s$"},
                ),
            },
        },
        namespaceSelector=thing({"matchNames": {"type": "array", "items": TEXT, "minItems": 1}}),
        podTargetLabels={"type": "array", "items": TEXT},
    ),
}
"""Schemas of the specs of kinds that Kubernetes itself does not have, as far as they are used here."""


def write(folder: Path, **manifests: list[Manifest]) -> list[Path]:
    files = []
    for name, documents in manifests.items():
        files.append(folder / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump_all(documents))
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    every = {environment: rendered(environment) for environment in ENVIRONMENTS}
    return write(tmp_path_factory.mktemp("manifests"), **every, monitoring=monitoring())


def validated(version: str, *files: Path) -> "subprocess.CompletedProcess[str]":
    """kubernetes-validate: one line for each object; warnings are about kinds that it does not know."""
    assert VALIDATE.exists(), "make setup-kubernetes"
    command = [str(VALIDATE), "--kubernetes-version", version, "--strict", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_takes_every_object(files: list[Path], version: str) -> None:
    done = validated(version, *files)
    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, [line for line in lines if not line.startswith("INFO")]
    documents = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    unknown = [each for each in documents if each["kind"] in CUSTOM]
    assert len([line for line in lines if " passed for resource " in line]) == len(documents) - len(unknown)
    assert len([line for line in lines if line.startswith("WARN")]) == len(unknown)


@pytest.mark.parametrize("kind", CUSTOM)
def test_the_controllers_take_every_object_of_theirs(files: list[Path], kind: str) -> None:
    documents = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    found = [each["spec"] for each in documents if each["kind"] == kind]
    assert found
    for spec in found:
        jsonschema.validate(spec, CUSTOM[kind])


SPOILT: dict[str, Callable[[list[Manifest]], Any]] = {
    "an unknown field": lambda m: container(pods(m)["detection-api-blue"]).update(imagePullPolicies="Always"),
    "a number in words": lambda m: of(m, "HorizontalPodAutoscaler")["detection-api-blue"]["spec"].update(
        maxReplicas="many"
    ),
    "a field of another shape": lambda m: of(m, "NetworkPolicy")["use-stores"]["spec"].update(egress="none"),
    "a required field that is missing": lambda m: of(m, "CronJob")["queue-dump"]["spec"].pop("schedule"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_the_api_refuses(tmp_path: Path, spoilt: str) -> None:
    manifests = rendered("dev")
    SPOILT[spoilt](manifests)
    done = validated(VERSIONS[-1], *write(tmp_path, dev=manifests))
    assert done.returncode != 0
    assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("ERROR")]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory, files: list[Path]) -> set[tuple[str, str, str]]:
    """checkov's failed checks, skipped ones included: file, check, resource. One of the files is spoilt."""
    assert CHECKOV.exists(), "make setup-checkov"
    folder = tmp_path_factory.mktemp("checkov")
    for file in files:
        (folder / file.name).write_text(file.read_text())
    spoilt = rendered("dev")
    pods(spoilt)["detection-api-blue"]["spec"]["hostNetwork"] = True
    container(pods(spoilt)["detection-api-green"]).pop("readinessProbe")
    write(folder, spoilt=spoilt)
    settings = yaml.safe_load(CONFIGURATION.read_text())
    settings.pop("skip-check")
    configuration = folder / "checkov.yml"
    configuration.write_text(yaml.safe_dump(settings))
    command = [str(CHECKOV), "--config-file", str(configuration), "--directory", str(folder), "--output", "json"]
    offline = os.environ | {"CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=offline, timeout=240, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 500, done.stderr
    return {
        (Path(each["file_path"]).stem, each["check_id"], each["resource"])
        for each in report["results"]["failed_checks"]
    }


def skipped() -> set[str]:
    return set(yaml.safe_load(CONFIGURATION.read_text())["skip-check"])


def test_checkov_finds_nothing_but_what_has_its_reason(findings: set[tuple[str, str, str]]) -> None:
    assert not {each for each in findings if each[0] != "spoilt" and each[1] not in skipped()}


def test_nothing_is_skipped_for_nothing_or_without_a_reason(findings: set[tuple[str, str, str]]) -> None:
    assert skipped() == {check for file, check, _ in findings if file != "spoilt"}
    for line in CONFIGURATION.read_text().splitlines():
        if line.strip().startswith("- CKV"):
            assert len(line.partition("#")[2].split()) > 5, f"no reason: {line}"


def test_checkov_finds_what_is_wrong(findings: set[tuple[str, str, str]]) -> None:
    assert {each for each in findings if each[0] == "spoilt" and each[1] not in skipped()} == {
        ("spoilt", "CKV_K8S_19", "Deployment.detection-api.detection-api-blue"),
        ("spoilt", "CKV_K8S_9", "Deployment.detection-api.detection-api-green"),
    }
