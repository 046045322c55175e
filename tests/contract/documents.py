"""What the documents name: links, paths, and commands, taken out of their Markdown."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"[<>…*{}$]|\b[A-Z]{4,}\b")
_TOP = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} | {".github"}
_MADE = ("out/", ".venv", ".sandbox", ".aws-sam", ".build")
_FILE = re.compile(r"[\w.-]+\.(?:md|py|toml|tf|tfvars|yaml|yml|sh|sql|json|svg)")
_SHELLS = ("sh", "console", "bash", "shell")


@dataclass(frozen=True)
class Named:
    """Something that a document names."""

    document: Path
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}: {self.text}"


def prose(document: Path) -> str:
    """A document without its blocks of code."""
    return _FENCE.sub("", document.read_text(encoding="utf-8"))


def links(document: Path) -> list[Named]:
    """Targets of links that lead into the repository."""
    found = _LINK.findall(prose(document))
    return [Named(document, each) for each in found if not re.match(r"[a-z]+:", each)]


def anchors(document: Path) -> set[str]:
    """What GitHub makes of the headings."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(prose(document)))
    return set(titles)


def paths(document: Path) -> list[Named]:
    """Paths of the repository in `code`, also in commands: what begins with one of its directories, or is a file."""
    found = []
    for code in [*_CODE.findall(prose(document)), *(line for line in commands(document))]:
        text = code if isinstance(code, str) else code.text
        for word in re.split(r"[\s=\"',;|()]+", text):
            part = word.rstrip(".:").removeprefix("./")
            if part.startswith(_MADE) or _PLACEHOLDER.search(part):
                continue
            if part.partition("/")[0] in _TOP and "/" in part and "//" not in part:
                found.append(Named(document, part))
    return found


def files(document: Path) -> list[Named]:
    """Names of files without a directory, in `code`."""
    return [Named(document, code) for code in _CODE.findall(prose(document)) if _FILE.fullmatch(code)]


def commands(document: Path) -> list[Named]:
    """Each command line of the blocks of shell, and each `code` that begins like one."""
    found = []
    for language, block in _FENCE.findall(document.read_text(encoding="utf-8")):
        if language in _SHELLS:
            text = block.replace("\\\n", " ")
            lines = [line.strip() for line in text.splitlines()]
            typed = [line[2:] for line in lines if line.startswith("$ ")] if language == "console" else lines
            found += [Named(document, line) for line in typed if line and not line.startswith("#")]
    starts = ("ops ", "make ", ".venv/bin/", "scripts/")
    found += [Named(document, code) for code in _CODE.findall(prose(document)) if code.startswith(starts)]
    return found


def words(command: Named) -> list[str]:
    """The words of a command, without what follows a comment, pipe or redirection; [] where it cannot be split."""
    try:
        split = shlex.split(command.text, comments=True)
    except ValueError:
        return []
    return list(_until_end(split))


def _until_end(split: list[str]) -> Iterator[str]:
    for word in split:
        if word in ("|", "&&", "||", ";", "&", "·") or re.match(r"\d?[<>]", word):
            return
        yield word
