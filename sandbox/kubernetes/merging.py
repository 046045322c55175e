"""Patches: JSON merge, strategic merge, and which lists are keyed.

RFC 7386, and
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

import copy
from typing import Any

_LIST_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "conditions": ("type",),
    "containerStatuses": ("name",),
    "ownerReferences": ("uid",),
    "readinessGates": ("conditionType",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}


def list_keys(field: str, items: list[Any]) -> tuple[str, ...] | None:
    """The fields by which the items of the list `field` are told apart; None if it is replaced whole."""
    if not all(isinstance(item, dict) for item in items):
        return None
    if field == "ports":
        number = "containerPort" if any("containerPort" in item for item in items) else "port"
        return (number, "protocol")
    return _LIST_KEYS.get(field)


_DEFAULTS = {"protocol": "TCP"}


def identity(item: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The key fields of a list item, with their API defaults."""
    return {key: item.get(key, _DEFAULTS.get(key)) for key in keys}


def find(items: list[Any], item: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any] | None:
    """The item of `items` with the same key fields as `item`."""
    wanted = identity(item, keys)
    return next((each for each in items if identity(each, keys) == wanted), None)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, lists are replaced."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def strategic_merge(target: Any, patch: Any) -> Any:
    """As `merge_patch`, but keyed lists are merged item by item.

    Understands `$patch: delete` and `$patch: replace` and `$retainKeys`; ordering directives are ignored.
    """
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {name: copy.deepcopy(value) for name, value in patch.items() if name != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    result = copy.deepcopy(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        result = {name: value for name, value in result.items() if name in patch["$retainKeys"]}
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            result.pop(name, None)
        elif isinstance(value, list):
            result[name] = _merge_list(name, result.get(name) or [], value)
        else:
            result[name] = strategic_merge(result.get(name), value)
    return result


def _merge_list(field: str, target: list[Any], patch: list[Any]) -> list[Any]:
    keys = list_keys(field, target + patch)
    if keys is None or {"$patch": "replace"} in patch:
        return [copy.deepcopy(item) for item in patch if item != {"$patch": "replace"}]
    result = list(target)
    for item in patch:
        found = find(result, item, keys)
        if item.get("$patch") == "delete":
            result = [each for each in result if each is not found]
        elif found is None:
            result.append(strategic_merge({}, item))
        else:
            result[result.index(found)] = strategic_merge(found, item)
    return result
