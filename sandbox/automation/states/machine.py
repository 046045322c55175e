"""An execution from its start to its end."""

import json
import threading
from typing import Any

from ministack.services import stepfunctions

from sandbox.automation.states.branch import Branch
from sandbox.automation.states.expressions import ExecutionError
from sandbox.automation.states.lifetime import Abandoned
from sandbox.automation.states.record import Record, as_json, record_of


def speaks_jsonata(definition: dict[str, Any]) -> bool:
    """Whether every state of a definition uses JSONata."""

    def states(part: dict[str, Any]) -> list[dict[str, Any]]:
        own = list(part.get("States", {}).values())
        inner = [branch for state in own for branch in state.get("Branches", [])]
        inner += [state[name] for state in own for name in ("ItemProcessor", "Iterator") if name in state]
        return own + [state for part_ in inner for state in states(part_)]

    default = definition.get("QueryLanguage", "JSONPath")
    return all(state.get("QueryLanguage", default) == "JSONata" for state in states(definition))


def _context(execution: dict[str, Any], machine: dict[str, Any], data: Any) -> dict[str, Any]:
    """The context object, https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html"""
    return {
        "Execution": {
            "Id": execution["executionArn"],
            "Input": data,
            "Name": execution["name"],
            "RoleArn": machine["roleArn"],
            "StartTime": execution["startDate"],
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": execution["stateMachineArn"], "Name": machine["name"]},
    }


def _time_out(record: Record) -> None:
    record.finish("TIMED_OUT")


def _walk(record: Record, machine: dict[str, Any], definition: dict[str, Any]) -> None:
    data = json.loads(record.execution["input"])
    branch = Branch(
        record,
        record.lifetime,
        role_arn=machine["roleArn"],
        context=_context(record.execution, machine, data),
        variables={},
        previous=1,
    )
    try:
        output = branch.run(definition["States"], definition["StartAt"], data)
    except Abandoned:
        return
    except ExecutionError as error:
        record.finish("FAILED", previous=branch.previous, error=error.error, cause=error.cause)
    except Exception as error:  # noqa: BLE001 - as States.Runtime it is seen; a silent thread is not
        cause = f"{type(error).__name__}: {error}"
        record.finish("FAILED", previous=branch.previous, error="States.Runtime", cause=cause)
    else:
        record.finish("SUCCEEDED", previous=branch.previous, output=as_json(output))


def run(execution: dict[str, Any], machine: dict[str, Any], definition: dict[str, Any]) -> None:
    """Run an execution of a JSONata state machine in this thread, to its end or its time limit.

    https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html: past the definition's
    `TimeoutSeconds` the execution is TIMED_OUT, whatever it was doing.
    """
    record = record_of(execution)
    timer = None
    if "TimeoutSeconds" in definition:
        timer = threading.Timer(definition["TimeoutSeconds"], _in_scope(_time_out), args=(record,))
        timer.daemon = True
        timer.start()
    try:
        _walk(record, machine, definition)
    finally:
        if timer is not None:
            timer.cancel()


def _in_scope(function: Any) -> Any:
    """`function` bound to this thread's account and region, which ministack keeps in context variables."""
    import contextvars  # noqa: PLC0415

    context = contextvars.copy_context()
    return lambda *arguments: context.run(function, *arguments)


def stop(execution: dict[str, Any], error: str | None, cause: str | None) -> None:
    """Abort a running execution; no further state runs."""
    record_of(execution).finish("ABORTED", error=error, cause=cause)


def definition_of(machine: dict[str, Any]) -> dict[str, Any]:
    """A state machine's parsed definition."""
    return dict(json.loads(machine["definition"]))


def find(execution: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """An execution's state machine and definition, if this package runs it."""
    machine = stepfunctions._state_machines.get(execution["stateMachineArn"])
    if machine is None:
        return None
    definition = definition_of(machine)
    return (machine, definition) if speaks_jsonata(definition) else None
