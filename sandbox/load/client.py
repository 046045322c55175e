"""The load generator as a process of its own, held from a test or the demo."""

import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.health import wait_until
from sandbox.load import writes
from sandbox.load.plan import Plan
from sandbox.load.report import Report
from sandbox.load.writes import Acknowledged

_START_SECONDS = 15.0


class LoadError(RuntimeError):
    """The generator did not start, or ended without a report; the message has what it wrote."""


class Load:
    """Load according to `plan` from `start` until `stop`, or for the length of a `with` block.

    With `track_writes`, each write can be told apart, and `acknowledged` says which the service took.
    """

    def __init__(self, plan: Plan, *, track_writes: bool = False) -> None:
        self.plan = plan
        self._track_writes = track_writes
        self._writes: tuple[Acknowledged, ...] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._result: Report | None = None

    def start(self) -> Self:
        """Start the process and return once its first requests have been accounted for.

        Raises `LoadError` if that does not happen within 15 s.
        """
        self._directory = tempfile.TemporaryDirectory(prefix="ops-load-")
        plan = self.plan
        arguments = {
            "url": plan.url,
            "rate": plan.rate,
            "seconds": plan.seconds,
            "connections": plan.connections,
            "slow-share": plan.slow_share,
            "slow-seconds": plan.slow_seconds,
            "write-share": plan.write_share,
            "version-share": plan.version_share,
            "timeout": plan.timeout_seconds,
            "report": self._path,
            **({"writes": self._writes_path} if self._track_writes else {}),
        }
        flags = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "sandbox.load", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            wait_until(
                {"first request": lambda: self._path.exists() and self.report().requests > 0},
                timeout_seconds=_START_SECONDS,
                while_waiting=self._raise_if_ended,
            )
        except BaseException:
            self._kill()
            raise
        return self

    def report(self) -> Report:
        """The account so far, at most a second old; the final one after `stop`."""
        return self._result or Report.load(self._path)

    def acknowledged(self) -> tuple[Acknowledged, ...]:
        """The writes that the service took so far, stored or queued, in the order of its answers.

        `writes.missing` says which of them are not among the ids that a database, or `writes.ids_of`, gives.
        """
        return writes.read(self._writes_path) if self._writes is None else self._writes

    def stop(self) -> Report:
        """Send no more, let what is under way be answered, and return the account."""
        if self._result is not None:
            return self._result
        if self._process is None:
            raise LoadError("the load was never started")
        self._process.terminate()
        try:
            _, errors = self._process.communicate(timeout=self.plan.timeout_seconds + 5)
            if self._process.returncode != 0 or not self._path.exists():
                raise LoadError(f"the load generator failed ({self._process.returncode}): {errors.strip()}")
            result = Report.load(self._path)
            self._writes = writes.read(self._writes_path)
        finally:
            self._kill()
        self._result = result
        return result

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self._kill()

    @property
    def _path(self) -> Path:
        return self._place / "report.json"

    @property
    def _writes_path(self) -> Path:
        return self._place / "writes.jsonl"

    @property
    def _place(self) -> Path:
        if self._directory is None:
            raise LoadError("the load was never started")
        return Path(self._directory.name)

    def _raise_if_ended(self) -> None:
        if self._process is not None and self._process.poll() is not None and not self._path.exists():
            _, errors = self._process.communicate()
            raise LoadError(f"the load generator did not start: {errors.strip()}")

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        if self._directory is not None:
            self._directory.cleanup()
