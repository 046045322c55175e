"""Which snapshots are kept: grandfather, father, son; and which are deleted, as few and as late as is safe.

The policy's promise, for each resource: of each of its newest N hours (days, ISO weeks, months; all UTC) that have a
verified snapshot at all, the newest verified one is there. Hours without one do not count, so that a source or a
backup that stands still does not use up what there is.

What is never deleted, whatever the policy says: the newest verified snapshot of a resource; what is not ours; what is
still being taken, copied or restored; what the caller protects; anything of a resource whose source is gone, or whose
snapshot failed in this run; anything at all when the run failed or the listing was partial.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from opskit.clock import timestamp
from opskit.decisions.snapshot import Quota
from opskit.errors import InvalidInputError

# A snapshot that was never verified may be of a run that is still at it, or that a person looks into.
UNVERIFIED_FOR = timedelta(hours=24)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Policy:
    """How many hours, days, weeks and months with snapshots are kept, and how many a run may delete at most."""

    hourly: int
    daily: int
    weekly: int
    monthly: int
    cap: int = 50

    def __post_init__(self) -> None:
        if min(self.hourly, self.daily, self.weekly, self.monthly) < 0 or self.cap < 1:
            raise ValueError(f"{self}: counts are 0 or more, and the cap is 1 or more")

    @property
    def most(self) -> int:
        """The most snapshots of one resource that the policy keeps; one snapshot often serves several rules."""
        return max(1, self.hourly + self.daily + self.weekly + self.monthly)

    @classmethod
    def parse(cls, text: str, environment: str) -> Self:
        """From `default`, or what differs from the environment's default: `hourly=48,daily=14`.

        Raises InvalidInputError for anything else.
        """
        changes: dict[str, int] = {}
        for part in () if text.strip() in ("", "default") else text.split(","):
            name, _, number = (piece.strip() for piece in part.partition("="))
            if name not in _RULES or not number.isdigit():
                raise InvalidInputError(f"the retention {text!r} is not `default` or like `hourly=24,daily=7`")
            changes[name] = int(number)
        return cls.of(environment, **changes)

    @classmethod
    def of(cls, environment: str, **changes: int) -> Self:
        """The default of `environment` (that of `dev` for one that is not known), with `changes`."""
        return cls(**(_DEFAULTS.get(environment, _DEFAULTS["dev"]) | changes))


_RULES = ("hourly", "daily", "weekly", "monthly")

# Days as RDS keeps automated backups of each environment. A region has 100 manual snapshots unless the quota is raised
# (L-272F1212): prod keeps 74 of a database at most, staging 42, dev 31, and each needs room for the run that is on.
_DEFAULTS: Mapping[str, dict[str, int]] = MappingProxyType(
    {
        "dev": {"hourly": 24, "daily": 7, "weekly": 0, "monthly": 0},
        "staging": {"hourly": 24, "daily": 14, "weekly": 4, "monthly": 0},
        "prod": {"hourly": 24, "daily": 30, "weekly": 8, "monthly": 12},
    }
)


# Of a cache less is kept: it is filled again from the database, each backup is a whole copy that is paid for (all but
# one of a cluster), and its dump stays in the bucket for as long as the bucket's lifecycle says.
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/backups.html#backups-costs
CACHE_POLICY = Policy(hourly=4, daily=2, weekly=0, monthly=0)


class State(StrEnum):
    """How far a snapshot has got."""

    VERIFIED = "VERIFIED"
    UNVERIFIED = "UNVERIFIED"
    IN_PROGRESS = "IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class Held:
    """A snapshot that is there: of which resource and hour (both by its tags), and how far it has got.

    `ours`: its tags say that it was taken for this service and environment. IN_PROGRESS is also one that is being
    copied or restored.
    """

    name: str
    resource: str
    hour: datetime
    state: State
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What forbids deleting.

    Attributes:
        run_failed: why the run that has just been made failed as a whole, or None.
        listing_partial: why the list of snapshots or of sources is not whole, or None.
        failed: resources that this run did not verify a snapshot of.
        sources: the resources that are there; snapshots of any other have lost their source.
        protected: names that must stay, with the reason of each (a drill uses it, the last complete manifest names it).
    """

    sources: frozenset[str]
    run_failed: str | None = None
    listing_partial: str | None = None
    failed: frozenset[str] = frozenset()
    protected: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decided:
    """A snapshot, and why it is kept or deleted."""

    name: str
    resource: str
    hour: datetime
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "resource": self.resource, "hour": timestamp(self.hour), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What is kept and what is deleted, each by resource and age; `deferred` counts what the cap left for later."""

    keep: tuple[Decided, ...]
    delete: tuple[Decided, ...]
    deferred: int = 0
    blocked: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "keep": [decided.as_dict() for decided in self.keep],
            "delete": [decided.as_dict() for decided in self.delete],
            "deferred": self.deferred,
            "blocked": self.blocked,
        }


def plan_retention(
    held: Iterable[Held], policy: Policy, circumstances: Circumstances, *, now: datetime
) -> RetentionPlan:
    """Decide about every snapshot of `held`; the same whatever order they come in.

    The oldest go first when more are due than the policy's cap. Before a run that lacks room (`snapshot.preflight`)
    the same plan is made, without a run to have failed.
    """
    blocked = circumstances.run_failed or circumstances.listing_partial
    groups: dict[str, list[Held]] = {}
    keep: list[Decided] = []
    due: list[Decided] = []
    for snapshot in held:
        if snapshot.ours:
            groups.setdefault(snapshot.resource, []).append(snapshot)
        else:
            keep.append(_decided(snapshot, "not ours: its tags do not name this service and environment"))
    for resource, snapshots in groups.items():
        # Newest first; of two of one hour (which deterministic names exclude) the later name counts as the newer.
        snapshots.sort(key=_age, reverse=True)
        spared = _spared(resource, circumstances, blocked)
        reasons = _kept_by_policy(snapshots, policy)
        for snapshot in snapshots:
            reason = reasons.get(snapshot.name) or circumstances.protected.get(snapshot.name)
            reason = reason or _unfinished(snapshot, now, have_verified=bool(reasons)) or spared
            if reason:
                keep.append(_decided(snapshot, reason))
            else:
                due.append(_decided(snapshot, _surplus(snapshot)))
    due.sort(key=_by_age)
    keep += [
        Decided(one.name, one.resource, one.hour, f"{one.reason}; left for a later run: {policy.cap} are deleted")
        for one in due[policy.cap :]
    ]
    keep.sort(key=_by_age)
    return RetentionPlan(tuple(keep), tuple(due[: policy.cap]), max(0, len(due) - policy.cap), blocked)


def policy_fits(policy: Policy, resources: int, quota: Quota, others: int = 0) -> str | None:
    """Why the policy cannot be kept for so many `resources` within the quota, or None if it can.

    `others`: snapshots in the account that are not ours. Two runs' worth is left free: the one that is on, and the
    headroom that `snapshot.preflight` asks for.
    """
    needed = resources * (policy.most + 2) + others
    if needed <= quota.maximum:
        return None
    return (
        f"{resources} resources with up to {policy.most} snapshots each, {others} others and room for two runs need "
        f"{needed} snapshots; the quota is {quota.maximum}. Raise it (Service Quotas, L-272F1212) or keep fewer."
    )


def _kept_by_policy(snapshots: list[Held], policy: Policy) -> dict[str, str]:
    """Name and reason of each snapshot that the policy keeps; `snapshots`: one resource's, newest first."""
    verified = [snapshot for snapshot in snapshots if snapshot.state is State.VERIFIED]
    # Whole hours of the epoch: a fleet has ten thousands of snapshots, and numbers are soon compared.
    hours = [int(snapshot.hour.timestamp()) // 3600 for snapshot in verified]
    reasons: dict[str, list[str]] = {}
    if verified:
        reasons[verified[0].name] = ["the newest verified"]
    for rule, count, period_of in (
        ("hourly", policy.hourly, _hour),
        ("daily", policy.daily, _day),
        ("weekly", policy.weekly, _week),
        ("monthly", policy.monthly, _month),
    ):
        last: object = None
        found = 0
        for snapshot, hour in zip(verified, hours, strict=True):
            if found == count:
                break
            period = period_of(hour)
            if period != last:
                last, found = period, found + 1
                reasons.setdefault(snapshot.name, []).append(f"{rule} {found}/{count}")
    return {name: ", ".join(words) for name, words in reasons.items()}


def _unfinished(snapshot: Held, now: datetime, *, have_verified: bool) -> str | None:
    if snapshot.state is State.IN_PROGRESS:
        return "in use: it is being taken, copied or restored"
    if snapshot.state is State.VERIFIED:
        return None
    if not have_verified:
        return "never verified, but there is no verified one of this resource"
    if now - snapshot.hour < UNVERIFIED_FOR:
        return "never verified; kept for a day to be looked into"
    return None


def _spared(resource: str, circumstances: Circumstances, blocked: str | None) -> str | None:
    if blocked:
        return f"nothing is deleted: {blocked}"
    if resource not in circumstances.sources:
        return "its source is gone: delete it by hand once nobody can want it back"
    if resource in circumstances.failed:
        return "nothing of this resource is deleted: this run has no verified snapshot of it"
    return None


def _surplus(snapshot: Held) -> str:
    return "no rule keeps it" if snapshot.state is State.VERIFIED else "never verified for a day"


def _decided(snapshot: Held, reason: str) -> Decided:
    return Decided(snapshot.name, snapshot.resource, snapshot.hour, reason)


def _age(snapshot: Held) -> tuple[datetime, str]:
    return snapshot.hour, snapshot.name


def _by_age(decided: Decided) -> tuple[datetime, str, str]:
    return decided.hour, decided.resource, decided.name


def _hour(hours: int) -> int:
    return hours


def _day(hours: int) -> int:
    return hours // 24


def _week(hours: int) -> int:
    return (hours // 24 + 3) // 7  # ISO weeks begin on Monday, and day 0 of the epoch is a Thursday


def _month(hours: int) -> tuple[int, int]:
    day = date.fromordinal(_EPOCH_DAY + hours // 24)
    return day.year, day.month
