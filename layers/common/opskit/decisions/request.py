"""A release request made complete: defaults from the stack; contradictions, and what no execution can hold, refused."""

from math import ceil
from typing import Any

from opskit.errors import InvalidInputError

# An execution's history ends at 25,000 events, and the execution with it:
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html#service-limits-state-machine-executions
# A look (Wait, Task, Choice) leaves 9 events: two for the wait, five for the task, two for the choice. 2,000 looks
# leave 7,000 events for everything else: retries, which leave three each, and the way back.
MOST_LOOKS = 2_000
# The state machine's TimeoutSeconds is 93,600; the hour between is for the way back.
MOST_SECONDS = 90_000


def complete_request(data: dict[str, Any], settings: dict[str, Any], environment: str) -> dict[str, Any]:
    """Fill what a schema-valid request leaves out from the stack's `settings`; return it with its `steps`.

    Raises:
        InvalidInputError: the request contradicts itself, names another environment, or may last for longer, or
            need more looks, than an execution of the state machine can.
    """
    refuse_contradictions(data, environment)
    request = {
        "minimum_requests": settings["minimum_requests"],
        "inconclusive_wait_seconds": settings["inconclusive_wait_seconds"],
        "approval_seconds": settings["approval_seconds"],
        **data,
    }
    bake = data.get("bake_seconds", settings["bake_seconds"])
    steps = data.get("steps") or [{"weight": 100}]
    request["steps"] = [{"weight": s["weight"], "bake_seconds": s.get("bake_seconds", bake)} for s in steps]
    if data["operation"] == "release":
        _refuse_what_outlives_the_execution(request, settings)
    return request


def _refuse_what_outlives_the_execution(request: dict[str, Any], settings: dict[str, Any]) -> None:
    """The longest way is what counts: every bake with its extra waits, and every time limit reached."""
    extra = settings["metric_delay_seconds"] + request["inconclusive_wait_seconds"]
    bakes = [step["bake_seconds"] + extra for step in request["steps"] if step["bake_seconds"] > 0]
    waits = (settings["rollout_timeout_seconds"], settings["drain_timeout_seconds"])
    looks = sum(ceil(seconds / settings["bake_poll_seconds"]) for seconds in bakes)
    looks += sum(ceil(seconds / settings["poll_seconds"]) for seconds in waits)
    if looks > MOST_LOOKS:
        raise InvalidInputError(
            f"this release may need {looks} looks at its bakes, rollout and drain; an execution has room for "
            f"{MOST_LOOKS} (its history ends at 25,000 events). Shorten bake_seconds or inconclusive_wait_seconds, or "
            "raise the stack's BakePollSeconds or PollSeconds."
        )
    approval = request["approval_seconds"] if request["approval"] else 0
    seconds = approval + sum(bakes) + sum(waits)
    if seconds > MOST_SECONDS:
        raise InvalidInputError(
            f"this release may last {seconds} s (approval {approval}, bakes with their extra waits {sum(bakes)}, "
            f"rollout and drain {sum(waits)}); an execution has {MOST_SECONDS} s. Shorten approval_seconds, "
            "bake_seconds or inconclusive_wait_seconds."
        )


def refuse_contradictions(data: dict[str, Any], environment: str) -> None:
    """Raise InvalidInputError if a schema-valid request contradicts itself or names another environment."""
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
