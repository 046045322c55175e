"""Whether a quota leaves room for what may have to be done next."""

from dataclasses import dataclass

from cli.preflight.finding import Finding, failed, passed

# Above this share of a quota it is time to ask for more, which can take AWS days.
SOON = 0.8


@dataclass(frozen=True, slots=True)
class Limit:
    """A quota and where it was read; `note` says why not from Service Quotas, where that is so."""

    value: int
    source: str
    note: str | None = None


def judge_quota(what: str, *, used: int, limit: Limit, needed: int, needed_for: str, advice: str) -> Finding:
    """`needed` more of `what` must fit, for `needed_for`."""
    free = limit.value - used
    note = f"; {limit.note}" if limit.note else ""
    reason = f"{used} of {limit.value} {what} ({limit.source}{note})"
    facts = {"used": used, "limit": limit.value, "needed": needed, "source": limit.source}
    if free < needed:
        return failed(f"{reason}: {max(free, 0)} left, {needed} are needed for {needed_for}", advice, **facts)
    tight = used > SOON * limit.value
    return passed(reason, f"{advice}: more than {SOON:.0%} is used" if tight else None, **facts)
