import json
from typing import Any

import boto3
import pytest

from opskit.clock import SystemClock
from opskit.evidence import Evidence, EvidenceRef
from opskit.ledger import Ledger
from tests.unit.cli.conftest import Ops
from tests.unit.cli.given import NAME, REGION

BUCKET = f"{NAME}-evidence-123456789012"


class Chain:
    """An evidence chain, and someone who tampers with it."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3", region_name=REGION)
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        self.evidence = Evidence(BUCKET, f"{NAME}-ledger", "shop", "test", SystemClock(), s3=self.s3, dynamodb=dynamodb)

    def append(self, kind: str, name: str, **body: Any) -> EvidenceRef:
        return self.evidence.append(kind, name, {"outcome": "PASS", "outcome_reason": f"{name} went well"} | body)

    def content(self, ref: EvidenceRef) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=ref.key)["Body"].read()

    def put(self, ref: EvidenceRef, content: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=ref.key, Body=content)

    def remove(self, ref: EvidenceRef) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=ref.key)


@pytest.fixture
def chain(ledger: Ledger) -> Chain:
    return Chain()


def three(chain: Chain) -> list[EvidenceRef]:
    return [chain.append("release", "one"), chain.append("drill", "two"), chain.append("drill", "three", rto=12)]


def test_the_list_is_newest_first_bounded_and_of_a_kind(ops: Ops, chain: Chain) -> None:
    three(chain)
    ran = ops("evidence", "list", "--json")
    assert ran.code == 0
    assert [(one["sequence"], one["kind"], one["name"]) for one in ran.document] == [
        (3, "drill", "three"), (2, "drill", "two"), (1, "release", "one"),
    ]  # fmt: skip
    assert ran.document[0]["outcome"] == "PASS"
    assert [one["name"] for one in ops("evidence", "list", "--limit", "1", "--json").document] == ["three"]
    assert [one["name"] for one in ops("evidence", "list", "--kind", "release", "--json").document] == ["one"]
    assert "three went well" in ops("evidence", "list").out


def test_without_evidence_it_says_so(ops: Ops, chain: Chain) -> None:
    assert "there is no evidence yet" in ops("evidence", "list").out
    ran = ops("evidence", "verify")
    assert ran.code == 0
    assert "intact: 0 records" in ran.out


def test_a_record_is_shown_by_number_and_by_key(ops: Ops, chain: Chain) -> None:
    ref = three(chain)[2]
    for which in ("3", ref.key):
        ran = ops("evidence", "show", which, "--json")
        assert ran.code == 0
        assert ran.document["record"]["body"]["rto"] == 12
        assert (ran.document["problem"], ran.document["sha256"]) == (None, ref.sha256)
    words = ops("evidence", "show", "3").out
    assert ref.sha256 in words
    assert "rto" in words


@pytest.mark.parametrize("which", ["4", "no-such", "evidence/drill/x", "²"])
def test_a_record_that_is_not_there_is_not_found(ops: Ops, chain: Chain, which: str) -> None:
    three(chain)
    assert ops("evidence", "show", which).code == 4


def test_an_intact_chain(ops: Ops, chain: Chain) -> None:
    three(chain)
    ran = ops("evidence", "verify", "--json")
    assert ran.code == 0
    assert ran.document == {"records": 3, "intact": True, "problems": []}
    assert "intact: 3 records" in ops("evidence", "verify").out


def test_a_changed_record_is_named_and_shown_as_damaged(ops: Ops, chain: Chain) -> None:
    ref = three(chain)[1]
    chain.put(ref, chain.content(ref).replace(b"went well", b"went fine"))
    ran = ops("evidence", "verify", "--json")
    assert ran.code == 1
    (problem,) = ran.document["problems"]
    assert (problem["fault"], problem["sequence"], problem["key"]) == ("changed", 2, ref.key)
    words = ops("evidence", "verify")
    assert words.code == 1
    assert f"changed    record 2 ({ref.key})" in words.out
    assert "NOT INTACT: 1 problem in 3 records" in words.out
    shown = ops("evidence", "show", "2")
    assert shown.code == 1
    assert "DAMAGED: it was changed" in shown.out
    assert "went fine" in shown.out
    listed = ops("evidence", "list")
    assert listed.code == 1
    assert [line.split()[0] for line in listed.out.splitlines() if "DAMAGED" in line] == ["2"]


def test_a_missing_record_is_named(ops: Ops, chain: Chain) -> None:
    ref = three(chain)[1]
    chain.remove(ref)
    ran = ops("evidence", "verify", "--json")
    assert ran.code == 1
    assert [(p["fault"], p["sequence"]) for p in ran.document["problems"]] == [("missing", 2)]
    shown = ops("evidence", "show", "2", "--json")
    assert (shown.code, shown.document["record"], shown.document["problem"]) == (1, None, "it is not there")
    assert ops("evidence", "list").code == 1


def test_records_that_were_swapped_are_both_named(ops: Ops, chain: Chain) -> None:
    _, second, third = three(chain)
    one, other = chain.content(second), chain.content(third)
    chain.put(second, other)
    chain.put(third, one)
    ran = ops("evidence", "verify", "--json")
    assert ran.code == 1
    assert {p["sequence"] for p in ran.document["problems"] if p["fault"] == "misplaced"} == {2, 3}


def test_every_problem_is_told(ops: Ops, chain: Chain) -> None:
    first, second, _ = three(chain)
    chain.put(first, b"not a record")
    chain.remove(second)
    faults = [p["fault"] for p in ops("evidence", "verify", "--json").document["problems"]]
    assert set(faults) == {"unreadable", "missing"}
    shown = ops("evidence", "show", "1", "--json")
    assert shown.code == 1
    assert "not JSON" in json.dumps(shown.document)


def test_without_its_bucket_the_environment_is_unknown(ops: Ops, ledger: Ledger) -> None:
    ran = ops("evidence", "verify")
    assert ran.code == 4
    assert BUCKET in ran.err
