"""What a scaled restore looks at, and what it counts as waiting."""

from types import SimpleNamespace

import pytest

from sandbox.bench.history import Passage
from sandbox.bench.scaled_restore import Watch, _overhead


class Engines:
    """Answers with the statuses of the moment; the last of them stay."""

    def __init__(self, *moments):
        self._moments = list(moments)
        self.asked = 0

    def describe_db_instances(self):
        self.asked += 1
        now = self._moments.pop(0) if len(self._moments) > 1 else self._moments[0]
        self._groups = now.get("groups", {})
        instances = now.get("instances", {})
        return {"DBInstances": [{"DBInstanceIdentifier": k, "DBInstanceStatus": v} for k, v in instances.items()]}

    def describe_replication_groups(self):
        return {"ReplicationGroups": [{"ReplicationGroupId": k, "Status": v} for k, v in self._groups.items()]}


def watch(*moments):
    engines = Engines(*moments)
    return engines, Watch(SimpleNamespace(clients={"rds": engines, "elasticache": engines}))


LIVE = {"instances": {"live": "available"}, "groups": {"live": "available"}}


def copy(instance, group):
    return {
        "instances": {"live": "available", "copy": instance},
        "groups": {"live": "available", "copy": group},
    }


def test_it_looks_until_both_copies_are_ready():
    engines, look = watch(
        LIVE,
        LIVE,
        {"instances": copy("creating", "")["instances"], "groups": LIVE["groups"]},
        copy("creating", "creating"),
        copy("backing-up", "available"),
        copy("available", "available"),
    )
    for _ in range(10):
        look()
    assert engines.asked == 6
    seen = [one.ready for one in look.looks if one.resource == "rds:copy"]
    assert seen == [False, False, False, True]


def test_one_copy_alone_is_not_the_end():
    engines, look = watch(
        LIVE, {"instances": {"live": "available", "copy": "available"}, "groups": {"live": "available"}}
    )
    for _ in range(3):
        look()
    assert engines.asked == 4


@pytest.mark.parametrize(
    ("engines_ended", "late"),
    [
        (9.5, 0.5),  # in the last wait
        (7.5, 2.5),  # just after the look before it was made: a part of one wait, and the next
        (10.4, 0.0),  # while the look that sees it is made
    ],
)
def test_late_is_waiting_after_the_engines_have_ended(engines_ended, late):
    path = [
        Passage("WaitForCopies", 6, 8),
        Passage("CheckCopies", 8, 8.0),
        Passage("WaitForCopies", 8, 10),
        Passage("CheckCopies", 10, 10.5),
        Passage("WaitForService", 12, 13),
        Passage("VerifyService", 13, 13.2),
    ]
    found = _overhead(path, engines_ended, seconds=5)
    assert found.late == pytest.approx(late)
    assert found.waited == pytest.approx(late + 1)
    assert found.worked == pytest.approx(4 - late)
