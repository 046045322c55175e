"""A container's process: its own group, a log file, a port of its own, and death with its parent."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)
_LINUX = sys.platform == "linux"


class PortReservation:
    """A free loopback port, bound but not listening: nobody else gets it, and connections are refused.

    The container binds it too, with `SO_REUSEPORT`, so nothing can take the port while it restarts.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Give the port back."""
        self._socket.close()


def _die_with(parent: int) -> Callable[[], None]:
    """What the child does before exec: ask for SIGKILL when `parent` dies, and see that it has not yet."""

    def prepare() -> None:
        if _LINUX:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


class Process:
    """A running process and its group."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, command: list[str], *, environment: Mapping[str, str], log: Path) -> "Process":
        """Start `command`, output appended to `log`. Call it on the main thread: the kernel ties the child's
        death signal to the thread that started it.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        return cls(process)

    async def wait(self) -> int:
        """The exit status; negative for a signal."""
        return await self._process.wait()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; nothing happens if it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, now."""
        self.signal(signal.SIGKILL)

    async def stop(self, grace_seconds: float) -> int:
        """SIGTERM, then SIGKILL after the grace; returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(asyncio.shield(self.wait()), max(grace_seconds, 0))
        except TimeoutError:
            self.kill()
            return await self.wait()
