"""`ops sandbox` where nothing runs; tests/sandbox/test_supervisor_real.py has the rest."""

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Ops


@pytest.mark.parametrize("options", [("--service", "Bad Name"), ("--environment", "é"), ("--service", "")])
def test_a_name_that_no_resource_can_have_is_refused_before_anything_starts(
    ops: Ops, tmp_path: Path, options: tuple[str, ...]
) -> None:
    ran = ops("sandbox", "up", "--dir", str(tmp_path / "box"), *options)
    assert ran.code == 2
    assert "is not a name" in ran.err
    assert not (tmp_path / "box").exists()


def test_a_directory_that_cannot_be_made_is_told(ops: Ops, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = ops("sandbox", "up", "--dir", str(tmp_path / "file" / "box"))
    assert ran.code == 1
    assert str(tmp_path / "file") in ran.err


def test_json_may_stand_before_the_subcommand(ops: Ops, tmp_path: Path) -> None:
    ran = ops("--json", "sandbox", "status", "--dir", str(tmp_path))
    assert (ran.code, ran.document["state"]) == (1, "down")


def test_advice_names_a_directory_that_is_not_the_default(
    ops: Ops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "my box"
    assert f"ops sandbox up --dir '{directory}'" in ops("sandbox", "status", "--dir", str(directory)).out
    monkeypatch.setenv("OPS_SANDBOX_DIR", str(directory))
    assert "`ops sandbox up`" in ops("sandbox", "status").out
