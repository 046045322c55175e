"""A state file is one of version 4 with serial, lineage and resources."""

import json
from typing import Any

import pytest

from opskit.decisions.terraform_state import inspect_state

WHOLE: dict[str, Any] = {"version": 4, "serial": 17, "lineage": "l", "resources": [{}, {}]}


def test_a_whole_state_is_counted() -> None:
    found = inspect_state(json.dumps(WHOLE).encode())
    assert (found.problem, found.lineage, found.counts) == (None, "l", {"serial": 17, "resources": 2})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\x00", "not JSON"),
        (b"[]", "'list'"),
        (json.dumps(WHOLE | {"version": 3}).encode(), "not a state of version 4, but 3"),
        (json.dumps(WHOLE | {"serial": None}).encode(), "no serial"),
        (json.dumps(WHOLE | {"serial": -1}).encode(), "no serial"),
        (json.dumps(WHOLE | {"lineage": ""}).encode(), "no lineage"),
        (json.dumps(WHOLE | {"resources": {}}).encode(), "no list of resources"),
        (json.dumps(WHOLE).encode()[:-9], "not JSON"),
    ],
)
def test_anything_else_is_said_to_be_none(content: bytes, why: str) -> None:
    found = inspect_state(content)
    assert why in str(found.problem)
    assert found.counts == {}
