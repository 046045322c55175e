"""Locks: one operation at a time for a service in an environment, and one of each other kind that has a name."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from opskit.clock import moment_of, timestamp
from opskit.errors import LockHeldError, LockLostError
from opskit.ledger.table import Item, Section

# The service's own lock, for what changes what clients reach: releases, and restores that replace.
SERVICE = ""
# How often to start over when others change the lock between our reading and our writing.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the lock. `expired`: the lease had run out when this was read, so that anyone may take over."""

    owner: str
    purpose: str
    fence: int
    acquired_at: datetime
    lease_until: datetime
    expired: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; moments as `opskit.clock.timestamp` writes them."""
        return {
            "owner": self.owner,
            "purpose": self.purpose,
            "fence": self.fence,
            "acquired_at": timestamp(self.acquired_at),
            "lease_until": timestamp(self.lease_until),
            "expired": self.expired,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(
            owner=data["owner"],
            purpose=data["purpose"],
            fence=int(data["fence"]),
            acquired_at=moment_of(data["acquired_at"]),
            lease_until=moment_of(data["lease_until"]),
            expired=data["expired"],
        )

    def in_words(self) -> str:
        """One clause for a person: who, for what, since when, until when."""
        ends = "ran out at" if self.expired else "runs until"
        return (
            f"{_short(self.owner)} for {self.purpose} since {timestamp(self.acquired_at)}; "
            f"its lease {ends} {timestamp(self.lease_until)}"
        )


@dataclass(frozen=True, slots=True)
class Lock:
    """Proof of having acquired the lock `name`: the fence is a number that no earlier or later holder has.

    `superseded` is the holder from whom it was taken (lease run out, or execution ended), else None.
    """

    owner: str
    fence: int
    superseded: Holder | None = field(default=None, compare=False)
    name: str = SERVICE

    @property
    def sk(self) -> str:
        """Where it is in the ledger."""
        return key_of(self.name)

    def as_dict(self) -> dict[str, Any]:
        """The form in which a lock travels between states."""
        return {
            "owner": self.owner,
            "fence": self.fence,
            "superseded": self.superseded and self.superseded.as_dict(),
            "name": self.name,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        superseded = data.get("superseded")
        earlier = superseded and Holder.from_dict(superseded)
        return cls(data["owner"], int(data["fence"]), earlier, data.get("name", SERVICE))

    def condition(self) -> Item:
        """What the lock's item must say while this lock is held (and nobody took over)."""
        return {"owner": self.owner, "fence": self.fence}


def key_of(name: str) -> str:
    """The sort key of the lock `name`."""
    return f"LOCK#{name}" if name else "LOCK"


class Locks(Section):
    """Each method is about the service's own lock unless another is named.

    A lock's item stays for good: after a release without an owner, so that the fence only ever grows.

    A lease is judged by the clock of whoever asks, so a lock can be taken over early by as much as two
    clocks differ. Leases are minutes and differences milliseconds; and the fence, which the table alone
    judges, keeps the former holder from changing anything.
    """

    def acquire(self, owner: str, purpose: str, lease_seconds: int, name: str = SERVICE) -> Lock:
        """Take the lock if it is free or its lease has run out. The same owner gets its lock and fence again.

        Atomic: the write succeeds only if the item is still as it was read. Safe to repeat, also when the
        answer to a write that succeeded was lost. Raises LockHeldError naming the holder.
        """
        for _ in range(_ATTEMPTS):
            item = self._table.get(key_of(name)) or {}
            holder = self._holder(item)
            if holder and holder.owner == owner:
                lock = Lock(owner, holder.fence, _superseded(item), name)
                if self._renew(lock, lease_seconds):
                    return lock
            elif holder and not holder.expired:
                raise _held(holder)
            else:
                # The lease is part of the condition: a holder that renews at the last moment keeps the lock.
                unchanged = {name: item.get(name) for name in ("owner", "fence", "lease_until")}
                taken = self._take(item, unchanged, Lock(owner, 0, name=name), purpose, lease_seconds)
                if taken:
                    return taken
        raise LockHeldError(f"the lock changed hands {_ATTEMPTS} times while {_short(owner)} tried to take it.")

    def hold(self, lock: Lock, lease_seconds: int) -> None:
        """Confirm that `lock` is still held and let its lease run `lease_seconds` from now.

        Atomic: one write, conditional on owner and fence. A lease that ran out is renewed if nobody took
        over. Raises LockLostError saying who has the lock now. Call it before every change to the platform.
        """
        held, found = self._renewal(lock, lease_seconds)
        if not held:
            raise LockLostError(self._lost(lock, found or {}))

    def seize(self, holder: str, owner: str, purpose: str, lease_seconds: int, name: str = SERVICE) -> Lock | None:
        """Take the lock over from `holder`, whose execution has ended, whatever is left of its lease.

        None if `holder` does not have the lock: there is nothing to take over. The fence grows, so that a step
        of the ended execution that is still running can change nothing. Safe to repeat: if `owner` has it
        already, it gets its lock and fence again. Atomic: one write, conditional on the holder's fence.
        """
        for _ in range(_ATTEMPTS):
            item = self._table.get(key_of(name)) or {}
            found = self._holder(item)
            if found and found.owner == owner:
                lock = Lock(owner, found.fence, _superseded(item), name)
                if self._renew(lock, lease_seconds):
                    return lock
            elif found is None or found.owner != holder:
                return None
            else:
                # Not on the lease: a step of the ended execution may renew it until this very moment.
                unchanged = {name: item[name] for name in ("owner", "fence")}
                taken = self._take(item, unchanged, Lock(owner, 0, name=name), purpose, lease_seconds)
                if taken:
                    return taken
        raise LockHeldError(f"the lock changed hands {_ATTEMPTS} times while {_short(owner)} tried to seize it.")

    def release(self, lock: Lock) -> bool:
        """Free the lock; the fence stays. False if `lock` was not held (any more), which changes nothing.

        Atomic: one write, conditional on owner and fence.
        """
        freed = {"owner": None, "purpose": None, "acquired_at": None, "lease_until": None, "superseded": None}
        last = {"last_owner": lock.owner, "released_at": timestamp(self._clock.now())}
        return self._table.update(lock.sk, lock.condition(), changes=freed | last)

    def refuse_if_held(self, owner: str, name: str = SERVICE) -> None:
        """Raise LockHeldError if anyone but `owner` has the lock now; takes nothing."""
        holder = self.holder(name)
        if holder and holder.owner != owner and not holder.expired:
            raise _held(holder)

    def holder(self, name: str = SERVICE) -> Holder | None:
        """Who has the lock now, expired or not; None if it is free."""
        return self._holder(self._table.get(key_of(name)) or {})

    def lost(self, lock: Lock) -> str:
        """For a person: that `lock` is no longer held, and what happened to it."""
        return self._lost(lock, self._table.get(lock.sk) or {})

    def _lost(self, lock: Lock, item: Item) -> str:
        holder = self._holder(item)
        if holder:
            now = f"it is held by {holder.in_words()} (fence {holder.fence})"
        elif item:
            now = f"it was freed at {item['released_at']}, last held by {_short(item['last_owner'])}"
        else:
            now = "there is no such lock"
        return f"{_short(lock.owner)} (fence {lock.fence}) has lost the lock: {now}. Nothing was changed."

    def _take(self, seen: Item, unchanged: Item, wanted: Lock, purpose: str, lease_seconds: int) -> Lock | None:
        now = self._clock.now()
        superseded = self._holder(seen)
        lock = Lock(wanted.owner, seen.get("fence", 0) + 1, superseded, wanted.name)
        item = {
            "owner": lock.owner,
            "purpose": purpose,
            "fence": lock.fence,
            "acquired_at": timestamp(now),
            "lease_until": timestamp(now + timedelta(seconds=lease_seconds)),
            "superseded": superseded and superseded.as_dict(),
        }
        return lock if self._table.put(lock.sk, item, unchanged) else None

    def _renew(self, lock: Lock, lease_seconds: int) -> bool:
        return self._renewal(lock, lease_seconds)[0]

    def _renewal(self, lock: Lock, lease_seconds: int) -> tuple[bool, Item | None]:
        """Whether the lease was renewed, and if not, the lock's item as it was found."""
        until = timestamp(self._clock.now() + timedelta(seconds=lease_seconds))
        return self._table.update_or_found(lock.sk, lock.condition(), changes={"lease_until": until})

    def _holder(self, item: Item) -> Holder | None:
        if "owner" not in item:
            return None
        expired = moment_of(item["lease_until"]) <= self._clock.now()
        return Holder.from_dict(item | {"expired": expired})


def _held(holder: Holder) -> LockHeldError:
    return LockHeldError(f"the lock is held by {holder.in_words()}. Wait for it, or end it with `ops abort`.")


def _superseded(item: Item) -> Holder | None:
    return Holder.from_dict(item["superseded"]) if "superseded" in item else None


def _short(owner: str) -> str:
    """The execution's name, also where the owner is its ARN."""
    return owner.rpartition(":")[2]
