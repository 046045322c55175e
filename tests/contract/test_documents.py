"""What README and docs tell a reader to type, open or follow is there."""

import re
import subprocess
from functools import cache
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from cli.main import app
from tests.contract.documents import DOCUMENTS, ROOT, Named, anchors, commands, files, links, paths, words

OPS = typer.main.get_command(app)
# In prose: TAG, …, $ENVIRONMENT.
# Of the click that typer brings.
_USAGE_ERROR = typer.BadParameter.__mro__[1]
_PLACEHOLDER = re.compile(r"[A-Z]{3,}|[…$<]")


@cache
def tracked() -> frozenset[str]:
    """The names of the repository's files."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(name.rpartition("/")[2] for name in listed.stdout.splitlines())


@cache
def targets() -> frozenset[str]:
    """The targets of the Makefile."""
    return frozenset(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def named(of: list[list[Named]]) -> list[Named]:
    return [each for some in of for each in some]


def ops_commands() -> list[Named]:
    """The command lines that call `ops`, also those that are prose (`ops release`)."""
    return [each for each in named([commands(d) for d in DOCUMENTS]) if (split := words(each)) and is_ops(split[0])]


def is_ops(word: str) -> bool:
    return word in ("ops", ".venv/bin/ops")


@pytest.mark.parametrize("link", named([links(d) for d in DOCUMENTS]), ids=str)
def test_a_link_leads_somewhere(link: Named) -> None:
    path, _, anchor = link.text.partition("#")
    target = (link.document.parent / path).resolve() if path else link.document
    assert target.exists(), link
    if anchor:
        assert anchor in anchors(target), link


@pytest.mark.parametrize("path", named([paths(d) for d in DOCUMENTS]), ids=str)
def test_a_path_is_there(path: Named) -> None:
    # `a/b.md#c` and `file.py:12` name a place in it; `tests/x.py::y` a test.
    plain = re.split(r"[#:]", path.text)[0]
    assert (ROOT / plain).exists() or (path.document.parent / plain).exists(), path


@pytest.mark.parametrize("file", named([files(d) for d in DOCUMENTS]), ids=str)
def test_a_file_is_there(file: Named) -> None:
    assert file.text in tracked(), file


@pytest.mark.parametrize("command", ops_commands(), ids=str)
def test_ops_understands_it(command: Named) -> None:
    check_ops(words(command)[1:])


def check_ops(arguments: list[str]) -> None:
    """Parse as the real command line would, up to where it would begin to work.

    Values that only stand for some (TAG, …) are what the options take; what is missing in prose (`ops release` needs
    its image) does not matter, an option or command that does not exist does.
    """
    group: Any = OPS
    context = group.context_class(group, info_name="ops")
    rest = [
        each
        for each, before in zip(arguments, ["", *arguments], strict=False)
        if each not in ("…", "...") or before.startswith("--")
    ]
    if not rest:
        return
    while isinstance(group, TyperGroup):
        _, left, _ = group.make_parser(context).parse_args(list(rest))
        if not left:
            return
        name, found, rest = group.resolve_command(context, left)
        group, context = found, found.context_class(found, info_name=name, parent=context)
    options, _, _ = group.make_parser(context).parse_args(rest)
    for parameter in group.params:
        values = options.get(parameter.name)
        if isinstance(values, str | list) and not _PLACEHOLDER.search(str(values)):
            parameter.process_value(context, values)


@pytest.mark.parametrize(
    "wrong",
    ["releas", "release --imag 1", "release --strategy big-bang", "sandbox upp", "drill --no-such", "--nothing status"],
)
def test_what_ops_does_not_know_is_noticed(wrong: str) -> None:
    with pytest.raises(_USAGE_ERROR):
        check_ops(wrong.split())


@pytest.mark.parametrize(
    "command", [each for each in named([commands(d) for d in DOCUMENTS]) if words(each)[:1] == ["make"]], ids=str
)
def test_make_has_the_target(command: Named) -> None:
    wanted = [each for each in words(command)[1:] if "=" not in each and not each.startswith("-")]
    assert set(wanted) <= targets(), command


@pytest.mark.parametrize(
    "command",
    [each for each in named([commands(d) for d in DOCUMENTS]) if (words(each) or [""])[0].endswith("python")],
    ids=str,
)
def test_python_finds_the_module_or_script(command: Named) -> None:
    split = words(command)
    wanted = split[split.index("-m") + 1].replace(".", "/") if "-m" in split else split[1]
    if wanted == "-c":
        return
    assert any((ROOT / f"{wanted}{end}").exists() for end in ("", ".py", "/__main__.py")), command


def test_there_is_something_to_check() -> None:
    assert len(ops_commands()) > 40
    assert len(named([links(d) for d in DOCUMENTS])) > 40
    assert len(named([paths(d) for d in DOCUMENTS])) > 60
