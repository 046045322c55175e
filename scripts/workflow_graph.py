"""A state machine's definition, reduced to what a reader wants to see: its steps, and the ways between them.

What is folded, so that a machine of 60 states is readable:

- Choice, Pass and Wait states become labels on the way that leads through them. A Choice that is entered from many
  places stays, as a decision of its own.
- Tasks that only tell (Notify…) are left out, and those that only record (Close…), unless an end is chosen by them.
- Retries are left out: every step retries the passing failures of AWS.
- A failure (Catch) that leads where the step leads anyway is left out; where many steps fail into the same state, one
  arrow stands for all of them.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

State = Mapping[str, Any]

MANY = 3
_RECORDED, _TOLD = "Close", "Notify"
_VALUE = re.compile(r"\$[\w.]+ (!?)= '(\w+)'")
_PATH = re.compile(r"\$(?:\w+\.)*(\w+)")
_LONGEST_LABEL = 34
_ELSE = "else"


@dataclass(frozen=True, order=True)
class Way:
    """From one step to another; `label` says when."""

    source: str
    target: str
    label: str = ""


@dataclass
class Reduced:
    """One level of a machine: the machine itself, or a branch of a Parallel or Map state."""

    states: Mapping[str, State]
    entries: list[Way] = field(default_factory=list)
    """Ways in, from nowhere."""
    kept: list[str] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    failures: list[Way] = field(default_factory=list)
    """Their label is the errors that are caught, empty for any."""
    branches: dict[str, list["Reduced"]] = field(default_factory=dict)
    """Of each Parallel or Map state that is kept."""

    @property
    def folded(self) -> list[str]:
        """The states that have no box, in the order of the definition."""
        return [name for name in self.states if name not in self.kept]


def reduce(definition: Mapping[str, Any]) -> Reduced:
    """The steps of a definition (or of a branch, which has `StartAt` and `States` too) and the ways between them."""
    states: Mapping[str, State] = definition["States"]
    kept = _kept(states)
    found = Reduced(states, list(_merged(_onward(states, kept, definition["StartAt"], ()))))
    for name in states:
        if name not in kept:
            continue
        leads = {way.target: way for way in _merged(Way(name, w.target, w.label) for w in _from(states, kept, name))}
        found.ways += leads.values()
        for catch in states[name].get("Catch", []):
            errors = ", ".join(each for each in catch["ErrorEquals"] if each != "States.ALL")
            for way in _onward(states, kept, catch["Next"], ()):
                if way.target not in leads and not _is_said(found.failures, name, way.target):
                    found.failures.append(Way(name, way.target, errors))
        inner = states[name].get("Branches") or [states[name][key] for key in ("ItemProcessor",) if key in states[name]]
        if inner:
            found.branches[name] = [reduce(each) for each in inner]
    reached = {way.target for way in [*found.entries, *found.ways, *found.failures]}
    found.kept = [name for name in states if name in kept and name in reached]
    return found


def gathered(failures: list[Way]) -> tuple[list[Way], list[tuple[str, str, list[str]]]]:
    """Failures of single steps, and those that many share: where they lead, of which errors, from which steps."""
    by: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for way in failures:
        by[way.target, way.label].append(way.source)
    single = [way for way in failures if len(by[way.target, way.label]) <= MANY]
    return single, [(target, label, sources) for (target, label), sources in by.items() if len(sources) > MANY]


def _kept(states: Mapping[str, State]) -> set[str]:
    entered: defaultdict[str, set[str]] = defaultdict(set)
    for name, state in states.items():
        for target in _targets(state):
            entered[target].add(name)
    found = set()
    for name, state in states.items():
        if state["Type"] == "Choice":
            keep = len(entered[name]) > MANY
        elif state["Type"] == "Task":
            keep = not name.startswith(_TOLD) and (not name.startswith(_RECORDED) or _decides(states, state["Next"]))
        else:
            keep = state["Type"] not in ("Pass", "Wait")
        if keep:
            found.add(name)
    return found


def _decides(states: Mapping[str, State], name: str) -> bool:
    return bool(states[name]["Type"] == "Choice")


def _targets(state: State) -> Iterator[str]:
    yield from (catch["Next"] for catch in state.get("Catch", []))
    yield from (choice["Next"] for choice in state.get("Choices", []))
    yield from (state[key] for key in ("Next", "Default") if key in state)


def _from(states: Mapping[str, State], kept: set[str], name: str) -> Iterator[Way]:
    state = states[name]
    if state["Type"] == "Choice":
        yield from _decided(states, kept, name, ())
    elif "Next" in state:
        yield from _onward(states, kept, state["Next"], ())


def _onward(states: Mapping[str, State], kept: set[str], name: str, said: tuple[str, ...]) -> Iterator[Way]:
    """The ways from a state, itself if it is kept, to the next that are."""
    if name in kept:
        yield Way("", name, ", ".join([each for each in said if each != _ELSE] or said[:1]))
    elif states[name]["Type"] == "Choice":
        yield from _decided(states, kept, name, said)
    elif "Next" in states[name]:
        yield from _onward(states, kept, states[name]["Next"], said)


def _decided(states: Mapping[str, State], kept: set[str], name: str, said: tuple[str, ...]) -> Iterator[Way]:
    for choice in states[name]["Choices"]:
        words = _words(choice["Condition"])
        yield from _onward(states, kept, choice["Next"], (*said, words) if words else said)
    if "Default" in states[name]:
        yield from _onward(states, kept, states[name]["Default"], (*said, _ELSE))


def _words(condition: str) -> str:
    """What a JSONata condition is about, in a word or two; nothing where it would take a sentence."""
    text = condition.removeprefix("{%").removesuffix("%}").strip()
    if match := _VALUE.fullmatch(text):
        return ("not " if match[1] else "") + match[2].lower().replace("_", " ")
    if match := _PATH.fullmatch(text):
        return match[1].replace("_", " ")
    text = re.sub(r"\$(\w+\.)*", "", text)
    return text if len(text) <= _LONGEST_LABEL else ""


def _merged(ways: Iterator[Way]) -> Iterator[Way]:
    """One way for each pair, with all that is said of it."""
    said: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for way in ways:
        if way.label not in said[way.source, way.target]:
            said[way.source, way.target].append(way.label)
    for (source, target), labels in said.items():
        # Whatever happens, it leads there: nothing needs to be said.
        yield Way(source, target, "" if "" in labels else "\\nor ".join(labels))


def _is_said(failures: list[Way], source: str, target: str) -> bool:
    return any((way.source, way.target) == (source, target) for way in failures)
