"""`make recording`: what a reader of the README will see, recorded from real releases; writes docs/release.svg.

A sandbox is started, clients call it, and `ops` releases a version that is good and one that fails its clients. The
commands and every line are as they were; only what is wider than the picture is cut, and said to be (…).
"""

import functools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from sandbox.config import Config, environment
from sandbox.load import Load, Plan
from sandbox.provision import setup
from sandbox.supervisor import Options, sandbox

PICTURE = Path(__file__).parents[2] / "docs" / "release.svg"
COLUMNS = 112
COMMANDS = (
    ("release", "--image", "1.1.0", "--strategy", "canary", "--steps", "10:3,100:3"),
    ("release", "--image", "1.3.0-errors"),
    ("status",),
)
# Fonts that a picture in a README may not fetch anyway; what the reader has will do.
_FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_COLOURS = {"ok": "green", "failed": "red", "ended": "yellow"}
_STEP = re.compile(r"^\s+\d[\d.ms]*\s+(ok|failed|ended)\s")


def main() -> None:
    """Start, record, write; a command that ends otherwise than the story goes ends this with an error."""
    console = Console(record=True, width=COLUMNS, file=sys.stdout, force_terminal=False)
    with tempfile.TemporaryDirectory(prefix="ops-recording-") as directory:
        options = Options(setup=functools.partial(setup, engines=True, parameters={"BakeSeconds": "3"}))
        with (
            sandbox(Path(directory) / "sandbox", options) as config,
            Load(Plan(url=config.service_url, seconds=600)),
        ):
            for arguments, code in zip(COMMANDS, (0, 1, 0), strict=True):
                _run(console, config, arguments, code)
    svg = console.export_svg(title="ops, in the sandbox, with 200 requests a second", theme=MONOKAI)
    PICTURE.write_text(_FONT_FACES.sub("", svg), encoding="utf-8")


def _run(console: Console, config: Config, arguments: tuple[str, ...], code: int) -> None:
    _say(console, Text(f"$ ops {' '.join(arguments)}", style="bold"))
    done = subprocess.run(  # noqa: S603 - our own command
        [str(Path(sys.executable).with_name("ops")), *arguments],
        env=os.environ | environment(config),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    for line in done.stdout.splitlines():
        text = Text(line)
        if found := _STEP.match(line):
            text.stylize(_COLOURS[found[1]], found.start(1), found.end(1))
        _say(console, text)
    _say(console, Text())
    if done.returncode != code:
        raise SystemExit(f"ops {arguments[0]} ended with {done.returncode} instead of {code}")


def _say(console: Console, text: Text) -> None:
    console.print(text, highlight=False, no_wrap=True, overflow="ellipsis")


if __name__ == "__main__":
    main()
