"""What a container's process is started with: its variables, its arguments, and where its volumes are."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sandbox
from sandbox.config import Config, environment
from sandbox.kubernetes.kubelet.images import Image
from sandbox.kubernetes.kubelet.volumes import placed
from sandbox.kubernetes.resources import CONFIG_MAPS
from sandbox.kubernetes.store import Key, Object, Store

_MODULES = "sandbox.service"
_NOT_FOR_PODS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "OPS_SERVICE", "OPS_ENVIRONMENT")


class ConfigurationError(Exception):
    """A container refers to what is not there (yet); the message is for the pod's status."""


class CommandError(Exception):
    """A container's command is not in its image."""


def node_variables(config: Config) -> dict[str, str]:
    """Where AWS is for processes on this machine: the sandbox's addresses, and nobody's credentials or profile."""
    given = {name: value for name, value in environment(config).items() if name not in _NOT_FOR_PODS}
    return {**given, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One container's variables and its mounts, directories by mount path."""

    variables: dict[str, str]
    mounts: dict[str, Path]

    def command(self, image: Image, spec: dict[str, Any], *, port: int, metrics_port: int, colour: str) -> list[str]:
        """The command line of a container; raises `CommandError` for a command that the image does not have.

        An image holds Python and the service, so a command is `python -m sandbox.service…`.
        """
        arguments = [placed(word, self.mounts) for word in spec.get("args", [])]
        words = spec.get("command")
        if not words:
            return [*image.command(port=port, metrics_port=metrics_port, colour=colour), *arguments]
        if words[0] not in ("python", "python3") or words[1:2] != ["-m"] or not _is_ours(words[2:3]):
            raise CommandError(f'exec: "{" ".join(words)}": executable file not found in $PATH')
        return [sys.executable, "-P", *(placed(word, self.mounts) for word in words[1:]), *arguments]


def _is_ours(module: list[str]) -> bool:
    return bool(module) and (module[0] == _MODULES or module[0].startswith(f"{_MODULES}."))


def surroundings(
    store: Store, pod: Object, container: dict[str, Any], *, node: dict[str, str], volumes: dict[str, Path]
) -> Surroundings:
    """Of a container: `envFrom` (ConfigMaps), `env` (values and the pod's own fields), `volumeMounts`.

    `volumes` are directories by the volume's name. Raises `ConfigurationError`.
    """
    try:
        mounts = {
            each["mountPath"]: volumes[each["name"]] / each.get("subPath", "")
            for each in container.get("volumeMounts", [])
        }
    except KeyError as error:
        raise ConfigurationError(f"volume {error} is mounted and not there") from error
    checkout = str(Path(sandbox.__file__).resolve().parents[1])
    variables = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": checkout, **node}
    own = {**_from_config_maps(store, pod, container), **_given(pod, container)}
    return Surroundings(variables | {name: placed(value, mounts) for name, value in own.items()}, mounts)


def _from_config_maps(store: Store, pod: Object, container: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        reference = source.get("configMapRef")
        if reference is None:
            raise ConfigurationError("of envFrom only configMapRef is supported")
        config = store.find(Key(CONFIG_MAPS, pod["metadata"]["namespace"], reference["name"]))
        if config is None and not reference.get("optional"):
            raise ConfigurationError(f'configmap "{reference["name"]}" not found')
        for name, value in ((config or {}).get("data") or {}).items():
            found[source.get("prefix", "") + name] = str(value)
    return found


def _given(pod: Object, container: dict[str, Any]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for each in container.get("env", []):
        if "value" in each:
            variables[each["name"]] = str(each["value"])
        elif path := each.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath"):
            variables[each["name"]] = _field(pod, path)
    return variables


def _field(pod: Object, path: str) -> str:
    """A field as the downward API names it: `metadata.name`, `metadata.labels['colour']`, `status.podIP`."""
    head, bracket, key = path.partition("['")
    value: Any = pod
    for name in [*head.split("."), *([key.removesuffix("']")] if bracket else [])]:
        value = value.get(name) if isinstance(value, dict) else None
    return "" if value is None else str(value)
