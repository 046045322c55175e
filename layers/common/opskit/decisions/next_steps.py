"""What to do next about a fact that people are told, where the message does not say so itself."""

from collections.abc import Mapping
from typing import Any

_RELEASE, _RECOVERY = "docs/runbooks/release.md", "docs/runbooks/recovery.md"
_AGAIN = "Find out why before releasing again"

_BY_KIND: Mapping[str, tuple[str, ...]] = {
    "STARTED": (),
    "SUCCEEDED": (),
    "ROLLED_BACK": ("Nothing is left to do for clients: traffic is back where it was.", f"{_AGAIN}: {{history}}"),
    "REFUSED": ("Nothing was changed.", "See what stood in the way: {history}"),
    "SUPERSEDED": ("Nothing: another operation has taken over.",),
    "UNFINISHED": (f"Traffic is safe, cleaning up is not done: ops status, {_RELEASE}",),
    "ROLLBACK_FAILED": (f"ACT NOW: traffic may go to a broken version. ops status, then {_RELEASE}",),
    "ABORTED": ("See what it had done, and that traffic is whole: ops status",),
    "FAILED": ("See what it had done, and that traffic is whole: ops status",),
    "TIMED_OUT": ("See what it had done, and that traffic is whole: ops status",),
    "REAP": (f"See that what is named is gone, or delete it: {_RECOVERY}",),
}
_BY_OUTCOME: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "DRILL": {
        "PASS": (),
        "FAIL": (f"A restore might fail as well: {{history}}, {_RECOVERY}; then ops drill",),
    },
    "OBJECTIVES": {
        "PASS": (),
        "FAIL": (f"ops objectives says which; {_RECOVERY} what to do about each",),
        "INCONCLUSIVE": (f"Not knowing is no good news: ops objectives, {_RECOVERY}",),
    },
    "RESTORE": {
        "INTERRUPTED": (f"See which copy is live and remove the others: ops status, {_RECOVERY}",),
    },
}


def next_steps(message: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences for people, by the `kind` and `outcome` of the message; none where there is nothing to do."""
    kind, outcome = str(message.get("kind") or "").upper(), str(message.get("outcome") or "").upper()
    history = _history(message)
    if kind == "APPROVAL_NEEDED":
        return _decide(message)
    if kind.startswith("SNAPSHOT_"):
        return (f"The next run makes up for it. Twice in a row: {history}, ops backups, {_RECOVERY}",)
    steps = _BY_OUTCOME.get(kind, {}).get(outcome, _BY_KIND.get(kind))
    if steps is None:
        steps = ("See what happened: {history}",) if outcome != "PASS" else ()
    remove = message.get("remove") or message.get("remove_unless_live") or ()
    texts = [step.format(history=history) for step in steps]
    if isinstance(remove, list | tuple):
        texts += [f"When it is no longer needed: {one}" for one in remove]
    return tuple(texts)


def _decide(message: Mapping[str, Any]) -> tuple[str, ...]:
    until = message.get("expires_at")
    return (
        f"Decide{f' until {until}' if until else ''}: unanswered, it expires and nothing is changed.",
        f"Yes: {message.get('approve', 'ops approve')}",
        f"No: {message.get('reject', 'ops reject')}",
    )


def _history(message: Mapping[str, Any]) -> str:
    execution = message.get("execution")
    name = execution.rpartition(":")[2] if isinstance(execution, str) else ""
    return f"ops history {name}".strip()
