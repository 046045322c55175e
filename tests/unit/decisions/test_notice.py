"""What people are told, as a text and as Slack takes it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.notice import Tone, console_link, notice_of, text_of, tone_of
from opskit.decisions.slack import FALLBACK, HEADER, SECTION, notice_of_record, payload_of

ARN = "arn:aws:states:eu-west-1:123456789012:execution:shop-dev-release:release-1"
LINK = f"https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/{ARN}"
DIGEST = "sha256:" + "a" * 64
ROLLED_BACK = {
    "kind": "ROLLED_BACK",
    "execution": ARN,
    "image": f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@{DIGEST}",
    "from": "shop:1.0.0",
    "requested_by": "ana",
    "request_reason": "new search",
    "reason": "30 % of requests failed",
}


def test_a_fact_says_who_what_why_result_where_and_what_next() -> None:
    assert text_of(notice_of("shop dev: release rolled back", ROLLED_BACK)) == (
        "shop dev: release rolled back\n"
        "\n"
        "Who:    ana\n"
        "What:   shop@sha256:aaaaaaaaaaaa in place of shop:1.0.0\n"
        "Why:    new search\n"
        "Result: 30 % of requests failed\n"
        "\n"
        "What to do next:\n"
        "- Nothing is left to do for clients: traffic is back where it was.\n"
        "- Find out why before releasing again: ops history release-1\n"
        "\n"
        f"The execution: {LINK}\n"
    )


def test_a_decision_says_how_to_make_it() -> None:
    message = {
        "kind": "APPROVAL_NEEDED",
        "execution": "release-1",
        "execution_arn": ARN,
        "plan": {"image": "shop:2"},
        "expires_at": "2026-06-01T12:00:00+00:00",
        "approve": "ops approve release-1 --environment prod",
        "reject": "ops reject release-1 --environment prod --reason TEXT",
    }
    notice = notice_of("shop prod: approval needed", message)
    assert notice.tone is Tone.ASKS
    assert notice.link == LINK
    assert "Yes: ops approve release-1 --environment prod" in notice.next
    assert "until 2026-06-01T12:00:00+00:00" in notice.next[0]


@pytest.mark.parametrize(
    ("kind", "outcome", "tone"),
    [
        ("SUCCEEDED", None, Tone.GOOD),
        ("STARTED", None, Tone.NEWS),
        ("ROLLBACK_FAILED", None, Tone.BAD),
        ("SNAPSHOT_INCOMPLETE", "INCOMPLETE", Tone.BAD),
        ("drill", "PASS", Tone.GOOD),
        ("drill", "FAIL", Tone.BAD),
        ("OBJECTIVES", "INCONCLUSIVE", Tone.BAD),
        ("reap", None, Tone.BAD),
        ("REMEDIATION", "ESCALATED", Tone.BAD),
        ("SOMETHING", None, Tone.NEWS),
        (None, None, Tone.NEWS),
    ],
)
def test_tones(kind: str | None, outcome: str | None, tone: Tone) -> None:
    assert tone_of({"kind": kind, "outcome": outcome}) is tone


def test_what_a_message_says_is_next_goes_before_the_default() -> None:
    assert notice_of("s", ROLLED_BACK | {"next": "Call Ben"}).next == ("Call Ben",)
    assert notice_of("s", ROLLED_BACK | {"next": ["a", "b"]}).next == ("a", "b")


@pytest.mark.parametrize(
    ("arn", "starts"),
    [
        (ARN, "https://eu-west-1.console.aws.amazon.com/states/"),
        (ARN.replace(":aws:", ":aws-cn:").replace("eu-west-1", "cn-north-1"), "https://console.amazonaws.cn/states/"),
        (ARN.replace(":aws:", ":aws-us-gov:"), "https://console.amazonaws-us-gov.com/states/"),
        (ARN.replace(":execution:", ":express:") + ":uuid", "https://eu-west-1.console.aws.amazon.com/states/"),
        ("release-1", None),
        ("arn:aws:lambda:eu-west-1:1:function:x:y", None),
    ],
)
def test_links_of_executions(arn: str, starts: str | None) -> None:
    link = console_link(arn)
    assert (link is None) is (starts is None)
    assert link is None or link.startswith(str(starts))
    assert link is None or ("express-executions" in link) is (":express:" in arn)


def test_slack_gets_a_header_the_facts_the_steps_and_the_link() -> None:
    payload = payload_of(notice_of("shop dev: release rolled back", ROLLED_BACK))
    assert [block["type"] for block in payload["blocks"]] == ["header", "section", "section", "context"]
    assert payload["blocks"][0]["text"]["text"] == "🔴 shop dev: release rolled back"
    assert payload["blocks"][3]["elements"][0]["text"].startswith(f"<{LINK}|")
    assert payload["text"] == "🔴 shop dev: release rolled back: 30 % of requests failed"


def test_nothing_in_a_reason_is_markup() -> None:
    payload = payload_of(notice_of("s <!here>", {"reason": "<!channel> a & b <http://x|y>"}))
    assert payload["blocks"][1]["text"]["text"] == "*Result*  &lt;!channel&gt; a &amp; b &lt;http://x|y&gt;"
    assert payload["text"] == "ℹ️ s &lt;!here&gt;: &lt;!channel&gt; a &amp; b &lt;http://x|y&gt;"  # noqa: RUF001


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
facts = st.sampled_from(
    ["kind", "outcome", "execution", "requested_by", "request_reason", "reason", "plan", "image", "next", "remove"]
)


@given(st.text(max_size=400), st.dictionaries(facts, json_values, max_size=8))
def test_whatever_is_published_fits_into_slack(subject: str, message: dict[str, Any]) -> None:
    payload = payload_of(notice_of_record(subject, json.dumps(message)))
    assert 0 < len(payload["text"]) <= FALLBACK
    assert len(payload["blocks"]) <= 50
    for block in payload["blocks"]:
        text = block["text"]["text"] if "text" in block else block["elements"][0]["text"]
        assert 0 < len(text) <= (HEADER if block["type"] == "header" else SECTION)
    assert text_of(notice_of(subject, message))


@given(st.text(alphabet="&<>a", min_size=1, max_size=6000))
def test_a_cut_leaves_no_half_escape(reason: str) -> None:
    for block in payload_of(notice_of("s", {"next": [reason] * 9, "reason": reason}))["blocks"][1:]:
        text = block["text"]["text"].removesuffix("…")
        assert "&" not in text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")


def test_an_alarm_of_cloudwatch_is_a_fact_too() -> None:
    message = {
        "AlarmName": "shop-dev-alb-5xx",
        "AlarmDescription": "Targets answered with 5xx",
        "NewStateValue": "ALARM",
        "NewStateReason": "Threshold Crossed",
        "AlarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop-dev-alb-5xx",
    }
    notice = notice_of_record("ALARM: shop-dev-alb-5xx", json.dumps(message))
    assert (notice.title, notice.tone) == ("Alarm shop-dev-alb-5xx: ALARM", Tone.BAD)
    assert dict(notice.lines) == {"What": "Targets answered with 5xx", "Result": "Threshold Crossed"}
    assert notice.link == (
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/shop-dev-alb-5xx"
    )
    calm = notice_of_record("OK", json.dumps(message | {"NewStateValue": "OK"}))
    assert (calm.tone, calm.next) == (Tone.GOOD, ())


@pytest.mark.parametrize("body", ["plain words", "[1]", '"text"', ""])
def test_what_is_not_ours_is_shown_as_it_is(body: str) -> None:
    payload = payload_of(notice_of_record("By hand", body))
    assert payload["blocks"][0]["text"]["text"] == "ℹ️ By hand"  # noqa: RUF001
    assert body in json.dumps(payload, ensure_ascii=False).replace('\\"', '"')
