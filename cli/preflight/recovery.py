"""The last backup, the last drill, and the objectives."""

from typing import Any

from cli.exits import Failure
from cli.options import Context
from cli.output import Output
from cli.preflight.check import Sources
from cli.preflight.finding import Finding
from cli.preflight.rules import recovery as rules
from opskit.errors import OpsError


def backup(sources: Sources) -> Finding:
    """The ledger's last snapshot run that made something."""
    from cli.recovery import last_snapshot  # noqa: PLC0415 - loads the commands

    limit = rules.target_of(_report(sources), "manifest_age")
    return rules.judge_backup(last_snapshot(_context(sources)), limit, sources.now)


def drill(sources: Sources) -> Finding:
    """The ledger's last drill."""
    from cli.recovery import last_drill  # noqa: PLC0415 - loads the commands

    limit = rules.target_of(_report(sources), "drill_age")
    return rules.judge_drill(last_drill(_context(sources)), limit, sources.now)


def objectives(sources: Sources) -> Finding:
    """The last report."""
    from cli.commands.objectives import last_report  # noqa: PLC0415 - loads the commands

    return rules.judge_report(last_report(_context(sources)))


def _report(sources: Sources) -> dict[str, Any] | None:
    """For its targets only: without one the defaults hold."""
    from cli.commands.objectives import last_report  # noqa: PLC0415 - loads the commands

    try:
        return last_report(_context(sources))
    except (Failure, OpsError):
        return None


def _context(sources: Sources) -> Context:
    return Context(sources.session, Output(as_json=True))
