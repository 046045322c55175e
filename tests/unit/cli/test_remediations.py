"""`ops remediations`, and what other commands make of a remediation."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from opskit.ledger import Ledger
from opskit.runbooks import load_runbooks
from tests.unit.cli.conftest import Machine, Ops
from tests.unit.cli.given import FOREVER, REGION, repair
from tests.unit.cli.test_decide import DIGEST, asking
from tests.unit.cli.test_evidence import Chain


@pytest.fixture(autouse=True)
def of_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment `test` with the runbooks of dev, for it has none of its own."""
    monkeypatch.setattr("cli.session.Session.runbooks", load_runbooks("dev"))


@pytest.fixture
def past(ledger: Ledger) -> None:
    """Four remediations: one that helped, a duplicate, one that did not help, and one that runs."""
    repair(ledger, "first")
    repair(ledger, "second", "DUPLICATE", acted=False, action=None)
    repair(ledger, "third", "INEFFECTIVE", alarm="eks-cpu")
    repair(ledger, "fourth", None)


def names(ops: Ops, *options: str) -> list[str]:
    return [one["execution"] for one in ops("remediations", *options, "--json").document]


def test_nothing_yet(ops: Ops, ledger: Ledger) -> None:
    assert "no alarm has set off anything yet" in ops("remediations").out
    assert ops("remediations", "list", "--json").document == []


@pytest.mark.parametrize("command", [("remediations",), ("remediations", "list")])
def test_the_list_says_what_was_done_and_why_newest_first(ops: Ops, past: None, command: tuple[str, ...]) -> None:
    lines = ops(*command).out.splitlines()
    assert lines[0].split()[0] == "STARTED"
    assert [next(name for name in ("first", "second", "third", "fourth") if name in line) for line in lines[1:]] == [
        "fourth",
        "third",
        "second",
        "first",
    ]
    assert "end_sessions" in lines[4]
    assert "end_sessions" not in lines[3]
    assert "because of first" in lines[4]
    assert "running" in lines[1]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--limit", "2"), ["fourth", "third"]),
        (("--alarm", "eks-cpu"), ["third"]),
        (("--alarm", "shop-test-eks-cpu"), ["third"]),
        (("--alarm", "cache-cpu"), []),
        (("--outcome", "duplicate"), ["second"]),
        (("--acted",), ["fourth", "third", "first"]),
        (("--acted", "--limit", "1"), ["fourth"]),
        (("--since", "-1h"), ["fourth", "third", "second", "first"]),
        (("--since", "-1h", "--outcome", "RESOLVED"), ["first"]),
    ],
)
def test_filters(ops: Ops, past: None, options: tuple[str, ...], found: list[str]) -> None:
    assert names(ops, *options) == found
    if not found:
        assert "none of them fits" in ops("remediations", *options).out


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--outcome", "GOOD"), "is not one of RESOLVED"), (("--since", "soon"), "is not a moment")],
)
def test_a_filter_that_makes_no_sense(ops: Ops, ledger: Ledger, options: tuple[str, ...], words: str) -> None:
    ran = ops("remediations", *options)
    assert ran.code == 2
    assert words in " ".join(ran.err.split())


ACTED = {
    "done": True,
    "what": "70 of 160 sessions of app were ended",
    "facts": {"from": 160, "to": 90},
    "capture": {"sessions": [{"pid": 1, "user": "app", "state": "idle"}]},
}


@pytest.fixture
def chain(ledger: Ledger) -> Chain:
    return Chain()


@pytest.mark.parametrize("which", ["mine", "arn:aws:states:eu-west-1:1:execution:shop-test-remediate:mine"])
def test_show_tells_guardrails_changes_and_what_there_was_before(
    ops: Ops, ledger: Ledger, chain: Chain, which: str
) -> None:
    ref = chain.append("remediate", "mine", acted=ACTED)
    repair(ledger, "mine", evidence=ref.key)
    ran = ops("remediations", "show", which)
    assert ran.code == 0
    told = " ".join(ran.out.split())
    for words in (
        "because of mine",
        "switch ACT not paused",
        "from 160",
        "pid 1, state idle, user app",
        "acting",
        ref.key,
    ):
        assert words in told
    document = ops("remediations", "show", which, "--json").document
    assert (document["result"], document["problem"]) == (ACTED, None)


def test_show_says_when_the_evidence_is_not_what_was_recorded(ops: Ops, ledger: Ledger, chain: Chain) -> None:
    ref = chain.append("remediate", "mine", acted=ACTED)
    repair(ledger, "mine", evidence=ref.key)
    repair(ledger, "other", evidence="evidence/nowhere.json")
    chain.put(ref, chain.content(ref).replace(b"160", b"100"))
    ran = ops("remediations", "show", "mine")
    assert ran.code == 1
    assert "it was changed" in ran.out
    assert "is not in the chain" in ops("remediations", "show", "other").out


def test_show_latest_is_the_last_that_changed_something(ops: Ops, past: None) -> None:
    assert ops("remediations", "show", "latest", "--json").document["execution_name"] == "fourth"


def test_show_of_what_is_not_there(ops: Ops, ledger: Ledger) -> None:
    for which, words in (
        ("nobody", "there is no remediation nobody"),
        ("latest", "no remediation has changed anything"),
    ):
        ran = ops("remediations", "show", which)
        assert ran.code == 4
        assert words in ran.err


def test_history_has_repairs_too(ops: Ops, past: None) -> None:
    lines = ops("history", "--workflow", "remediate").out.splitlines()
    assert "eks-cpu" in lines[2]
    assert "INEFFECTIVE" in ops("history", "third").out


class Repair:
    """A remediation that has ended sessions, and is being stopped."""

    def __init__(self, ops: Ops, ledger: Ledger) -> None:
        self.ledger = ledger
        ran = ops("remediate", "--alarm", "database-connections", "--no-wait", "--name", "mine", "--json")
        self.arn = ran.document["execution_arn"]
        self.lock = ledger.acquire(self.arn, "a repair", 600, "remedy:database")
        self.record = repair(ledger, "mine", None)

    def settle(self) -> None:
        client = boto3.client("stepfunctions", region_name=REGION)
        pause = threading.Event()
        while client.describe_execution(executionArn=self.arn)["status"] == "RUNNING":
            pause.wait(0.02)
        self.ledger.close_operation(self.record.key, "ABORTED", "aborted after it had acted")
        self.ledger.release(self.lock)


@pytest.fixture
def running(ops: Ops, machine: Machine, ledger: Ledger) -> Repair:
    machine({"WaitForAlarm": FOREVER}, workflow="remediate")
    return Repair(ops, ledger)


def test_abort_waits_until_the_record_is_closed_and_says_what_stays(ops: Ops, running: Repair) -> None:
    thread = threading.Thread(target=running.settle, daemon=True)
    thread.start()
    ran = ops("abort", "mine", "--reason", "wrong")
    thread.join()
    assert ran.code == 0
    told = " ".join(ran.out.split())
    for words in ("outcome ABORTED", "lock free", "stays changed: ops remediations show mine", "docs/runbooks/alarms"):
        assert words in told


def test_abort_says_when_the_lock_stays_held(ops: Ops, running: Repair) -> None:
    ran = ops("abort", "--timeout", "1")
    assert ran.code == 5
    assert "still held" in ran.out


def test_status_names_the_last_repair(ops: Ops, past: None, machine: Machine, platform: Any) -> None:
    machine({"Done": FOREVER})
    (last,) = [line for line in ops("status").out.splitlines() if line.startswith("last repair")]
    for words in ("third", "eks-cpu", "INEFFECTIVE"):
        assert words in last


def test_a_repair_that_asks_is_shown_and_answered(ops: Ops, machine: Machine, ledger: Ledger, platform: Any) -> None:
    sqs = boto3.client("sqs", region_name=REGION)
    queue = sqs.create_queue(QueueName="asks")["QueueUrl"]
    machine(asking(queue), "JSONPath", workflow="remediate")
    ops("remediate", "--alarm", "cache-evictions", "--no-wait", "--name", "mine")
    messages: list[Any] = []
    while not messages:
        messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
    words = "give the cache larger nodes"
    until = datetime.now(UTC) + timedelta(hours=1)
    ledger.request_approval(
        "mine", messages[0]["Body"], subject=words, digest=DIGEST, expires_at=until, workflow="remediate"
    )
    assert f"mine asks for a repair: {words} ({DIGEST})" in ops("status").out
    ran = ops("approve")
    assert ran.code == 0
    assert words in ran.out
    assert ops("watch", "mine").code == 0
