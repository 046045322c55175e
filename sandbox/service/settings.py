"""Where the service keeps its data, from the command line or the pod's environment."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self


class SettingsError(ValueError):
    """A setting cannot be used, or goes without the one that it needs; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting is also the environment variable of that name in capitals; all are optional.

    Without `database_*`, detections are kept in memory. Of the database's address, one of `database_endpoint`
    (`host:port`), `database_endpoint_file` (a file that holds it, such as a mounted ConfigMap) and
    `database_endpoint_parameter` (the name of an SSM parameter that holds it) is wanted. The latter two are
    read again while the service runs: that is how an endpoint swap reaches it.
    """

    database_endpoint: str = ""
    database_endpoint_file: str = ""
    database_endpoint_parameter: str = ""
    database_name: str = "detections"
    database_user: str = "detection_api"
    database_password: str = ""
    database_password_file: str = ""
    """A file that holds the password, read for each new connection."""
    database_iam: str = ""
    """`true`: log in with IAM authentication tokens, signed with the pod's credentials."""
    database_ca: str = ""
    """A file of authorities; connections are then TLS, and the server's name is checked."""
    cache_url: str = ""
    """`redis://` or `rediss://`, or only `host:port`."""
    cache_url_file: str = ""
    cache_url_parameter: str = ""
    cache_tls: str = ""
    """`true`: a `host:port` is spoken to with TLS."""
    cache_token: str = ""
    """The AUTH token."""
    cache_ca: str = ""
    """A file of authorities for TLS; without it, those of the system."""
    cache_ttl_seconds: float = 5.0
    queue_path: str = ""
    """The SQLite file that accepts writes while the database is away; pods may share it."""
    endpoint_poll_seconds: float = 1.0
    """How often an endpoint's file or parameter is read again."""
    connection_seconds: float = 30.0
    """How long connections to the database are used: a name that moved is noticed by new ones only."""

    @property
    def has_database(self) -> bool:
        """Whether detections are kept in a database."""
        return bool(self.database_endpoint or self.database_endpoint_file or self.database_endpoint_parameter)

    @property
    def has_cache(self) -> bool:
        """Whether there is a read cache."""
        return bool(self.cache_url or self.cache_url_file or self.cache_url_parameter)

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser, environment: Mapping[str, str] = os.environ) -> None:
        """Add an option for every setting; secrets can only come from the environment, which `ps` does not show."""
        for field in fields(cls):
            default = environment.get(field.name.upper()) or field.default
            if field.name in ("database_password", "cache_token"):
                parser.set_defaults(**{field.name: default})
            else:
                parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=default)

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """From parsed options; raises `SettingsError`."""
        settings = cls(**{field.name: getattr(options, field.name) for field in fields(cls)})
        if settings.cache_tls not in ("", "true", "false"):
            raise SettingsError("CACHE_TLS must be true, false or absent")
        if settings.has_database:
            ways = [settings.database_password, settings.database_password_file, settings.database_iam]
            if sum(map(bool, ways)) != 1:
                raise SettingsError("one of DATABASE_PASSWORD, DATABASE_PASSWORD_FILE and DATABASE_IAM is needed")
            if settings.database_iam not in ("", "true"):
                raise SettingsError("DATABASE_IAM must be true or absent")
        elif settings.queue_path or settings.has_cache:
            raise SettingsError("QUEUE_PATH and CACHE_URL need a database")
        if settings.queue_path and not Path(settings.queue_path).parent.is_dir():
            raise SettingsError(f"QUEUE_PATH: {Path(settings.queue_path).parent} is not a directory")
        return settings
