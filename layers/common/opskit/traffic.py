"""Colours and the weights by which the balancer splits traffic between them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Colour(StrEnum):
    """One of the two fixed halves of a blue-green pair: a Deployment and its own target group."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Colour":
        """The opposite colour."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


@dataclass(frozen=True, slots=True)
class Weights:
    """Listener weights per colour, as written to and read from the balancer (each 0-999 on an ALB)."""

    blue: int
    green: int

    @classmethod
    def all_to(cls, colour: Colour) -> Self:
        """100 to `colour`, 0 to the other."""
        return cls.split(colour, 100)

    @classmethod
    def split(cls, colour: Colour, percent: int) -> Self:
        """`percent` (0-100) to `colour`, the rest to the other."""
        return (
            cls(blue=percent, green=100 - percent) if colour is Colour.BLUE else cls(blue=100 - percent, green=percent)
        )

    def of(self, colour: Colour) -> int:
        """The weight of `colour`."""
        return self.blue if colour is Colour.BLUE else self.green

    @property
    def whole(self) -> Colour | None:
        """The colour that has all the traffic, or None while it is split (or goes nowhere)."""
        if self.blue > 0 and self.green == 0:
            return Colour.BLUE
        if self.green > 0 and self.blue == 0:
            return Colour.GREEN
        return None

    @property
    def words(self) -> str:
        """For a person: `blue 90 / green 10`."""
        return f"blue {self.blue} / green {self.green}"

    def as_dict(self) -> dict[str, int]:
        """`{"blue": …, "green": …}`, the form in which weights travel between steps and in records."""
        return {"blue": self.blue, "green": self.green}

    @classmethod
    def from_dict(cls, data: dict[str, int]) -> Self:
        """The inverse of `as_dict`."""
        return cls(blue=int(data["blue"]), green=int(data["green"]))
