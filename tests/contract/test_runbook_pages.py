"""docs/runbooks: a page for each alarm that has a runbook, with its bounds; commands, paths and links that exist."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.commands.remediations import OUTCOMES
from cli.main import app
from opskit.decisions import guardrails, remedy_outcome
from opskit.decisions.admission import Admission
from opskit.runbooks import DIRECTORY, load_runbooks

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
PAGES = sorted(RUNBOOKS.rglob("*.md"))
ENVIRONMENTS = ("dev", "staging", "prod")
FILES = {name: tomllib.loads((DIRECTORY / f"{name}.toml").read_text(encoding="utf-8")) for name in ENVIRONMENTS}
ALARMS = sorted({alarm for name in ENVIRONMENTS for alarm in load_runbooks(name).by_alarm})
# Each colour has its alarm; what to do is the same.
COLOUR = re.compile(r"-(blue|green)$")


def page_of(alarm: str) -> Path:
    return RUNBOOKS / "alarms" / f"{COLOUR.sub('', alarm)}.md"


@pytest.mark.parametrize("alarm", ALARMS)
def test_each_alarm_with_a_runbook_has_its_page(alarm: str) -> None:
    text = page_of(alarm).read_text(encoding="utf-8")
    assert re.search(rf"^# Alarm: .*\b{alarm}\b", text, re.MULTILINE)
    for heading in ("## What the runbook does", "## When it escalates", "## Undo"):
        assert f"\n{heading}\n" in text


def test_each_page_is_of_an_alarm_and_the_first_page_links_to_all() -> None:
    pages = set((RUNBOOKS / "alarms").glob("*.md"))
    assert pages == {page_of(alarm) for alarm in ALARMS}
    first = (RUNBOOKS / "remediation.md").read_text(encoding="utf-8")
    assert pages == {RUNBOOKS / name for name in re.findall(r"alarms/[a-z-]+\.md", first)}


def _rows(alarm: str) -> list[str]:
    """The table of an alarm's bounds, as its runbooks in the three files have them."""
    runbooks = [FILES[name]["runbook"][alarm] for name in ENVIRONMENTS]
    rows = []
    for actions in zip(*(runbook["action"] for runbook in runbooks), strict=True):
        (name,) = {action["name"] for action in actions}
        (asks,) = {action["approval"] for action in actions}
        rows.append([f"`{name}`{', asks' if asks else ''}", *(_bounds(action["bounds"]) for action in actions)])
    for member, words in (("cooldown_seconds", "between two actions"), ("verify_seconds", "OK within")):
        rows.append([words, *(f"{runbook[member]} s" for runbook in runbooks)])
    return [f"| {' | '.join(row)} |" for row in rows]


def _bounds(bounds: dict[str, Any]) -> str:
    return ", ".join(f"{name} {' → '.join(v) if isinstance(v, list) else v}" for name, v in bounds.items())


@pytest.mark.parametrize("alarm", ALARMS)
def test_a_page_states_the_bounds_that_the_runbooks_have(alarm: str) -> None:
    lines = page_of(alarm).read_text(encoding="utf-8").splitlines()
    start = lines.index(f"| bound | {' | '.join(ENVIRONMENTS)} |") + 2
    rows = _rows(alarm)
    assert lines[start : start + len(rows) + 1] == [*rows, ""]


def test_every_guardrail_is_explained() -> None:
    source = Path(guardrails.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r'Check\("([a-z ]+)"', source))
    assert len(names) > 10
    told = set(
        re.findall(r"^\| `([a-z ]+)` \|", (RUNBOOKS / "remediation.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert names == told


def test_every_outcome_is_explained() -> None:
    page = (RUNBOOKS / "remediation.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([A-Z]+)`", page.partition("## What each guardrail does")[0]))
    # All that an execution can close with, besides what is written for one that was stopped from outside.
    closes = {*remedy_outcome.ERRORS, *remedy_outcome._JUDGED.values(), *remedy_outcome._CHECKED.values(), *Admission}
    closes = {str(outcome) for outcome in closes} - {"ADMITTED"} | {"INTERRUPTED"}
    assert told == closes == set(OUTCOMES)


def _commands() -> list[tuple[Path, str]]:
    """Every `ops …` in a code span, in a console block or in a table of the runbooks, continued lines joined."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        spans = re.findall(r"`(ops [^`\n]+)`", text)
        lines = [line.partition("  #")[0] for line in re.findall(r"^\$ (ops .+)$", text, re.MULTILINE)]
        found += [(page, command.strip()) for command in (*spans, *lines)]
    return found


COMMANDS = _commands()


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page.stem}: {command}" for page, command in COMMANDS])
def test_every_command_quoted_is_one(page: Path, command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if word not in ("…", "|")]
    current: Any = typer.main.get_command(app)
    options = {"--help", *(name for parameter in current.params for name in parameter.opts)}
    while words and not words[0].startswith("-") and hasattr(current, "commands"):
        if words[0] not in current.commands and getattr(current, "invoke_without_command", False):
            break
        assert words[0] in current.commands, f"{page.name}: there is no command {words[0]!r} in `{command}`"
        current = current.commands[words.pop(0)]
        options |= {name for parameter in current.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word.startswith("-") and not re.fullmatch(r"-\d+[smhd]", word):
            assert word in options, f"{page.name}: `{command}` has no option {word}"


def test_commands_were_found() -> None:
    assert len(COMMANDS) > 60
    for name in ("remediate", "remediations", "pause", "resume"):
        assert any(command.split()[1] == name for _, command in COMMANDS)


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    if not target.startswith("http")
]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=[f"{page.stem}: {target}" for page, target in LINKS])
def test_every_link_leads_somewhere(page: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    assert file.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Paths of the repository, from its root, in code spans.
PATHS = [
    (page, path)
    for page in PAGES
    for path in re.findall(
        r"`((?:cli|docs|events|functions|kubernetes|layers|scripts|statemachines|terraform|tests)/[^`\s]*)`",
        page.read_text(encoding="utf-8"),
    )
]


@pytest.mark.parametrize(("page", "path"), PATHS, ids=[f"{page.stem}: {path}" for page, path in PATHS])
def test_every_path_quoted_is_there(page: Path, path: str) -> None:
    names = [path.replace("<environment>", name) for name in ENVIRONMENTS]
    assert all((ROOT / name).exists() for name in names), f"{page.name}: {path}"
