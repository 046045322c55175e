"""Which statements of the roles' policies are used, and for what.

Where `SANDBOX_POLICY_USE` names a directory, every request that a role's policy allows is noted there: one line of
JSON the first time that a statement allows an action by one of its resources, in a file of this process's own.
`scripts/policy_use` reads the files of all sandboxes of a test run.

A line has `role` (its name), `by` (the session's name, which is that of the function where Lambda runs one; `service`
where Step Functions or EventBridge act with a role themselves), `sid` (`""` if it has none), `allows` (the statement's
own actions), `action`, and `resource`: which of the statement's resources it was, the first being 0. A statement
counts also where another one would have allowed the same.
"""

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator

from sandbox.automation.patching import replace

VARIABLE = "SANDBOX_POLICY_USE"
SERVICE = "service"


class RolePolicies(list[list[iam_evaluator.ParsedStatement]]):
    """The policies of a role that asks for something, unlike those of a bucket, or of a simulation.

    `acting` is the service that acts with the role; None for a session of it.
    """

    acting: str | None = None


@dataclass
class PolicyUse:
    """What has been used since the plane was started; safe to use from several threads."""

    path: Path
    _known: set[tuple[str, ...]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, context: iam_evaluator.EvalContext, policies: RolePolicies) -> None:
        """Note every statement that allows what is asked for."""
        kind, *names = context.principal_arn.split(":", 5)[5].split("/")
        if kind != "assumed-role" or len(names) < 2:
            return
        role, by = names[0], policies.acting or names[-1]
        for statement in (each for policy in policies for each in policy):
            if iam_evaluator._first_match(context, [statement], "Allow") is None:
                continue
            for index, pattern in enumerate(statement.resources):
                if iam_evaluator._resource_matches(context.resource_arn, [pattern], []):
                    self._note(role, by, statement, context.action, index)

    def _note(self, role: str, by: str, statement: iam_evaluator.ParsedStatement, action: str, resource: int) -> None:
        key = (role, by, statement.sid, *statement.actions, action, str(resource))
        with self._lock:
            if key in self._known:
                return
            self._known.add(key)
            line = {
                "role": role,
                "by": by,
                "sid": statement.sid,
                "allows": statement.actions,
                "action": action,
                "resource": resource,
            }
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def start() -> None:
    """Record from now on, if `SANDBOX_POLICY_USE` is set; raises `GapError` on an unknown ministack."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        return
    Path(directory).mkdir(parents=True, exist_ok=True)
    use = PolicyUse(Path(directory) / f"{os.getpid()}-{os.urandom(4).hex()}.jsonl")
    originals: dict[str, Any] = {}

    def resolve_principal(*args: Any, **more: Any) -> Any:
        found = originals["resolve_principal"](*args, **more)
        if isinstance(found, iam_evaluator.PrincipalInfo) and found.policies is not None:
            found.policies = RolePolicies(found.policies)
        return found

    def evaluate(context: iam_evaluator.EvalContext, policies: Any, *limits: Any) -> Any:
        result = originals["evaluate"](context, policies, *limits)
        if result.decision == "Allow" and isinstance(policies, RolePolicies):
            use.add(context, policies)
        return result

    originals["resolve_principal"] = replace(iam_evaluator, "resolve_principal", "b6c6131e24bf", resolve_principal)
    originals["evaluate"] = replace(iam_evaluator, "evaluate", "2a5dd6932d1a", evaluate)
