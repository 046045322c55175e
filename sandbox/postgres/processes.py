"""What the processes of servers use, as the kernel tells it: asking a server would be a connection more."""

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# PostgreSQL writes into a backend's title whom it serves: `postgres: <user> <database> <client> <what it does>`.
_BACKEND = re.compile(rb"postgres: (?P<user>\S+) \S+ (?:\[local\]|\S+\(\d+\)) ")
_NOT_CLIENTS = frozenset({b"rdsadmin", b"walsender"})


@dataclass(frozen=True, slots=True)
class Usage:
    """One reading of a server: connections of clients, without the administrator's; CPU in seconds, ever growing."""

    at: float
    connections: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class _Process:
    number: int
    parent: int
    own_seconds: float
    waited_for_seconds: float
    """Of its children that have ended."""


def usage_of(postmasters: Iterable[int]) -> dict[int, Usage]:
    """The usage of servers by the process ids of their postmasters; one that has ended is left out."""
    wanted, at = set(postmasters), time.monotonic()
    if not wanted:
        return {}
    found: dict[int, _Process] = {}
    children: dict[int, list[_Process]] = defaultdict(list)
    for process in _processes():
        if process.number in wanted:
            found[process.number] = process
        if process.parent in wanted:
            children[process.parent].append(process)
    return {
        number: Usage(
            at=at,
            connections=sum(_serves_a_client(child.number) for child in children[number]),
            cpu_seconds=postmaster.own_seconds
            + postmaster.waited_for_seconds
            + sum(child.own_seconds for child in children[number]),
        )
        for number, postmaster in found.items()
    }


def _processes() -> Iterable[_Process]:
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal():
            try:
                text = (directory / "stat").read_bytes()
            except OSError:
                continue  # it has ended
            # After the name, which may have blanks: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
            fields = text[text.rindex(b")") + 2 :].split()
            user, system, children_user, children_system = (int(field) / _TICKS for field in fields[11:15])
            yield _Process(int(directory.name), int(fields[1]), user + system, children_user + children_system)


def _serves_a_client(number: int) -> bool:
    try:
        title = Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False
    match = _BACKEND.match(title)
    return match is not None and match["user"] not in _NOT_CLIENTS
