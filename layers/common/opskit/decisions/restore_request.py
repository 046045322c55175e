"""A request to restore made complete: defaults from the stack; contradictions refused in words that say what to do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opskit.clock import moment_of, timestamp
from opskit.decisions.restore import wanted_of
from opskit.errors import InvalidInputError

# Of these an undo knows the answer, from the record of the restore that it undoes.
_NOT_WITH_UNDO = ("snapshot", "moment", "mode", "components", "placement", "allow_incomplete")


def complete_restore_request(
    given: Mapping[str, Any],
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    environment: str,
    started_at: datetime,
) -> dict[str, Any]:
    """The request `data` (`given` checked against `schemas/restore.json`, defaults applied) with the stack's defaults.

    `mode` is `undo` for one that undoes. Raises InvalidInputError if it names another environment, contradicts itself,
    or was declared after the execution started.
    """
    named = data.get("environment")
    if named is not None and named != environment:
        raise InvalidInputError(f"environment is {named}, but this state machine restores {environment}")
    if "undo" in data:
        useless = sorted(name for name in _NOT_WITH_UNDO if name in given)
        if useless:
            raise InvalidInputError(f"an undo takes no {', '.join(useless)}: it goes back to what was replaced")
    else:
        wanted_of(data)
        _refuse_foreign_placement(data)
    mode = "undo" if "undo" in data else data["mode"]
    if mode == "isolated":
        useless = sorted({"approval", "approval_seconds", "keep_old_hours"} & set(given))
        if useless:
            raise InvalidInputError(f"{', '.join(useless)} makes sense with mode replace only: nothing is cut over")
    declared = _declared(data, started_at)
    approval_seconds = data.get("approval_seconds", settings["approval_seconds"])
    return {**data, "mode": mode, "declared_at": timestamp(declared), "approval_seconds": approval_seconds}


def _refuse_foreign_placement(data: Mapping[str, Any]) -> None:
    unused = [name for name in data["placement"] if name.partition("_")[0] not in data["components"]]
    if unused:
        raise InvalidInputError(f"{', '.join(sorted(unused))} is given for a component that is not restored")


def _declared(data: Mapping[str, Any], started_at: datetime) -> datetime:
    if "declared_at" not in data:
        return started_at
    try:
        declared = moment_of(data["declared_at"])
    except ValueError as error:
        raise InvalidInputError(f"declared_at must be ISO 8601 with a time zone: {error}") from None
    if declared > started_at:
        raise InvalidInputError(
            f"declared_at is {timestamp(declared)}, after the execution started ({timestamp(started_at)}): "
            "the recovery time would be negative"
        )
    return declared
