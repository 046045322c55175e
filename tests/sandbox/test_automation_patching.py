"""A correction is refused when ministack is not the release it was written for."""

from types import ModuleType

import pytest

from sandbox.automation.patching import GapError, expect, fingerprint, replace


def sample() -> int:
    return 1


def module() -> ModuleType:
    made = ModuleType("a_module")
    made.sample = sample  # type: ignore[attr-defined]
    return made


def test_a_known_function_is_replaced_and_returned() -> None:
    owner = module()

    original = replace(owner, "sample", fingerprint(sample), lambda: 2)

    assert (original(), owner.sample()) == (1, 2)


def test_a_changed_function_is_refused() -> None:
    with pytest.raises(GapError, match=r"a_module\.sample has changed"):
        replace(module(), "sample", "000000000000", lambda: 2)


def test_a_missing_function_is_refused() -> None:
    with pytest.raises(GapError, match=r"a_module\.gone no longer exists"):
        expect(module(), "gone", "000000000000")
