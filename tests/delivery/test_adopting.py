"""docs/adopting.md, word for word: a service of another name in a sandbox, where nothing knows the old name."""

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.deploy import ROOT

PAGE = ROOT / "docs" / "adopting.md"
SECONDS = 900
OLD = re.compile("detection[-_]api")


def commands() -> list[str]:
    """The lines that a reader of the page types, in order."""
    (block,) = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line.removeprefix("$ ") for line in block.splitlines()]


@dataclass(frozen=True)
class Session:
    """What came of it: the exit code of each command, what was said, and what the account held before the end."""

    codes: dict[str, int]
    output: str
    names: list[str]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """One shell, as a person has it; the account is looked at while the sandbox is there."""
    directory: Path = tmp_path_factory.mktemp("adopting")
    place, codes, names = directory / "sandbox", directory / "codes", directory / "names.json"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OPS_", "AWS_"))}
    variables |= {"OPS_SANDBOX_DIR": str(place), "PYTHONPATH": str(ROOT)}
    script = []
    for line in commands():
        # The page speaks of the checkout's own sandbox; this one is the test's.
        typed = line.replace(".sandbox/", f"{directory}/")
        if typed.endswith("sandbox down"):
            script.append(f".venv/bin/python -m tests.delivery.names {place} {names}")
        script += [typed, f"echo $? {shlex.quote(line)} >> {codes}"]
    # The clients would hold the pipe for as long as they call.
    script += ["kill $(jobs -p) 2>/dev/null", "wait"]
    down = ".venv/bin/ops sandbox down"
    try:
        done = subprocess.run(
            ["/bin/bash", "-c", "\n".join(script)],
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        subprocess.run(down.split(), cwd=ROOT, env=variables, capture_output=True, timeout=120, check=False)
    (directory / "output").write_text(done.stdout, encoding="utf-8")
    lines = [line.partition(" ") for line in codes.read_text(encoding="utf-8").splitlines()]
    ended = {command: int(code) for code, _, command in lines}
    return Session(ended, done.stdout, json.loads(names.read_text(encoding="utf-8")))


@pytest.mark.timeout(SECONDS + 200)
def test_every_command_of_the_page_succeeds(session: Session) -> None:
    assert session.codes == dict.fromkeys(commands(), 0), session.output


@pytest.mark.timeout(SECONDS + 200)
def test_what_was_shown_is_about_that_service(session: Session) -> None:
    for said in ("orders-api in dev", "on orders-api-dev", "orders-api@sha256:", "COMPLETE", "SUCCEEDED", "ISOLATED"):
        assert said in session.output
    assert "PASS" in session.output
    assert "intact" in session.output
    assert not OLD.search(session.output)


@pytest.mark.timeout(SECONDS + 200)
def test_nothing_in_the_account_bears_another_name(session: Session) -> None:
    assert len(session.names) > 100
    assert [name for name in session.names if OLD.search(name)] == []
