"""Starting, finding and stopping, with stand-ins for the components (see test_supervisor_real.py for them)."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from sandbox import processes
from sandbox.components import Component
from sandbox.config import Config, port_of
from sandbox.health import wait_until
from sandbox.lock import BusyError
from sandbox.processes import Record, Register
from sandbox.supervisor import Options, SandboxError, down, sandbox, status, up

STAND_IN = "tests.sandbox.component_stand_in"


def component(name: str, address: str, *flags: str) -> Component:
    return Component(name, STAND_IN, lambda config: getattr(config, address), ("--address", address, *flags))


def options(*flags: str, timeout: float = 30.0) -> Options:
    """Two components, of which the first gets `flags`."""
    first = component("automation", "automation_url", *flags)
    second = component("platform", "platform_url")
    return Options(components=(first, second), ready_timeout_seconds=timeout)


def look(directory: Path) -> str:
    return status(directory, options().components).state


def leftovers(directory: Path) -> set[psutil.Process]:
    return processes.find_all(directory.resolve())


def is_free(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port_of(url))) != 0


def silent(_: str) -> None:
    pass


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "box"
    yield path
    processes.stop_all(path.resolve(), (Register.load(path) or Register(path)).processes)


def test_up_and_down_leave_nothing(directory: Path) -> None:
    config = up(directory, options("--child"), silent)
    child = int((directory / "tmp" / "child.pid").read_text(encoding="ascii"))
    assert look(directory) == "up"
    assert Config.load(directory / "config.json") == config
    assert len({config.automation_url, config.platform_url, config.balancer_url, config.kubernetes_url}) == 4

    down(directory, silent)

    assert not directory.exists()
    assert leftovers(directory) == set()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert is_free(config.automation_url)
    assert is_free(config.platform_url)
    assert look(directory) == "down"


def test_up_twice_starts_nothing_new(directory: Path) -> None:
    first = up(directory, options(), silent)
    pids = {record.pid for record in Register.load(directory).processes}
    assert up(directory, options(), silent) == first
    assert {record.pid for record in Register.load(directory).processes} == pids


def test_two_side_by_side(directory: Path, tmp_path: Path) -> None:
    with sandbox(tmp_path / "other", options(), silent) as other:
        mine = up(directory, options(), silent)
        assert not {mine.automation_url, mine.platform_url} & {other.automation_url, other.platform_url}
        down(directory, silent)
        assert look(tmp_path / "other") == "up"
    assert leftovers(tmp_path / "other") == set()


def test_half_dead_is_reported_and_cleaned_up(directory: Path) -> None:
    up(directory, options(), silent)
    victim = Register.load(directory).processes[0].find()
    victim.kill()
    victim.wait()

    found = status(directory, options().components)
    assert found.state == "broken"
    assert [process.alive for process in found.processes] == [False, True]
    assert "ops sandbox down" in found.advice
    with pytest.raises(SandboxError, match=r"half dead.*ops sandbox down"):
        up(directory, options(), silent)

    down(directory, silent)
    assert not directory.exists()
    assert leftovers(directory) == set()


def test_a_component_that_fails_takes_the_others_down(directory: Path) -> None:
    said: list[str] = []
    with pytest.raises(SandboxError, match=r"automation ended with exit code 1"):
        up(directory, options("--fail"), said.append)
    assert leftovers(directory) == set()
    assert any("told to fail" in line for line in said)
    assert "told to fail" in (directory / "logs" / "automation.log").read_text(encoding="utf-8")
    assert look(directory) == "down"

    up(directory, options(), silent)
    assert look(directory) == "up"


def test_a_component_that_never_answers_is_named(directory: Path) -> None:
    with pytest.raises(SandboxError, match="not ready after 2 s: automation"):
        up(directory, options("--never-ready", timeout=2), silent)
    assert leftovers(directory) == set()


def test_what_ignores_sigterm_is_killed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up(directory, options("--stubborn"), silent)
    processes.stop_all(directory.resolve(), Register.load(directory).processes, grace_seconds=0.5)
    assert leftovers(directory) == set()


def test_setup_that_fails_takes_everything_down(directory: Path) -> None:
    def fail(config: Config, progress: object) -> dict[str, str]:
        raise ValueError("no platform")

    broken = Options(components=options().components, setup=fail)
    with pytest.raises(SandboxError, match="no platform"):
        up(directory, broken, silent)
    assert "ValueError: no platform" in (directory / "logs" / "up.log").read_text(encoding="utf-8")
    assert leftovers(directory) == set()


def test_a_directory_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(SandboxError, match="holds no sandbox"):
        up(tmp_path, options(), silent)
    down(tmp_path, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_place_for_a_sandbox(tmp_path: Path) -> None:
    file = tmp_path / "thesis.txt"
    file.write_text("years of work", encoding="utf-8")
    assert look(file) == "down"
    with pytest.raises(SandboxError, match="not a directory"):
        up(file, options(), silent)
    down(file, silent)
    assert file.read_text(encoding="utf-8") == "years of work"


def test_a_damaged_register_hides_nothing(directory: Path) -> None:
    up(directory, options(), silent)
    (directory / "processes.json").write_text("{", encoding="utf-8")
    assert look(directory) == "broken"
    down(directory, silent)
    assert leftovers(directory) == set()
    assert not directory.exists()


def test_orphans_are_found_when_the_directory_is_gone(directory: Path) -> None:
    up(directory, options(), silent)
    (directory / "processes.json").unlink()
    down(directory, silent)
    assert leftovers(directory) == set()


def test_a_reused_pid_is_not_ours() -> None:
    mine = Record.of("me", os.getpid())
    assert mine.find() == psutil.Process()
    assert Record("me", os.getpid(), mine.create_time - 60).find() is None


class TestInterrupted:
    """`up` in a process of its own, with a component that never answers."""

    SCRIPT = textwrap.dedent("""
        import sys
        from pathlib import Path
        from cli.sandbox import interrupt_on_termination
        from sandbox.supervisor import up
        from tests.sandbox.test_supervisor import options
        interrupt_on_termination()
        try:
            up(Path(sys.argv[1]), options("--never-ready", timeout=60), print)
        except KeyboardInterrupt:
            sys.exit(130)
    """)

    @pytest.fixture
    def starting(self, directory: Path) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-u", "-P", "-c", self.SCRIPT, str(directory)],
            stdout=subprocess.PIPE,
            text=True,
            # A shell starts its background jobs with SIGINT ignored, and these tests may be run by one.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        )
        try:
            assert "platform is ready" in process.stdout.readline()
            assert len(leftovers(directory)) >= 2
            yield process
        finally:
            process.kill()
            process.communicate()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_signal_takes_everything_down(
        self, directory: Path, starting: subprocess.Popen[str], number: signal.Signals
    ) -> None:
        starting.send_signal(number)
        assert starting.wait(timeout=30) == 130
        assert leftovers(directory) == set()
        assert not directory.exists()

    def test_kill_then_down(self, directory: Path, starting: subprocess.Popen[str]) -> None:
        starting.kill()
        starting.wait()
        assert look(directory) == "broken"
        down(directory, silent)
        assert leftovers(directory) == set()
        assert not directory.exists()

    def test_a_second_up_waits_for_nothing_and_advises_no_down(
        self, directory: Path, starting: subprocess.Popen[str]
    ) -> None:
        found = status(directory, options().components)
        assert found.state == "busy"
        assert "ops sandbox down" not in found.advice
        with pytest.raises(BusyError, match=f"process {starting.pid} is starting"):
            up(directory, options(), silent)
        assert starting.poll() is None

    def test_down_while_starting(self, directory: Path, starting: subprocess.Popen[str]) -> None:
        said: list[str] = []
        down(directory, said.append)
        assert "called off" in said[-1]
        assert starting.wait(timeout=30) == 130
        assert leftovers(directory) == set()
        assert not directory.exists()


def test_wait_until_tells_each_as_it_becomes_ready() -> None:
    answers = iter([False, False, True])
    told: list[str] = []
    wait_until({"late": lambda: next(answers), "early": lambda: True}, timeout_seconds=10, on_ready=told.append)
    assert told == ["early", "late"]
