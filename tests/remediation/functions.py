"""The remediation's functions: held back, started anew, or with another environment's runbooks."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import urllib3

from opskit.runbooks import DIRECTORY
from sandbox.automation.gaps.lambda_concurrency import THROTTLED
from sandbox.operator import Operator
from tests.remediation.repairs import PATIENCE

RUNBOOKS = "python/opskit/runbooks"


def name_of(operator: Operator, step: str) -> str:
    """The full name of a step's function."""
    return f"{operator.config.name}-remediate-{step}"


@contextmanager
def held(operator: Operator, step: str) -> Iterator[None]:
    """No invocation of a step comes through meanwhile: what comes is throttled, and tried again by the state machine.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    """
    client, name = operator.clients["lambda"], name_of(operator, step)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        yield
    finally:
        client.delete_function_concurrency(FunctionName=name)


def throttled(operator: Operator, arn: str, state: str) -> None:
    """Wait until an execution has been throttled in a state, which it does not leave by itself then."""

    def look() -> bool:
        pages = operator.clients["stepfunctions"].get_paginator("get_execution_history").paginate(executionArn=arn)
        inside = None
        for event in (event for page in pages for event in page["events"]):
            if "stateEnteredEventDetails" in event:
                inside = event["stateEnteredEventDetails"]["name"]
            elif inside == state and event.get("taskFailedEventDetails", {}).get("error") == THROTTLED:
                return True
        return False

    operator.until(look, bool, f"{arn} to be throttled in {state}", seconds=PATIENCE)


def start_anew(operator: Operator, *steps: str, layer: str | None = None) -> None:
    """New execution environments, which know nothing of before, as after every change of a function's configuration.

    `layer` takes the place of the layer that the functions have.
    """
    client = operator.clients["lambda"]
    for step in steps:
        name = name_of(operator, step)
        timeout = client.get_function_configuration(FunctionName=name)["Timeout"]
        given = {"Layers": [layer]} if layer else {}
        client.update_function_configuration(FunctionName=name, Timeout=timeout, **given)
    for step in steps:
        client.get_waiter("function_updated_v2").wait(FunctionName=name_of(operator, step))


@contextmanager
def runbooks_of(operator: Operator, environment: str, *steps: str) -> Iterator[None]:
    """Steps read another environment's runbooks, as this repository has them, in place of their own."""
    client = operator.clients["lambda"]
    (own,) = client.get_function_configuration(FunctionName=name_of(operator, steps[0]))["Layers"]
    found = client.get_layer_version_by_arn(Arn=own["Arn"])
    content = urllib3.request("GET", found["Content"]["Location"], timeout=60).data
    other = (DIRECTORY / f"{environment}.toml").read_bytes()
    made = client.publish_layer_version(
        LayerName=f"{operator.config.name}-runbooks-of-{environment}",
        Content={"ZipFile": with_file(content, f"{RUNBOOKS}/{operator.config.environment}.toml", other)},
    )
    start_anew(operator, *steps, layer=made["LayerVersionArn"])
    try:
        yield
    finally:
        start_anew(operator, *steps, layer=own["Arn"])


def with_file(archive: bytes, path: str, body: bytes) -> bytes:
    """An archive with another body for one of its files."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as before, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as after:
        assert path in before.namelist()
        for item in before.infolist():
            after.writestr(item, body if item.filename == path else before.read(item))
    return changed.getvalue()
