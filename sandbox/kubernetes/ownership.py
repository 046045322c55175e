"""Server-side apply: who owns which field, conflicts, and the merge.

https://kubernetes.io/docs/reference/using-api/server-side-apply/

A field is a path of elements in the notation of `fieldsV1`: `f:<name>` for a member, `k:<json>` for the item
of a keyed list, and `.` for the item itself. Lists that are not keyed are one field.
"""

import copy
import json
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.errors import conflict
from sandbox.kubernetes.merging import find, identity, list_keys
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.store import Object, timestamp

Path = tuple[str, ...]
Fields = dict[Path, Any]

_NOT_OWNED = {("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace")}
_SYSTEM = frozenset({"managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"})


def fields_of(obj: Object) -> Fields:
    """The fields that `obj` sets, status apart, and their values (None for a list item itself)."""
    found: Fields = {}
    metadata = {name: value for name, value in obj.get("metadata", {}).items() if name not in _SYSTEM}
    _collect({**{k: v for k, v in obj.items() if k != "status"}, "metadata": metadata}, (), found)
    return {path: value for path, value in found.items() if path not in _NOT_OWNED}


def _collect(value: Any, path: Path, found: Fields) -> None:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            _collect(member, (*path, f"f:{name}"), found)
        return
    keys = list_keys(path[-1].removeprefix("f:"), value) if isinstance(value, list) and value else None
    if keys is None:
        found[path] = value
        return
    for item in value:
        element = "k:" + json.dumps(identity(item, keys), sort_keys=True, separators=(",", ":"))
        found[(*path, element, ".")] = None
        _collect(item, (*path, element), found)


@dataclass(frozen=True, slots=True)
class Manager:
    """A writer and how it writes: operation `Apply` or `Update`."""

    name: str
    operation: str


def read(obj: Object) -> dict[Manager, set[Path]]:
    """The ownership recorded in `metadata.managedFields`."""
    owners: dict[Manager, set[Path]] = {}
    for entry in obj.get("metadata", {}).get("managedFields", []):
        paths: set[Path] = set()
        _flatten(entry.get("fieldsV1", {}), (), paths)
        owners[Manager(entry["manager"], entry["operation"])] = paths
    return owners


def _flatten(tree: dict[str, Any], path: Path, paths: set[Path]) -> None:
    for element, below in tree.items():
        if below:
            _flatten(below, (*path, element), paths)
        else:
            paths.add((*path, element))


def write(obj: Object, owners: dict[Manager, set[Path]], writer: Manager) -> None:
    """Record `owners` in the object; the time of every entry but the writer's stays."""
    times = {
        Manager(entry["manager"], entry["operation"]): entry.get("time")
        for entry in obj["metadata"].get("managedFields", [])
    }
    old = read(obj)
    entries = []
    for manager, paths in owners.items():
        if not paths:
            continue
        tree: dict[str, Any] = {}
        for path in sorted(paths):
            branch = tree
            for element in path:
                branch = branch.setdefault(element, {})
        unchanged = manager != writer or old.get(manager) == paths
        entries.append(
            {
                "manager": manager.name,
                "operation": manager.operation,
                "apiVersion": obj["apiVersion"],
                "time": (times.get(manager) if unchanged else None) or timestamp(),
                "fieldsType": "FieldsV1",
                "fieldsV1": tree,
            }
        )
    obj["metadata"]["managedFields"] = entries


def updated(old: Object | None, new: Object, manager_name: str) -> Object:
    """`new`, with `manager_name` as the owner of each field that it changed. For create, replace, patch."""
    writer = Manager(manager_name, "Update")
    before, after = fields_of(old or {}), fields_of(new)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    owners = {
        manager: {path for path in paths if path in after and path not in changed}
        for manager, paths in read(old or {}).items()
    }
    owners[writer] = owners.get(writer, set()) | changed
    result = copy.deepcopy(new)
    result["metadata"]["managedFields"] = copy.deepcopy((old or {}).get("metadata", {}).get("managedFields", []))
    write(result, owners, writer)
    return result


def applied(resource: Resource, live: Object | None, wanted: Object, manager_name: str, *, force: bool) -> Object:
    """`live` with what `wanted` states; fields that this manager stated before and no longer does are removed.

    Raises 409, with a cause per field, where another manager owns a field with a different value, unless
    `force` takes it over.
    """
    writer = Manager(manager_name, "Apply")
    base: Object = live or {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
    owners, before, stated = read(base), fields_of(base), fields_of(wanted)
    disputed = {
        path: manager
        for manager, paths in owners.items()
        if manager != writer
        for path in paths & stated.keys()
        if path[-1] != "." and before.get(path) != stated[path]
    }
    if disputed and not force:
        raise _conflict(resource, wanted["metadata"]["name"], disputed)
    dropped = owners.get(writer, set()) - stated.keys()
    for manager, paths in owners.items():
        if manager != writer:
            dropped -= paths
            dropped -= {(*path[:length], ".") for path in paths for length in range(len(path))}
            owners[manager] = paths - disputed.keys()
    result: Object = _merge(base, wanted)
    for path in sorted(dropped, key=lambda path: (path[-1] != ".", -len(path))):
        _remove(result, path)
    result.setdefault("metadata", {})["managedFields"] = base["metadata"].get("managedFields", [])
    owners[writer] = set(stated)
    write(result, owners, writer)
    return result


def _conflict(resource: Resource, name: str, disputed: dict[Path, Manager]) -> Exception:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{manager.name}" using {resource.api_version}',
            "field": _readable(path),
        }
        for path, manager in sorted(disputed.items())
    ]
    text = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    plural = "" if len(causes) == 1 else "s"
    return conflict(resource.qualified, name, f"Apply failed with {len(causes)} conflict{plural}: {text}", causes)


def _readable(path: Path) -> str:
    text = ""
    for element in path:
        text += f"[{element[2:]}]" if element.startswith("k:") else f".{element.removeprefix('f:')}"
    return text


def _merge(base: Any, wanted: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(wanted, dict):
        return copy.deepcopy(wanted)
    result = copy.deepcopy(base)
    for name, value in wanted.items():
        current = result.get(name)
        if isinstance(value, list) and isinstance(current, list):
            keys = list_keys(name, value + current) if value else None
            result[name] = copy.deepcopy(value) if keys is None else _merge_items(current, value, keys)
        else:
            result[name] = _merge(current, value)
    return result


def _merge_items(current: list[Any], wanted: list[Any], keys: tuple[str, ...]) -> list[Any]:
    result = list(current)
    for item in wanted:
        found = find(result, item, keys)
        if found is None:
            result.append(copy.deepcopy(item))
        else:
            result[result.index(found)] = _merge(found, item)
    return result


def _remove(obj: Any, path: Path) -> None:
    """Remove the field at `path`, and the objects that this leaves empty; a missing one is no error."""
    element, rest = path[0], path[1:]
    if element.startswith("k:"):
        wanted = json.loads(element[2:])
        item = find(obj, wanted, tuple(wanted)) if isinstance(obj, list) else None
        if item is None:
            return
        if rest == (".",):
            obj.remove(item)
        elif len(rest) > 1 or rest[0].removeprefix("f:") not in wanted:
            _remove(item, rest)
        return
    name = element.removeprefix("f:")
    if not isinstance(obj, dict) or name not in obj:
        return
    if not rest:
        del obj[name]
        return
    _remove(obj[name], rest)
    if obj[name] in ({}, []):
        del obj[name]
