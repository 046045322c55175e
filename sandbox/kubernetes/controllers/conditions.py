"""The `status.conditions` lists of pods, ReplicaSets and Deployments."""

from typing import Any

from sandbox.kubernetes.store import Object, timestamp


def get(obj: Object, kind: str) -> dict[str, Any]:
    """The condition of type `kind`, or an empty dict."""
    conditions = obj.get("status", {}).get("conditions") or []
    return next((condition for condition in conditions if condition["type"] == kind), {})


def is_true(obj: Object, kind: str) -> bool:
    """Whether the condition is present with status True."""
    return bool(get(obj, kind).get("status") == "True")


def put(obj: Object, kind: str, value: bool, reason: str = "", message: str = "", *, touch: bool = False) -> None:
    """Set a condition in place; `lastTransitionTime` moves only with the status.

    `lastUpdateTime`, which Deployments carry, moves with status and reason, and with `touch`.
    """
    status = "True" if value else "False"
    old = get(obj, kind)
    now = timestamp()
    new: dict[str, Any] = {"type": kind, "status": status}
    if reason:
        new["reason"] = reason
    if message:
        new["message"] = message
    moved = old.get("status") != status
    new["lastTransitionTime"] = now if moved else old["lastTransitionTime"]
    if obj["kind"] == "Deployment":
        changed = moved or touch or old.get("reason") != (reason or None)
        new["lastUpdateTime"] = now if changed else old["lastUpdateTime"]
    conditions = obj.setdefault("status", {}).setdefault("conditions", [])
    if old:
        conditions[conditions.index(old)] = new
    else:
        conditions.append(new)


def drop(obj: Object, kind: str) -> None:
    """Remove a condition in place."""
    status = obj.get("status", {})
    if "conditions" in status:
        status["conditions"] = [each for each in status["conditions"] if each["type"] != kind]
