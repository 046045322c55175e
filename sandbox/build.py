"""Build the automation stack with the real SAM CLI, once for the same content.

A build is kept under `.build/sam/` by the content that went into it, so that deploying the same content again,
into this or another sandbox, only uploads and creates.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from sandbox.sam_cli import ROOT, SAM, DeployError, Progress, environ, no_settings, stream

BUILDS = ROOT / ".build" / "sam"
SOURCES = ("functions", "layers", "statemachines")
"""Directories beside the template that a build reads."""

KEPT_BUILDS = 4


def build(template: Path = ROOT / "template.yaml", progress: Progress = print) -> tuple[Path, float]:
    """Build a template, or find its kept build: the built template and the seconds it took.

    Raises `DeployError`.
    """
    if not SAM.exists():
        raise DeployError(f"the SAM CLI is not installed in {SAM.parents[1].name}")
    sources = [template, *(template.parent / name for name in SOURCES)]
    requirements = ROOT / "requirements" / "layer.txt"
    layer = _digest([requirements, ROOT / "layers" / "common"])
    target = BUILDS / _digest(sources, layer)
    BUILDS.mkdir(parents=True, exist_ok=True)
    # One at a time: two that fill the same cache trip over each other, and the second mostly finds the first's.
    with BUILDS.with_name("sam.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / "template.yaml").exists():
            os.utime(target)
            return target / "template.yaml", 0.0
        return _build(template, target, layer, progress)


def _build(template: Path, target: Path, layer: str, progress: Progress) -> tuple[Path, float]:
    started = time.monotonic()
    # The built template points at the state machines by relative path, so the draft lies beside its target.
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=BUILDS))
    home = draft.with_name(f"{draft.name}-home")
    # Used where there is no uv; an environment that uv made has no pip, the Python it was made from has.
    pip = f"{Path(sys.base_prefix) / 'bin' / 'python3'} -m pip"
    caches = {
        name: os.environ.get(name, str(Path.home() / ".cache" / tool))
        for name, tool in (("UV_CACHE_DIR", "uv"), ("PIP_CACHE_DIR", "pip"))
    }
    cache = BUILDS.with_name("sam-cache") / layer
    try:
        command = [str(SAM), "build", "--template-file", str(template), "--build-dir", str(draft)]
        command += ["--cached", "--cache-dir", str(cache), "--parallel", *no_settings(home)]
        stream(command, environ(home, PIP=pip, **caches), progress)
        _pack(draft)
        if target.exists():
            shutil.rmtree(draft)
        else:
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
    _forget_old_builds()
    return target / "template.yaml", time.monotonic() - started


def _pack(build: Path) -> None:
    """Make a build quick to deploy: each code as one archive, the template as JSON.

    The SAM CLI would pack the code of a workflow once for each of its functions, and read the template, five times, as
    YAML. A built template has no short tags any more, so JSON can say the same.
    """
    template = build / "template.yaml"
    data = yaml.load(template.read_text(encoding="utf-8"), yaml.CSafeLoader)
    packed: dict[Path, Path] = {}
    for resource in data["Resources"].values():
        own = resource.get("Properties", {})
        for name in own.keys() & {"CodeUri", "ContentUri"}:
            folder = build / str(own[name])
            if folder.is_dir():
                if folder not in packed:
                    packed[folder] = _archive(folder)
                own[name] = packed[folder].name
    for folder in packed:
        shutil.rmtree(folder)
    template.write_text(json.dumps(data, indent=1), encoding="utf-8")


def _archive(folder: Path) -> Path:
    """An archive of a folder, beside it and named by its contents, so that the same is there once."""
    archive = folder.with_name(f"{_digest([folder], root=folder)}.zip")
    if not archive.exists():
        shutil.make_archive(str(archive.with_suffix("")), "zip", folder)
    return archive


def _forget_old_builds() -> None:
    for root in (BUILDS, BUILDS.with_name("sam-cache")):
        kept = sorted(
            (path for path in root.iterdir() if not path.name.startswith("draft-")),
            key=lambda path: path.stat().st_mtime,
            reverse=True,
        )
        for path in kept[KEPT_BUILDS:]:
            shutil.rmtree(path, ignore_errors=True)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)


def _digest(paths: Iterable[Path], *extra: str, root: Path = Path("/")) -> str:
    """Of the names, seen from `root`, and contents of files, and of those in folders."""
    total = hashlib.sha256("\0".join(extra).encode())
    for file in _files(paths):
        total.update(f"\0{file.relative_to(root)}\0{file.stat().st_mode & 0o111}\0".encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:24]
