"""What the engines are told to do wrong: `/_sandbox/engines`, for those who test what happens then.

`POST {"service", "target", "fault": {...}}` adds a fault, `DELETE {"service"?, "target"?}` clears those that
match (all, without a body), `GET` lists them. `target` is an identifier of the service, or `*`. A fault is one of

- `{"operation", "error", "message"?, "times"?}`: the call is refused with this code;
- `{"operation", "end_status", "times"?}`: what the call begins ends in this status, and stays there;
- `{"operation", "seconds", "times"?}`: each passing status of it lasts this long;
- `{"status"}`: what is there is held in this status;
- any other pairs: settings that the service knows, such as a quota.

`times` (default: until cleared) counts down with every use.
"""

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.core.request import Request
from werkzeug.wrappers import Response

from sandbox.platform.application import json_response
from sandbox.platform.errors import AwsError

ANY = "*"
Listener = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class Fault:
    """One instruction; `remaining` is None for one that does not wear off."""

    service: str
    target: str
    values: dict[str, Any]
    remaining: int | None = field(default=None)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"service": self.service, "target": self.target, "fault": self.values, "remaining": self.remaining}


class Faults:
    """All instructions, the newest first; usable from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._listeners: dict[str, Listener] = {}

    def listen(self, service: str, listener: Listener) -> None:
        """Call `listener(target, fault)` for each fault that is added to `service`, with `{}` when cleared.

        A `ValueError` that it raises refuses the fault.
        """
        self._listeners[service] = listener

    def add(self, service: str, target: str, values: dict[str, Any]) -> None:
        """Add a fault."""
        if service in self._listeners:
            self._listeners[service](target, values)
        with self._lock:
            self._faults.insert(0, Fault(service, target, values, values.get("times")))

    def clear(self, service: str | None = None, target: str | None = None) -> None:
        """Drop the faults of a service and target, or of all."""
        with self._lock:
            gone = [
                one
                for one in self._faults
                if (service is None or one.service == service) and (target is None or one.target == target)
            ]
            self._faults = [one for one in self._faults if one not in gone]
        for each in {(one.service, one.target) for one in gone}:
            if each[0] in self._listeners:
                self._listeners[each[0]](each[1], {})

    def all(self) -> list[Fault]:
        """Those that still stand."""
        with self._lock:
            return list(self._faults)

    def refuse(self, service: str, operation: str, targets: Iterable[str]) -> None:
        """Raise the `AwsError` that `operation` on any of `targets` is to be refused with, if there is one."""
        fault = self._use(service, targets, operation, "error")
        if fault is not None:
            code = str(fault.values["error"])
            message = fault.values.get("message") or ("Rate exceeded" if code == "Throttling" else f"{code} (injected)")
            raise AwsError(code, message, int(fault.values.get("http_status", 400)))

    def end_status(self, service: str, operation: str, targets: Iterable[str]) -> str | None:
        """The status that `operation` is to end in instead of its own."""
        fault = self._use(service, targets, operation, "end_status")
        return None if fault is None else str(fault.values["end_status"])

    def seconds(self, service: str, operation: str, targets: Iterable[str], default: float) -> float:
        """How long each passing status of `operation` is to last."""
        fault = self._use(service, targets, operation, "seconds")
        return default if fault is None else float(fault.values["seconds"])

    def held(self, service: str, targets: Iterable[str]) -> str | None:
        """The status that one of `targets` is held in."""
        status: str | None = self.setting(service, "status", targets)
        return status

    def setting(self, service: str, name: str, targets: Iterable[str], default: Any = None) -> Any:
        """The newest value of a setting that applies to one of `targets`."""
        fault = self._use(service, targets, None, name)
        return default if fault is None else fault.values[name]

    def _use(self, service: str, targets: Iterable[str], operation: str | None, key: str) -> Fault | None:
        named = {*targets, ANY}
        with self._lock:
            for fault in self._faults:
                if fault.service != service or fault.target not in named or key not in fault.values:
                    continue
                if fault.values.get("operation") != operation:
                    continue
                if fault.remaining is not None:
                    fault.remaining -= 1
                    if fault.remaining <= 0:
                        self._faults.remove(fault)
                return fault
        return None

    def endpoint(self, request: Request) -> Response:
        """`/_sandbox/engines`."""
        try:
            document = json.loads(request.get_data() or b"{}")
            if request.method == "POST":
                self.add(str(document["service"]), str(document["target"]), dict(document["fault"]))
            elif request.method == "DELETE":
                self.clear(document.get("service"), document.get("target"))
        except (ValueError, KeyError, TypeError) as error:
            response = json_response({"error": f"not understood: {error!r}"})
            response.status_code = 400
            return response
        return json_response({"faults": [one.as_dict() for one in self.all()]})
