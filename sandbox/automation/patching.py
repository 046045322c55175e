"""Replace a function of ministack, or refuse to when it is not the function the replacement was written for."""

import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any


class GapError(RuntimeError):
    """ministack is not the release a correction was written for; the message names the function."""


def fingerprint(function: Callable[..., Any]) -> str:
    """The first 12 hex digits of the SHA-256 of a function's source text."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


def expect(owner: ModuleType | type, name: str, known: str) -> Callable[..., Any]:
    """The function `name` of a module or class, if its source still has the fingerprint `known`.

    Raises `GapError` when the function is gone or has changed: then the correction has to be read again
    beside the new source before its fingerprint is renewed.
    """
    label = f"{owner.__name__}.{name}"
    function: Callable[..., Any] | None = getattr(owner, name, None)
    if function is None:
        raise GapError(f"{label} no longer exists: the correction that replaces it must be reviewed")
    found = fingerprint(function)
    if found != known:
        raise GapError(f"{label} has changed (fingerprint {found}, expected {known}): review the correction beside it")
    return function


def replace(owner: ModuleType | type, name: str, known: str, replacement: Any) -> Any:
    """Put `replacement` in the place of `owner.name` and return what was there; raises as `expect` does."""
    original = expect(owner, name, known)
    setattr(owner, name, replacement)
    return original
