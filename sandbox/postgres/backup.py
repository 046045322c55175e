"""Base backups, and the two ways to a server from one: as it was then, or recovered to a later moment."""

import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sandbox.postgres import children, privileges
from sandbox.postgres.binaries import program
from sandbox.postgres.server import ADMINISTRATOR, SOCKET_HERE, Server, copy, quoted


@dataclass(frozen=True, slots=True)
class BaseBackup:
    """A cluster as files, with the WAL that makes it consistent. `ended_at` is when the last of it was read."""

    directory: Path
    ended_at: datetime

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.directory, ignore_errors=True)


def take(server: Server, directory: Path) -> BaseBackup:
    """Back up a running server into `directory`, which must not exist. Raises `PostgresError`."""
    directory.mkdir(parents=True)
    privileges.give(directory)
    arguments = ["-D", str(directory), "-h", SOCKET_HERE, "-U", ADMINISTRATOR, "-w"]
    # One process at the server at a time is enough, therefore not -X stream.
    children.run(
        [program("pg_basebackup"), *arguments, "-c", "fast", "-X", "fetch", "--no-sync", "--no-manifest"],
        cwd=server.socket,
    )
    return BaseBackup(directory, datetime.now(UTC))


def restore(server: Server, base: BaseBackup, *, password_users: tuple[str, ...]) -> None:
    """Start `server` from `base`, exactly as that was. Raises `PostgresError`."""
    _recover(server, base, password_users, {"restore_command": "'false'", "recovery_target": "'immediate'"})


def recover(
    server: Server, base: BaseBackup, archive: Path, moment: datetime, *, password_users: tuple[str, ...]
) -> None:
    """Start `server` from `base` with all that was committed up to `moment` (inclusive) and nothing after.

    `archive` is the directory of an `Archive` whose latest restorable time is not before `moment`.
    Raises `PostgresError`.
    """
    found = f'"{archive}/%f"'
    command = f'cp {found} "%p" 2>/dev/null || cp {found}.partial "%p" 2>/dev/null'
    _recover(
        server,
        base,
        password_users,
        {
            "restore_command": quoted(command),
            "recovery_target_time": quoted(moment.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")),
        },
    )


def _recover(server: Server, base: BaseBackup, password_users: tuple[str, ...], target: dict[str, str]) -> None:
    server.prepare()
    copy(base.directory, server.data)
    server.configure(
        password_users=password_users,
        settings={**target, "recovery_target_action": "promote", "hot_standby": "on"},
    )
    (server.data / "recovery.signal").touch()
    privileges.give(server.data)
    server.start(timeout_seconds=1800, until_promoted=True)
    # A target left in the file would stop the next start's crash recovery from being one.
    server.configure(password_users=password_users)


def follow(server: Server, source: Server, *, password_users: tuple[str, ...], timeout_seconds: float = 60.0) -> None:
    """Start `server` as a streaming replica of `source`, in a sibling directory. Raises `PostgresError`."""
    base = take(source, server.directory / "base")
    server.prepare()
    copy(base.directory, server.data)
    base.remove()
    # Relative: the path of a socket is limited, and the replica's working directory is its data.
    host = f"{SOCKET_HERE}/../../{source.directory.name}/socket"
    server.configure(
        password_users=password_users,
        settings={"primary_conninfo": quoted(f"host={host} user={ADMINISTRATOR} application_name=replica")},
    )
    (server.data / "standby.signal").touch()
    privileges.give(server.data)
    server.start(timeout_seconds=timeout_seconds)


def promote(server: Server, *, password_users: tuple[str, ...]) -> None:
    """Make a replica a server of its own."""
    with server.connection() as session:
        session.run("SELECT pg_promote(true, 60)")
    deadline = time.monotonic() + 60
    with server.connection() as session:
        while session.run("SELECT pg_is_in_recovery()")[0][0] and time.monotonic() < deadline:
            time.sleep(0.01)
    server.configure(password_users=password_users)
