"""What the retention policy promises holds, and nothing that must stay is deleted."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opskit.decisions.retention import (
    CACHE_POLICY,
    Circumstances,
    Held,
    Policy,
    State,
    plan_retention,
    policy_fits,
)
from opskit.decisions.snapshot import Preflight, Quota, preflight
from opskit.errors import InvalidInputError

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SMALL = Policy(hourly=3, daily=2, weekly=2, monthly=2)


def held(hours: int, resource: str = "db", state: State = State.VERIFIED, **changes: Any) -> Held:
    """A snapshot of the hour that is `hours` after the start."""
    hour = START + hours * HOUR
    return replace(Held(f"{resource}-{hour:%Y%m%d%H}", resource, hour, state), **changes)


def deleted(snapshots: list[Held], policy: Policy = SMALL, *, at: int | None = None, **changes: Any) -> list[str]:
    latest = max(snapshot.hour for snapshot in snapshots)
    now = START + at * HOUR if at is not None else latest + timedelta(minutes=20)
    circumstances = Circumstances(**({"sources": frozenset({"db", "other"})} | changes))
    plan = plan_retention(snapshots, policy, circumstances, now=now)
    assert {decided.name for decided in (*plan.keep, *plan.delete)} == {snapshot.name for snapshot in snapshots}
    assert len(plan.keep) + len(plan.delete) == len(snapshots)
    assert all(decided.reason for decided in (*plan.keep, *plan.delete))
    return [decided.name for decided in plan.delete]


def test_the_newest_of_each_period_stays() -> None:
    # Thursday 1 January to Sunday 1 February: every sixth hour.
    snapshots = [held(hours) for hours in range(0, 32 * 24, 6)]
    gone = deleted(snapshots, replace(SMALL, cap=1000))
    kept = {snapshot.name: snapshot for snapshot in snapshots if snapshot.name not in gone}
    assert sorted(kept) == [
        "db-2026012518",  # last week
        "db-2026013118",  # yesterday; last month
        "db-2026020106",
        "db-2026020112",
        "db-2026020118",  # this hour, today, this week, this month
    ]


def test_says_which_rules_keep_a_snapshot() -> None:
    plan = plan_retention([held(0), held(1)], SMALL, Circumstances(sources=frozenset({"db"})), now=START + 2 * HOUR)
    assert [(kept.name, kept.reason) for kept in plan.keep] == [
        ("db-2026010100", "hourly 2/3"),
        ("db-2026010101", "the newest verified, hourly 1/3, daily 1/2, weekly 1/2, monthly 1/2"),
    ]
    assert plan.as_dict()["keep"][0]["hour"] == "2026-01-01T00:00:00.000000Z"


def test_hours_without_a_snapshot_use_nothing_up() -> None:
    assert deleted([held(0), held(500), held(501)], replace(SMALL, daily=0, weekly=0, monthly=0)) == []


def test_a_policy_that_keeps_nothing_keeps_the_newest_verified() -> None:
    nothing = Policy(0, 0, 0, 0)
    snapshots = [held(0), held(1), held(2, state=State.UNVERIFIED)]
    assert deleted(snapshots, nothing, at=100) == ["db-2026010100", "db-2026010102"]


SURPLUS = [held(hours) for hours in range(12)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_failed": "no manifest was written"}, "nothing is deleted: no manifest was written"),
        ({"listing_partial": "page 3 was refused"}, "nothing is deleted: page 3 was refused"),
        ({"sources": frozenset()}, "its source is gone"),
        ({"failed": frozenset({"db"})}, "this run has no verified snapshot of it"),
        ({"protected": {one.name: "a drill uses it" for one in SURPLUS}}, "a drill uses it"),
    ],
)
def test_what_forbids_deleting(changes: dict[str, Any], words: str) -> None:
    assert deleted(SURPLUS)
    assert deleted(SURPLUS, **changes) == []
    circumstances = Circumstances(**({"sources": frozenset({"db"})} | changes))
    plan = plan_retention(SURPLUS, SMALL, circumstances, now=START + 12 * HOUR)
    assert sum(words in kept.reason for kept in plan.keep) >= 9


def test_one_resource_that_failed_spares_no_other() -> None:
    both = [held(hours, resource) for hours in range(12) for resource in ("db", "other")]
    gone = deleted(both, failed=frozenset({"db"}))
    assert gone
    assert all(name.startswith("other-") for name in gone)


def test_what_is_not_ours_stays_whatever_its_age_and_uses_up_nothing() -> None:
    foreign = [held(hours, name=f"x{hours}", ours=False) for hours in range(20, 40)]
    assert deleted([*SURPLUS, *foreign], at=41) == deleted(SURPLUS, at=41)


@pytest.mark.parametrize(
    ("snapshots", "at", "gone"),
    [
        ([held(0, state=State.UNVERIFIED)], 500, []),  # there is nothing better
        ([held(0), held(1, state=State.UNVERIFIED)], 24, []),  # not a day old yet
        ([held(0), held(1, state=State.UNVERIFIED)], 25, ["db-2026010101"]),
        ([held(0), held(1, state=State.IN_PROGRESS)], 500, []),
        ([held(0, "other"), held(1, state=State.UNVERIFIED)], 500, []),  # verified, but of another resource
    ],
)
def test_what_was_never_verified(snapshots: list[Held], at: int, gone: list[str]) -> None:
    assert deleted(snapshots, at=at) == gone


def test_an_unverified_snapshot_is_no_reason_to_delete_a_verified_one() -> None:
    newer = [held(hours, state=State.UNVERIFIED) for hours in range(100, 110)]
    assert "db-2026010111" not in deleted([*SURPLUS, *newer], Policy(1, 0, 0, 0), at=500)


def test_no_more_than_the_cap_and_the_oldest_first() -> None:
    snapshots = [held(hours, resource) for hours in range(10) for resource in ("db", "other")]
    policy = Policy(1, 0, 0, 0, cap=5)
    plan = plan_retention(snapshots, policy, Circumstances(sources=frozenset({"db", "other"})), now=START + 10 * HOUR)
    assert [one.name for one in plan.delete] == [
        "db-2026010100",
        "other-2026010100",
        "db-2026010101",
        "other-2026010101",
        "db-2026010102",
    ]
    assert plan.deferred == 13
    assert sum("left for a later run" in kept.reason for kept in plan.keep) == 13


def test_the_defaults_of_the_environments() -> None:
    assert [Policy.of(name).most for name in ("dev", "staging", "prod", "unknown")] == [31, 42, 74, 31]
    assert Policy.of("prod", monthly=0, cap=7) == Policy(24, 30, 8, 0, 7)
    for wrong in ({"hourly": -1}, {"cap": 0}):
        with pytest.raises(ValueError, match="counts are 0 or more"):
            Policy.of("dev", **wrong)


def test_whether_a_policy_fits_into_the_quota() -> None:
    assert policy_fits(Policy.of("prod"), 1, Quota(0, 100)) is None
    assert policy_fits(Policy.of("prod"), 1, Quota(0, 100), others=24) is None
    assert "need 101 snapshots; the quota is 100" in (policy_fits(Policy.of("prod"), 1, Quota(0, 100), others=25) or "")
    assert "need 152 snapshots" in (policy_fits(Policy.of("prod"), 2, Quota(0, 100)) or "")


SNAPSHOTS = st.lists(
    st.builds(
        held,
        st.integers(0, 2000),
        st.sampled_from(["db", "other", "gone"]),
        st.sampled_from(list(State)),
        ours=st.booleans(),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda snapshot: snapshot.name,
)
POLICIES = st.builds(Policy, *[st.integers(0, 4)] * 4, cap=st.integers(1, 20))


@settings(deadline=None)
@given(SNAPSHOTS, POLICIES, st.randoms(), st.booleans(), st.booleans())
def test_for_any_snapshots(snapshots: list[Held], policy: Policy, order: Any, failed: bool, partial: bool) -> None:
    circumstances = Circumstances(
        sources=frozenset({"db", "other"}),
        run_failed="it failed" if failed else None,
        listing_partial="a page is missing" if partial else None,
    )
    now = START + 2001 * HOUR
    plan = plan_retention(snapshots, policy, circumstances, now=now)
    shuffled = list(snapshots)
    order.shuffle(shuffled)
    assert plan_retention(shuffled, policy, circumstances, now=now) == plan  # whatever the order
    gone = {decided.name for decided in plan.delete}
    assert len(gone) <= policy.cap
    assert not (gone and (failed or partial))
    by_name = {snapshot.name: snapshot for snapshot in snapshots}
    assert all(by_name[name].ours and by_name[name].resource != "gone" for name in gone)
    assert all(by_name[name].state is not State.IN_PROGRESS for name in gone)
    for resource in ("db", "other", "gone"):
        good = [one for one in snapshots if one.resource == resource and one.ours and one.state is State.VERIFIED]
        if good:
            assert max(good, key=lambda one: one.hour).name not in gone
    # What is left is decided in the same way again: a plan that is carried out leaves nothing but what was deferred.
    left = [snapshot for snapshot in snapshots if snapshot.name not in gone]
    if left:
        again = plan_retention(left, replace(policy, cap=1000), circumstances, now=now)
        assert len(again.delete) == plan.deferred


@dataclass
class Promise:
    """What the policy promises of one resource, kept by an account of its own: the newest hour of each period."""

    policy: Policy
    periods: dict[str, dict[Any, datetime]] = field(
        default_factory=lambda: {"hourly": {}, "daily": {}, "weekly": {}, "monthly": {}}
    )
    newest: datetime | None = None

    def taken(self, hour: datetime) -> None:
        week = hour.date() - timedelta(days=hour.weekday())
        keys = {"hourly": hour, "daily": hour.date(), "weekly": week, "monthly": (hour.year, hour.month)}
        self.newest = hour
        for rule, key in keys.items():
            kept = self.periods[rule]
            kept[key] = hour
            while len(kept) > getattr(self.policy, rule):
                del kept[next(iter(kept))]  # dictionaries keep the order in which keys came

    @property
    def hours(self) -> set[datetime]:
        promised = {hour for kept in self.periods.values() for hour in kept.values()}
        return promised | ({self.newest} if self.newest else set())


@pytest.mark.parametrize(
    ("policy", "resources", "quota", "others"),
    [
        (Policy.of("prod"), 2, 200, 30),
        (Policy.of("dev", cap=2), 2, 80, 0),
        (Policy(2, 2, 2, 2), 4, 50, 0),
    ],
    ids=["prod", "dev-small-cap", "tiny"],
)
def test_400_days_of_hours_with_failures(  # noqa: PLR0912 - one branch for each kind of bad luck
    policy: Policy, resources: int, quota: int, others: int
) -> None:
    chance = random.Random(f"{policy}{resources}")  # noqa: S311 - the same luck in every run
    names = [f"db{number}" for number in range(resources)]
    assert policy_fits(policy, resources, Quota(0, quota), others) is None
    promises = {name: Promise(policy) for name in names}
    there: dict[str, Held] = {}
    outage = most = refused = 0

    def prune(now: datetime, **changes: Any) -> None:
        circumstances = Circumstances(sources=frozenset(names), **changes)
        for decided in plan_retention(there.values(), policy, circumstances, now=now).delete:
            del there[decided.name]

    for number in range(400 * 24):
        hour = START + number * HOUR
        now = hour + timedelta(minutes=10)
        if outage:
            outage -= 1
            continue
        if chance.random() < 0.002:
            outage = chance.randrange(1, 72)  # nothing runs at all
        used = len(there) + others
        if used + 2 * resources > quota:  # the plan is asked for only where room is short, as a run does
            prunable = plan_retention(there.values(), policy, Circumstances(frozenset(names)), now=now).delete
            decision = preflight(Quota(used, quota), resources, len(prunable)).decision
            if decision is Preflight.REFUSE:
                refused += 1
                continue
            if decision is Preflight.PRUNE_FIRST:
                prune(now)
        failed = set()
        for name in names:
            luck = chance.random()
            if luck < 0.02:
                failed.add(name)  # nothing was made
                continue
            state = State.UNVERIFIED if luck < 0.04 else State.VERIFIED
            taken = Held(f"{name}-{hour:%Y%m%d%H}", name, hour, state)
            there[taken.name] = taken
            if state is State.VERIFIED:
                promises[name].taken(hour)
            else:
                failed.add(name)
        assert len(there) + others <= quota
        most = max(most, len(there) + others)
        luck = chance.random()
        if luck < 0.02:
            prune(now, run_failed="the manifest could not be written")
        elif luck < 0.03:
            prune(now, listing_partial="throttled")
        else:
            prune(now, failed=frozenset(failed))
        for name in names:
            kept = {held.hour for held in there.values() if held.resource == name and held.state is State.VERIFIED}
            assert promises[name].hours <= kept, f"{name} at {hour}"
    assert refused == 0
    assert all(promise.newest for promise in promises.values())
    assert most > resources * policy.hourly  # the history did fill up


def test_a_quota_that_is_too_small_costs_new_snapshots_and_never_a_good_one() -> None:
    policy, quota = Policy(6, 3, 0, 0), 10
    promise = Promise(policy)
    there: dict[str, Held] = {}
    others, refused = 0, 0
    for number in range(20 * 24):
        hour = START + number * HOUR
        others = 4 if number > 100 else 0  # someone else takes part of the quota
        plan = plan_retention(there.values(), policy, Circumstances(frozenset({"db"})), now=hour)
        step = preflight(Quota(len(there) + others, quota), 1, len(plan.delete))
        if step.decision is Preflight.REFUSE:
            refused += 1
            continue
        for decided in plan.delete:
            del there[decided.name]
        taken = held(number)
        there[taken.name] = taken
        promise.taken(taken.hour)
        assert len(there) + others <= quota
        assert promise.hours <= {one.hour for one in there.values()}
    assert refused > 300
    assert promise.hours <= {one.hour for one in there.values()}


def test_a_policy_is_the_environments_with_what_the_stack_changes() -> None:
    assert Policy.parse("default", "prod") == Policy.parse("", "prod") == Policy.of("prod")
    assert Policy.parse(" hourly=3, daily=1 ", "staging") == Policy.of("staging", hourly=3, daily=1)
    for text in ("hourly", "hourly=", "hourly=-1", "yearly=1", "hourly=1;daily=2", "cap=1"):
        with pytest.raises(InvalidInputError, match="is not `default`"):
            Policy.parse(text, "dev")


def test_less_is_kept_of_a_cache_than_of_any_database() -> None:
    assert all(CACHE_POLICY.most < Policy.of(name).most for name in ("dev", "staging", "prod"))
