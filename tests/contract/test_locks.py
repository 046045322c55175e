"""What is installed is what was locked: every requirement by version and hash, from wherever the user's index is."""

import re

import pytest

from tests.contract.stack import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
INPUTS = {path.stem for path in (ROOT / "requirements").glob("*.in")}
REQUIREMENT = re.compile(
    r"[A-Za-z0-9][\w.-]*(?:\[[\w,.-]+\])?==[\w.!+-]+(?: ; [^\\]+?)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+"
)


def requirements(text):
    """The entries of a lock: what pip reads, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [entry for entry in re.split(r"\n(?=\S)", "\n".join(lines).strip()) if entry]


def problems(text):
    unlocked = [entry for entry in requirements(text) if not REQUIREMENT.fullmatch(entry)]
    return unlocked + re.findall(r"\w+://\S+|--(?:index-url|extra-index-url|find-links|trusted-host).*", text)


def test_each_set_of_requirements_has_its_lock():
    assert {path.stem for path in LOCKS if path.stem != "constraints"} == INPUTS


@pytest.mark.parametrize("path", [path for path in LOCKS if path.stem != "constraints"], ids=lambda path: path.stem)
def test_every_requirement_has_its_version_and_hashes_and_no_index_is_named(path):
    text = path.read_text(encoding="utf-8")
    assert requirements(text)
    assert problems(text) == []


HASH = " \\\n    --hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    "text",
    [
        "boto3==1.0",
        f"boto3>=1.0{HASH}",
        "boto3==1.0 \\\n    --hash=md5:00",
        f"--index-url file://index.example\nboto3==1.0{HASH}",
        f"boto3 @ https://example.com/boto3.whl{HASH}",
        f"boto3==1.0{HASH}\n-e .",
    ],
    ids=["no hash", "no version", "another hash", "an index", "a URL", "the checkout"],
)
def test_what_is_not_locked_is_found(text):
    assert problems(text)


def test_what_is_locked_is_not_found():
    assert problems(f'boto3[crt]==1.0 ; python_full_version < "3.13"{HASH}{HASH}\n    # via\n    #   other\n') == []


@pytest.mark.parametrize("script", ["setup.sh", "lock.sh"])
def test_whatever_installs_demands_hashes(script):
    text = (ROOT / "scripts" / script).read_text(encoding="utf-8")
    for command in re.findall(r"pip (?:install|sync)\b(?:[^\n\\]|\\\n)*", text):
        assert "--require-hashes" in command or "--no-deps" in command, command


def test_the_layer_is_built_from_the_lock():
    makefile = (ROOT / "layers" / "common" / "Makefile").read_text(encoding="utf-8")
    assert "--require-hashes" in makefile
    assert "layer.txt" in makefile
