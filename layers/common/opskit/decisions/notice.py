"""What people are told about a fact: who, what, why, what came of it, where to look, what to do next.

`Notifier` publishes facts, as JSON, for programs; the text for people follows from the same facts here, whether it goes
out as an e-mail or to a chat. The facts that count, all optional:

`kind`, `outcome`                     what happened; they decide the tone and the default of what to do next
`execution`, `execution_arn`          ARN of the Step Functions execution, for the link
`requested_by`, `request_reason`      who asked for it, and why
`reason`                              what came of it, in a sentence
`image`, `from`, `cut_over`, `plan`   what it is about
`next`                                what to do next, a sentence or several, instead of the default
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opskit.decisions.next_steps import next_steps

# What is longer is cut: the facts have all of it.
LONGEST = 700


class Tone(StrEnum):
    """How it is to be taken."""

    GOOD = "GOOD"
    BAD = "BAD"
    ASKS = "ASKS"
    NEWS = "NEWS"


_GOOD = frozenset({"PASS", "SUCCEEDED", "COMPLETE", "RESTORED", "REPLACED", "RESOLVED", "OK"})
_BAD = frozenset(
    {
        *("FAIL", "FAILED", "INCONCLUSIVE", "INCOMPLETE", "INTERRUPTED", "ABORTED", "TIMED_OUT", "ALARM"),
        *("ROLLED_BACK", "ROLLBACK_FAILED", "UNFINISHED", "ESCALATED", "REFUSED", "BLOCKED"),
    }
)


@dataclass(frozen=True, slots=True)
class Notice:
    """One fact for people. `lines` are label and text, in order; `link` leads to the execution."""

    title: str
    tone: Tone
    lines: tuple[tuple[str, str], ...]
    link: str | None
    next: tuple[str, ...]


def notice_of(subject: str, message: Mapping[str, Any]) -> Notice:
    """The notice of a published message; whatever the message holds, it makes one."""
    lines = [
        ("Who", _text(message.get("requested_by"))),
        ("What", _about(message)),
        ("Why", _text(message.get("request_reason"))),
        ("Result", _text(message.get("reason"))),
    ]
    return Notice(
        title=" ".join(subject.split()) or "(no subject)",
        tone=tone_of(message),
        lines=tuple((label, text) for label, text in lines if text),
        link=_link(message),
        next=_next(message),
    )


def text_of(notice: Notice) -> str:
    """As plain text, for an e-mail."""
    width = max((len(label) for label, _ in notice.lines), default=0)
    parts = [notice.title, "", *(f"{label + ':':<{width + 1}} {text}" for label, text in notice.lines)]
    if notice.next:
        parts += ["", "What to do next:", *(f"- {step}" for step in notice.next)]
    if notice.link:
        parts += ["", f"The execution: {notice.link}"]
    return "\n".join(parts) + "\n"


def tone_of(message: Mapping[str, Any]) -> Tone:
    """By the outcome if there is one, else by the kind (`SNAPSHOT_FAILED` is a failure)."""
    kind, outcome = str(message.get("kind") or "").upper(), str(message.get("outcome") or "").upper()
    if kind == "APPROVAL_NEEDED":
        return Tone.ASKS
    word = outcome or kind
    if kind == "REAP" or word in _BAD or any(word.endswith(f"_{bad}") for bad in _BAD):
        return Tone.BAD
    return Tone.GOOD if word in _GOOD else Tone.NEWS


def console_link(execution_arn: str) -> str | None:
    """Where the Step Functions console shows an execution; None if it is no execution's ARN."""
    parts = execution_arn.split(":")
    if len(parts) < 8 or parts[2] != "states" or parts[5] not in ("execution", "express"):
        return None
    region = parts[3]
    host = {
        "aws-cn": "console.amazonaws.cn",
        "aws-us-gov": "console.amazonaws-us-gov.com",
    }.get(parts[1], f"{region}.console.aws.amazon.com")
    page = "executions" if parts[5] == "execution" else "express-executions"
    return f"https://{host}/states/home?region={region}#/v2/{page}/details/{execution_arn}"


def cut(text: str, longest: int) -> str:
    """At most `longest` characters, the last of which then is `…`."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
_REGISTRY = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/")


def _text(value: Any) -> str:
    """One line of a text; empty for what is none."""
    if not isinstance(value, str):
        return ""
    return cut(_DIGEST.sub(r"\1", _REGISTRY.sub("", " ".join(value.split()))), LONGEST)


def _about(message: Mapping[str, Any]) -> str:
    plan = message.get("plan")
    within = plan if isinstance(plan, Mapping) else {}
    image = _text(message.get("image") or within.get("image"))
    before = _text(message.get("from") or within.get("from_image"))
    if image:
        return f"{image} in place of {before}" if before and before != image else image
    moved = message.get("cut_over")
    return _text("; ".join(map(str, moved))) if isinstance(moved, Sequence) and not isinstance(moved, str) else ""


def _link(message: Mapping[str, Any]) -> str | None:
    for name in ("execution_arn", "execution"):
        if isinstance(message.get(name), str) and (link := console_link(message[name])):
            return link
    return None


def _next(message: Mapping[str, Any]) -> tuple[str, ...]:
    given = message.get("next")
    if isinstance(given, str):
        given = [given]
    steps = given if isinstance(given, Sequence) else next_steps(message)
    return tuple(text for text in map(_text, steps) if text)
