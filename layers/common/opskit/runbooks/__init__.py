"""The runbooks of each environment: one TOML file beside this one, named after it."""

import re
import tomllib
from pathlib import Path

from opskit.decisions.runbook import Runbooks, contradictions, parse_runbooks
from opskit.errors import InvalidInputError, RunbooksError
from opskit.schema import validate

DIRECTORY = Path(__file__).parent
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]*")


def load_runbooks(environment: str, factor: float = 1.0, directory: Path = DIRECTORY) -> Runbooks:
    """The runbooks of `environment`, every time in them multiplied by `factor` (1 but in rehearsals).

    Raises RunbooksError if there is no file for the environment, or it is not TOML, breaks `schemas/runbooks.json`
    or contradicts itself; the message says which file and what is wrong in it. ValueError unless `factor` > 0.
    """
    if not factor > 0:
        raise ValueError(f"a factor of times is greater than 0, not {factor}")
    file = f"opskit/runbooks/{environment}.toml"
    if not _ENVIRONMENT.fullmatch(environment):
        raise RunbooksError(f"{environment!r} is no environment that could have a file of runbooks")
    try:
        text = (directory / f"{environment}.toml").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RunbooksError(
            f"there are no runbooks for {environment}: create {file}, for example as a copy of prod.toml, which "
            "changes nothing until its mode is set to act"
        ) from error
    try:
        runbooks = parse_runbooks(validate("runbooks", tomllib.loads(text)), factor)
    except (tomllib.TOMLDecodeError, InvalidInputError) as error:
        raise RunbooksError(f"{file}: {error}") from error
    if wrong := contradictions(runbooks):
        raise RunbooksError(f"{file}: {'; '.join(wrong)}")
    return runbooks
