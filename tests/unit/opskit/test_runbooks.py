"""The runbooks of the three environments, and what no file of runbooks may say."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from opskit.decisions.remedy import ACTIONS
from opskit.decisions.runbook import Action, Runbook, contradictions, parse_runbooks
from opskit.errors import InvalidInputError, RunbooksError
from opskit.runbooks import DIRECTORY, load_runbooks
from opskit.schema import SCHEMAS, validate

ROOT = Path(__file__).parents[3]
ENVIRONMENTS = ("dev", "staging", "prod")
TERRAFORM = (ROOT / "terraform/cloudwatch.tf").read_text()
TEMPLATE = (ROOT / "template.yaml").read_text()
EIGHT = {
    *("eks-cpu", "eks-memory", "database-cpu", "database-connections", "cache-evictions", "cache-cpu"),
    *("alb-response-time", "alb-unhealthy-hosts-blue", "alb-unhealthy-hosts-green"),
}


def content(environment: str = "prod") -> dict[str, Any]:
    return tomllib.loads((DIRECTORY / f"{environment}.toml").read_text())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_alarm_of_the_platform_is_known(environment: str) -> None:
    runbooks = load_runbooks(environment)
    assert set(runbooks.by_alarm) == EIGHT
    made = set(re.findall(r'^    "([a-z0-9-]+)" = \{$', TERRAFORM, re.MULTILINE))
    made |= set(re.findall(r"AlarmName: !Sub \$\{Service\}-\$\{Environment\}-([a-z0-9-]+)$", TEMPLATE, re.MULTILINE))
    assert made == set(runbooks.by_alarm) | set(runbooks.notify_only)


def test_production_only_plans_until_a_team_says_otherwise() -> None:
    assert load_runbooks("prod").dry_run
    assert [load_runbooks(name).mode for name in ENVIRONMENTS] == ["act", "act", "dry_run"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_cooldown_outlasts_what_the_alarm_still_sees(environment: str) -> None:
    lookback = max(int(period) for period in re.findall(r"period += (\d+)$", TERRAFORM, re.MULTILINE))
    assert lookback == 300
    runbooks = load_runbooks(environment)
    for runbook in runbooks.by_alarm.values():
        assert runbook.cooldown_seconds >= lookback + runbooks.settle_seconds
        assert runbook.verify_seconds >= 2 * lookback
        assert runbook.cooldown_seconds < runbooks.give_up_seconds or runbook.about == "cache"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_interrupts_asks_first_and_only_known_actions_are_named(environment: str) -> None:
    actions = [action for runbook in load_runbooks(environment).by_alarm.values() for action in runbook.actions]
    assert all(action.approval for action in actions if action.name == "resize_cache")
    assert {action.name for action in actions} == set(ACTIONS)


def test_the_sizes_begin_with_the_node_type_that_the_environment_has() -> None:
    for environment in ENVIRONMENTS:
        variables = (ROOT / f"terraform/environments/{environment}.tfvars").read_text()
        match = re.search(r'^cache_node_type = "(.+)"$', variables, re.MULTILINE)
        assert match is not None
        for alarm in ("cache-cpu", "cache-evictions"):
            sizes = load_runbooks(environment).by_alarm[alarm].actions[-1].bounds["sizes"]
            assert sizes[0] == match[1]


def test_the_schema_names_the_actions_that_there_are() -> None:
    action = json.loads((SCHEMAS / "runbooks.json").read_text())["definitions"]["action"]
    assert tuple(action["properties"]["name"]["enum"]) == ACTIONS
    assert {rule["if"]["properties"]["name"]["const"] for rule in action["allOf"]} == set(ACTIONS), "bounds of each"


def test_a_rehearsal_shortens_every_time_and_nothing_else() -> None:
    real, short = load_runbooks("staging"), load_runbooks("staging", 0.01)
    assert (short.event_age_seconds, short.settle_seconds, short.defer_seconds) == (3, 0.6, 0.6)
    assert (short.give_up_seconds, short.flapping.window_seconds, short.cap_window_seconds) == (27, 36, 36)
    assert (short.hourly_cap, short.strikes, short.flapping.transitions) == (real.hourly_cap, 3, 4)
    connections = short.by_alarm["database-connections"]
    assert (connections.cooldown_seconds, connections.verify_seconds) == (6, 6)
    assert connections.actions[0].bounds == {
        "idle_in_transaction_seconds": 0.6,
        "idle_seconds": 6,
        "at_most": 60,
        "keep": 20,
        "keep_of_client": 10,
    }
    assert short.by_alarm["alb-response-time"].actions[0].bounds == {"within_seconds": 18}
    assert short.by_alarm["cache-cpu"].actions == real.by_alarm["cache-cpu"].actions
    for factor in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="greater than 0"):
            load_runbooks("staging", factor)


def test_runbooks_travel_as_json() -> None:
    for runbook in load_runbooks("dev").by_alarm.values():
        assert Runbook.from_dict(json.loads(json.dumps(runbook.as_dict()))) == runbook
        assert runbook.lock == f"remedy:{runbook.about}"


def test_an_environment_without_a_file_is_told_which_to_create() -> None:
    with pytest.raises(RunbooksError, match=r"no runbooks for qa: create opskit/runbooks/qa\.toml"):
        load_runbooks("qa")
    for name in ("../schemas", "", "PROD", "prod.toml", "/etc/passwd"):
        with pytest.raises(RunbooksError):
            load_runbooks(name)


def broken(directory: Path, text: str) -> str:
    (directory / "qa.toml").write_text(text)
    with pytest.raises(RunbooksError) as caught:
        load_runbooks("qa", directory=directory)
    return str(caught.value)


def test_what_is_wrong_in_a_file_is_said_with_its_place(tmp_path: Path) -> None:
    good = (DIRECTORY / "dev.toml").read_text()
    assert "opskit/runbooks/qa.toml: " in broken(tmp_path, "mode = ")
    assert 'mode must be one of "act", "dry_run", got "on"' in broken(tmp_path, good.replace('"act"', '"on"'))
    assert "must have `strikes`" in broken(tmp_path, good.replace("strikes = 3\n", ""))
    assert "unknown `pause`" in broken(tmp_path, f"pause = true\n{good}")
    assert "`resize_cache` of `cache-evictions` interrupts, so it must ask" in broken(
        tmp_path, good.replace("approval = true", "approval = false")
    )


SESSIONS = {"idle_in_transaction_seconds": 1, "idle_seconds": 1, "at_most": 5, "keep": 1, "keep_of_client": 1}


@pytest.mark.parametrize(
    ("alarm", "bounds"),
    [
        ("eks-cpu", {"step": 0}),
        ("eks-cpu", {"step": 6}),
        ("eks-cpu", {"step": 1, "maximum": 99}),
        ("database-cpu", {"longer_than_seconds": 0, "at_most": 5}),
        ("database-cpu", {"at_most": 5}),
        ("database-connections", SESSIONS | {"keep": 0}),
        ("database-connections", SESSIONS | {"keep_of_client": 0}),
        ("database-connections", SESSIONS | {"at_most": 500}),
        ("cache-evictions", {"sizes": ["cache.t4g.small"]}),
        ("cache-evictions", {"sizes": ["db.t4g.small", "db.t4g.medium"]}),
        ("cache-cpu", {"at_most": 6}),
        ("alb-response-time", {}),
        ("alb-unhealthy-hosts-blue", {"older_than_seconds": "1"}),
    ],
)
def test_bounds_are_bounded(alarm: str, bounds: dict[str, Any]) -> None:
    data = content()
    data["runbook"][alarm]["action"][0]["bounds"] = bounds
    with pytest.raises(InvalidInputError, match="bounds"):
        validate("runbooks", data)


def test_contradictions_are_all_told() -> None:
    data = validate("runbooks", content())
    book = data["runbook"]
    book["eks-cpu"]["cause_first"] = ["eks-memory"]
    book["eks-memory"]["cause_first"] = ["eks-cpu"]
    book["cache-cpu"]["cause_first"] = ["disk"]
    book["database-cpu"]["cooldown_seconds"] = 59
    data["notify_only"] = ["cache-cpu"]
    assert contradictions(parse_runbooks(data)) == [
        "`cache-cpu` has a runbook and is in notify_only",
        "`eks-cpu` waits for itself through cause_first",
        "`eks-memory` waits for itself through cause_first",
        "`database-cpu` has a cooldown shorter than settle_seconds",
        "`disk`, a cause of `cache-cpu`, has no runbook",
    ]
    assert contradictions(load_runbooks("prod")) == []


def test_an_action_travels_as_json() -> None:
    action = Action("replace_pod", False, False, {"older_than_seconds": 120})
    assert Action.from_dict(action.as_dict()) == action


def test_the_layer_takes_the_files_with_it() -> None:
    makefile = (ROOT / "layers/common/Makefile").read_text()
    assert 'cp -R "$(HERE)/opskit" "$(TARGET)/opskit"' in makefile, "the whole package, whatever its files are"
    assert ".toml" not in makefile, "and prune takes none away"
