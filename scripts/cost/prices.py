"""The price file, docs/cost/prices.yaml, and lines that are reckoned with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[2] / "docs/cost/prices.yaml"


@dataclass(frozen=True)
class Price:
    """What one `per` costs in USD, where that was read, and how much of it is free each month."""

    usd: float
    per: str
    source: str
    free: float = 0.0


@dataclass(frozen=True)
class Line:
    """So much of something that has a price, in a month."""

    service: str
    what: str
    quantity: float
    price: str
    usd: float


@dataclass(frozen=True)
class Prices:
    """The price file."""

    data: Mapping[str, Any]
    used: set[str] = field(default_factory=set)
    assumed: set[str] = field(default_factory=set)

    @classmethod
    def load(cls) -> "Prices":
        """Read the file."""
        return cls(yaml.load(FILE.read_text(encoding="utf-8"), yaml.CSafeLoader))

    def __getitem__(self, name: str) -> Price:
        """A price; raises KeyError if there is none of that name."""
        self.used.add(name)
        return Price(**self.data["prices"][name])

    @property
    def names(self) -> Sequence[str]:
        """All prices."""
        return list(self.data["prices"])

    @property
    def hours(self) -> float:
        """Hours of a month."""
        return float(self.data["hours_per_month"])

    def assumption(self, name: str, environment: str = "") -> float:
        """What is assumed, everywhere or for an environment."""
        self.assumed.add(name)
        value = self.data["assumptions"][name]["value"]
        return float(value[environment] if isinstance(value, dict) else value)

    def log_gb(self, group: str, environment: str) -> float:
        """GB a month that are assumed to be written to log groups of this kind, by what their names begin with."""
        self.assumed.add("log_gb")
        ((_, gb),) = [
            (prefix, by_environment[environment])
            for prefix, by_environment in self.data["assumptions"]["log_gb"]["value"].items()
            if group.startswith(prefix)
        ]
        return float(gb)

    def line(self, service: str, what: str, quantity: float, price: str, *, share: float = 1.0) -> Line:
        """`quantity` at a price, or at a share of it."""
        return Line(service, what, quantity, price, quantity * self[price].usd * share)

    def grade(self, name: str) -> str:
        """How good the source of a price is: aws, list, other or memory."""
        return str(self.data["sources"][self.data["prices"][name]["source"]]["grade"])


def total(lines: Sequence[Line]) -> float:
    """In USD."""
    return sum(line.usd for line in lines)


def after_free(lines: Sequence[Line], prices: Prices) -> float:
    """In USD, if what is free each month were there for these lines alone."""
    quantities: dict[str, float] = {}
    for line in lines:
        quantities[line.price] = quantities.get(line.price, 0.0) + line.quantity
    return sum(max(0.0, quantity - prices[name].free) * prices[name].usd for name, quantity in quantities.items())
