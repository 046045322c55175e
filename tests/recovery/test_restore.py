"""Restores beside production: from the log, from a set, in part; and what is refused before anything is done."""

import urllib3

from tests.recovery.restores import (
    ROWS,
    backup,
    closed,
    home,
    live_names,
    log_reaches,
    names,
    now,
    operator,
    restore,
    rows,
    sets,
    succeeded,
    tags_of,
)

__all__ = ["backup", "home", "operator", "sets"]


def copies_of(output):
    return {one["kind"]: one for one in output["restored"]}


def test_the_latest_there_is_stands_beside_production_set_up_like_it(operator, backup):
    before, live = operator.endpoints, live_names(operator)
    operator.sql("INSERT INTO restored VALUES (1001, 'after the backup')")
    log_reaches(operator, now(operator))
    output = succeeded(operator, restore(operator), "ISOLATED")
    copies = copies_of(output)
    assert rows(operator, copies["database"]["name"]) == ROWS + 1
    with operator.cache(copies["cache"]["name"]) as client:
        assert client.dbsize() == 30
    assert operator.endpoints == before
    assert live_names(operator) == live
    source, copy = operator.database(), operator.database(copies["database"]["name"])
    for setting in (
        "DBInstanceClass",
        "DBParameterGroups",
        "VpcSecurityGroups",
        "MultiAZ",
        "KmsKeyId",
        "PubliclyAccessible",
        "IAMDatabaseAuthenticationEnabled",
    ):
        assert copy[setting] == source[setting], setting
    assert output["differences"]["database"]["from_what_was_asked"] == []
    tags = tags_of(operator, copies["database"]["name"])
    assert "backup" not in tags
    assert tags["ops:expires-at"] == output["expires_at"]
    assert any(copies["database"]["name"] in command for command in output["remove"])
    assert output["recovery_point"]["outcome"] == "PASS"


def test_a_moment_and_the_cache_backup_that_goes_with_it(operator, backup):
    moment = now(operator)
    operator.sql("DELETE FROM restored")
    log_reaches(operator, now(operator))
    output = succeeded(operator, restore(operator, moment=moment), "ISOLATED")
    assert rows(operator) == 0
    assert rows(operator, copies_of(output)["database"]["name"]) == ROWS
    assert output["restored"][1]["kind"] == "cache"


def test_a_set_by_the_name_of_its_snapshot(operator, backup):
    operator.sql("INSERT INTO restored VALUES (1001, 'after the backup')")
    with operator.cache() as client:
        client.set("later", "than the backup")
    output = succeeded(operator, restore(operator, snapshot=_snapshot(backup)), "ISOLATED")
    copies = copies_of(output)
    assert rows(operator, copies["database"]["name"]) == ROWS
    with operator.cache(copies["cache"]["name"]) as client:
        assert client.get("later") is None
    assert {check["outcome"] for check in output["checks"]} == {"PASS"}


def _snapshot(manifest, kind="database"):
    return next(part.id for part in manifest.components if part.kind == kind)


def test_one_component_only(operator, backup):
    before = names(operator)
    output = succeeded(operator, restore(operator, components=["cache"]), "ISOLATED")
    assert [one["kind"] for one in output["restored"]] == ["cache"]
    instances, groups = names(operator)
    assert (instances, len(groups)) == (before[0], len(before[1]) + 1)


def test_another_placement_is_kept_to_and_told(operator, backup):
    output = succeeded(
        operator,
        restore(operator, components=["database"], placement={"database_class": "db.t4g.large"}),
        "ISOLATED",
    )
    copy = operator.database(copies_of(output)["database"]["name"])
    assert copy["DBInstanceClass"] == "db.t4g.large"
    told = {one["setting"]: one for one in output["differences"]["database"]["from_the_source"]}
    assert told["instance_class"]["found"] == "db.t4g.large"


def test_a_dry_run_prints_all_and_changes_nothing(operator, backup):
    before, mark = names(operator), operator.api_mark()
    done = restore(operator, dry_run=True, mode="replace")
    plan = done.output["plan"]
    assert (done.output["outcome"], plan["decision"]) == ("PLANNED", "PROCEED")
    assert plan["parts"]["cache"]["copy"]["snapshot"] == _snapshot(backup, "cache")
    assert len(plan["will_cut_over"]) == 2
    assert names(operator) == before
    changes = [
        call["action"]
        for call in operator.api_calls(after=mark)
        if not call["action"].split(":")[1].startswith(("Describe", "List", "Get"))
    ]
    assert changes == []
    assert operator.ledger.operation_of("restore", done.name) is None


def test_what_cannot_be_is_refused_in_words_that_help(operator, backup):
    before = names(operator)
    for given, words in (
        ({"moment": "2020-01-01T00:00:00Z"}, "before the earliest restorable time"),
        ({"moment": "2099-01-01T00:00:00Z"}, "still to come"),
        ({"snapshot": "nobody-took-this"}, "no manifest names nobody-took-this"),
        ({"snapshot": "x", "moment": "2026-01-01T00:00:00Z"}, "exclude each other"),
        ({"environment": "prod"}, "this state machine restores dev"),
        ({"undo": "never-was"}, "there is no restore never-was on record"),
    ):
        done = restore(operator, **given)
        assert (done.status, done.error) == ("FAILED", "RestoreRefused")
        assert words in done.cause
        closed(operator, done, "REFUSED")
    assert names(operator) == before


def test_a_snapshot_that_was_deleted_since_is_no_longer_in_its_set(operator, backup):
    name = _snapshot(backup, "cache")
    operator.clients["elasticache"].delete_snapshot(SnapshotName=name)
    operator.until(lambda: _cache_snapshots(operator), lambda there: name not in there, "the deletion", seconds=30)
    done = restore(operator, snapshot=_snapshot(backup))
    assert done.error == "RestoreRefused"
    assert "has been deleted since" in done.cause
    output = succeeded(operator, restore(operator, snapshot=_snapshot(backup), components=["database"]), "ISOLATED")
    assert rows(operator, copies_of(output)["database"]["name"]) == ROWS


def _cache_snapshots(operator):
    return [one["SnapshotName"] for one in operator.clients["elasticache"].describe_snapshots()["Snapshots"]]


def test_isolated_copies_are_not_seen_by_the_service(operator, backup):
    succeeded(operator, restore(operator, components=["database"]), "ISOLATED")
    ready = urllib3.request("GET", f"{operator.config.service_url}/ready").json()
    assert ready["database"] == operator.endpoint("database")
