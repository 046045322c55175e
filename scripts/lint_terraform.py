#!/usr/bin/env python3
"""What TFLint's recommended rules would look at, for it cannot be had from a package index:  scripts/lint_terraform.py

Rules and names are those of https://github.com/terraform-linters/tflint-ruleset-terraform/tree/main/docs/rules; that
the files are formatted, which this relies on, `terraform fmt -check` says. What TFLint's AWS rules look at is checked
elsewhere: types and arguments by `terraform validate` with the provider, instance types by `make cost` (one without a
price is an error), policies by checkov.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (ROOT / "terraform", ROOT / "terraform/bootstrap")

_BLOCK = re.compile(r'^(variable|output|locals|data|resource|module)(?: "([\w-]+)")?(?: "([\w-]+)")? \{', re.MULTILINE)
_LOCAL = re.compile(r"^  (\w+) += ", re.MULTILINE)
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def findings(folder: Path) -> Iterator[str]:
    """`file: rule: what`, for every rule that a folder's configuration breaks."""
    files = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.tf"))}
    code = "\n".join(map(_without_comments, files.values()))
    for path, text in files.items():
        for rule, what in _of_file(text, code):
            yield f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}: {rule}: {what}"
    settings = "".join(body for body in re.findall(r"^terraform \{\n(.*?)^\}", code, re.MULTILINE | re.DOTALL))
    if "required_version" not in settings:
        yield f"{folder.name}: terraform_required_version: no required_version"
    for provider in sorted(set(re.findall(r'^(?:resource|data) "([a-z0-9]+)_', code, re.MULTILINE))):
        if not re.search(rf"\b{provider} = \{{[^}}]*version\s*=", settings):
            yield f"{folder.name}: terraform_required_providers: {provider} has no version"


def _of_file(text: str, code: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = _STRING.sub('""', line).split("#")[0]
        if "//" in bare or "/*" in bare:
            yield "terraform_comment_syntax", f"line {number}: comments begin with #"
        if re.fullmatch(r'\s*[\w.]+\s*=\s*"\$\{[^{}"]*\}"', line):
            yield "terraform_deprecated_interpolation", f"line {number}: an expression needs no ${{…}}"
    for kind, first, second, body in _blocks(_without_comments(text)):
        name = second or first
        if name and not _SNAKE.fullmatch(name):
            yield "terraform_naming_convention", f"{kind} {name} is not snake_case"
        if kind in ("variable", "output") and not re.search(r"^  description\s*=", body, re.MULTILINE):
            yield f"terraform_documented_{kind}s", f"{kind} {name} has no description"
        if kind == "variable" and not re.search(r"^  type\s*=", body, re.MULTILINE):
            yield "terraform_typed_variables", f"variable {name} has no type"
        if kind == "module" and not re.search(r'^  source\s*=\s*"\./|\?ref=|^  version\s*=', body, re.MULTILINE):
            yield "terraform_module_pinned_source", f"module {name} is not pinned"
        for used in _uses(kind, first, second, body):
            # A variable's own validation is no use of it.
            if not re.search(rf"\b{re.escape(used)}\b", code if kind == "locals" else code.replace(body, "")):
                yield "terraform_unused_declarations", f"{used} is not used"


def _uses(kind: str, first: str, second: str, body: str) -> Iterator[str]:
    """How what a block declares would be referred to."""
    if kind == "variable":
        yield f"var.{first}"
    elif kind == "data":
        yield f"data.{first}.{second}"
    elif kind == "locals":
        yield from (f"local.{name}" for name in _LOCAL.findall(body))


def _blocks(text: str) -> Iterator[tuple[str, str, str, str]]:
    for found in _BLOCK.finditer(text):
        end = found.end() if text[found.end()] == "}" else text.find("\n}", found.end()) + 1
        yield found[1], found[2] or "", found[3] or "", text[found.end() : end]


def _without_comments(text: str) -> str:
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


def main() -> None:
    """Print what is found; the exit code says whether anything was."""
    found = [finding for folder in FOLDERS for finding in findings(folder)]
    for line in found:
        print(line)  # noqa: T201
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
