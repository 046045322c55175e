"""Chains of records, broken in every way, and what is found."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opskit.decisions.evidence import Fault, Head, StoredRecord, canonical, key_of, sha256, verify, wrap

START = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)


def chain(length: int) -> tuple[list[StoredRecord], Head | None, dict[int, str]]:
    """A chain over a change of month, with records of two kinds; its head; the ledger's hashes."""
    records: list[StoredRecord] = []
    previous = None
    for sequence in range(1, length + 1):
        document = wrap(
            "release" if sequence % 2 else "drill",
            f"r{sequence}",
            {"n": sequence},
            recorded_at=START + timedelta(minutes=30 * sequence),
            sequence=sequence,
            previous=previous,
        )
        records.append(StoredRecord(key_of(document), canonical(document)))
        previous = sha256(records[-1].content)
    head = Head(length, sha256(records[-1].content)) if records else None
    return records, head, {place: sha256(record.content) for place, record in enumerate(records, 1)}


def altered(record: StoredRecord, **changes: Any) -> StoredRecord:
    return replace(record, content=canonical({**json.loads(record.content), **changes}))


def faults(
    records: list[StoredRecord], head: Head | None, known: dict[int, str] | None = None
) -> list[tuple[str, int]]:
    report = verify(records, head, known or {})
    assert report.intact == (not report.problems)
    return [(problem.fault.value, problem.sequence or 0) for problem in report.problems]


@given(st.integers(0, 12), st.randoms())
def test_a_whole_chain_is_intact_in_whatever_order_it_is_read(length: int, order: Any) -> None:
    records, head, known = chain(length)
    order.shuffle(records)
    report = verify(records, head)
    assert (report.intact, report.records) == (True, length)
    assert verify(records, head, known).intact


@given(st.data())
def test_any_single_changed_byte_is_found_in_its_record(data: st.DataObject) -> None:
    records, head, known = chain(data.draw(st.integers(1, 8)))
    place = data.draw(st.integers(0, len(records) - 1))
    content = bytearray(records[place].content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    records[place] = replace(records[place], content=bytes(content))
    for vouchers in ({}, known):
        found = verify(records, head, vouchers).problems
        assert {problem.sequence for problem in found} == {place + 1}
        assert len(found) == 1


@given(st.data())
def test_every_missing_record_is_found_and_no_other_blamed(data: st.DataObject) -> None:
    records, head, known = chain(data.draw(st.integers(1, 10)))
    gone = data.draw(st.sets(st.integers(1, len(records)), min_size=1))
    left = [record for place, record in enumerate(records, 1) if place not in gone]
    assert faults(left, head) == faults(left, head, known) == [("missing", place) for place in sorted(gone)]


@given(st.data())
def test_two_records_that_changed_places_are_both_found(data: st.DataObject) -> None:
    records, head, known = chain(data.draw(st.integers(2, 8)))
    one, other = sorted(data.draw(st.sets(st.integers(0, len(records) - 1), min_size=2, max_size=2)))
    swapped = list(records)
    swapped[one] = replace(records[one], content=records[other].content)
    swapped[other] = replace(records[other], content=records[one].content)
    expected = [("misplaced", one + 1), ("misplaced", other + 1)]
    assert faults(swapped, head) == faults(swapped, head, known) == expected


@given(st.data())
def test_with_the_ledgers_hashes_any_set_of_changes_is_found_exactly(data: st.DataObject) -> None:
    records, head, known = chain(data.draw(st.integers(1, 10)))
    changed = data.draw(st.sets(st.integers(1, len(records))))
    gone = data.draw(st.sets(st.integers(1, len(records)))) - changed
    left = [
        altered(record, body={"n": "forged"}) if place in changed else record
        for place, record in enumerate(records, 1)
        if place not in gone
    ]
    expected = sorted([(place, "changed") for place in changed] + [(place, "missing") for place in gone])
    assert faults(left, head, known) == [(fault, place) for place, fault in expected]


def test_a_change_of_the_link_alone_is_blamed_on_the_record_that_has_it() -> None:
    records, head, _ = chain(4)
    records[2] = altered(records[2], previous_sha256="0" * 64)
    assert faults(records, head) == [("changed", 3)]


def test_a_consistent_forgery_of_the_end_is_betrayed_by_the_head() -> None:
    records, head, known = chain(4)
    records[2] = altered(records[2], body={"n": "forged"})
    records[3] = altered(records[3], previous_sha256=sha256(records[2].content))
    assert faults(records, head) == [("changed", 4)]
    assert faults(records, head, known) == [("changed", 3), ("changed", 4)]


def test_below_a_gap_a_broken_link_is_still_seen_without_the_ledger() -> None:
    records, head, _ = chain(4)
    left = [altered(records[0], body={}), records[1], records[2]]
    assert faults(left, head) == [("changed", 1), ("missing", 4)]


def test_a_truncated_end_is_missing() -> None:
    records, head, _ = chain(4)
    assert faults(records[:2], head) == [("missing", 3), ("missing", 4)]


def test_a_record_after_the_head_was_put_in() -> None:
    records, _, known = chain(3)
    assert faults(records, Head(2, known[2])) == [("misplaced", 3)]
    assert faults(records, None) == [("misplaced", 1), ("misplaced", 2), ("misplaced", 3)]


def test_a_second_record_at_a_place_is_a_duplicate_and_the_true_one_is_kept() -> None:
    records, head, _ = chain(3)
    document = {**json.loads(records[1].content), "name": "a-forgery"}
    forged = StoredRecord(key_of(document), canonical(document))
    report = verify([*records, forged], head)
    assert [(problem.fault, problem.key) for problem in report.problems] == [(Fault.DUPLICATE, forged.key)]


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b"{}", b"\xff", b'{"previous_sha256":null}'])
def test_what_cannot_be_read_is_said_to_be_so(content: bytes) -> None:
    records, head, _ = chain(3)
    records[1] = replace(records[1], content=content)
    assert faults(records, head) == [("unreadable", 2)]


def test_an_object_that_is_no_record_is_named() -> None:
    records, head, _ = chain(1)
    report = verify([*records, StoredRecord("evidence/readme.txt", b"hello")], head)
    assert report.as_dict() == {
        "records": 1,
        "intact": False,
        "problems": [
            {
                "fault": "unreadable",
                "sequence": None,
                "key": "evidence/readme.txt",
                "detail": "the key is not that of a record",
            }
        ],
    }


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.text())))
def test_the_canonical_form_does_not_depend_on_order(document: dict[str, Any]) -> None:
    backwards = dict(reversed(document.items()))
    assert canonical(document) == canonical(backwards)
    assert json.loads(canonical(document)) == document


# What Step Functions refuses in an execution's name: white space, brackets, wildcards, these, control characters.
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='<>{}[]?*"#%\\^|~`$&,;:/'),
    min_size=1,
    max_size=80,
)


def document(name: str, sequence: int = 1) -> dict[str, Any]:
    return wrap("release", name, {}, recorded_at=START, sequence=sequence, previous=None)


@given(NAMES)
@example("v1.2+hotfix@é")
@example("\N{GRINNING FACE}" * 80)
def test_any_name_of_an_execution_makes_a_key_that_is_found_again(name: str) -> None:
    record = StoredRecord(key_of(document(name)), canonical(document(name)))
    assert record.key.isascii()
    assert len(record.key) <= 1024
    assert record.key.count("/") == 4
    assert verify([record], Head(1, sha256(record.content))).intact


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=2, max_size=2, unique=True))
def test_different_names_have_different_keys(names: list[str]) -> None:
    assert len({key_of(document(name)) for name in names}) == 2


def test_a_key_stays_readable_where_the_name_is() -> None:
    assert key_of(document("release-1.2_3")) == "evidence/release/2026/11/0000000001-release-1.2_3.json"
    assert key_of(document("v1+é@x")).endswith("/0000000001-v1%2B%C3%A9%40x.json")
