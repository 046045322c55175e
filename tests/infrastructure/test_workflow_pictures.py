"""The pictures of the workflows are what the layout program makes of their definitions, to the letter."""

import pytest

from scripts.draw_workflows import definitions, picture, picture_of


@pytest.mark.parametrize("name", [*definitions()])
def test_it_is_current(name: str) -> None:
    drawn = picture(name, definitions()[name].read_text(encoding="utf-8"))
    assert picture_of(name).read_text(encoding="utf-8") == drawn, "run make diagrams"
