from typing import Any

import pytest

from opskit.decisions.queries import Query, QueryBounds, queries_to_end

from .remediation import NOW, ago


def query(pid: int, seconds: float = 900, **changed: Any) -> Query:
    given = {
        "pid": pid,
        "query_start": ago(seconds),
        "role": "detection_api",
        "database": "detections",
        "state": "active",
        "text": "SELECT …",
    }
    return Query(**(given | changed))


def cancelled(queries: list[Query], at_most: int = 5) -> list[int]:
    bounds = QueryBounds(longer_than_seconds=300, at_most=at_most)
    found = queries_to_end(queries, NOW, role="detection_api", database="detections", bounds=bounds)
    return [one.pid for one in found.queries]


def test_the_longest_come_first_and_no_more_than_the_bound() -> None:
    queries = [query(1, 301), query(2, 5000), query(3, 400.5), query(4, 300), query(5, 299)]
    assert cancelled(queries) == [2, 3, 1]
    assert cancelled(queries, at_most=2) == [2, 3]
    assert cancelled([]) == []


@pytest.mark.parametrize(
    "one",
    [
        query(1, role="postgres"),
        query(1, role="ops_remedy"),
        query(1, role=None),
        query(1, database="billing"),
        query(1, state="idle"),
        query(1, state="idle in transaction"),
        query(1, state=None),
        query(1, query_start=None),
        query(1, -900),
        query(1, backend_type="autovacuum worker"),
        query(1, backend_type="logical replication worker"),
        query(1, wait_event_type="Lock"),
        query(1, wait_event_type="Client"),
        query(1, wait_event_type="Timeout"),
    ],
    ids=lambda one: f"{one.role}-{one.database}-{one.state}-{one.backend_type}-{one.wait_event_type}",
)
def test_nobody_elses_and_none_that_only_waits_is_cancelled(one: Query) -> None:
    assert cancelled([one]) == []
    assert cancelled([one, query(2)]) == [2]


@pytest.mark.parametrize("wait", [None, "IO", "LWLock", "BufferPin", "IPC"])
def test_what_may_use_the_processor_is_cancelled(wait: str | None) -> None:
    assert cancelled([query(1, wait_event_type=wait)]) == [1]


def test_the_numbers_are_told() -> None:
    queries = [query(1), query(2, wait_event_type="Lock"), query(3, role="postgres"), query(4, state="idle")]
    bounds = QueryBounds(300, 5)
    found = queries_to_end(queries, NOW, role="detection_api", database="detections", bounds=bounds)
    assert found.reason == (
        "3 queries run, 2 of detection_api, of which 1 only wait and 1 work for more than 300 s; "
        "at most 5 are cancelled"
    )
    assert found.queries[0].as_dict()["query_start"] == "2026-11-23T11:45:00.000000Z"
    assert query(1, query_start=None).as_dict()["query_start"] is None
