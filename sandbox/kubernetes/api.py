"""The verbs of the API on the store: create, replace, patch, apply, delete, evict, scale, status."""

import copy
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes import evictions
from sandbox.kubernetes.admission import admit
from sandbox.kubernetes.defaults import apply_defaults
from sandbox.kubernetes.errors import StatusError, bad_request, invalid, method_not_allowed, not_found
from sandbox.kubernetes.merging import merge_patch, strategic_merge
from sandbox.kubernetes.ownership import applied, updated
from sandbox.kubernetes.resources import NAMESPACES, PODS, Target
from sandbox.kubernetes.store import Key, Object, Store
from sandbox.kubernetes.validation import validate

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Options:
    """How a change is to be made."""

    field_manager: str
    force: bool = False
    dry_run: bool = False


class Api:
    """Every method raises `StatusError` for what the API refuses, and returns the object as stored."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, target: Target, body: Object, options: Options) -> Object:
        """POST to a collection."""
        obj = self._checked(target, body, named=False)
        return self._create(target, updated(None, obj, options.field_manager), options)

    def replace(self, target: Target, body: Object, options: Options) -> Object:
        """PUT to an object or its status or scale."""
        key = key_of(target)
        old = self._store.get(key)
        if target.subresource == "scale":
            return self._rescale(target, old, body, options)
        obj = self._checked(target, body)
        if target.subresource == "status":
            return self._update(key, {**old, "status": obj.get("status", {})}, old, options)
        if "status" in old:
            obj["status"] = old["status"]
        return self._update(key, updated(old, obj, options.field_manager), old, options)

    def patch(self, target: Target, patch_type: str, body: Any, options: Options) -> tuple[Object, bool]:
        """PATCH; returns the object and whether an apply created it."""
        if not isinstance(body, dict):
            raise bad_request("the patch must be an object")
        key = key_of(target)
        if patch_type == APPLY and not target.subresource:
            return self._apply(target, key, body, options)
        old = self._store.get(key)
        before = scale_of(old) if target.subresource == "scale" else old
        if patch_type == STRATEGIC:
            # As the real one, which knows merge keys only for built-in kinds.
            if target.resource.group == "elbv2.k8s.aws":
                raise StatusError(
                    415, "UnsupportedMediaType", "strategic merge patch is not supported for custom resources"
                )
            after = strategic_merge(before, body)
        elif patch_type == MERGE:
            after = merge_patch(before, body)
        else:
            raise StatusError(415, "UnsupportedMediaType", f"patch type {patch_type!r} is not supported")
        version = body.get("metadata", {}).get("resourceVersion") or old["metadata"]["resourceVersion"]
        after["metadata"]["resourceVersion"] = version
        return self.replace(target, after, options), False

    def scale(self, target: Target) -> Object:
        """GET of the scale subresource."""
        return scale_of(self._store.get(key_of(target)))

    def delete(self, target: Target, body: Object, *, dry_run: bool) -> Object:
        """DELETE: pods get their grace period, a namespace empties first, the rest goes at once."""
        key = key_of(target)
        obj = self._store.get(key)
        _check_preconditions(obj, body)
        if dry_run:
            return obj
        if target.resource is PODS:
            grace = body.get("gracePeriodSeconds")
            grace = obj["spec"]["terminationGracePeriodSeconds"] if grace is None else int(grace)
            return self._store.mark_deleted(key, grace)
        if target.resource is NAMESPACES:
            with self._store.editing(key) as namespace:
                namespace["status"] = {"phase": "Terminating"}
            return self._store.mark_deleted(key, 0)
        removed = self._store.remove(key)
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {"name": key.name, "kind": key.resource.plural, "uid": removed["metadata"]["uid"]},
        }

    def evict(self, target: Target, body: Any, *, dry_run: bool) -> Object:
        """POST of an Eviction: delete a pod if its disruption budget allows it, else 429."""
        options = evictions.check_body(target, body).get("deleteOptions") or {}
        pod = self._store.get(key_of(target))
        _check_preconditions(pod, options)
        evictions.check(self._store, pod)
        self.delete(target, options, dry_run=dry_run or "All" in (options.get("dryRun") or ()))
        return evictions.DONE

    def _apply(self, target: Target, key: Key, body: Object, options: Options) -> tuple[Object, bool]:
        if not options.field_manager:
            raise bad_request("PatchOptions.meta.k8s.io: fieldManager is required for apply patch")
        wanted = self._checked(target, body)
        old = self._store.find(key)
        obj = applied(target.resource, old, wanted, options.field_manager, force=options.force)
        if old is None:
            return self._create(target, obj, options), True
        return self._update(key, obj, old, options), False

    def _checked(self, target: Target, body: Any, *, named: bool = True) -> Object:
        """A copy of `body` whose kind, name and namespace agree with the path."""
        if not isinstance(body, dict):
            raise bad_request("the body must be an object")
        resource = target.resource
        obj = copy.deepcopy(body)
        given = (obj.get("apiVersion", resource.api_version), obj.get("kind", resource.kind))
        if given != (resource.api_version, resource.kind):
            raise bad_request(f"the body is a {given[0]} {given[1]}, the path is for {resource.qualified}")
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        metadata = obj.get("metadata")
        if metadata is None:
            metadata = obj["metadata"] = {}
        if named and metadata.setdefault("name", target.name) != target.name:
            raise bad_request(f"the name of the object ({metadata['name']}) does not match the URL ({target.name})")
        if not metadata.get("name") and not metadata.get("generateName"):
            raise invalid(resource.kind, "", [("metadata.name", "Required value: name or generateName is required")])
        if resource.namespaced and metadata.setdefault("namespace", target.namespace) != target.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace of the request")
        return obj

    def _create(self, target: Target, obj: Object, options: Options) -> Object:
        resource = target.resource
        if resource.namespaced:
            namespace = self._store.get(Key(NAMESPACES, "", target.namespace))
            if "deletionTimestamp" in namespace["metadata"]:
                raise StatusError(403, "Forbidden", f'namespace "{target.namespace}" is being terminated')
        obj = copy.deepcopy(obj)
        obj["metadata"].setdefault("name", obj["metadata"].get("generateName", ""))
        apply_defaults(resource, obj)
        validate(resource, {**obj, "metadata": {**obj["metadata"], "name": obj["metadata"]["name"].rstrip("-")}})
        if obj["metadata"].get("generateName") == obj["metadata"]["name"]:
            obj["metadata"]["name"] = ""
        if resource is PODS:
            admit(self._store, obj)
        return obj if options.dry_run else self._store.create(resource, obj)

    def _update(self, key: Key, obj: Object, old: Object, options: Options) -> Object:
        apply_defaults(key.resource, obj)
        validate(key.resource, obj, old)
        return obj if options.dry_run else self._store.update(key, obj)

    def _rescale(self, target: Target, old: Object, scale: Object, options: Options) -> Object:
        obj = copy.deepcopy(old)
        obj["spec"]["replicas"] = scale.get("spec", {}).get("replicas", 0)
        if version := scale.get("metadata", {}).get("resourceVersion"):
            obj["metadata"]["resourceVersion"] = version
        return scale_of(self._update(key_of(target), updated(old, obj, options.field_manager), old, options))


def _check_preconditions(obj: Object, options: Object) -> None:
    uid = (options.get("preconditions") or {}).get("uid")
    if uid and uid != obj["metadata"]["uid"]:
        raise StatusError(409, "Conflict", "the UID in the precondition does not match")


def key_of(target: Target) -> Key:
    """The key of the object that a path names; raises 405 for a collection."""
    if not target.name:
        raise method_not_allowed()
    return Key(target.resource, target.namespace, target.name)


def scale_of(obj: Object) -> Object:
    """The autoscaling/v1 Scale of a Deployment or ReplicaSet."""
    if "replicas" not in obj.get("spec", {}):
        raise not_found("scale", obj["metadata"]["name"])
    metadata = obj["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = obj["spec"]["selector"].get("matchLabels", {})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names},
        "spec": {"replicas": obj["spec"]["replicas"]},
        "status": {
            "replicas": obj.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        },
    }
