"""Pods' volumes, as directories of the sandbox.

A process here sees the file system of this machine and not one of its own, so nothing is mounted: wherever a
container's variables and arguments name a path below one of its mounts, they get the directory behind it.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.kubernetes.resources import CONFIG_MAPS, VOLUME_CLAIMS, VOLUMES
from sandbox.kubernetes.store import Key, Object, Store
from sandbox.kubernetes.workload_identity import TokenIssuer


class MountError(Exception):
    """A volume cannot be had (yet); the message is for the pod's status."""


class Volumes:
    """Directories below `root`; `issuer` gives the cluster's OIDC issuer and may block.

    Kinds: `emptyDir` and `configMap`, which last as long as their pod, `projected` tokens of the service account, and
    `persistentVolumeClaim`, whose directory is that of the volume that the claim names and stays.
    """

    def __init__(self, store: Store, root: Path, issuer: Callable[[], str]) -> None:
        self._store = store
        self._root = root
        self._issuer = issuer
        self._tokens = TokenIssuer()

    async def provide(self, pod: Object) -> dict[str, Path]:
        """The directory of each volume by its name, with what belongs into it. Raises `MountError`."""
        return {volume["name"]: await self._provide(pod, volume) for volume in pod["spec"].get("volumes", [])}

    def release(self, pod: Object) -> None:
        """Remove what was the pod's alone."""
        shutil.rmtree(self._own(pod), ignore_errors=True)

    async def _provide(self, pod: Object, volume: dict[str, Any]) -> Path:
        if claim := volume.get("persistentVolumeClaim"):
            return self._persistent(pod["metadata"]["namespace"], claim["claimName"])
        directory = self._own(pod) / str(volume["name"])
        directory.mkdir(parents=True, exist_ok=True)
        if source := volume.get("configMap"):
            self._write_config(directory, pod["metadata"]["namespace"], source)
        elif projected := volume.get("projected"):
            for each in projected["sources"]:
                await self._write_token(directory, pod, each)
        elif "emptyDir" not in volume:
            raise MountError(f'volume "{volume["name"]}" is of a kind that this kubelet does not mount')
        return directory

    def _own(self, pod: Object) -> Path:
        return self._root / "pods" / str(pod["metadata"]["uid"])

    def _persistent(self, namespace: str, name: str) -> Path:
        claim = self._store.find(Key(VOLUME_CLAIMS, namespace, name))
        if claim is None:
            raise MountError(f'persistentvolumeclaim "{name}" not found')
        bound = claim["spec"].get("volumeName", "")
        if self._store.find(Key(VOLUMES, "", bound)) is None:
            raise MountError(f'persistentvolumeclaim "{name}" is not bound: persistentvolume "{bound}" not found')
        directory = self._root / "persistent" / bound
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _write_config(self, directory: Path, namespace: str, source: dict[str, Any]) -> None:
        found = self._store.find(Key(CONFIG_MAPS, namespace, source["name"]))
        if found is None and not source.get("optional"):
            raise MountError(f'configmap "{source["name"]}" not found')
        for key, text in ((found or {}).get("data") or {}).items():
            (directory / key).write_text(text, encoding="utf-8")

    async def _write_token(self, directory: Path, pod: Object, source: dict[str, Any]) -> None:
        wanted = source.get("serviceAccountToken")
        if wanted is None:
            raise MountError("of projected volumes only serviceAccountToken is supported")
        try:
            issuer = await asyncio.to_thread(self._issuer)
        except (BotoCoreError, ClientError) as error:
            raise MountError(f"the cluster's OIDC issuer is not known: {error}") from error
        token = self._tokens.issue(
            pod,
            issuer=issuer,
            audience=wanted.get("audience", issuer),
            lifetime_seconds=wanted.get("expirationSeconds", 3600),
        )
        path = directory / wanted["path"]
        path.touch(mode=0o600)
        path.write_text(token)


def placed(text: str, mounts: dict[str, Path]) -> str:
    """`text` with the directory in place of the mount path that it is, or is below; `mounts` by their paths."""
    for path in sorted(mounts, key=len, reverse=True):
        if text == path or text.startswith(f"{path}/"):
            return str(mounts[path]) + text.removeprefix(path)
    return text
