"""scripts/disaster-recovery.sh against a sandbox: backup, restore, test; good and bad."""

import json

import pytest
import urllib3

pytestmark = pytest.mark.timeout(900)
SCRIPT = "disaster-recovery.sh"


@pytest.fixture(scope="module")
def recovery(shell, deployed, operator):
    """The script, while the heartbeat is stamped as its schedule does on AWS."""
    assert deployed.code == 0, deployed.output
    with operator.pulse(1.0):
        yield lambda *arguments, **variables: shell.run(SCRIPT, *arguments, **variables)


@pytest.fixture(scope="module")
def backup(recovery):
    done = recovery("backup", REASON="a test")
    assert done.code == 0, done.output
    return done


@pytest.fixture
def newest(ops, backup):
    """The newest manifest."""
    return json.loads(ops("backups", "show", "latest", "--json").stdout)


def snapshot_of(manifest, kind):
    return next(part["id"] for part in manifest["components"] if part["kind"] == kind)


# First: what holds before there is any backup.
def test_without_a_backup_nothing_is_proven(recovery):
    done = recovery("test", DRILL="false")
    assert done.code == 4, done.output
    assert "FAIL          the newest manifest can be read (exit code 4)" in done.output
    assert "recovery is NOT proven" in done.output


def test_a_dry_run_of_a_backup_takes_nothing(recovery, ops):
    assert recovery("backup", DRY_RUN="true").code == 0
    assert json.loads(ops("backups", "--json").stdout)["backups"] == []


def test_a_backup_has_all_five_components(backup, newest):
    assert newest["complete"]
    assert {part["kind"] for part in newest["components"]} == {
        "database",
        "cache",
        "cluster_configuration",
        "terraform_state",
        "application_data",
    }
    assert newest["key"] in backup.output


def test_recovery_is_proven_by_a_drill(recovery, backup):
    done = recovery("test")
    assert done.code == 0, done.output
    assert done.output.count("\nPASS          ") == 5, done.output
    assert "recovery is proven" in done.output


def test_the_role_of_the_pipeline_is_enough_for_that(recovery, backup, credentials):
    """As terraform/bootstrap makes it, and as the sandbox's IAM decides."""
    done = recovery("backup", **credentials("verify-staging"))
    assert done.code == 0, done.output
    done = recovery("test", **credentials("verify-staging"))
    assert "denied" not in done.output.lower(), done.output
    assert done.code == 0, done.output
    assert "recovery is proven" in done.output


def test_a_manifest_that_was_changed_is_found(recovery, newest, operator):
    s3, bucket = operator.clients["s3"], operator.platform.backup_bucket
    body = s3.get_object(Bucket=bucket, Key=newest["key"])["Body"].read()
    try:
        s3.put_object(Bucket=bucket, Key=newest["key"], Body=body + b" ")
        done = recovery("test", DRILL="false")
    finally:
        s3.put_object(Bucket=bucket, Key=newest["key"], Body=body)
    assert done.code == 1, done.output
    assert "FAIL          backups are listed, and no manifest was changed (exit code 1)" in done.output
    assert "-- the evidence is unbroken" in done.output, "it goes through all its checks"


def test_a_drill_that_fails_proves_nothing(recovery, backup, tmp_path):
    ops = tmp_path / "ops"
    ops.write_text('#!/bin/sh\n[ "$1" != drill ] || exit 1\n[ "$1" != objectives ] || exit 6\n')
    ops.chmod(0o755)
    done = recovery("test", OPS=str(ops))
    assert done.code == 1
    assert "INCONCLUSIVE  every recovery objective holds" in done.output
    assert recovery("test", OPS=str(ops), DRILL="false").code == 6


def test_a_restore_beside_production_changes_nothing_else(recovery, newest, operator):
    before = operator.endpoints
    done = recovery("restore", snapshot_of(newest, "database"), ISOLATED="true")
    assert done.code == 0, done.output
    assert operator.endpoints == before


def test_a_dry_run_of_a_restore_says_what_would_be(recovery, newest, operator):
    before = operator.endpoints
    done = recovery("restore", snapshot_of(newest, "database"), DRY_RUN="true", REASON="a test")
    assert done.code == 0, done.output
    assert operator.endpoints == before


def test_a_restore_takes_the_place_of_what_was_lost(recovery, newest, operator):
    before = operator.endpoints
    done = recovery("restore", snapshot_of(newest, "database"), REASON="rows were lost", NO_APPROVAL="true")
    assert done.code == 0, done.output
    after = operator.endpoints
    assert {kind for kind in after if after[kind] != before[kind]} == {"database", "cache"}
    seen = urllib3.request("GET", f"{operator.config.service_url}/ready", timeout=10).json()
    assert seen["ready"]
    assert seen["database"] == after["database"]


def test_a_snapshot_that_is_not_there_is_refused(recovery, backup):
    done = recovery("restore", "rds:no-such-snapshot", ISOLATED="true")
    assert done.code == 3, done.output


def test_an_environment_that_is_not_there(recovery):
    assert recovery("backup", OPS_ENVIRONMENT="prod").code == 4


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ((), {}),
        (("undo",), {}),
        (("backup", "now"), {}),
        (("restore",), {}),
        (("restore", ""), {}),
        (("restore", "rds:some"), {}),
        (("restore", "rds:some"), {"ISOLATED": "true", "NO_APPROVAL": "true"}),
        (("test",), {"DRILL": "no"}),
    ],
)
def test_wrong_usage_reaches_nothing(shell, tmp_path, arguments, variables):
    ops = tmp_path / "ops"
    ops.write_text(f"#!/bin/sh\ntouch {tmp_path / 'called'}\n")
    ops.chmod(0o755)
    done = shell.run(SCRIPT, *arguments, OPS=str(ops), **variables)
    assert done.code == 2, done.output
    assert "disaster-recovery: " in done.output
    assert not (tmp_path / "called").exists()
