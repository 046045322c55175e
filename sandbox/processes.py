"""The processes of one sandbox: start them detached, remember them, find every one again, stop them all.

A process belongs to a sandbox if it is recorded (pid and creation time), if it descends from one that is or
shares its session, or if its environment carries the sandbox's marker. The marker is what finds those that a
crash left behind before they were recorded, and what keeps a reused pid from being taken for ours.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

MARKER = "OPS_SANDBOX_ID"
"""Environment variable of every process of a sandbox; its value is the sandbox's directory."""

GRACE_SECONDS = 5.0
"""What a process gets between SIGTERM and SIGKILL."""

# psutil derives the creation time from the time of boot, which the kernel reports to within a second.
_CREATE_TIME_TOLERANCE = 2.0


@dataclass(frozen=True, slots=True)
class Record:
    """One started process; `create_time` is in seconds since the epoch, as psutil reports it."""

    name: str
    pid: int
    create_time: float
    log: str = ""

    @classmethod
    def of(cls, name: str, pid: int, log: str = "") -> Self:
        """The record of a process that runs now; raises `psutil.NoSuchProcess` if it does not."""
        return cls(name, pid, psutil.Process(pid).create_time(), log)

    def find(self) -> psutil.Process | None:
        """The process itself, if it still runs: a zombie does not, nor does another that reused the pid."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.create_time) > _CREATE_TIME_TOLERANCE:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


@dataclass(slots=True)
class Register:
    """`<dir>/processes.json`: what was started, and how far the start got.

    `state` is `starting`, `ready` or `failed`; `facts` is what the start learnt and `status` repeats.
    """

    dir: Path
    state: str = "starting"
    processes: list[Record] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def path_in(dir_: Path) -> Path:
        """Where the register of a sandbox in `dir_` is kept."""
        return dir_ / "processes.json"

    @classmethod
    def load(cls, dir_: Path) -> Self | None:
        """The register of the sandbox in `dir_`, or None if none was ever started there.

        One that a crash left half-written counts as an empty register in state `failed`.
        """
        try:
            data = json.loads(cls.path_in(dir_).read_text(encoding="utf-8"))
            processes = [Record(**record) for record in data["processes"]]
            return cls(dir_, data["state"], processes, data["facts"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            return cls(dir_, "failed")

    def save(self) -> None:
        """Write the register in one step."""
        data = {
            "state": self.state,
            "processes": [asdict(record) for record in self.processes],
            "facts": self.facts,
        }
        path = self.path_in(self.dir)
        draft = path.with_name(path.name + ".part")
        draft.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        draft.replace(path)

    def add(self, name: str, pid: int, log: Path) -> Record:
        """Record a process that was just started."""
        record = Record.of(name, pid, str(log))
        self.processes.append(record)
        self.save()
        return record


def start(argv: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, without input, writing to `log`; our signals do not reach it."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the arguments are ours, not a user's
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _marked(dir_: Path) -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(dir_):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError):
            continue  # gone, or another user's


def _session_of(leader: psutil.Process) -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader.pid:
                yield process
        except (ProcessLookupError, PermissionError):
            continue


def find_all(dir_: Path, records: Iterable[Record] = ()) -> set[psutil.Process]:
    """Every live process of the sandbox in `dir_`, except the calling process and its ancestors."""
    found: set[psutil.Process] = set(_marked(dir_))
    for record in records:
        process = record.find()
        if process is not None:
            found.add(process)
            found.update(_session_of(process))
    for process in tuple(found):
        try:
            found.update(process.children(recursive=True))
        except psutil.NoSuchProcess:
            continue
    me = psutil.Process()
    return {process for process in found - {me, *me.parents()} if _runs(process)}


def stop_all(dir_: Path, records: Iterable[Record] = (), grace_seconds: float = GRACE_SECONDS) -> list[int]:
    """Stop every process of the sandbox in `dir_`, first asking, then by force; returns the pids stopped.

    Looks again after each round, for what was started meanwhile. Raises `TimeoutError` naming the processes
    that survive even SIGKILL (they wait for the kernel, or belong to another user).
    """
    records = tuple(records)
    stopped: list[int] = []
    for _ in range(5):
        found = find_all(dir_, records)
        if not found:
            return stopped
        stopped += [process.pid for process in found]
        # The recorded ones stop their own children in order; the children are asked only if these fail to.
        leaders = {process for record in records if (process := record.find()) is not None}
        for asked in (leaders, found - leaders):
            for process in asked:
                _signal(process.terminate)
            _wait(asked, grace_seconds)
        alive = [process for process in found if _runs(process)]
        for process in alive:
            _signal(process.kill)
        _wait(alive, grace_seconds)
    remaining = find_all(dir_, records)
    if remaining:
        raise TimeoutError(f"still running after SIGKILL: {sorted(process.pid for process in remaining)}")
    return stopped


def _signal(send: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        send()


def _runs(process: psutil.Process) -> bool:
    """False for a zombie, which nothing can stop and which may stay where pid 1 does not reap."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _wait(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended, at most `seconds`; returns those that have not."""
    alive = list(processes)
    deadline = time.monotonic() + seconds
    while True:
        for process in alive:
            with suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
                process.wait(timeout=0)  # reaps it, if it is a child of ours
        alive = [process for process in alive if _runs(process)]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.02)
