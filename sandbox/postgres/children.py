"""Child processes of the platform: servers, which die with it, and tools, which are waited for."""

import os
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from sandbox.postgres import privileges
from sandbox.postgres.binaries import PostgresError

# The kernel ties a child's death signal to the thread that started it: this one lives as long as the process.
_starter = ThreadPoolExecutor(1, thread_name_prefix="children")
_KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "OPS_SANDBOX_ID", "TMPDIR")


def _environment() -> dict[str, str]:
    # Not the caller's PG* variables; the sandbox's marker, by which `down` finds what a crash left.
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, "TZ": "UTC", "LC_ALL": "C"}


def start(
    argv: Sequence[str], *, cwd: Path, log: Path, drop: bool = True, stdin: bool = False, fds: Sequence[int] = ()
) -> "subprocess.Popen[bytes]":
    """Start `argv` in a session of its own, its output appended to `log`.

    `drop` takes root from it; `stdin` gives it a pipe, else it has no input; `fds` are inherited.
    """
    with log.open("ab") as output:
        return _start(argv, cwd, output, drop=drop, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, fds=fds)


def _start(
    argv: Sequence[str], cwd: Path, output: IO[bytes] | int, *, drop: bool, stdin: int, fds: Sequence[int]
) -> "subprocess.Popen[bytes]":
    def begin() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603 - the arguments are ours
            argv,
            cwd=cwd,
            env=_environment(),
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=fds,
            preexec_fn=privileges.preparation(drop=drop),  # noqa: PLW1509 - it makes system calls and nothing else
        )

    return _starter.submit(begin).result()


def run(argv: Sequence[str], *, cwd: Path, timeout_seconds: float = 600.0) -> str:
    """Run a tool to its end and return what it said; raises `PostgresError` if it fails or takes too long."""
    process = _start(argv, cwd, subprocess.PIPE, drop=True, stdin=subprocess.DEVNULL, fds=())
    name = Path(argv[0]).name
    try:
        said = process.communicate(timeout=timeout_seconds)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise PostgresError(f"{name} did not end within {timeout_seconds:.0f} s") from None
    if process.returncode != 0:
        raise PostgresError(f"{name} failed with exit code {process.returncode}: {said[-2000:].strip()}")
    return said


def stop(process: "subprocess.Popen[Any]", number: signal.Signals, seconds: float) -> None:
    """Send `number`, after `seconds` SIGKILL; return when it has ended."""
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
