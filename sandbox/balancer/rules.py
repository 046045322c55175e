"""Which action a request meets: listener rules by priority, then the default action.

Source of the semantics: "Listeners for your Application Load Balancers" (rules, conditions) in the Elastic
Load Balancing user guide. Rules are evaluated from the lowest priority number to the highest; all conditions
of a rule must hold, one value of a condition is enough; `*` stands for any run of characters and `?` for
exactly one. Header names and header and host values are compared without regard to case, paths and methods
with regard to it.
"""

import random
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What conditions look at. `headers` has lower-case names; a repeated header keeps every value."""

    method: str
    path: str
    headers: Mapping[str, Sequence[str]]


Matcher = Callable[[RequestFacts], bool]


def pattern(value: str, *, ignore_case: bool) -> re.Pattern[str]:
    """Compile an ALB wildcard value; it must match the whole text."""
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(character, re.escape(character)) for character in value)
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _any_match(patterns: Sequence[re.Pattern[str]], texts: Sequence[str]) -> bool:
    return any(one.fullmatch(text) for one in patterns for text in texts)


def _condition(condition: Mapping[str, Any]) -> Matcher:
    field, values = condition["field"], list(condition["values"])
    if field == "http-header":
        name = condition["name"].lower()
        patterns = [pattern(value, ignore_case=True) for value in values]
        return lambda facts: _any_match(patterns, facts.headers.get(name, ()))
    if field == "host-header":
        patterns = [pattern(value, ignore_case=True) for value in values]
        return lambda facts: _any_match(patterns, [host.rsplit(":", 1)[0] for host in facts.headers.get("host", ())])
    if field == "path-pattern":
        patterns = [pattern(value, ignore_case=False) for value in values]
        return lambda facts: _any_match(patterns, (facts.path,))
    if field == "http-request-method":
        return lambda facts: facts.method in values
    raise ValueError(f"condition field {field!r} is not served by the sandbox's balancer")


@dataclass(frozen=True, slots=True)
class FixedResponse:
    """A `fixed-response` action."""

    status: int
    content_type: str
    body: bytes


class Forward:
    """A `forward` action: one target group per request, by weighted random choice.

    Weights are relative, 0 to 999; a group of weight 0 gets nothing. With every weight 0 no group can be
    chosen (`choose` returns None).
    """

    __slots__ = ("_arns", "_cumulative", "_total")

    def __init__(self, weights: Mapping[str, int]) -> None:
        chosen = {arn: weight for arn, weight in weights.items() if weight > 0}
        self._arns = list(chosen)
        self._cumulative = list(accumulate(chosen.values()))
        self._total = self._cumulative[-1] if chosen else 0

    def choose(self, rng: Callable[[], float] = random.random) -> str | None:
        """The ARN of the target group for one request; `rng` gives a number in [0, 1)."""
        if not self._arns:
            return None
        if len(self._arns) == 1:
            return self._arns[0]
        return self._arns[bisect_right(self._cumulative, rng() * self._total)]


Action = Forward | FixedResponse


def action(data: Sequence[Mapping[str, Any]]) -> Action:
    """The routing action in an ordered list of actions as the platform's routing snapshot gives it."""
    last = data[-1]
    if last["type"] == "forward":
        return Forward({group["arn"]: group["weight"] for group in last["target_groups"]})
    if last["type"] == "fixed-response":
        return FixedResponse(int(last["status"]), last["content_type"], last["body"].encode())
    raise ValueError(f"action type {last['type']!r} is not served by the sandbox's balancer")


class Rules:
    """The rules of one listener, ready to be asked for each request."""

    def __init__(self, listener: Mapping[str, Any]) -> None:
        self._default = action(listener["default_actions"])
        ordered = sorted(listener["rules"], key=lambda rule: int(rule["priority"]))
        self._rules = [
            ([_condition(condition) for condition in rule["conditions"]], action(rule["actions"])) for rule in ordered
        ]

    def __bool__(self) -> bool:
        """Whether there is anything to look at besides the default action."""
        return bool(self._rules)

    @property
    def default(self) -> Action:
        """The default action."""
        return self._default

    def match(self, facts: RequestFacts) -> Action:
        """The action of the first rule whose conditions all hold, else the default action."""
        for conditions, found in self._rules:
            if all(condition(facts) for condition in conditions):
                return found
        return self._default
