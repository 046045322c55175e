"""Where the service's database and cache are now: two parameters in Parameter Store, `host:port` each.

The service reads them while it runs, so writing one is the cut-over. A DNS alias would not do in their place: an IAM
login token and the server's certificate are bound to the instance's own endpoint.
"""

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from opskit import clients
from opskit.errors import DriftError, EndpointNotConfirmedError, PlatformContractError
from opskit.platform import endpoint_parameter

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

DATABASE = "database"
CACHE = "cache"
READ_BACK_ATTEMPTS = 5
READ_BACK_SECONDS = 0.5

_ENDPOINT = re.compile(r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Host, port, and the version of the parameter that says so."""

    host: str
    port: int
    version: int

    @property
    def text(self) -> str:
        """`host:port`, as it is in the parameter."""
        return f"{self.host}:{self.port}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class Endpoints:
    """The endpoints of one service in one environment; `kind` is DATABASE or CACHE."""

    def __init__(
        self,
        service: str,
        environment: str,
        client: "SSMClient | None" = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._service = service
        self._environment = environment
        self._client: SSMClient = client or clients.client("ssm")
        self._sleep = sleep

    def name(self, kind: str) -> str:
        """The parameter's name."""
        return endpoint_parameter(self._service, self._environment, kind)

    def read(self, kind: str) -> Endpoint:
        """Where the service's `kind` is now. Raises PlatformContractError if the parameter is missing or malformed."""
        name = self.name(kind)
        try:
            found = self._client.get_parameter(Name=name)["Parameter"]
        except self._client.exceptions.ParameterNotFound as error:
            raise PlatformContractError(
                f"{name} is missing: it says where the {kind} is, and the platform creates it"
            ) from error
        return self._parsed(name, found["Value"], found["Version"])

    def swap(self, kind: str, expected: str, wanted: str) -> Endpoint:
        """Make `wanted` (`host:port`) the live `kind` in place of `expected`, and return what was read back.

        Safe to repeat: nothing is written if `wanted` is there already. Parameter Store has no conditional write, so
        the caller holds the service's lock. Raises DriftError if neither of the two is there, PlatformContractError
        as `read`, ValueError if `wanted` is not an endpoint, EndpointNotConfirmedError if the parameter does not read
        back within about two seconds.
        """
        if not _well_formed(wanted):
            raise ValueError(f"{wanted!r} is not host:port")
        found = self.read(kind)
        if found.text == wanted:
            return found
        if found.text != expected:
            raise DriftError(
                f"{self.name(kind)} is {found.text}, not {expected}: someone else has moved the {kind} since this was "
                "planned. Nothing was changed."
            )
        self._client.put_parameter(Name=self.name(kind), Value=wanted, Type="String", Overwrite=True)
        for attempt in range(READ_BACK_ATTEMPTS):
            if attempt:
                self._sleep(READ_BACK_SECONDS)
            found = self.read(kind)
            if found.text == wanted:
                return found
        raise EndpointNotConfirmedError(
            f"{self.name(kind)} took {wanted} but still answered {found.text} after {READ_BACK_ATTEMPTS} reads. "
            "Something else may be writing to it; look at PutParameter in CloudTrail before trying again."
        )

    def _parsed(self, name: str, value: str, version: int) -> Endpoint:
        match = _well_formed(value.strip())
        if match is None:
            raise PlatformContractError(f"{name} must be host:port, got {value!r}")
        return Endpoint(match["host"], int(match["port"]), version)


def _well_formed(text: str) -> re.Match[str] | None:
    match = _ENDPOINT.fullmatch(text)
    return match if match and 0 < int(match["port"]) < 65536 else None
