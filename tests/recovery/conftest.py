"""One sandbox with engines for all tests of recovery. Nothing in it starts by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.config import Config
from sandbox.operator import Operator
from sandbox.provision import Progress, setup
from sandbox.supervisor import Options, sandbox
from tests.recovery.engines import calm

# The archive follows commits within a second here, which on AWS takes five minutes. Tests of snapshots take those of
# hours that are over, and few are kept.
PARAMETERS = {
    "RestorableLagTargetSeconds": "8",
    "SnapshotEventAgeSeconds": "1000000",
    "SnapshotRetention": "hourly=3,daily=1",
}


def _setup(config: Config, progress: Progress) -> dict[str, Any]:
    return setup(config, progress, engines=True, parameters=PARAMETERS)


@pytest.fixture(scope="package")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    directory: Path = tmp_path_factory.mktemp("sandbox") / "sandbox"
    with sandbox(directory, Options(setup=_setup)) as running:
        yield running


@pytest.fixture(scope="package")
def everyone(config: Config) -> Operator:
    operator = Operator(config)
    calm(operator)
    return operator


@pytest.fixture
def operator(everyone: Operator) -> Iterator[Operator]:
    """The operator; whatever a test tells the engines to do wrong ends with it."""
    yield everyone
    calm(everyone)
