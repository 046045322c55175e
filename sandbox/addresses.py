"""A loopback address for each endpoint, so that endpoints differ by host and share a port, as they do on AWS.

Certificates and login tokens are bound to the endpoint's host, and names below `.localhost` are not resolved by the C
library. Linux answers for all of 127.0.0.0/8 without any set-up.
"""

import random
import socket
from collections.abc import Collection

ENDPOINTS = tuple(f"127.42.0.{number}" for number in range(1, 201))
"""What the certificate for engines is valid for; see `sandbox.tls`."""


class NoAddressError(OSError):
    """Every address is taken on that port, or the port is taken on all of them."""


class Address:
    """One address and port, held until `close`: nobody else can bind it, and connections are refused until
    whoever inherits `socket` listens on it.
    """

    def __init__(self, host: str, port: int) -> None:
        """Raises `OSError` if it is taken."""
        self.host = host
        self.port = port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # With SO_REUSEADDR, Linux lets two bind the same as long as nobody listens.
            self.socket.bind((host, port))
            # Without it, one cannot listen again while connections of before linger.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        except OSError:
            self.socket.close()
            raise

    @classmethod
    def find(cls, port: int, *, avoid: Collection[str] = ()) -> "Address":
        """Any address of `ENDPOINTS` on `port` that is free and not in `avoid`; raises `NoAddressError`."""
        hosts = [host for host in ENDPOINTS if host not in avoid]
        random.shuffle(hosts)  # another sandbox may use the same port
        for host in hosts:
            try:
                return cls(host, port)
            except OSError:
                continue
        raise NoAddressError(f"no free address on port {port}")

    def refuse(self) -> None:
        """Stop listening, in all processes that share the socket; it stays bound and can listen again."""
        # Linux keeps the mark of a shutdown on a socket that does not listen, and later connections inherit it.
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give it back."""
        self.socket.close()
