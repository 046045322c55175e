"""checkov finds nothing in the planned environments but what has its reason in terraform/policy-exceptions.yaml."""

import json
import os
import subprocess

import pytest
import yaml

from tests.infrastructure import terraform as tf

CHECKOV = tf.ROOT / ".venv-checkov/bin/checkov"
EXCEPTIONS = yaml.safe_load((tf.SOURCE / "policy-exceptions.yaml").read_text())


def findings(*arguments):
    """(environment or `bootstrap`, check, address) of each failed check."""
    command = [str(CHECKOV), *arguments, "--skip-download", "--quiet", "--compact", "--output", "json"]
    offline = os.environ | {"CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=offline, timeout=240, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 0, done.stderr
    for failed in report["results"]["failed_checks"]:
        name = failed["file_path"].rpartition("/")[2].partition(".")[0]
        yield (name if name in tf.ENVIRONMENTS else "bootstrap"), failed["check_id"], failed["resource"]


def excuses(entry, finding):
    environment, check, address = finding
    return (
        check == entry["check"]
        and environment in (*entry.get("environments", tf.ENVIRONMENTS), "bootstrap")
        and any(address == name or address.startswith((f"{name}[", f"{name}.")) for name in entry["resources"])
    )


@pytest.fixture(scope="module")
def found(platform_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    files = []
    for environment in tf.ENVIRONMENTS:
        file = folder / f"{environment}.plan.json"
        file.write_text(json.dumps(platform_of(environment).plan))
        files += ["--file", str(file)]
    planned = findings(*files, "--framework", "terraform_plan")
    bootstrap = findings("--directory", str(tf.SOURCE / "bootstrap"), "--framework", "terraform")
    return [*planned, *bootstrap]


def test_every_finding_has_its_reason(found):
    assert not [finding for finding in found if not any(excuses(entry, finding) for entry in EXCEPTIONS)]


def test_every_exception_is_needed(found):
    assert found
    unused = [
        (entry["check"], name)
        for entry in EXCEPTIONS
        for name in entry["resources"]
        if not any(excuses(entry | {"resources": [name]}, finding) for finding in found)
    ]
    assert not unused


def test_every_exception_says_why():
    assert all(len(entry["reason"].split()) > 3 for entry in EXCEPTIONS)
