"""Worker processes as copies of one that has loaded their layers; see `sandbox.automation.worker_template`."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from sandbox.automation import worker_template

PRELOADED = (
    "opskit.step",
    "opskit.schema",
    "botocore.httpsession",
    "botocore.endpoint",
    "botocore.retries.standard",
    "s3transfer.manager",
)
"""What nearly every function of the layer imports before it can do anything."""

START_SECONDS = 60.0


class Copy:
    """A worker process; the part of `subprocess.Popen` that is used of one."""

    def __init__(self, pid: int, stdin: IO[str], stdout: IO[str], stderr: IO[str]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.returncode: int | None = None
        self._ended = threading.Event()

    def end(self, status: int) -> None:
        """It has ended with this status."""
        self.returncode = status
        self._ended.set()

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self.returncode

    def kill(self) -> None:
        """SIGKILL; nothing happens if it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = 10.0) -> int:
        """The exit status, waited for."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(["worker"], timeout)
        return int(self.returncode or 0)


class Template:
    """The process for one set of layers, started when first asked; usable from several threads."""

    def __init__(self, path: Sequence[str], runtime_path: Sequence[str], environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._copies: dict[int, Copy] = {}
        self._early: dict[int, int] = {}
        self._pids: list[int] = []
        self._answered = threading.Condition()
        self._gone = False
        ours, theirs = socket.socketpair()
        with theirs:
            subprocess.Popen(  # noqa: S603 - the interpreter that runs this process
                [sys.executable, "-I", "-S", "-X", "utf8", str(worker_template.__file__)],
                stdin=theirs,
                env=dict(environment),
            )
        self._socket = ours
        first = {"path": list(path), "runtime_path": list(runtime_path), "modules": PRELOADED}
        ours.sendall(json.dumps(first).encode() + b"\n")
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._gone

    def copy(self, directory: Path, environment: Mapping[str, str]) -> Copy:
        """A new worker process with pipes of its own; raises RuntimeError if the template does not answer."""
        request = json.dumps({"directory": str(directory), "environment": dict(environment)}).encode() + b"\n"
        (stdin, to_it), (from_it, stdout), (errors, stderr) = os.pipe(), os.pipe(), os.pipe()
        with self._lock:
            try:
                socket.send_fds(self._socket, [request[:1]], [stdin, stdout, stderr])
                self._socket.sendall(request[1:])
            finally:
                for descriptor in (stdin, stdout, stderr):
                    os.close(descriptor)
            with self._answered:
                if not self._answered.wait_for(lambda: self._pids or self._gone, START_SECONDS) or not self._pids:
                    raise RuntimeError("the template of the workers does not answer")
                pid = self._pids.pop()
                made = Copy(pid, _text(to_it, "w"), _text(from_it, "r"), _text(errors, "r"))
                self._copies[pid] = made
                if pid in self._early:
                    self._ended(pid, self._early.pop(pid))
        return made

    def _listen(self) -> None:
        with self._socket.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                self._hear(json.loads(line))
        with self._answered:
            self._gone = True
            for copy in self._copies.values():
                copy.end(-signal.SIGKILL)
            self._answered.notify_all()

    def _hear(self, message: dict[str, Any]) -> None:
        with self._answered:
            if "pid" in message:
                self._pids.append(message["pid"])
                self._answered.notify_all()
            elif message["exited"] in self._copies:
                self._ended(message["exited"], message["status"])
            else:  # it ended before its start was noted
                self._early[message["exited"]] = message["status"]

    def _ended(self, pid: int, status: int) -> None:
        self._copies.pop(pid).end(status)


class Templates:
    """The templates of this process, by path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, ...], Template] = {}

    def get(self, path: Sequence[str], runtime_path: Sequence[str], environment: Mapping[str, str]) -> Template:
        """The template for the layers at `path`; a new one if it has died."""
        key = (*path, "", *runtime_path)
        with self._lock:
            found = self._known.get(key)
            if found is None or found.gone:
                found = self._known[key] = Template(path, runtime_path, environment)
            return found


def _text(descriptor: int, mode: str) -> IO[str]:
    return os.fdopen(descriptor, mode, encoding="utf-8", errors="replace", buffering=1)


templates = Templates()
