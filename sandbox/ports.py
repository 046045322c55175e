"""Free ports on loopback that stay free until they are handed over."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000
_TRIES = 200


class PortHold:
    """Holds `count` free TCP ports of 127.0.0.1 bound until it is closed, so that no one else gets them.

    The ports lie below the kernel's ephemeral range where there is room: a port from inside it could be given
    to some client's outgoing connection between `close` and the bind of the server that it is meant for.
    """

    def __init__(self, count: int) -> None:
        self._sockets = ExitStack()
        self.ports: tuple[int, ...] = ()
        try:
            self.ports = tuple(self._hold() for _ in range(count))
        except BaseException:
            self.close()
            raise

    def _hold(self) -> int:
        top = _ephemeral_start()
        for attempt in range(_TRIES):
            # S311: not a secret. The last tries leave the choice to the kernel.
            wanted = random.randrange(_LOWEST, top) if top > _LOWEST and attempt < _TRIES // 2 else 0  # noqa: S311
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                held.bind(("127.0.0.1", wanted))
            except OSError:
                held.close()
                continue
            self._sockets.enter_context(held)
            port: int = held.getsockname()[1]
            return port
        raise OSError("no free TCP port on 127.0.0.1")

    def close(self) -> None:
        """Let go of the ports, just before their servers bind them."""
        self._sockets.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ephemeral_start() -> int:
    try:
        return int(_EPHEMERAL.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0
