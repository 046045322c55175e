"""What tests and demonstrations tell the engines to do wrong: `/_sandbox/engines`.

`POST {"service": "rds", "target": "<identifier, pattern or *>", "fault": {…}}` adds a fault, `DELETE` with a
part of that removes those that match it, `GET` lists them. A fault has some of:

`operation`      the API operation that it concerns; without one, every operation
`error`          the operation answers with this code; with `message` and `http_status` if given
`end_status`     what the operation makes or changes ends in this status
`seconds`        how long that takes at least, in place of the usual pace
`set`            members of the result that come out differently, e.g. `{"EngineVersion": "16.99"}`
`times`          how often, after which the fault is gone; without it, until it is removed
`status`         the target shows this status, whatever it is doing
`archive`        `held`: the target's continuous archive falls behind
`quota`          e.g. `{"ManualSnapshots": 3}`, in place of AWS's default
"""

import fnmatch
import json
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from moto.core.request import Request
from werkzeug.wrappers import Response

from sandbox.platform.errors import AwsError

PATH = "/_sandbox/engines"


@dataclass(slots=True)
class Fault:
    """One fault."""

    service: str
    target: str
    effect: dict[str, Any]
    left: int | None

    def concerns(self, service: str, targets: Collection[str]) -> bool:
        """Whether it is about one of `targets`."""
        return self.service == service and any(fnmatch.fnmatchcase(target, self.target) for target in targets)

    def as_dict(self) -> dict[str, Any]:
        """As it was given, with what is left of `times`."""
        left = {} if self.left is None else {"times": self.left}
        return {"service": self.service, "target": self.target, "fault": {**self.effect, **left}}


class Faults:
    """The faults of all engines; usable from several threads. `changed` is called after each change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when faults are added or removed."""
        self._listeners.append(listener)

    def add(self, service: str, target: str, effect: dict[str, Any]) -> None:
        """Add one."""
        rest = {key: value for key, value in effect.items() if key != "times"}
        with self._lock:
            self._faults.append(Fault(service, target, rest, effect.get("times")))
        self._changed()

    def remove(self, service: str | None, target: str | None, effect: dict[str, Any]) -> None:
        """Remove those that agree with all that is given."""
        with self._lock:
            self._faults = [
                fault
                for fault in self._faults
                if (service not in (None, fault.service))
                or (target not in (None, fault.target))
                or any(fault.effect.get(key) != value for key, value in effect.items())
            ]
        self._changed()

    def refuse(self, service: str, operation: str, targets: Collection[str]) -> None:
        """Raise the `AwsError` that the operation is to answer with, if it is."""
        for effect in self._take(service, operation, targets, errors=True):
            code = effect["error"]
            default = "Rate exceeded" if code.startswith("Throttling") else "Told to fail"
            raise AwsError(code, effect.get("message", default), effect.get("http_status", 400))

    def effects(self, service: str, operation: str, targets: Collection[str]) -> dict[str, Any]:
        """All that is said about how the operation goes: `end_status`, `seconds`, `set`; earlier faults first."""
        found: dict[str, Any] = {}
        for effect in self._take(service, operation, targets, errors=False):
            found = {**effect, **found}
        return found

    def standing(self, service: str, target: str, kind: str) -> Any:
        """What the first fault says about `kind` (`status`, `archive`, `quota`) of `target`, or None."""
        with self._lock:
            found = (fault.effect.get(kind) for fault in self._faults if fault.concerns(service, (target,)))
            return next((value for value in found if value is not None), None)

    def _take(
        self, service: str, operation: str, targets: Collection[str], *, errors: bool
    ) -> Iterator[dict[str, Any]]:
        with self._lock:
            for fault in self._faults:
                if ("error" in fault.effect) != errors or fault.effect.get("operation", operation) != operation:
                    continue
                if fault.left == 0 or not fault.concerns(service, (*targets, "*")):
                    continue
                if fault.left is not None:
                    fault.left -= 1
                yield fault.effect

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def endpoint(self, request: Request) -> Response:
        """The internal endpoint."""
        try:
            given = json.loads(request.get_data() or b"{}")
            service, target, effect = given.get("service"), given.get("target"), given.get("fault") or {}
            if request.method == "POST":
                if not (isinstance(service, str) and isinstance(target, str) and isinstance(effect, dict) and effect):
                    raise ValueError("needs service, target and fault")
                self.add(service, target, effect)
            elif request.method == "DELETE":
                self.remove(service, target, effect)
        except (ValueError, AttributeError) as error:
            return Response(json.dumps({"error": str(error)}), 400, mimetype="application/json")
        with self._lock:
            faults = [fault.as_dict() for fault in self._faults]
        return Response(json.dumps({"faults": faults}), mimetype="application/json")
