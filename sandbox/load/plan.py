"""What load to put on which address."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.config import LOOPBACK

MAX_RATE = 2_000
MAX_SECONDS = 3_600
MAX_CONNECTIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An open loop: request n is due at n / rate seconds after the start, whatever became of those before.

    Units: `rate` in requests per second, times in seconds, shares from 0 to 1. Each connection is kept alive
    and carries one request at a time. Raises `ValueError` for an address that is not loopback, and for load
    without bounds.
    """

    url: str
    rate: float = 200.0
    seconds: float = 60.0
    connections: int = 20
    slow_share: float = 0.01
    slow_seconds: float = 2.0
    write_share: float = 0.2
    version_share: float = 0.1
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or parts.hostname not in LOOPBACK or not parts.port:
            raise ValueError(f"load goes to loopback only, over http with a port: not to {self.url!r}")
        for name, value, low, high in (
            ("rate", self.rate, 0.1, MAX_RATE),
            ("seconds", self.seconds, 0.1, MAX_SECONDS),
            ("connections", self.connections, 1, MAX_CONNECTIONS),
            ("slow_share", self.slow_share, 0, 1),
            ("slow_seconds", self.slow_seconds, 0, 10),
            ("write_share", self.write_share, 0, 1),
            ("version_share", self.version_share, 0, 1),
            ("timeout_seconds", self.timeout_seconds, 0.1, 60),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} must be between {low} and {high}, not {value}")

    @property
    def count(self) -> int:
        """Requests in all."""
        return max(1, int(self.rate * self.seconds))

    def kind(self, number: int) -> str:
        """`slow`, `write`, `version` or `read`, by the request's number: evenly spread, the same every time.

        Each share is one of what the kinds before it leave.
        """
        for kind, share in (
            ("slow", self.slow_share),
            ("write", self.write_share),
            ("version", self.version_share),
        ):
            if _crosses(number, share):
                return kind
            number -= int(number * share)
        return "read"


def _crosses(number: int, share: float) -> bool:
    """True for `share` of all numbers, as evenly spaced as whole numbers allow."""
    return int((number + 1) * share) > int(number * share)
