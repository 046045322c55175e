"""`ops snapshot`: back everything up now."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.commands.run import PATIENCE, Dry, Name, NoWait, Patience, Reason, execute
from cli.exits import ExitCode
from cli.options import Context, command
from cli.workflows import Workflow


class Component(StrEnum):
    """What there is to back up and to rehearse."""

    DATABASE = "database"
    CACHE = "cache"
    CLUSTER_CONFIGURATION = "cluster_configuration"
    TERRAFORM_STATE = "terraform_state"
    APPLICATION_DATA = "application_data"


Components = Annotated[
    list[Component] | None, typer.Option("--component", help="Only this; repeat it for several. [default: all]")
]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "snapshot")(snapshot)


def snapshot(
    context: Context,
    *,
    component: Components = None,
    resource: Annotated[
        list[str] | None,
        typer.Option("--resource", help="Only this DB instance or replication group; repeat it for several."),
    ] = None,
    no_prune: Annotated[bool, typer.Option("--no-prune", help="Delete nothing that is due for deletion.")] = False,
    reason: Reason = None,
    name: Name = None,
    dry_run: Dry = False,
    no_wait: NoWait = False,
    timeout: Patience = PATIENCE,
) -> ExitCode:
    """Back up now, as the hourly run does.

    Snapshots are named by the hour: a second run in the same hour finds what the first one took.
    """
    components = _names(component)
    request: dict[str, Any] = {
        "environment": context.session.environment,
        "components": components,
        "resources": sorted(set(resource)) if resource else None,
        "prune": False if no_prune else None,
        "dry_run": dry_run or None,
        "reason": reason,
    }
    headline = f"snapshot of {', '.join(components) if components else 'all components'}"
    return execute(context, Workflow.SNAPSHOT, request, headline=headline, name=name, wait=not no_wait, timeout=timeout)


def _names(components: "list[Component] | None") -> list[str] | None:
    """Each once, in the order in which a manifest lists them."""
    return [one.value for one in Component if one in components] if components else None
