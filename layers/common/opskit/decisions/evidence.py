"""The evidence chain: how a record is written so that its hash counts, and whether a chain is whole."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from opskit.clock import moment_of, timestamp

PREFIX = "evidence/"
_KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]+/\d{{4}}/\d{{2}}/(?P<sequence>\d{{10,}})-[A-Za-z0-9_.~%-]+\.json")


def canonical(document: Mapping[str, Any]) -> bytes:
    """The one way to write `document`: JSON, keys sorted, no spaces, UTF-8; raises TypeError or ValueError."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256(content: bytes) -> str:
    """The SHA-256 of `content`, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def wrap(
    kind: str,
    name: str,
    body: Mapping[str, Any],
    *,
    recorded_at: datetime,
    sequence: int,
    previous: str | None,
) -> dict[str, Any]:
    """`body` and its place in the chain. `previous`: hash of the record before, None for the first."""
    return {
        "kind": kind,
        "name": name,
        "recorded_at": timestamp(recorded_at),
        "sequence": sequence,
        "previous_sha256": previous,
        "body": body,
    }


def key_of(record: Mapping[str, Any]) -> str:
    """The object key of a record, its name percent-encoded; raises ValueError if its kind would not fit into one.

    A name may have any characters, since that of an execution may (`+`, `@`, `é`, ...), but must have one. The key of
    an execution's name, at most 80 characters of at most 12 once encoded, stays below S3's 1,024 bytes.
    """
    month = moment_of(record["recorded_at"]).strftime("%Y/%m")
    key = f"{PREFIX}{record['kind']}/{month}/{record['sequence']:010d}-{quote(record['name'], safe='')}.json"
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r}: a kind takes letters, digits, - and _, and a name must not be empty")
    return key


class Fault(StrEnum):
    """What can be wrong with a record."""

    CHANGED = "changed"
    MISSING = "missing"
    MISPLACED = "misplaced"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as found: its object key and the bytes there."""

    key: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record of the chain, as the ledger remembers it apart from the bucket."""

    sequence: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: the place in the chain (None where it cannot be told), the object's key, and words."""

    fault: Fault
    sequence: int | None
    key: str | None
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "fault": self.fault.value,
            "sequence": self.sequence,
            "key": self.key,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What `verify` found: how many records there are, and every problem in the order of the chain."""

    records: int
    problems: tuple[Problem, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "records": self.records,
            "intact": self.intact,
            "problems": [problem.as_dict() for problem in self.problems],
        }


@dataclass(frozen=True, slots=True)
class _Placed:
    stored: StoredRecord
    sequence: int
    hash: str
    previous: str | None


def verify(
    records: Iterable[StoredRecord], head: Head | None, known: Mapping[int, str] = MappingProxyType({})
) -> ChainReport:
    """Find every record that was changed, removed, moved or put in; `records` in any order, each as found.

    The chain is followed from `head` (None: nothing was ever recorded) down to record 1: each record vouches for
    the one before it, the head for the last. Below a record that is gone or was changed, `known` vouches: hashes
    by place in the chain, as the ledger remembers them; without it, a record that nothing vouches for is taken as
    it is, so that one fault is not reported twice.
    """
    found, problems = _placed(records)
    doubtful = {problem.key for problem in problems}
    top = head.sequence if head else 0
    for sequence in sorted(number for number in found if number > top):
        detail = f"the chain ends at record {top}"
        problems += [Problem(Fault.MISPLACED, sequence, record.stored.key, detail) for record in found[sequence]]
    expected = head.sha256 if head else None
    for sequence in range(top, 0, -1):
        here, below = found.get(sequence, []), found.get(sequence - 1, [])
        true = next((record for record in here if record.hash == expected), None)
        judged = _judge(sequence, here, true, expected)
        # A record that is misplaced or unreadable differs from the chain's, of course; once said is enough.
        problems += [problem for problem in judged if problem.key not in doubtful]
        believed = not judged and not any(record.stored.key in doubtful for record in here)
        expected = true.previous if true else known.get(sequence - 1) or _claim(here, below, believed=believed)
    problems.sort(key=lambda problem: (problem.sequence is None, problem.sequence or 0, problem.key or ""))
    return ChainReport(sum(map(len, found.values())), tuple(problems))


def _claim(here: list[_Placed], below: list[_Placed], *, believed: bool) -> str | None:
    """What a record that is not vouched for says of the one before it; unless `believed`, only if that agrees."""
    claim = here[0].previous if here else None
    return claim if believed or claim in {record.hash for record in below} else None


def _judge(sequence: int, here: list[_Placed], true: _Placed | None, expected: str | None) -> list[Problem]:
    if not here:
        return [Problem(Fault.MISSING, sequence, None, f"record {sequence} is not there")]
    if true is None and expected is not None:
        detail = f"its SHA-256 is not {expected}, which the chain has for record {sequence}"
        return [Problem(Fault.CHANGED, sequence, record.stored.key, detail) for record in here]
    kept = true or here[0]
    return [
        Problem(Fault.DUPLICATE, sequence, record.stored.key, f"record {sequence} is {kept.stored.key}")
        for record in here
        if record is not kept
    ]


def _placed(records: Iterable[StoredRecord]) -> tuple[dict[int, list[_Placed]], list[Problem]]:
    """Each readable record under the sequence that its key claims, and the problems with the rest."""
    found: dict[int, list[_Placed]] = {}
    problems: list[Problem] = []
    for stored in sorted(records, key=lambda record: record.key):
        match = _KEY.fullmatch(stored.key)
        if match is None:
            problems.append(Problem(Fault.UNREADABLE, None, stored.key, "the key is not that of a record"))
            continue
        sequence = int(match["sequence"])
        previous = None
        try:
            document = json.loads(stored.content)
            previous = document["previous_sha256"]
            own_key = key_of(document)
        except (ValueError, KeyError, TypeError) as error:
            detail = f"not a record: {type(error).__name__}: {error}"
            problems.append(Problem(Fault.UNREADABLE, sequence, stored.key, detail))
        else:
            if own_key != stored.key:
                detail = f"what is stored here belongs at {own_key}"
                problems.append(Problem(Fault.MISPLACED, sequence, stored.key, detail))
        found.setdefault(sequence, []).append(_Placed(stored, sequence, sha256(stored.content), previous))
    return found, problems
