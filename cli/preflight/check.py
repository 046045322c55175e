"""A check, and what checks read from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING

from cli.preflight.finding import Finding
from cli.session import Session
from opskit.errors import PlatformContractError

if TYPE_CHECKING:
    from opskit.platform import Platform


class Group(StrEnum):
    """The parts of the checklist."""

    BEFORE = "Before a deployment"
    INFRASTRUCTURE = "Infrastructure"
    APPLICATION = "Application"
    RECOVERY = "Disaster recovery"


@dataclass(slots=True)
class Sources:
    """Whom checks ask; shared by all of them, from several threads. `now` is the one time of a preflight."""

    session: Session
    now: datetime
    _reading: Lock = field(default_factory=Lock)
    _platform: "Platform | PlatformContractError | None" = None

    @property
    def platform(self) -> "Platform":
        """The platform contract, read once. Raises `PlatformContractError`."""
        with self._reading:
            if self._platform is None:
                try:
                    self._platform = self.session.platform
                except PlatformContractError as error:
                    self._platform = error
            if isinstance(self._platform, PlatformContractError):
                raise self._platform
            return self._platform


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. `look` may raise: what could not be read is INCONCLUSIVE.

    `name` is for `--only` and `--skip`, `title` for people.
    """

    name: str
    group: Group
    title: str
    look: Callable[[Sources], Finding]
