"""PostgreSQL refuses to run as root; when the sandbox runs as root, its servers must not.

Preferred is a user namespace, in which root outside is an ordinary user inside: files stay where they are and
belong to whom they belonged. Where namespaces are forbidden (containers often do), the servers run as `nobody`
and their directories are given to it.
"""

import ctypes
import functools
import os
import signal
import subprocess
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from sandbox.postgres import binaries
from sandbox.postgres.binaries import PostgresError

_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_CLONE_NEWIPC = 0x08000000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_INSIDE = 1000
_NOBODY = 65534
_libc = ctypes.CDLL(None, use_errno=True)


class Way(Enum):
    """How a server is kept from being root."""

    AS_IS = "the sandbox does not run as root"
    NAMESPACE = "a user namespace"
    NOBODY = "the user nobody"


def _enter_namespace(user: int, group: int) -> None:
    # A System V segment that a killed server leaves goes with the IPC namespace.
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWIPC) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{_INSIDE} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{_INSIDE} {group} 1", encoding="ascii")


@functools.cache
def way() -> Way:
    """The way for this process, found out once."""
    if os.geteuid() != 0:
        return Way.AS_IS
    try:
        subprocess.run(
            ["/bin/true"],
            check=True,
            capture_output=True,
            preexec_fn=lambda: _enter_namespace(0, 0),
        )
    except (OSError, subprocess.SubprocessError):
        return Way.NOBODY
    return Way.NAMESPACE


def preparation(*, drop: bool) -> Callable[[], None]:
    """What a child does before exec: give up root if `drop`, and die when the thread that started it ends."""
    chosen = way() if drop else Way.AS_IS
    parent, user, group = os.getpid(), os.geteuid(), os.getegid()

    def prepare() -> None:
        if chosen is Way.NAMESPACE:
            _enter_namespace(user, group)
        elif chosen is Way.NOBODY:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
        # After the change of user, which would clear it.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def give(tree: Path) -> None:
    """Give `tree` to whom the servers run as; raises `PostgresError` if that user cannot get there."""
    if way() is not Way.NOBODY:
        return
    for ancestor in (*tree.resolve().parents, *binaries.directory().resolve().parents):
        if not ancestor.stat().st_mode & 0o001:
            raise PostgresError(
                f"PostgreSQL does not run as root, and the user nobody, as whom it would run, may not enter "
                f"{ancestor}: keep the checkout and the sandbox elsewhere, or do not run as root"
            )
    for path in (tree, *tree.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
