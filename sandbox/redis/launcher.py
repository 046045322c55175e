"""Starts engine processes that cannot outlive this one."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.processes import MARKER

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)

# An engine needs nothing of its parent's environment: no credentials, no endpoints.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", MARKER)


def _die_with(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        if _LINUX:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


class Launcher:
    """Starts processes from one thread that lives as long as this process.

    The kernel ties a child's death signal to the thread that started it; a thread that serves a request ends
    with its connection, and would take the engine with it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="launcher")

    def start(
        self, argv: Sequence[str], *, cwd: Path, log: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start `argv` in `cwd`, output appended to `log`. It carries the sandbox's marker."""
        return self._thread.submit(self._start, argv, cwd, log, dict(environment or {})).result()

    @staticmethod
    def _start(argv: Sequence[str], cwd: Path, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - the arguments are ours
                argv,
                cwd=cwd,
                env={**inherited, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - it only makes one system call
            )
