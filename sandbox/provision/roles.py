"""The database's roles and the heartbeat table, of the same file that an administrator runs on AWS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.config import Config
from sandbox.provision import database
from sandbox.provision.clients import Clients
from sandbox.provision.database import Database

FILE = Path(__file__).parents[2] / "scripts" / "database-roles.sql"


def statements(text: str) -> Iterator[str]:
    """The statements of a file in which they are separated by empty lines; comments alone are none."""
    for part in text.split("\n\n"):
        lines = [line for line in part.splitlines() if not line.lstrip().startswith("--")]
        if lines:
            yield "\n".join(lines).rstrip().removesuffix(";")


def database_user(config: Config) -> str:
    """The role as whom the service signs in to its database, as Terraform names it (`local.database_user`)."""
    return config.service.replace("-", "_")


def create(clients: Clients, found: Database) -> None:
    """Run the file as the master user; what is there already stays. Raises pg8000's errors."""
    with database.administration(clients, found) as session:
        run(session, database_user(clients.config))


def run(session: Any, service_role: str) -> None:
    """Run the file in an administrator's session with the service's database. Raises the session's errors."""
    session.run("SELECT set_config('ops.service_role', :role, false)", role=service_role)
    for statement in statements(FILE.read_text(encoding="utf-8")):
        session.run(statement)
