from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.sessions import Session, SessionBounds, sessions_to_end

from .remediation import NOW, ago

BOUNDS = SessionBounds(idle_in_transaction_seconds=60, idle_seconds=600, at_most=60, keep=0, keep_of_client=0)


def session(pid: int, state: str | None = "idle", seconds: float = 9000, **changed: Any) -> Session:
    given = {
        "pid": pid,
        "backend_start": ago(90000),
        "role": "detection_api",
        "database": "detections",
        "state": state,
        "state_change": ago(seconds),
    }
    return Session(**(given | changed))


def ended(sessions: list[Session], bounds: SessionBounds = BOUNDS) -> list[int]:
    found = sessions_to_end(sessions, NOW, role="detection_api", database="detections", bounds=bounds)
    return [one.pid for one in found.sessions]


def test_idle_in_a_transaction_comes_first_and_the_oldest_of_each() -> None:
    sessions = [
        session(1, "idle", 700),
        session(2, "idle", 900),
        session(3, "idle in transaction", 61),
        session(4, "idle in transaction (aborted)", 90),
    ]
    assert ended(sessions) == [4, 3, 2, 1]


@pytest.mark.parametrize(
    "one",
    [
        session(1, role="postgres"),
        session(1, role="ops_heartbeat"),
        session(1, role=None),
        session(1, role="detection_api2"),
        session(1, database="billing"),
        session(1, database=None),
        session(1, "active"),
        session(1, "fastpath function call"),
        session(1, "disabled"),
        session(1, None),
        session(1, state_change=None),
        session(1, "idle", 599),
        session(1, "idle in transaction", 59),
        session(1, "idle", -9000),
        session(1, backend_type="walsender"),
        session(1, backend_type="parallel worker"),
        session(1, backend_type="autovacuum worker"),
    ],
    ids=lambda one: f"{one.role}-{one.database}-{one.state}-{one.backend_type}",
)
def test_nobody_elses_and_no_session_that_works_is_ended(one: Session) -> None:
    assert ended([one]) == []
    assert ended([one, session(2)]) == [2]


def test_some_are_kept_and_no_more_than_the_bound_ended() -> None:
    sessions = [session(pid, "idle", 1000 + pid) for pid in range(100)]
    assert ended(sessions, SessionBounds(60, 600, at_most=10, keep=20, keep_of_client=0)) == list(range(99, 89, -1))
    assert len(ended(sessions, SessionBounds(60, 600, at_most=200, keep=20, keep_of_client=0))) == 80
    assert ended(sessions, SessionBounds(60, 600, at_most=60, keep=100, keep_of_client=0)) == []
    assert ended(sessions[:5], SessionBounds(60, 600, at_most=60, keep=20, keep_of_client=0)) == []
    others = [session(pid, role="postgres") for pid in range(100, 200)]
    assert ended(sessions[:5] + others, SessionBounds(60, 600, at_most=60, keep=5, keep_of_client=0)) == [], (
        "others' do not count"
    )


def test_of_every_client_a_pool_of_idle_sessions_stays_whatever_their_age() -> None:
    pools = [session(pid, "idle", 9000 + pid, application="api", address=f"10.0.0.{pid % 2}") for pid in range(4)]
    leak = [session(pid, "idle", 700 + pid, application="api", address="10.0.0.9") for pid in range(10, 20)]
    stuck = [session(30, "idle in transaction", 900, application="api", address="10.0.0.1")]
    bounds = SessionBounds(60, 600, at_most=60, keep=0, keep_of_client=2)
    assert ended(pools, bounds) == []
    assert ended(pools + leak + stuck, bounds) == [30, *range(19, 11, -1)], "those that were used last stay"
    another = [session(40, "active", application="api", address="10.0.0.0")]
    assert ended(pools + another, bounds) == [], "what works is no part of it"


def test_the_numbers_are_told() -> None:
    sessions = [session(1), session(2, "active"), session(3, role="postgres"), session(4, backend_type="walsender")]
    found = sessions_to_end(sessions, NOW, role="detection_api", database="detections", bounds=BOUNDS)
    assert (found.of_service, found.of_others) == (2, 1)
    assert found.reason.startswith("2 sessions of detection_api: 0 idle in a transaction for too long, 1 idle for too")
    assert found.sessions[0].as_dict()["state_change"] == "2026-11-23T09:30:00.000000Z"


STATES = st.sampled_from(["active", "idle", "idle in transaction", "idle in transaction (aborted)", None])
ROLES = st.sampled_from(["detection_api", "ops_reader", "postgres"])
SESSIONS = st.lists(st.builds(session, st.integers(1, 9999), STATES, st.floats(-100, 9000), role=ROLES), max_size=60)


@given(SESSIONS, st.integers(1, 50), st.integers(0, 50), st.integers(0, 5))
def test_no_mixture_gets_past_the_bounds(sessions: list[Session], at_most: int, keep: int, each: int) -> None:
    bounds = SessionBounds(60, 600, at_most, keep, each)
    found = sessions_to_end(sessions, NOW, role="detection_api", database="detections", bounds=bounds)
    ours = sum(one.role == "detection_api" for one in sessions)
    assert len(found.sessions) <= at_most
    assert not found.sessions or ours - len(found.sessions) >= keep
    for one in found.sessions:
        assert one.role == "detection_api"
        assert one.state is not None
        assert one.state.startswith("idle")
        assert one.state_change is not None
        assert NOW - one.state_change >= timedelta(seconds=60)
