"""One sandbox for all workflow tests; every test starts from settled traffic and leaves it settled."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opskit.ledger import Live
from opskit.traffic import Colour, Weights
from sandbox.config import Config
from sandbox.load import Load, Plan
from sandbox.operator import Operator
from sandbox.provision import setup
from sandbox.supervisor import Options, sandbox

_versions = itertools.count(1)


@pytest.fixture(scope="package")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    directory: Path = tmp_path_factory.mktemp("sandbox") / "sandbox"
    with sandbox(directory, Options(setup=setup)) as running:
        yield running


@pytest.fixture(scope="package")
def everyone(config: Config) -> Operator:
    return Operator(config)


@pytest.fixture
def operator(everyone: Operator) -> Iterator[Operator]:
    settle(everyone)
    yield everyone
    settle(everyone)


@pytest.fixture
def live(operator: Operator) -> Live:
    """A recorded live version, released if there is none yet."""
    if operator.ledger.live() is None:
        done = operator.run(image=new_version(operator), bake_seconds=0)
        assert done.status == "SUCCEEDED", done.cause
    found = operator.ledger.live()
    assert found is not None
    return found


@pytest.fixture
def load(config: Config) -> Iterator[Load]:
    """200 requests a second over kept-alive connections, one in a hundred of them of 2 s."""
    with Load(Plan(url=config.service_url, seconds=300)) as running:
        yield running
    # The slow ones end last, alone: what the balancer counts of them within a second sets off an alarm half a second
    # later, which the next test would find.
    time.sleep(2)


@pytest.fixture
def version(operator: Operator) -> Callable[..., str]:
    """Push an image of a variant under a tag of its own; return the tag."""
    return lambda variant="good", **parameters: new_version(operator, variant, **parameters)


def new_version(operator: Operator, variant: str = "good", **parameters: float) -> str:
    tag = f"2.0.{next(_versions)}-{variant}"
    operator.push(tag, variant, **parameters)
    return tag


def settle(operator: Operator) -> None:
    """Alarms silent, nothing running, the lock free, traffic whole; on what the ledger calls live, if anything."""
    client = operator.clients["stepfunctions"]
    for running in client.list_executions(stateMachineArn=operator.machine, statusFilter="RUNNING")["executions"]:
        client.stop_execution(executionArn=running["executionArn"], cause="the test is over")
    operator.until(operator.ledger.holder, lambda holder: holder is None, "the lock to be free", seconds=60)
    operator.calm_alarms()
    recorded = operator.ledger.live()
    home = recorded.colour if recorded else operator.weights().whole or Colour.BLUE
    operator.set_weights(Weights.all_to(home))
