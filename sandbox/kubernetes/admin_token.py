"""The cluster administrator's token, which only whoever owns the sandbox's directory can read."""

import secrets
from pathlib import Path

_NAME = "kubernetes-admin.token"


def write(directory: Path) -> str:
    """A new token, in `<directory>/kubernetes-admin.token`, mode 0600."""
    token = secrets.token_urlsafe(32)
    path = directory / _NAME
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(token)
    return token


def read(directory: Path) -> str:
    """The token that the running cluster accepts."""
    return (directory / _NAME).read_text()
