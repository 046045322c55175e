"""One sandbox with engines for all tests of the remediation; alarms start their runbooks in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.config import Config
from sandbox.operator import Operator
from sandbox.provision import Progress, setup
from sandbox.supervisor import Options, sandbox
from tests.remediation.calm import settle
from tests.remediation.timeline import Timeline

OUT = Path(__file__).parents[2] / "out" / "remediation.json"

# A tenth of the runbooks' times, which leaves a machine that does other things enough of each.
PARAMETERS = {"Remediation": "ENABLED", "RunbookTimeFactor": "0.1"}


def _setup(config: Config, progress: Progress) -> dict[str, Any]:
    return setup(config, progress, engines=True, parameters=PARAMETERS)


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    directory: Path = tmp_path_factory.mktemp("sandbox") / "sandbox"
    with sandbox(directory, Options(setup=_setup)) as running:
        yield running


@pytest.fixture(scope="session")
def everyone(config: Config) -> Operator:
    return Operator(config)


@pytest.fixture
def operator(everyone: Operator) -> Iterator[Operator]:
    """No alarm fires, no repair runs, nothing is remembered of former ones, and the kill switch is off."""
    settle(everyone)
    yield everyone
    settle(everyone)


@pytest.fixture(scope="session")
def timelines() -> Iterator[list[Timeline]]:
    """What each repair took; kept in `out/remediation.json`."""
    taken: list[Timeline] = []
    yield taken
    if taken:
        OUT.parent.mkdir(exist_ok=True)
        OUT.write_text(json.dumps([one.as_dict() for one in taken], indent=2) + "\n", encoding="utf-8")
