"""One `up` or `down` at a time for a sandbox's directory."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

FILE_NAME = "up.lock"


class BusyError(RuntimeError):
    """Another process is starting or stopping the sandbox in this directory; the message names it."""


@contextmanager
def exclusive(dir_: Path) -> Iterator[None]:
    """Hold the directory for the length of the block; raises `BusyError` at once if another process does.

    The kernel frees the lock when its holder dies, so none is ever stale. The block may remove the directory.
    """
    path = dir_ / FILE_NAME
    handle = _open(path)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(_busy(dir_, _holder(path))) from None
        if not _is_same(handle, path):
            raise BusyError(f"another process has just stopped the sandbox in {dir_}; try again")
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {psutil.Process().create_time()}".encode(), 0)
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                path.unlink()
    finally:
        os.close(handle)


def busy(dir_: Path) -> str:
    """Which process is starting or stopping the sandbox in `dir_`, in a sentence; empty if none is."""
    pid = _holder(dir_ / FILE_NAME)
    return _busy(dir_, pid) if pid else ""


def _busy(dir_: Path, pid: int | None) -> str:
    return f"{f'process {pid}' if pid else 'another process'} is starting or stopping the sandbox in {dir_}"


def interrupt_holder(dir_: Path, timeout_seconds: float = 30.0) -> bool:
    """Ask the process that holds the directory to give up and clean up, wait until it has; True if there was one.

    Raises `BusyError` if it still holds it after `timeout_seconds`. Does nothing if no one holds it.
    """
    deadline = time.monotonic() + timeout_seconds
    signalled = None
    while _is_held(dir_ / FILE_NAME):
        pid = _holder(dir_ / FILE_NAME)
        if pid is not None and pid not in {signalled, os.getpid()}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            signalled = pid
        if time.monotonic() > deadline:
            raise BusyError(f"process {pid} still holds the sandbox in {dir_} after SIGTERM")
        time.sleep(0.05)
    return signalled is not None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_same(handle: int, path: Path) -> bool:
    """False if the previous holder removed the file between our opening it and our locking it."""
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _is_held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _holder(path: Path) -> int | None:
    try:
        pid, create_time = path.read_text(encoding="ascii").split()
        process = psutil.Process(int(pid))
        return process.pid if abs(process.create_time() - float(create_time)) < 2 else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
