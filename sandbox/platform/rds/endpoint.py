"""An instance's endpoint: its address, and the front that answers there while the instance's status allows it."""

import json
import signal
import subprocess
import sys
import threading
from contextlib import suppress

from sandbox.addresses import Address
from sandbox.config import Config
from sandbox.postgres import children, front
from sandbox.postgres.server import ADMINISTRATOR, Server

_STOP_SECONDS = 2.0


class Endpoint:
    """`address` is held from the first; nobody answers until `open`."""

    def __init__(self, config: Config, server: Server, resource_id: str, address: Address) -> None:
        self.address = address
        self._config = config
        self._server = server
        self._resource_id = resource_id
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._iam = False

    def open(self, *, iam: bool) -> None:
        """Answer; `iam` says whether authentication tokens are taken. Does nothing that is done already."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start(iam)
            elif iam != self._iam and self._process.stdin is not None:
                with suppress(BrokenPipeError):
                    self._process.stdin.write(json.dumps({"iam": iam}).encode() + b"\n")
                    self._process.stdin.flush()
            self._iam = iam

    def _start(self, iam: bool) -> None:
        config = self._config
        # Listening from now on, so that who connects before the front has started waits for it.
        self.address.socket.listen(512)
        settings = front.Settings(
            listener=self.address.socket.fileno(),
            host=self.address.host,
            port=self.address.port,
            server=".",
            certificate=str(config.tls_dir / "engines.pem"),
            key=str(config.tls_dir / "engines.key"),
            automation_url=config.automation_url,
            region=config.region,
            account=config.account,
            resource_id=self._resource_id,
            administrator=ADMINISTRATOR,
            iam=iam,
        )
        self._process = children.start(
            [sys.executable, "-P", "-m", "sandbox.postgres.front", settings.to_json()],
            cwd=self._server.socket,
            log=self._server.directory / "front.log",
            drop=False,
            stdin=True,
            fds=(self.address.socket.fileno(),),
        )

    def close(self) -> None:
        """Refuse connections, and cut those that stand."""
        with self._lock:
            if self._process is not None:
                children.stop(self._process, signal.SIGTERM, _STOP_SECONDS)
                self._process = None
            # Now, since the front would take it amiss; who connected in between is reset.
            self.address.refuse()
