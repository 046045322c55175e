"""Where one running sandbox is: its directory, its addresses, its pace."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

# Services whose control plane is the platform plane; every other service lives on the automation plane.
# The suffixes are those of https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
PLATFORM_SERVICES = (
    "ELASTIC_LOAD_BALANCING_V2",
    "ECR",
    "EKS",
    "EC2",
    "RDS",
    "ELASTICACHE",
    "RESOURCE_GROUPS_TAGGING_API",
)


class ConfigError(ValueError):
    """`config.json` is missing, unreadable or wrong; the message names the file and the field."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a non-empty string")
    return value


def _account(value: Any) -> str:
    text = _text(value)
    if len(text) != 12 or not text.isdigit():
        raise ValueError("must be the 12 digits of an AWS account id, as a string")
    return text


def _path(value: Any) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _url(scheme: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = _text(value)
        parts = urlsplit(text)
        if parts.scheme != scheme or parts.hostname not in LOOPBACK or not parts.port:
            raise ValueError(f"must be a {scheme} URL on loopback with a port, without a path")
        if parts.path or parts.query or parts.fragment:
            raise ValueError("must not have a path, a query or a trailing slash")
        return text

    return check


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError("must be a number of seconds, zero or more")
    return float(value)


def _positive(value: Any) -> float:
    number = _number(value)
    if number == 0:
        raise ValueError("must be more than zero")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number of seconds, at least 1")
    return value


def _port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1150 <= value <= 65535:
        raise ValueError("must be a port that RDS takes, 1150 to 65535")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "dir": _path,
    "service": _text,
    "environment": _text,
    "region": _text,
    "account": _account,
    "automation_url": _url("http"),
    "platform_url": _url("http"),
    "balancer_url": _url("http"),
    "balancer_admin_url": _url("http"),
    "kubernetes_url": _url("https"),
    "tls_dir": _path,
    "registration_delay_seconds": _number,
    "metric_period_seconds": _whole,
    "health_check_interval_seconds": _positive,
    "engine_pace_seconds": _number,
    "database_port": _port,
    "database_archive_seconds": _positive,
}
_OPTIONAL = frozenset(
    {
        "registration_delay_seconds",
        "metric_period_seconds",
        "health_check_interval_seconds",
        "engine_pace_seconds",
        "database_port",
        "database_archive_seconds",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One sandbox, as written to `<dir>/config.json` and read by each of its processes.

    URLs carry a loopback host and a port and no trailing slash. `tls_dir` holds `ca.pem`, `server.pem`
    (certificate chain) and `server.key`.
    """

    dir: Path
    service: str
    environment: str
    region: str
    account: str
    automation_url: str
    platform_url: str
    balancer_url: str
    balancer_admin_url: str
    kubernetes_url: str
    tls_dir: Path
    registration_delay_seconds: float = 0.5
    """From a pod being ready to its registration with the target group."""
    metric_period_seconds: int = 1
    """How often the balancer publishes its metrics."""
    health_check_interval_seconds: float = 0.5
    """Between two health checks of a target; stands in for the target group's own interval."""

    engine_pace_seconds: float = 0.3
    """How long at least a database or cache stays in each status that it passes through."""
    database_port: int = 5432
    """The port of every database that this sandbox provisions."""
    database_archive_seconds: float = 1.0
    """How often a database's latest restorable time moves; every five minutes on AWS."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check `path`; `ConfigError` names every field that is missing, unknown or wrong."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{path} does not exist: no sandbox was started there (ops sandbox up)") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}") from error
        try:
            return cls.from_dict(data)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """The inverse of `as_dict`; raises `ConfigError` as `load` does."""
        if not isinstance(data, dict):
            raise ConfigError("must be a JSON object")
        problems = [f"{name}: unknown field" for name in sorted(data.keys() - _CHECKS.keys())]
        values: dict[str, Any] = {}
        for name, check in _CHECKS.items():
            if name not in data:
                if name not in _OPTIONAL:
                    problems.append(f"{name}: missing")
                continue
            try:
                values[name] = check(data[name])
            except ValueError as error:
                problems.append(f"{name}: {error} (is {data[name]!r})")
        if problems:
            raise ConfigError("; ".join(problems))
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; paths as strings."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    def save(self, path: Path | None = None) -> Path:
        """Write to `path`, by default `<dir>/config.json`, in one step; returns the path."""
        target = Path(path) if path else self.path
        draft = target.with_name(target.name + ".part")
        draft.write_text(json.dumps(self.as_dict(), indent=2) + "\n", encoding="utf-8")
        draft.replace(target)
        return target

    @property
    def path(self) -> Path:
        """`<dir>/config.json`."""
        return self.dir / "config.json"

    @property
    def name(self) -> str:
        """`<service>-<environment>`: the EKS cluster's name and the prefix of most other names."""
        return f"{self.service}-{self.environment}"

    @property
    def service_url(self) -> str:
        """Where clients of the service send their requests: the balancer's listener."""
        return self.balancer_url


def default_dir() -> Path:
    """Where `ops sandbox` keeps its sandbox: `$OPS_SANDBOX_DIR`, or `.sandbox` in the checkout."""
    chosen = os.environ.get("OPS_SANDBOX_DIR")
    return Path(chosen).absolute() if chosen else Path(__file__).resolve().parents[1] / ".sandbox"


def port_of(url: str) -> int:
    """The port in one of a config's URLs."""
    port = urlsplit(url).port
    if port is None:
        raise ConfigError(f"{url} has no port")
    return port


def environment(config: Config) -> dict[str, str]:
    """The variables with which any AWS SDK or CLI, and `ops`, talks to this sandbox as its administrator."""
    return {
        "AWS_ENDPOINT_URL": config.automation_url,
        **{f"AWS_ENDPOINT_URL_{service}": config.platform_url for service in PLATFORM_SERVICES},
        "AWS_REGION": config.region,
        "AWS_DEFAULT_REGION": config.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "OPS_SERVICE": config.service,
        "OPS_ENVIRONMENT": config.environment,
    }
