"""The pages about terraform/ say what it is now."""

import pytest

from scripts.document_platform import DOCS, pages
from tests.infrastructure.terraform import ENVIRONMENTS


@pytest.mark.parametrize("name", ["terraform.md", "environments.md"])
def test_a_page_is_current(platform_of, name):
    written = pages({environment: platform_of(environment) for environment in ENVIRONMENTS})
    assert (DOCS / name).read_text() == written[DOCS / name], "run .venv/bin/python scripts/document_platform.py"
