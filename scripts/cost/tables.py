"""Tables of Markdown, and sums for them."""

import textwrap
from collections.abc import Sequence

from scripts.cost.prices import Line


def paragraph(text: str) -> list[str]:
    """The lines of running text."""
    return textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)


def row(what: str, cells: Sequence[str]) -> str:
    """A row: what it is, and a cell for each environment."""
    return f"| {what} | {' | '.join(cells)} |"


def rule(names: Sequence[str]) -> str:
    """The line under the heading."""
    return f"| --- |{' ---: |' * len(names)}"


def usd(amount: float, digits: int = 2) -> str:
    """An amount, without its currency."""
    return f"{amount:,.{digits}f}"


def sums(lines: Sequence[Line]) -> dict[tuple[str, str], float]:
    """USD by service and what of it."""
    found: dict[tuple[str, str], float] = {}
    for line in lines:
        found[line.service, line.what] = found.get((line.service, line.what), 0.0) + line.usd
    return found
