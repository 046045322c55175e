"""A process that has loaded a layer and waits to be copied: each copy becomes a worker (`worker.py`).

Loading boto3 takes half a second of a processor, and the stack has some fifty functions; a copy takes a few
milliseconds and shares the memory. What is loaded beforehand is looked for in the layer and the runtime only, as the
worker itself would. It runs with the standard library only, and has one thread, so that it can be copied.

It is told on the socket that is its stdin. A request is one line of JSON with three descriptors, which become stdin,
stdout and stderr of the worker; it is answered by `{"pid": …}`. `{"exited": pid, "status": …}` tells of a worker's end.
"""

import array
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

LARGEST_REQUEST = 1 << 20


def load(modules: list[str]) -> None:
    """Import what is there; what is not may be of a layer that needs it not."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


class Control:
    """The socket, with what has been read from it and not been used yet."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = bytearray()
        self._descriptors = array.array("i")

    def receive(self) -> dict[str, Any] | None:
        """The next request; None when the socket is closed."""
        while b"\n" not in self._buffer:
            room = socket.CMSG_SPACE(3 * self._descriptors.itemsize)
            data, ancillary, _, _ = self.connection.recvmsg(LARGEST_REQUEST, room)
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._descriptors.frombytes(content)
            if not data:
                return None
            self._buffer += data
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer[:] = rest
        return dict(json.loads(line))

    def descriptors(self) -> list[int]:
        """Those that came with the request."""
        taken, self._descriptors = list(self._descriptors), array.array("i")
        return taken

    def tell(self, message: dict[str, Any]) -> None:
        """One line."""
        self.connection.sendall(json.dumps(message).encode() + b"\n")


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """In the copy: take on the worker's descriptors, environment and directory."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["directory"])
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="replace", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def reap() -> list[tuple[int, int]]:
    """The workers that have ended, each with its exit status, negative for a signal."""
    ended = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, os.waitstatus_to_exitcode(status)))


def serve(control: Control) -> None:
    """Make workers until the socket closes; returns in each worker."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    while True:
        readable, _, _ = select.select([control.connection, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            for pid, status in reap():
                control.tell({"exited": pid, "status": status})
        if control.connection not in readable:
            continue
        request = control.receive()
        if request is None:
            sys.exit(0)
        descriptors = control.descriptors()
        pid = os.fork()
        if pid == 0:
            control.connection.close()
            become(request, descriptors)
            os.close(woken)
            os.close(wake)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        control.tell({"pid": pid})


def main() -> None:
    """Load what the first line says, then serve; a copy goes on as a worker."""
    control = Control(socket.socket(fileno=os.dup(0)))
    sys.path.insert(0, str(Path(__file__).parent))
    import worker  # type: ignore[import-not-found]  # noqa: PLC0415 - the file beside this one

    sys.path.pop(0)
    first = control.receive()
    if first is None:
        return
    sys.path[:0] = first["path"]
    sys.path.extend(first["runtime_path"])
    load(first["modules"])
    # Not of the worker's making, so not to be in its way.
    del sys.path[: len(first["path"])]
    del sys.path[-len(first["runtime_path"]) :]
    serve(control)
    worker.main()


if __name__ == "__main__":
    main()
