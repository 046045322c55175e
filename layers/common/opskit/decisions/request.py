"""A release request made complete: defaults from the stack, contradictions refused."""

from typing import Any

from opskit.errors import InvalidInputError


def complete_request(data: dict[str, Any], settings: dict[str, Any], environment: str) -> dict[str, Any]:
    """Fill what a schema-valid request leaves out from the stack's `settings`; return it with its `steps`.

    Raises:
        InvalidInputError: the request contradicts itself or names another environment.
    """
    _refuse_contradictions(data, environment)
    request = {
        "minimum_requests": settings["minimum_requests"],
        "inconclusive_wait_seconds": settings["inconclusive_wait_seconds"],
        "approval_seconds": settings["approval_seconds"],
        **data,
    }
    bake = data.get("bake_seconds", settings["bake_seconds"])
    steps = data.get("steps") or [{"weight": 100}]
    request["steps"] = [{"weight": s["weight"], "bake_seconds": s.get("bake_seconds", bake)} for s in steps]
    return request


def _refuse_contradictions(data: dict[str, Any], environment: str) -> None:
    named = data.get("environment")
    if named is not None and named != environment:
        raise InvalidInputError(f"environment is {named}, but this state machine releases to {environment}")
    if data["operation"] == "rollback":
        given = sorted({"image", "steps", "override_alarms", "approval"} & {k for k, v in data.items() if v})
        if given:
            raise InvalidInputError(f"a rollback takes no {', '.join(given)}: it goes back to what is recorded")
        return
    if "image" not in data:
        raise InvalidInputError("image is missing: a release needs the image to bring to production")
    canary = data["strategy"] == "canary"
    if canary != ("steps" in data):
        raise InvalidInputError(
            "strategy canary needs steps" if canary else "steps are for strategy canary; blue-green shifts all at once"
        )
    weights = [step["weight"] for step in data.get("steps", ())]
    if weights and (weights != sorted(set(weights)) or weights[-1] != 100):
        raise InvalidInputError(f"the weights of steps must rise and end at 100, got {weights}")
