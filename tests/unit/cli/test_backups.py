import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto.rds.models import rds_backends

from opskit.adapters.manifests import Manifests
from opskit.adapters.objects import Objects
from opskit.decisions.manifest import Component, Kind, Manifest, Status
from opskit.ledger import Ledger, OperationRecord
from tests.unit.cli.conftest import Ops
from tests.unit.cli.given import NAME, REGION

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
BUCKET = f"{NAME}-backups"


def component(kind: Kind, hour: datetime, **changes: Any) -> Component:
    values: dict[str, Any] = {
        "status": Status.VERIFIED,
        "id": f"{kind}-{hour:%Y%m%d%H}",
        "taken_at": hour + timedelta(minutes=1),
        "bytes": 1024 * 1024,
        "counts": {"rows": 7},
    }
    return Component(kind, "shop-test", **(values | changes))


class Runs:
    """Snapshot runs as they are found: manifest in the bucket, its hash in the record."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.s3 = boto3.client("s3", region_name=REGION)

    def ran(self, hours_ago: int, name: str = "", **broken: Any) -> Manifest:
        """A run; `broken`: changes to its cache's component."""
        hour = HOUR - timedelta(hours=hours_ago)
        name = name or f"run-{hours_ago}"
        parts = [component(kind, hour, **(broken if kind is Kind.CACHE else {})) for kind in Kind]
        ends = hour + timedelta(minutes=4)
        manifest = Manifest("shop", "test", hour, name, hour, ends, tuple(parts))
        Manifests(BUCKET, self.ledger, Objects(BUCKET, self.s3)).write(manifest)
        record = OperationRecord("snapshot", f"arn:{name}", name, hour + timedelta(seconds=len(name)))
        self.ledger.open_operation(record)
        facts = {"manifest": {"key": manifest.key, "sha256": manifest.sha256, "complete": manifest.complete}}
        outcome = "COMPLETE" if manifest.complete else "INCOMPLETE"
        self.ledger.close_operation(record.key, outcome, "as the manifest says", facts=facts)
        return manifest

    def edit(self, manifest: Manifest) -> None:
        """What someone does who wants a manifest to say something else."""
        content = json.loads(manifest.to_bytes())
        content["components"][0]["counts"]["rows"] = 1
        self.s3.put_object(Bucket=BUCKET, Key=manifest.key, Body=json.dumps(content).encode())


@pytest.fixture
def runs(ledger: Ledger, platform: Mapping[str, str]) -> Runs:
    return Runs(ledger)


@pytest.fixture
def database(platform: Mapping[str, str]) -> Iterator[None]:
    """The live database: a DB instance at the endpoint that the service is told."""
    rds = boto3.client("rds", region_name=REGION)
    made = rds.create_db_instance(
        DBInstanceIdentifier=NAME, DBInstanceClass="db.t4g.micro", Engine="postgres", AllocatedStorage=20,
        MasterUsername="admin", MasterUserPassword="not-a-secret", BackupRetentionPeriod=7, Port=5432,
    )["DBInstance"]  # fmt: skip
    endpoint = rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"][0]["Endpoint"]
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name="/shop/test/endpoints/database", Value=f"{endpoint['Address']}:{endpoint['Port']}", Overwrite=True
    )
    assert made["DbiResourceId"]
    yield
    rds_backends.reset()


def test_backups_are_newest_first_with_what_they_have_and_lack(ops: Ops, runs: Runs) -> None:
    runs.ran(3)
    runs.ran(2, status=Status.FAILED, reason="the group was modifying", id=None)
    runs.ran(1)
    ran = ops("backups", "--json")
    assert ran.code == 0
    told = ran.document["backups"]
    assert [one["run"] for one in told] == ["run-1", "run-2", "run-3"]
    assert [one["complete"] for one in told] == [True, False, True]
    assert told[0]["database"] == [f"database-{HOUR - timedelta(hours=1):%Y%m%d%H}"]
    assert (told[1]["cache"], told[1]["verified"], told[1]["components"]) == ([], 4, 5)
    assert told[1]["missing"] == ["cache shop-test: FAILED, the group was modifying"]
    assert told[0]["bytes"] == 5 * 1024 * 1024
    lines = ops("backups").out.splitlines()
    (incomplete,) = [line for line in lines if "INCOMPLETE" in line]
    for words in ("4 of 5", "4.0 MiB", "the group was modifying"):
        assert words in incomplete


def test_the_limit_is_of_the_newest(ops: Ops, runs: Runs) -> None:
    for hours in range(4):
        runs.ran(hours)
    told = ops("backups", "--limit", "2", "--json").document["backups"]
    assert [one["run"] for one in told] == ["run-0", "run-1"]
    assert len(ops("backups", "--all", "--json").document["backups"]) == 4


def test_without_backups_it_says_how_to_make_one(ops: Ops, runs: Runs) -> None:
    ran = ops("backups")
    assert ran.code == 0
    assert "no backups yet: ops snapshot" in ran.out


def test_a_manifest_that_was_edited_is_not_listed_as_a_backup_but_told(ops: Ops, runs: Runs) -> None:
    runs.ran(2)
    edited = runs.ran(1)
    runs.edit(edited)
    ran = ops("backups", "--json")
    assert ran.code == 1
    assert [one["run"] for one in ran.document["backups"]] == ["run-2"]
    assert edited.key in ran.document["problems"][0]
    words = ops("backups")
    assert words.code == 1
    assert "NOT TO BE TRUSTED" in words.out


def test_the_window_of_the_live_database(ops: Ops, runs: Runs, database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ops("backups", "--json").document["point_in_time"]
    # moto keeps no automated backups, which is a case of its own.
    assert told["database"] == NAME
    assert "only the snapshots" in told["problem"]
    window = {"EarliestTime": HOUR - timedelta(days=7), "LatestTime": HOUR}
    monkeypatch.setattr(
        "botocore.client.BaseClient._make_api_call",
        _answering("DescribeDBInstanceAutomatedBackups", {"DBInstanceAutomatedBackups": [{"RestoreWindow": window}]}),
    )
    told = ops("backups", "--json").document["point_in_time"]
    assert told["problem"] is None
    assert datetime.fromisoformat(told["latest"]) == HOUR
    words = ops("backups").out
    assert f"{HOUR:%Y-%m-%d %H:%M:%S} UTC" in words.splitlines()[1]


def _answering(operation: str, answer: dict[str, Any]) -> Any:
    from botocore.client import BaseClient

    real = BaseClient._make_api_call

    def call(self: Any, name: str, arguments: Any) -> Any:
        return answer if name == operation else real(self, name, arguments)

    return call


def test_a_database_that_is_gone_is_told_and_the_backups_are_listed(ops: Ops, runs: Runs) -> None:
    runs.ran(1)
    ran = ops("backups", "--json")
    assert "no DB instance is at shop-test.db.example:5432" in ran.document["point_in_time"]["problem"]
    assert len(ran.document["backups"]) == 1


def test_one_manifest_by_hour_by_key_and_the_latest(ops: Ops, runs: Runs) -> None:
    wanted = runs.ran(2)
    newest = runs.ran(1)
    hour = wanted.hour
    for which in (f"{hour:%Y-%m-%dT%H}", f"{hour:%Y-%m-%d %H}:00", f"{hour:%Y-%m-%dT%H:00:00Z}", wanted.key):
        ran = ops("backups", "show", which, "--json")
        assert ran.code == 0
        assert (ran.document["key"], ran.document["sha256"]) == (wanted.key, wanted.sha256)
    assert ops("backups", "show", "latest", "--json").document["key"] == newest.key
    words = ops("backups", "show", wanted.key).out
    for part in wanted.components:
        assert str(part.id) in words
    assert "7 rows" in words


def test_of_two_runs_of_an_hour_the_complete_one_is_shown(ops: Ops, runs: Runs) -> None:
    complete = runs.ran(2, "first")
    partial = runs.ran(2, "second-one", status=Status.SKIPPED, reason="not asked for", id=None)
    assert ops("backups", "show", f"{complete.hour:%Y-%m-%dT%H}", "--json").document["key"] == complete.key
    ran = ops("backups", "show", partial.key)
    assert ran.code == 0
    assert "INCOMPLETE" in ran.out
    assert "not asked for" in ran.out


def test_a_manifest_that_was_edited_is_not_shown(ops: Ops, runs: Runs) -> None:
    edited = runs.ran(1)
    runs.edit(edited)
    ran = ops("backups", "show", "latest", "--json")
    assert (ran.code, ran.document["error"]) == (1, "ManifestError")
    assert "was changed" in ran.err


@pytest.mark.parametrize("which", ["2020-01-01T00", "no-such", "latest", "manifests/2020/01/01/00-x.json"])
def test_what_is_not_there_is_not_found(ops: Ops, runs: Runs, which: str) -> None:
    assert ops("backups", "show", which).code == 4


@pytest.mark.parametrize("which", ["2026-13-01T00", "2026-02-30T00", ""])
def test_an_hour_that_does_not_exist_is_bad_input(ops: Ops, runs: Runs, which: str) -> None:
    assert ops("backups", "show", which).code == 2


def test_global_options_go_before_and_after_the_subcommand(ops: Ops, runs: Runs) -> None:
    wanted = runs.ran(1)
    for args in (
        ("--json", "backups", "show", "latest"),
        ("backups", "--json", "show", "latest"),
        ("backups", "show", "latest", "--json"),
    ):
        assert ops(*args).document["key"] == wanted.key
