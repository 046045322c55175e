"""One sandbox with engines for all tests of recovery."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sandbox.config import Config
from sandbox.operator import Operator
from sandbox.provision import setup
from sandbox.supervisor import Options, sandbox


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    directory: Path = tmp_path_factory.mktemp("sandbox") / "sandbox"
    with sandbox(directory, Options(setup=partial(setup, engines=True))) as running:
        yield running


@pytest.fixture(scope="session")
def everyone(config: Config) -> Operator:
    return Operator(config)
