import json
from pathlib import Path
from typing import Any

import pytest

from opskit.errors import InvalidInputError
from opskit.schema import validate

SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": {"type": "string", "minLength": 1},
        "strategy": {"enum": ["blue-green", "canary"], "default": "blue-green"},
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["weight"],
                "properties": {
                    "weight": {"type": "integer", "minimum": 1, "maximum": 100},
                    "bake_seconds": {"type": "integer", "minimum": 0, "default": 60},
                },
            },
        },
        "approval": {"type": "boolean", "default": False},
    },
}


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    (tmp_path / "deploy.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    return tmp_path


def test_defaults_are_applied_at_every_depth(schemas: Path) -> None:
    assert validate("deploy", {"image": "1.2", "steps": [{"weight": 10}]}, directory=schemas) == {
        "image": "1.2",
        "strategy": "blue-green",
        "approval": False,
        "steps": [{"weight": 10, "bake_seconds": 60}],
    }


def test_the_input_itself_is_left_alone(schemas: Path) -> None:
    given: dict[str, Any] = {"image": "1.2", "steps": [{"weight": 10}]}
    validate("deploy", given, directory=schemas)
    assert given == {"image": "1.2", "steps": [{"weight": 10}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": [{"weight": 10}, {"weight": 0}]}, "steps[1].weight must be bigger than or equal to 1, got 0"),
        ({"steps": [{"weight": 101}]}, "steps[0].weight must be smaller than or equal to 100, got 101"),
        ({"steps": [{"weight": "10"}]}, 'steps[0].weight must be integer, got "10"'),
        ({"steps": [{"weight": True}]}, "steps[0].weight must be integer, got true"),
        ({"steps": []}, "steps must contain at least 1 items, got []"),
        ({"steps": [{}]}, "steps[0] must have `weight`"),
        ({"strategy": "rolling"}, 'strategy must be one of "blue-green", "canary", got "rolling"'),
        ({"image": ""}, 'image must be longer than or equal to 1 characters, got ""'),
        ({"aproval": True}, "unknown `aproval` in the input; allowed: image, strategy, steps, approval"),
        (
            {"steps": [{"weight": 1, "bake": 1, "x": 2}]},
            "unknown `bake`, `x` in steps[0]; allowed: weight, bake_seconds",
        ),
    ],
)
def test_an_error_names_the_place_the_rule_and_the_value(schemas: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        validate("deploy", {"image": "1.2"} | changes, directory=schemas)
    assert str(caught.value) == message


def test_all_errors_are_told_at_once(schemas: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        validate("deploy", {"steps": [{"weight": 0}], "approval": "yes"}, directory=schemas)
    told = str(caught.value).split("; ")
    assert sorted(told) == [
        'approval must be boolean, got "yes"',
        "steps[0].weight must be bigger than or equal to 1, got 0",
        "the input must have `image`",
    ]


@pytest.mark.parametrize("given", [None, [], "1.2", 3])
def test_what_is_not_an_object_is_refused(schemas: Path, given: Any) -> None:
    with pytest.raises(InvalidInputError, match="the input must be object, got"):
        validate("deploy", given, directory=schemas)


def test_a_long_value_is_cut_in_the_message(schemas: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        validate("deploy", {"image": "1.2", "strategy": "x" * 10_000}, directory=schemas)
    assert len(str(caught.value)) < 300


def test_the_workflow_schemas_compile() -> None:
    with pytest.raises(InvalidInputError, match="unknown `nonsense` in the input; allowed: "):
        validate("release", {"nonsense": 1})
