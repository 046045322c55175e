"""One PostgreSQL server in a directory of its own, reached by a Unix socket only.

`data` is the cluster, `socket` the directory of its socket, `postgres.log` what it says. Addresses are written
relative to a working directory: the path of a Unix socket may have no more than 107 bytes, a sandbox's
directory can be longer. Files are not synced to disk: what the sandbox must survive is the death of its
processes, not of its machine.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pg8000 import native
from pg8000.exceptions import DatabaseError, InterfaceError

from sandbox.postgres import children, privileges
from sandbox.postgres.binaries import PostgresError, program

ADMINISTRATOR = "rdsadmin"
"""The superuser, which RDS keeps to itself."""

SOCKET_HERE = "/proc/self/cwd"
"""What a PostgreSQL program takes as host when its working directory is the socket's."""

MAX_CONNECTIONS = "max_connections"
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "unix_socket_directories": "'../socket'",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "shared_buffers": "32MB",
    # Segments in /dev/shm would outlive a killed server.
    "dynamic_shared_memory_type": "mmap",
    MAX_CONNECTIONS: "100",
    "max_wal_senders": "10",
    "max_wal_size": "512MB",
    "wal_level": "replica",
    "hot_standby": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "'%m [%p] %u@%d '",
    "log_checkpoints": "off",
    "jit": "off",
}


def quoted(text: str) -> str:
    """`text` as a literal in a configuration file or statement."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """`name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


class Server:
    """A server that is not running yet, unless told to `start`. Methods may be called from any thread."""

    def __init__(self, directory: Path, parameters: Callable[[], Mapping[str, str]] = dict) -> None:
        """`parameters` are asked whenever it is configured, and go over the defaults."""
        self.directory = directory
        self._parameters = parameters
        self.data = directory / "data"
        self.socket = directory / "socket"
        self.log = directory / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._changing = threading.RLock()

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        process = self._process
        return process is not None and process.poll() is None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def create(self, template: Path) -> None:
        """A new cluster, copied from `template`, which is made first if it does not exist."""
        _make_template(template)
        self.prepare()
        copy(template / "data", self.data)

    def prepare(self) -> None:
        """Its directories, except the cluster's."""
        self.socket.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log.touch()
        privileges.give(self.directory)

    def configure(self, *, password_users: tuple[str, ...], settings: Mapping[str, str] | None = None) -> None:
        """Write the configuration, all of it. `settings` go over the defaults, as they stand in the file.

        Users in `rds_iam` are let in, having been checked in front of the server; everyone else is asked for
        the password, and so are `password_users` in any case: having ADMIN on `rds_iam` counts as membership.
        """
        merged = {**_SETTINGS, **self._parameters(), **(settings or {})}
        # A recovery and a replica stop where they have less than the server had whose log they replay:
        # https://www.postgresql.org/docs/16/hot-standby.html#HOT-STANDBY-ADMIN
        if settings:
            merged[MAX_CONNECTIONS] = str(max(int(merged[MAX_CONNECTIONS]), self._copied_connections()))
        lines = [f"{name} = {value}" for name, value in merged.items()]
        (self.data / "postgresql.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.data / "postgresql.auto.conf").write_text("", encoding="utf-8")
        rules = [
            f"local all {ADMINISTRATOR} trust",
            # `all` does not include replication.
            f"local replication {ADMINISTRATOR} trust",
            *(f"local all {identifier(user)} password" for user in password_users),
            "local all +rds_iam trust",
            "local all all password",
        ]
        (self.data / "pg_hba.conf").write_text("\n".join(rules) + "\n", encoding="utf-8")
        privileges.give(self.data)

    def _copied_connections(self) -> int:
        text = (self.data / "postgresql.conf").read_text(encoding="utf-8")
        found = re.search(rf"^{MAX_CONNECTIONS} = (\d+)$", text, re.MULTILINE)
        return int(found.group(1)) if found else 0

    def start(self, *, timeout_seconds: float = 60.0, until_promoted: bool = False) -> None:
        """Start it and wait until it takes connections, or, after a recovery, until it is promoted.

        Raises `PostgresError` with the end of its log if it does not come up.
        """
        with self._changing:
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            begin = self.log.stat().st_size
            self._process = children.start([program("postgres"), "-D", str(self.data)], cwd=self.data, log=self.log)
            deadline = time.monotonic() + timeout_seconds
            while not self._is_up(until_promoted=until_promoted):
                if not self.running or time.monotonic() > deadline:
                    self.stop(signal.SIGQUIT)
                    raise PostgresError(f"the server did not start: {self._said(begin)}")
                time.sleep(0.01)

    def _is_up(self, *, until_promoted: bool) -> bool:
        try:
            with self.connection() as session:
                return not until_promoted or not session.run("SELECT pg_is_in_recovery()")[0][0]
        except (OSError, InterfaceError, DatabaseError):
            return False

    def _said(self, begin: int) -> str:
        with self.log.open("rb") as log:
            log.seek(begin)
            lines = log.read().decode(errors="replace").splitlines()
        telling = [line for line in lines if any(mark in line for mark in _TELLING)]
        return " | ".join((telling or lines)[-4:])

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 20.0) -> None:
        """Stop it: SIGINT is a fast, orderly shutdown, SIGQUIT an immediate one."""
        with self._changing:
            if self._process is not None:
                children.stop(self._process, number, seconds)
                self._process = None

    def halt(self) -> None:
        """Stop it at once, without waiting; its files are as after a crash."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGQUIT)

    @contextlib.contextmanager
    def connection(self, database: str = "postgres") -> Iterator[Any]:
        """A connection as superuser (`pg8000.native`), each statement a transaction; closed at the end."""
        session = self.connect(database)
        try:
            yield session
        finally:
            with contextlib.suppress(OSError, InterfaceError):
                session.close()

    def connect(self, database: str = "postgres") -> Any:
        """The same, for the caller to close; raises `OSError` or pg8000's errors."""
        here = os.open(self.socket, os.O_PATH | os.O_DIRECTORY)
        try:
            path = f"/proc/self/fd/{here}/.s.PGSQL.5432"
            return native.Connection(ADMINISTRATOR, database=database, unix_sock=path, timeout=30)
        finally:
            os.close(here)


_TELLING = ("FATAL", "PANIC", "ERROR", "invalid value")
_template_lock = threading.Lock()


def _make_template(directory: Path) -> None:
    """`initdb` takes most of a second, copying its result a few hundredths."""
    with _template_lock:
        if (directory / "data" / "PG_VERSION").exists():
            return
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        privileges.give(directory)
        arguments = ["-D", "draft", "-U", ADMINISTRATOR, "-A", "trust", "--no-sync", "--no-instructions"]
        encoding = ["-E", "UTF8", "--locale=C.UTF-8", "--wal-segsize=4"]
        children.run([program("initdb"), *arguments, *encoding], cwd=directory)
        (directory / "draft").rename(directory / "data")


def copy(source: Path, target: Path) -> None:
    """Copy a cluster; the kernel copies the files' contents."""
    shutil.copytree(source, target, symlinks=True, copy_function=shutil.copy)
    target.chmod(0o700)
    privileges.give(target)
