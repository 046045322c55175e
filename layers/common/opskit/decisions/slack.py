"""A notice as Slack takes it: Block Kit within its limits, with nothing in it that Slack would read as markup.

Limits: https://docs.slack.dev/reference/block-kit/blocks/header-block (150 characters), .../section-block (3000 in a
text, 10 fields of 2000), 50 blocks a message. Three characters are escaped, in text that a bot sends:
https://docs.slack.dev/messaging/formatting-message-text#escaping
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from opskit.decisions.notice import Notice, Tone, console_link, cut, notice_of

HEADER, SECTION, BLOCKS, FALLBACK = 150, 3000, 50, 3000
_SIGNS = {Tone.GOOD: "✅", Tone.BAD: "🔴", Tone.ASKS: "✋", Tone.NEWS: "ℹ️"}  # noqa: RUF001 - Slack shows them


def payload_of(notice: Notice) -> dict[str, Any]:
    """The JSON of an incoming webhook's request. `text` is what notifications on a phone show."""
    title = f"{_SIGNS[notice.tone]} {notice.title}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(title, HEADER), "emoji": True}}
    ]
    if notice.lines:
        blocks.append(_section("\n".join(f"*{label}*  {escape(text)}" for label, text in notice.lines)))
    if notice.next:
        blocks.append(_section("*What to do next*\n" + "\n".join(f"• {escape(step)}" for step in notice.next)))
    if notice.link:
        link = f"<{notice.link}|The execution in the Step Functions console>"
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": link}]})
    # Title and result say it where blocks are not shown; mentions in it would alarm a channel.
    told = dict(notice.lines).get("Result")
    text = escape(f"{title}: {told}" if told else title)
    return {"text": _cut_escaped(text, FALLBACK), "blocks": blocks[:BLOCKS], "unfurl_links": False}


def notice_of_record(subject: str | None, body: str) -> Notice:
    """The notice of what SNS delivers: one of ours, a CloudWatch alarm, or a text of anybody's."""
    try:
        message = json.loads(body)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        return Notice(subject or "Message", Tone.NEWS, (("Result", cut(body.strip(), SECTION // 2)),), None, ())
    if "AlarmName" in message and "NewStateValue" in message:
        return _of_alarm(message)
    return notice_of(subject or str(message.get("kind") or ""), message)


def escape(text: str) -> str:
    """So that a reason that holds `<!channel>` or a link stays text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut_escaped(text, SECTION)}}


def _cut_escaped(text: str, longest: int) -> str:
    """Cut, but not within an escape, which would show as `&am…`."""
    if len(text) <= longest:
        return text
    short = text[: longest - 1]
    start = short.rfind("&")
    if start > len(short) - 5 and ";" not in short[start:]:
        short = short[:start]
    return f"{short}…"


def _of_alarm(message: Mapping[str, Any]) -> Notice:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-actions.html#alarm-notification-schemas"""
    name, state = str(message["AlarmName"]), str(message["NewStateValue"])
    notice = notice_of(
        f"Alarm {name}: {state}",
        {
            "kind": "ALARM",
            "outcome": {"OK": "OK", "ALARM": "ALARM"}.get(state, "INCONCLUSIVE"),
            "reason": message.get("NewStateReason"),
            "next": [] if state == "OK" else ["docs/runbooks has a page for each alarm; ops status, ops preflight"],
        },
    )
    what = (("What", cut(str(message.get("AlarmDescription") or name), SECTION // 4)),)
    return Notice(notice.title, notice.tone, (*what, *notice.lines), _alarm_link(message), notice.next)


def _alarm_link(message: Mapping[str, Any]) -> str | None:
    arn = str(message.get("AlarmArn") or "").split(":", 6)
    if len(arn) < 7:
        return None
    # The same host as that of an execution in the region.
    base = console_link(":".join([*arn[:2], "states", arn[3], arn[4], "execution", "x", "y"]))
    host = (base or "").partition("/states/")[0]
    return f"{host}/cloudwatch/home?region={arn[3]}#alarmsV2:alarm/{quote(arn[6])}" if host else None
