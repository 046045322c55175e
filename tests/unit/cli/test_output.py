import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from cli.output import Output, brief, elapsed, jsonable, moment, short_image
from opskit.traffic import Colour, Weights

DIGEST = "sha256:" + "0123456789ab" + "c" * 52
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"), (0, "0.0s"), (4.24, "4.2s"), (59.94, "59.9s"), (59.96, "1m00s"), (60, "1m00s"),
        (187, "3m07s"), (3599.4, "59m59s"), (3599.6, "1h00m"), (7500, "2h05m"),
    ],
)  # fmt: skip
def test_elapsed(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


def test_moments_are_utc() -> None:
    local = datetime(2026, 1, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    assert moment(local) == "2026-01-01 12:00:00 UTC"
    assert moment("2026-01-01T12:00:00.000000Z") == "2026-01-01 12:00:00 UTC"
    assert moment(None) == "-"
    assert moment("soon") == "soon"


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (None, "-"),
        ("", "-"),
        ("shop:1.2.3", "shop:1.2.3"),
        (f"{REGISTRY}/shop:1.2.3", "shop:1.2.3"),
        (f"{REGISTRY}/shop@{DIGEST}", "shop@sha256:0123456789ab"),
    ],
)
def test_images_are_shortened_for_people(image: str | None, text: str) -> None:
    assert short_image(image) == text


def test_sentences_keep_everything_but_registry_and_long_digests() -> None:
    said = f"{REGISTRY}/shop@{DIGEST} goes to green; sha256:short stays."
    assert brief(said) == "shop@sha256:0123456789ab goes to green; sha256:short stays."


def test_what_records_hold_becomes_json() -> None:
    document = {"at": datetime(2026, 1, 1, tzinfo=UTC), "colour": Colour.BLUE, "weights": Weights(1, 2), "set": {3}}
    assert json.loads(json.dumps(document, default=jsonable)) == {
        "at": "2026-01-01T00:00:00+00:00",
        "colour": "blue",
        "weights": {"blue": 1, "green": 2},
        "set": [3],
    }
    with pytest.raises(TypeError, match="object is not JSON"):
        json.dumps(object(), default=jsonable)


def test_what_looks_like_markup_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).say("[bold]x[/bold] :smile: " + "w" * 300)
    assert capsys.readouterr().out == "[bold]x[/bold] :smile: " + "w" * 300 + "\n"
