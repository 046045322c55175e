"""`ops remediations`: what alarms have set off, what was done about them, and whether it helped."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.alarms import suffix_of
from cli.exits import ExitCode, Failure
from cli.moments import FORMS, as_moment
from cli.options import Context, command, group, not_empty
from cli.output import brief, elapsed, facts, moment, nested, table
from cli.records import words
from cli.remedies import about, as_told
from cli.workflows import Workflow

if TYPE_CHECKING:
    from rich.console import Console

    from opskit.ledger import OperationRecord

# What a filter looks through at most, newest first.
_LOOKED_THROUGH = 2000
OUTCOMES = (
    "RESOLVED", "RECOVERED", "SUPPRESSED", "DUPLICATE", "STALE", "UNKNOWN", "PLANNED", "ESCALATED", "INEFFECTIVE",
    "INCONCLUSIVE", "REFUSED", "FAILED", "ABORTED", "TIMED_OUT",
)  # fmt: skip
