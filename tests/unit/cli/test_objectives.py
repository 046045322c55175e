import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from opskit.decisions.objectives import LastDrill, Observed, Reading, Targets, judge_objectives
from tests.unit.cli.conftest import Machine, Ops
from tests.unit.cli.given import NAME, REGION, succeed


def report(*, age: float = 60.0, **changes: Any) -> dict[str, Any]:
    """A report as the workflow writes it; `changes` to what was observed, all of which was well."""
    now = datetime.now(UTC) - timedelta(seconds=age)
    recent = Reading(now - timedelta(seconds=30))
    drill = LastDrill(now - timedelta(days=1), 700.0, 12.0)
    seen = {"restorable": recent, "heartbeat": recent, "cache_snapshot": recent, "manifest": recent, "drill": drill}
    judged = judge_objectives(Observed(**(seen | changes)), Targets(), now)
    told = judged.as_dict()
    return {
        "judged_at": now.isoformat(),
        "outcome": told["overall"]["outcome"],
        "reason": told["overall"]["reason"],
        "since": (now - timedelta(hours=3)).isoformat(),
        "objectives": told["objectives"],
        "problems": [],
    }


def write(document: Any) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    boto3.client("s3", region_name=REGION).put_object(Bucket=f"{NAME}-backups", Key="objectives/latest.json", Body=body)


@pytest.fixture(autouse=True)
def there(platform: Mapping[str, str]) -> None:
    """The platform, with its bucket."""


def test_all_hold(ops: Ops) -> None:
    write(report())
    ran = ops("objectives")
    assert ran.code == 0
    lines = ran.out.splitlines()
    (line,) = [line for line in lines if line.startswith("drill rto")]
    for words in ("PASS", "< 30m00s", "11m40s", "the last good drill's recovery time was 700 s"):
        assert words in line
    assert lines[-1].startswith("PASS, judged")


def test_one_that_does_not_hold_is_a_failure_with_its_reason(ops: Ops) -> None:
    write(report(heartbeat=Reading(datetime.now(UTC) - timedelta(hours=1))))
    ran = ops("objectives", "--json")
    assert ran.code == 1
    assert ran.document["outcome"] == "FAIL"
    assert ran.document["objectives"]["heartbeat_age"]["outcome"] == "FAIL"
    assert "the newest heartbeat is" in ops("objectives").out


def test_one_that_could_not_be_judged_is_neither_success_nor_failure(ops: Ops) -> None:
    write(report(restorable=Reading(unreadable="access denied")))
    ran = ops("objectives")
    assert ran.code == 6
    assert "could not be read: access denied" in ran.out


@pytest.mark.parametrize(("changes", "code"), [({}, 6), ({"manifest": Reading()}, 1)])
def test_a_report_that_is_old_says_nothing_about_now(ops: Ops, changes: Mapping[str, Any], code: int) -> None:
    write(report(age=16 * 60, **changes))
    ran = ops("objectives")
    assert ran.code == code
    assert "STALE: the report is 16m" in ran.out
    assert ops("objectives", "--json").document["stale"] is True


def test_without_a_report_it_says_how_to_get_one(ops: Ops) -> None:
    ran = ops("objectives", "--json")
    assert (ran.code, ran.document["error"]) == (4, "ReportNotFound")
    assert "ops objectives --now" in ran.err


@pytest.mark.parametrize("content", [b"not JSON", b"[]", b'{"judged_at": "2026-01-01T00:00:00"}', b"{}"])
def test_a_report_that_cannot_be_read_is_not_good_news(ops: Ops, content: bytes) -> None:
    write(content)
    ran = ops("objectives", "--json")
    assert (ran.code, ran.document["error"]) == (1, "ReportMalformed")


def test_now_judges_and_shows_the_new_report(ops: Ops, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine({"Done": succeed()}, workflow="objectives")
    monkeypatch.setattr("cli.commands.objectives.new_name", lambda _: "judged-now")
    # As the workflow would write it while it runs.
    write(report(age=0) | {"execution": "judged-now"})
    ran = ops("objectives", "--now")
    assert ran.code == 0
    assert "objectives, judged now on shop-test, execution judged-now" in ran.out
    assert "drill rto" in ran.out


def test_now_does_not_pass_an_old_report_off_as_new(ops: Ops, machine: Machine) -> None:
    machine({"Done": succeed()}, workflow="objectives")
    write(report(age=0) | {"execution": "another"})
    ran = ops("objectives", "--now", "--timeout", "1", "--json")
    assert (ran.code, ran.document["error"]) == (5, "NoReport")
    assert "/aws/vendedlogs/states/shop-test-objectives" in ran.err
