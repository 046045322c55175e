"""`make cost`: write docs/cost.md."""

import sys

from scripts.cost.page import text
from scripts.cost.prices import Prices
from scripts.document_platform import DOCS, planned


def main() -> None:
    """Plan the environments, reckon, write."""
    page = DOCS / "cost.md"
    page.write_text(text(planned(), Prices.load()), encoding="utf-8")
    sys.stdout.write(f"{page.relative_to(DOCS.parent)}\n")


main()
