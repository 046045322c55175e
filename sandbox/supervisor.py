"""Start, find and stop one sandbox.

`up` leaves the processes running, each in a session of its own, and returns when the service answers through
the balancer; whatever ends `up` early takes everything down again. `down` also clears up after a crash.
"""

import shlex
import shutil
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sandbox import lock, processes, tls
from sandbox.components import COMPONENTS, Component, process_environment
from sandbox.config import Config, ConfigError, default_dir
from sandbox.health import wait_until
from sandbox.ports import PortHold
from sandbox.processes import Register

Progress = Callable[[str], None]


class SandboxError(RuntimeError):
    """The sandbox cannot be started, found or stopped; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a sandbox is to be. The defaults are those of `ops sandbox up`.

    `setup` runs once all components answer: provisioning, deployment, first version. What it returns is kept
    in the register as facts.
    """

    service: str = "detection-api"
    environment: str = "dev"
    region: str = "us-east-1"
    account: str = "000000000000"
    registration_delay_seconds: float = 0.5
    metric_period_seconds: int = 1
    health_check_interval_seconds: float = 0.5
    engine_pace_seconds: float = 0.3
    database_archive_seconds: float = 1.0
    ready_timeout_seconds: float = 60.0
    components: Sequence[Component] = COMPONENTS
    setup: Callable[[Config, Progress], Mapping[str, Any]] = field(default=lambda _config, _progress: {})


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One component: its pid, whether that process runs, and whether it answers."""

    name: str
    pid: int
    alive: bool
    healthy: bool
    log: str


@dataclass(frozen=True, slots=True)
class Status:
    """`state` is `up`, `down` (nothing runs, nothing is recorded), `busy` (just starting or stopping) or `broken`."""

    state: str
    config: Config | None
    processes: tuple[ProcessStatus, ...]
    facts: Mapping[str, Any]
    advice: str = ""


def up(dir_: Path, options: Options | None = None, progress: Progress = print) -> Config:
    """Start a sandbox in `dir_` and return when it is ready; if it already is, return its configuration.

    Raises `SandboxError` if the directory holds something else, or a sandbox that is half dead, or if a
    component or the setup fails; then, as after an interrupt, nothing is left running, and only the logs
    remain. Raises `lock.BusyError` if another process is starting or stopping one there.
    """
    options = options or Options()
    dir_ = dir_.resolve()
    current = status(dir_, options.components)
    if current.state == "up" and current.config is not None:
        progress(f"already up in {dir_}")
        return current.config
    if current.state == "busy":
        raise lock.BusyError(current.advice)
    register = Register.load(dir_)
    if processes.find_all(dir_, register.processes if register else ()):
        reason = current.advice if current.state == "broken" else f"run {_command('down', dir_)} first"
        raise SandboxError(f"a sandbox in {dir_} is half dead: {reason}")
    if dir_.exists() and not dir_.is_dir():
        raise SandboxError(f"{dir_} is not a directory")
    if dir_.exists() and any(dir_.iterdir()) and register is None:
        raise SandboxError(f"{dir_} is not empty and holds no sandbox: choose another directory with --dir")
    dir_.mkdir(parents=True, exist_ok=True)
    try:
        with lock.exclusive(dir_):
            _clear(dir_)
            register = Register(dir_)
            register.save()
            try:
                return _start(register, options, progress)
            except BaseException as error:
                _abandon(register, error, progress)
                if isinstance(error, Exception) and not isinstance(error, SandboxError):
                    raise SandboxError(str(error)) from error
                raise
    finally:
        _remove_if_empty(dir_)


def down(dir_: Path, progress: Progress = print) -> None:
    """Stop every process of the sandbox in `dir_`, also after a crash, and remove what it kept there.

    A start in progress is told to give up first. Raises `SandboxError` if a process cannot be stopped.
    """
    dir_ = dir_.resolve()
    called_off = lock.interrupt_holder(dir_)
    if dir_.is_dir():
        with lock.exclusive(dir_):
            register = Register.load(dir_)
            stopped = _stop(dir_, register)
            if register is not None:
                _clear(dir_)
        if register is not None:
            _remove_if_empty(dir_)
    else:
        stopped = _stop(dir_, None)
    nothing = "down: a start in progress was called off" if called_off else f"nothing was running in {dir_}"
    progress(f"down: {len(stopped)} processes stopped" if stopped else nothing)


def status(dir_: Path, components: Sequence[Component] = COMPONENTS) -> Status:
    """What runs in `dir_`; never raises because something does not."""
    dir_ = dir_.resolve()
    busy = lock.busy(dir_)
    start = f"start it with {_command('up', dir_)}"
    register = Register.load(dir_)
    if register is None:
        return Status("busy", None, (), {}, busy) if busy else Status("down", None, (), {}, start)
    try:
        config = Config.load(dir_ / "config.json")
    except ConfigError:
        config = None
    records = {record.name: record for record in register.processes}
    found = []
    for component in components:
        record = records.get(component.name)
        if record is None:
            found.append(ProcessStatus(component.name, 0, alive=False, healthy=False, log=""))
            continue
        alive = record.find() is not None
        healthy = alive and config is not None and component.is_ready(config)
        found.append(ProcessStatus(component.name, record.pid, alive, healthy, record.log))
    if busy:
        return Status("busy", config, tuple(found), register.facts, busy)
    if register.state == "ready" and all(process.healthy for process in found):
        return Status("up", config, tuple(found), register.facts)
    if not any(process.alive for process in found) and not processes.find_all(dir_, register.processes):
        return Status("down", config, tuple(found), register.facts, start)
    missing = [process.name for process in found if not process.healthy]
    reason = f"{', '.join(missing)} not answering" if missing else f"its start is {register.state}"
    advice = f"{reason}; run {_command('down', dir_)}, then {_command('up', dir_)}"
    return Status("broken", config, tuple(found), register.facts, advice)


def _command(verb: str, dir_: Path) -> str:
    """The command for the sandbox in `dir_`, as its user would type it."""
    option = "" if dir_ == default_dir().resolve() else f" --dir {shlex.quote(str(dir_))}"
    return f"`ops sandbox {verb}{option}`"


@contextmanager
def sandbox(dir_: Path, options: Options | None = None, progress: Progress = print) -> Iterator[Config]:
    """A sandbox for the length of a block, taken down at its end whatever the end is."""
    config = up(dir_, options, progress)
    try:
        yield config
    finally:
        with _undisturbed():
            down(dir_, progress)


def _start(register: Register, options: Options, progress: Progress) -> Config:
    began = time.monotonic()
    dir_ = register.dir
    for name in ("logs", "tmp"):
        (dir_ / name).mkdir()
    tls.write(dir_ / "tls")
    with PortHold(6) as hold:
        config = _configure(dir_, options, hold.ports)
        config.save()
        env = process_environment(config)
    started: dict[str, subprocess.Popen[bytes]] = {}
    for component in options.components:
        log = dir_ / "logs" / f"{component.name}.log"
        started[component.name] = processes.start(component.argv(config.path), env, log, cwd=dir_)
        register.add(component.name, started[component.name].pid, log)

    def fail_early() -> None:
        for name, process in started.items():
            if process.poll() is not None:
                raise SandboxError(f"{name} ended with exit code {process.returncode} while starting")

    wait_until(
        {component.name: partial(component.is_ready, config) for component in options.components},
        timeout_seconds=options.ready_timeout_seconds,
        on_ready=lambda name: progress(f"{name} is ready ({time.monotonic() - began:.1f} s)"),
        while_waiting=fail_early,
    )
    register.facts.update(options.setup(config, progress))
    register.facts["seconds_to_ready"] = round(time.monotonic() - began, 1)
    register.state = "ready"
    register.save()
    progress(f"ready after {register.facts['seconds_to_ready']} s")
    return config


def _configure(dir_: Path, options: Options, ports: Sequence[int]) -> Config:
    automation, platform, balancer, admin, kubernetes, database = ports
    return Config(
        dir=dir_,
        service=options.service,
        environment=options.environment,
        region=options.region,
        account=options.account,
        automation_url=f"http://127.0.0.1:{automation}",
        platform_url=f"http://127.0.0.1:{platform}",
        balancer_url=f"http://127.0.0.1:{balancer}",
        balancer_admin_url=f"http://127.0.0.1:{admin}",
        kubernetes_url=f"https://127.0.0.1:{kubernetes}",
        tls_dir=dir_ / "tls",
        registration_delay_seconds=options.registration_delay_seconds,
        metric_period_seconds=options.metric_period_seconds,
        health_check_interval_seconds=options.health_check_interval_seconds,
        engine_pace_seconds=options.engine_pace_seconds,
        database_port=database,
        database_archive_seconds=options.database_archive_seconds,
    )


def _abandon(register: Register, error: BaseException, progress: Progress) -> None:
    with _undisturbed():
        interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
        progress(f"{'interrupted' if interrupted else 'failed'}: taking it down again")
        if not interrupted:
            log = register.dir / "logs" / "up.log"
            log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            for record in register.processes:
                if record.find() is None:
                    progress(f"--- the end of {record.log}\n{_tail(Path(record.log))}")
        _stop(register.dir, register)
        if interrupted:
            _clear(register.dir)
            return
        register.state = "failed"
        register.processes.clear()
        register.save()
        _clear(register.dir, keep=("logs", "processes.json"))
        progress(f"taken down; the logs are in {register.dir / 'logs'}")


def _stop(dir_: Path, register: Register | None) -> list[int]:
    try:
        return processes.stop_all(dir_, register.processes if register else ())
    except TimeoutError as error:
        raise SandboxError(str(error)) from error


def _clear(dir_: Path, keep: Sequence[str] = ()) -> None:
    """Remove what is in a sandbox's directory, the register last, so that a crash midway is seen.

    The lock is left to its holder.
    """
    entries = sorted(dir_.iterdir(), key=lambda path: path.name == "processes.json")
    for entry in entries:
        if entry.name in {*keep, lock.FILE_NAME}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


def _remove_if_empty(dir_: Path) -> None:
    with suppress(OSError):  # not there, or not empty
        dir_.rmdir()


def _tail(log: Path, lines: int = 20) -> str:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore further interrupts while cleaning up, which is bounded in time."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
