"""Parallel and (inline) Map states: branches in threads of their own."""

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.automation.states.expressions import ExecutionError
from sandbox.automation.states.lifetime import Abandoned, Lifetime
from sandbox.automation.states.record import as_json

if TYPE_CHECKING:
    from sandbox.automation.states.branch import Branch

INLINE_CONCURRENCY = 40
"""Iterations at once of an inline Map, https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html"""


class Group:
    """Work in several threads; the first failure ends the rest."""

    def __init__(self, parent: Lifetime, works: list[Callable[[Lifetime], Any]], limit: int) -> None:
        self._outer = parent
        self.lifetime = Lifetime(parent)
        self._works = works
        self._results: list[Any] = [None] * len(works)
        self._waiting = list(range(len(works)))
        self._left = len(works)
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._threads = min(limit, len(works))

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._error is not None:
                    return
                index = self._waiting.pop(0)
            try:
                self._results[index] = self._works[index](self.lifetime)
            except Abandoned:
                return
            except Exception as error:  # noqa: BLE001 - raised again by results()
                with self._lock:
                    self._error = self._error or error
                self.lifetime.end()
                return
            with self._lock:
                self._left -= 1
            self.lifetime.notify()

    def results(self) -> list[Any]:
        """Run all the work: the results in order; raises the first error, or `Abandoned`."""
        for _ in range(self._threads):
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(self._work,), daemon=True).start()
        self._outer.wait_for(lambda: self._left == 0 or self._error is not None, None)
        if self._error is not None:
            raise self._error
        return self._results


def _finished(branch: "Branch", kind: str, group: Group) -> list[Any]:
    try:
        results = group.results()
    except ExecutionError:
        branch.event(f"{kind}StateFailed")
        raise
    branch.event(f"{kind}StateSucceeded")
    return results


def parallel(branch: "Branch", state: dict[str, Any], data: Any) -> Any:
    """One attempt at a Parallel state: its output."""
    arguments = branch.render(state["Arguments"], data) if "Arguments" in state else data
    branch.event("ParallelStateStarted")

    def work(part: dict[str, Any]) -> Callable[[Lifetime], Any]:
        return lambda lifetime: branch.fork(lifetime).run(part["States"], part["StartAt"], arguments)

    works = [work(part) for part in state["Branches"]]
    results = _finished(branch, "Parallel", Group(branch.lifetime, works, len(works)))
    return branch.output(state, data, default=results, result=results)


def _items(branch: "Branch", state: dict[str, Any], data: Any) -> list[Any]:
    items = branch.render(state["Items"], data) if "Items" in state else data
    if isinstance(items, dict):
        return [{"Key": key, "Value": value} for key, value in items.items()]
    if not isinstance(items, list):
        message = f"Items must be an array or an object, but was: {as_json(items)}"
        raise ExecutionError("States.QueryEvaluationError", message)
    return items


def map_items(branch: "Branch", state: dict[str, Any], data: Any) -> Any:
    """One attempt at an inline Map state: its output."""
    processor = state.get("ItemProcessor") or state["Iterator"]
    if processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
        raise ExecutionError("States.Runtime", "the sandbox runs inline Map states only, not distributed ones")
    name = branch.context["State"]["Name"]
    items = _items(branch, state, data)
    limit = branch.render(state.get("MaxConcurrency", 0), data) or INLINE_CONCURRENCY
    branch.event("MapStateStarted", mapStateStartedEventDetails={"length": len(items)})

    def work(index: int, item: Any) -> Callable[[Lifetime], Any]:
        def iterate(lifetime: Lifetime) -> Any:
            position = {"name": name, "index": index}
            inner = branch.fork(lifetime, Map={"Item": {"Index": index, "Value": item}})
            inner.event("MapIterationStarted", mapIterationStartedEventDetails=position)
            selected = inner.render(state["ItemSelector"], data) if "ItemSelector" in state else item
            try:
                result = inner.run(processor["States"], processor["StartAt"], selected)
            except ExecutionError:
                inner.event("MapIterationFailed", mapIterationFailedEventDetails=position)
                raise
            inner.event("MapIterationSucceeded", mapIterationSucceededEventDetails=position)
            return result

        return iterate

    works = [work(index, item) for index, item in enumerate(items)]
    results = _finished(branch, "Map", Group(branch.lifetime, works, min(limit, INLINE_CONCURRENCY)))
    return branch.output(state, data, default=results, result=results)
