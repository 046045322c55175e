"""Check state machine definitions: statelint for their structure, a JSONata parser for their expressions.

Usage: lint_statemachines.py FILE...    Exits 1 and prints each problem if there is one.

statelint 3.1.0 wants an integer where Seconds, TimeoutSeconds and HeartbeatSeconds may also be JSONata
(https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html), so it is given a copy with such
expressions replaced. Its FLOAT and URI notes are switched off: 2 is as good a BackoffRate as 2.0, and
`${Function}` becomes a URI only when the template substitutes it.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonata import Jsonata
from jsonata.jexception import JException
from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType

_EXPRESSION = re.compile(r"^\{%(.*)%\}$", re.DOTALL)
_SUBSTITUTION = re.compile(r"\$\{[A-Za-z0-9]+\}")
_INTEGER_FIELDS = {"Seconds", "TimeoutSeconds", "HeartbeatSeconds"}


def problems(text: str) -> Iterator[str]:
    """Everything wrong with the definition in `text`, one line each."""
    try:
        definition = json.loads(text)
    except json.JSONDecodeError as error:
        yield f"not JSON: {error}"
        return
    yield from _expressions(definition, "$")
    if not isinstance(definition, dict):
        yield "not a JSON object"
        return
    yield from Linter.validate(_with_integers(definition), Config({ProblemType.URI, ProblemType.FLOAT}))


def _expressions(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _expressions(value, f"{path}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _expressions(value, f"{path}[{index}]")
    elif isinstance(node, str) and (match := _EXPRESSION.match(node)):
        try:
            Jsonata(_SUBSTITUTION.sub("0", match[1].strip()))
        except JException as error:
            yield f"{path} is not JSONata: {error}"
    elif isinstance(node, str) and ("{%" in node or "%}" in node):
        yield f"{path} only looks like an expression: the whole string must stand between {{% and %}}"


def _with_integers(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            name: 1
            if name in _INTEGER_FIELDS and isinstance(value, str) and _EXPRESSION.match(value)
            else _with_integers(value)
            for name, value in node.items()
        }
    return [_with_integers(value) for value in node] if isinstance(node, list) else node


def main() -> int:
    """Check the files named on the command line."""
    failed = False
    for name in sys.argv[1:]:
        for problem in problems(Path(name).read_text(encoding="utf-8")):
            sys.stdout.write(f"{name}: {problem}\n")
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
