"""Renders the part of kustomize that `kubernetes/` uses.

`resources` (files and directories), `namespace`, `labels` (`pairs`, `includeTemplates`) and `patches`
(strategic merge, from `path` or inline, with a `target` of kind and name), `configMapGenerator` (`files`, without a
suffix to the name), `sortOptions` (`fifo`). Anything else is an error rather than ignored, so what is rendered here is
what `kubectl kustomize` renders.
https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
"""

from pathlib import Path
from typing import Any

import yaml

from sandbox.kubernetes.merging import strategic_merge
from sandbox.kubernetes.resources import RESOURCES

Manifest = dict[str, Any]

_KNOWN = {"apiVersion", "kind", "resources", "namespace", "labels", "patches", "sortOptions", "configMapGenerator"}
_NAMESPACED = {(each.api_version, each.kind): each.namespaced for each in RESOURCES}


class KustomizeError(ValueError):
    """A kustomization that this subset cannot render; the message names the file."""


def build(directory: Path) -> list[Manifest]:
    """The manifests that `directory/kustomization.yaml` describes, in the order of its resources."""
    path = directory / "kustomization.yaml"
    document = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    if unknown := document.keys() - _KNOWN:
        raise KustomizeError(f"{path}: not supported: {', '.join(sorted(unknown))}")
    if document.get("sortOptions", {"order": "fifo"}) != {"order": "fifo"}:
        raise KustomizeError(f"{path}: resources are kept in order (sortOptions: order: fifo)")
    manifests: list[Manifest] = []
    for name in document.get("resources", []):
        source = directory / name
        manifests += build(source) if source.is_dir() else _load(source.read_text(encoding="utf-8"))
    manifests += [_config_map(path, entry) for entry in document.get("configMapGenerator", [])]
    for entry in document.get("patches", []):
        manifests = _patch(path, manifests, entry)
    if namespace := document.get("namespace"):
        for manifest in manifests:
            _place(path, manifest, namespace)
    for entry in document.get("labels", []):
        _label(path, manifests, entry)
    return manifests


def _load(text: str) -> list[Manifest]:
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def _config_map(path: Path, entry: Manifest) -> Manifest:
    options = entry.get("options", {})
    if entry.keys() - {"name", "files", "options"} or options.keys() - {"disableNameSuffixHash", "labels"}:
        raise KustomizeError(f"{path}: a generated ConfigMap may have a name, files and options")
    if not options.get("disableNameSuffixHash"):
        raise KustomizeError(f"{path}: a generated ConfigMap keeps its name (disableNameSuffixHash)")
    files = [path.parent / name for name in entry["files"]]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": entry["name"], "labels": dict(options.get("labels", {}))},
        "data": {file.name: file.read_text(encoding="utf-8") for file in files},
    }


def _patch(path: Path, manifests: list[Manifest], entry: Manifest) -> list[Manifest]:
    if entry.keys() - {"path", "patch", "target"} or entry.get("target", {}).keys() - {"kind", "name"}:
        raise KustomizeError(f"{path}: a patch may have path or patch, and a target of kind and name")
    text = (path.parent / entry["path"]).read_text(encoding="utf-8") if "path" in entry else entry["patch"]
    patch = yaml.load(text, yaml.CSafeLoader)
    if not isinstance(patch, dict):
        raise KustomizeError(f"{path}: only strategic merge patches are supported")
    target = entry.get("target") or {"kind": patch["kind"], "name": patch["metadata"]["name"]}
    # The target decides: what the patch calls itself does not rename anything.
    change = {name: value for name, value in patch.items() if name not in ("apiVersion", "kind")}
    change["metadata"] = {name: value for name, value in patch["metadata"].items() if name != "name"}
    hits = [index for index, each in enumerate(manifests) if _is(each, target)]
    if not hits:
        raise KustomizeError(f"{path}: no resource matches the patch target {target}")
    return [strategic_merge(each, change) if index in hits else each for index, each in enumerate(manifests)]


def _is(manifest: Manifest, target: dict[str, str]) -> bool:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    return bool(kind == target.get("kind", kind) and name == target.get("name", name))


def _place(path: Path, manifest: Manifest, namespace: str) -> None:
    namespaced = _NAMESPACED.get((manifest["apiVersion"], manifest["kind"]))
    if namespaced is None:
        raise KustomizeError(f"{path}: {manifest['apiVersion']} {manifest['kind']} is not known here")
    if namespaced:
        manifest["metadata"]["namespace"] = namespace
    elif manifest["kind"] == "Namespace":
        manifest["metadata"]["name"] = namespace


def _label(path: Path, manifests: list[Manifest], entry: Manifest) -> None:
    if entry.keys() - {"pairs", "includeTemplates"}:
        raise KustomizeError(f"{path}: labels may have pairs and includeTemplates")
    for manifest in manifests:
        manifest["metadata"].setdefault("labels", {}).update(entry["pairs"])
        if entry.get("includeTemplates"):
            for template in _templates(manifest.get("spec", {})):
                template.setdefault("metadata", {}).setdefault("labels", {}).update(entry["pairs"])


def _templates(spec: Manifest) -> list[Manifest]:
    """The templates in a spec: a CronJob has one of Jobs, and that one of pods."""
    if "jobTemplate" in spec:
        return [spec["jobTemplate"], *_templates(spec["jobTemplate"].get("spec", {}))]
    return [spec["template"]] if "template" in spec else []
