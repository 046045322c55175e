import math
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opskit.errors import UnavailableError
from opskit.ledger.table import Table, Write

from .stand_ins import ENVIRONMENT, SERVICE, TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def table(dynamodb: "DynamoDBClient") -> Table:
    return Table(TABLE, SERVICE, ENVIRONMENT, dynamodb)


# Beyond 2^53 a whole float has several decimal forms; nothing that steps record is as large.
NUMBERS = st.integers(-(10**30), 10**30) | st.floats(-(2**53), 2**53, allow_subnormal=False).filter(
    lambda x: x == 0 or abs(x) > 1e-100
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_values_read_back_as_they_were_written(table: Table, value: Any) -> None:
    assert table.put("x", {"value": {"inside": value}}, {})
    assert table.get("x") == {"value": {"inside": value}}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(table: Table, number: float) -> None:
    with pytest.raises(ValueError, match="is no number"):
        table.put("x", {"value": number}, {})


def test_integers_stay_integers_and_fractions_floats(table: Table) -> None:
    table.put("x", {"count": 3, "seconds": 0.25}, {})
    item = table.get("x")
    assert item is not None
    assert isinstance(item["count"], int)
    assert isinstance(item["seconds"], float)


def test_none_at_the_top_is_absent(table: Table) -> None:
    table.put("x", {"kept": 1, "left_out": None}, {})
    assert table.get("x") == {"kept": 1}
    table.update("x", {}, changes={"kept": None, "added": 2})
    assert table.get("x") == {"added": 2}


def test_reserved_words_are_fine_as_names(table: Table) -> None:
    assert table.put("x", {"owner": "a", "status": 1}, {"owner": None})
    assert table.update("x", {"owner": "a", "status": 1}, changes={"size": 2, "status": None}, add={"count": 1})
    assert table.get("x") == {"owner": "a", "size": 2, "count": 1}


@pytest.mark.parametrize("condition", [{"a": 2}, {"a": None}, {"b": 1}, {"a": 1, "b": 1}, {"a": "1"}])
def test_a_condition_that_fails_writes_nothing(table: Table, condition: dict[str, Any]) -> None:
    table.put("x", {"a": 1}, {})
    assert not table.put("x", {"a": 9}, condition)
    assert not table.update("x", condition, changes={"a": 9})
    assert table.transact([Write("y", {"a": 9}, {}), Write("x", None, condition)]) == (1,)
    assert table.get("x") == {"a": 1}
    assert table.get("y") is None


def test_a_transaction_writes_all_and_says_so(table: Table) -> None:
    table.put("x", {"a": 1}, {})
    assert table.transact([Write("x", None, {"a": 1}), Write("y", {"b": 2}, {"sk": None})]) == ()
    assert table.get("y") == {"b": 2}


def test_a_clash_of_transactions_is_tried_again_and_then_named(table: Table, dynamodb: "DynamoDBClient") -> None:
    attempts = []

    def clash(**_: Any) -> None:
        attempts.append(1)
        reasons = {"CancellationReasons": [{"Code": "TransactionConflict"}]}
        raise dynamodb.exceptions.TransactionCanceledException(
            {"Error": {"Code": "TransactionCanceledException", "Message": "clash"}} | reasons,  # type: ignore[arg-type]
            "TransactWriteItems",
        )

    dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", clash)
    with pytest.raises(UnavailableError, match="others kept writing to shop-test-ledger"):
        table.transact([Write("x", {"a": 1}, {})])
    assert len(attempts) == 4
    dynamodb.meta.events.unregister("before-call.dynamodb.TransactWriteItems", clash)
    assert table.transact([Write("x", {"a": 1}, {})]) == ()


def test_another_fault_of_dynamodb_goes_through(dynamodb: "DynamoDBClient") -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        Table("no-such-table", SERVICE, ENVIRONMENT, dynamodb).put("x", {}, {})


def test_the_newest_come_first_over_several_pages(table: Table) -> None:
    for number in range(7):
        table.put(f"A#{number}", {"number": number}, {})
    table.put("B#9", {"number": 9}, {})
    assert [item["number"] for item in table.newest("A#", 5)] == [6, 5, 4, 3, 2]
    assert len(list(table.newest("A#", 100))) == 7
