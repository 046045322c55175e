"""A sequence of states: an execution's own, or one branch or iteration inside it."""

from typing import Any

from ministack.core.responses import now_iso

from sandbox.automation.states import nested, simple
from sandbox.automation.states.expressions import ExecutionError, limited, render
from sandbox.automation.states.handling import handled
from sandbox.automation.states.lifetime import Lifetime
from sandbox.automation.states.record import Record, as_json
from sandbox.automation.states.tasks import run_task

SIMPLE = {"Pass": simple.pass_on, "Wait": simple.wait, "Choice": simple.choose, "Succeed": simple.succeed}
ATTEMPTED = {"Task": run_task, "Parallel": nested.parallel, "Map": nested.map_items}


class Branch:
    """Where one thread of an execution stands: its variables, context object and last history event."""

    def __init__(
        self,
        record: Record,
        lifetime: Lifetime,
        *,
        role_arn: str,
        context: dict[str, Any],
        variables: dict[str, Any],
        previous: int,
    ) -> None:
        self.record = record
        self.lifetime = lifetime
        self.role_arn = role_arn
        self.context = context
        self.variables = variables
        self.previous = previous

    def fork(self, lifetime: Lifetime, **context: Any) -> "Branch":
        """A branch inside this one: it sees these variables, and what it assigns stays its own.

        https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
        """
        return Branch(
            self.record,
            lifetime,
            role_arn=self.role_arn,
            context={**self.context, **context},
            variables=dict(self.variables),
            previous=self.previous,
        )

    def event(self, kind: str, **details: Any) -> None:
        """Add a history event; raises `Abandoned` if this branch or the execution is over."""
        self.lifetime.check()
        self.previous = self.record.add(kind, self.previous, details)

    def render(self, template: Any, data: Any, **bindings: Any) -> Any:
        """Evaluate a template; a failure leaves an EvaluationFailed event and is raised."""
        try:
            return render(template, data, self.context, self.variables, **bindings)
        except ExecutionError as error:
            state = self.context["State"]["Name"]
            details = {"state": state, "error": error.error, "cause": error.cause}
            self.event("EvaluationFailed", evaluationFailedEventDetails=details)
            raise

    def output(self, fields: dict[str, Any], data: Any, *, default: Any, **bindings: Any) -> Any:
        """Apply `Output` and `Assign` of a state, catcher or choice rule; returns the output.

        Every expression sees the variables as they were: assignments take effect together, afterwards.
        """
        output = default
        if "Output" in fields:
            output = self.render(fields["Output"], data, **bindings)
        assigned = {
            name: self.render(template, data, **bindings) for name, template in fields.get("Assign", {}).items()
        }
        self.variables = {**self.variables, **assigned}
        return limited(output)

    @staticmethod
    def following(state: dict[str, Any]) -> str | None:
        """The next state's name, None at the end."""
        return None if state.get("End") else str(state["Next"])

    def _enter(self, state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        kind = state["Type"]
        if kind == "Fail":
            simple.fail(self, state, data)
        if kind in SIMPLE:
            return SIMPLE[kind](self, state, data)
        if kind in ATTEMPTED:
            return handled(self, state, data, lambda: ATTEMPTED[kind](self, state, data))
        raise ExecutionError("States.Runtime", f"unknown state type {kind!r}")

    def run(self, states: dict[str, Any], start: str, data: Any) -> Any:
        """Run from the state `start` to the end: the output; raises `ExecutionError` or `Abandoned`."""
        name: str | None = start
        while name is not None:
            if name not in states:
                raise ExecutionError("States.Runtime", f"there is no state {name!r}")
            state, kind, here = states[name], states[name]["Type"], name
            self.context["State"] = {"Name": name, "EnteredTime": now_iso(), "RetryCount": 0}
            self.event(f"{kind}StateEntered", stateEnteredEventDetails={"name": name, "input": as_json(data)})
            data, name = self._enter(state, data)
            self.event(f"{kind}StateExited", stateExitedEventDetails={"name": here, "output": as_json(data)})
        return data
