"""The layer as `make` builds it: complete by itself, pruned, and the same twice."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox.fixtures.automation import ROOT

IMPORTS = """
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import boto3, fastjsonschema, opskit, opskit.step, wrapt
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_xray_sdk.core import xray_recorder
for service in sys.argv[2:]:
    boto3.client(service, "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
outside = [name for name, module in sys.modules.items()
           if "site-packages" in (getattr(module, "__file__", None) or "")]
print(outside)
"""


# An environment made by uv has no pip; the interpreter it was made from has.
PYTHON_WITH_PIP = Path(sys.base_prefix) / "bin" / "python3"


def build(target: Path, **variables: str) -> Path:
    subprocess.run(
        ["make", "--silent", "--directory", "layers/common", "build-CommonLayer"]
        + [f"{name}={value}" for name, value in variables.items()],
        cwd=ROOT,
        env={**os.environ, "ARTIFACTS_DIR": str(target)},
        check=True,
    )
    return target / "python"


def digest(layer: Path) -> dict[str, tuple[str, float]]:
    return {
        str(path.relative_to(layer)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime)
        for path in sorted(layer.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("layer"))


def test_everything_is_imported_from_the_layer_alone(layer: Path, tmp_path: Path) -> None:
    services = (ROOT / "layers" / "common" / "botocore-services.txt").read_text().split()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORTS, str(layer), *services],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_compiled_modules_are_for_lambda_and_have_a_fallback(layer: Path) -> None:
    binaries = [path.relative_to(layer) for path in layer.rglob("*.so")]

    assert [path.parts[0] for path in binaries] == ["wrapt"]
    assert binaries[0].name.endswith(".cpython-313-aarch64-linux-gnu.so")


def test_pip_builds_the_same_layer(layer: Path, tmp_path: Path) -> None:
    with_pip = digest(build(tmp_path, UV="", PIP=f"{PYTHON_WITH_PIP} -m pip"))

    assert {name: entry[0] for name, entry in with_pip.items()} == {
        name: entry[0] for name, entry in digest(layer).items()
    }


def test_only_the_services_in_use_have_their_models(layer: Path) -> None:
    listed = set((ROOT / "layers" / "common" / "botocore-services.txt").read_text().split())
    found = {path.name for path in (layer / "botocore" / "data").iterdir() if path.is_dir()}

    assert found == listed
    assert (layer / "botocore" / "data" / "endpoints.json.gz").exists() or (
        layer / "botocore" / "data" / "endpoints.json"
    ).exists()
    assert not list(layer.rglob("__pycache__"))
    assert sum(path.stat().st_size for path in layer.rglob("*") if path.is_file()) < 30_000_000


def test_two_builds_are_the_same(layer: Path, tmp_path: Path) -> None:
    assert digest(build(tmp_path)) == digest(layer)
