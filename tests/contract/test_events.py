"""The inputs in `events/` are what the schemas and the rules take."""

import json
import re
import tomllib

import pytest

from opskit.decisions.request import complete_request
from opskit.platform import PARAMETERS
from opskit.schema import validate
from tests.contract.stack import ROOT, WORKFLOWS, resources, template

INPUTS = sorted(p for p in (ROOT / "events").glob("*/*.json") if not p.name.endswith(".event.json"))
SETTINGS = {
    "bake_seconds": 60,
    "minimum_requests": 100,
    "inconclusive_wait_seconds": 30,
    "approval_seconds": 900,
    "bake_poll_seconds": 10,
    "metric_delay_seconds": 60,
    "poll_seconds": 5,
    "rollout_timeout_seconds": 300,
    "drain_timeout_seconds": 120,
}


@pytest.mark.parametrize("path", INPUTS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_an_input_fits_its_workflows_schema(path):
    data = validate(path.parent.name, json.loads(path.read_text()))
    if path.parent.name == "release":
        assert complete_request(data, SETTINGS, "dev")["steps"]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_workflow_has_a_schema_and_inputs(workflow):
    assert (ROOT / "layers/common/opskit/schemas" / f"{workflow}.json").is_file()
    assert any(path.parent.name == workflow for path in INPUTS)


def test_the_event_of_an_ended_execution_matches_the_rule_that_repairs():
    event = json.loads((ROOT / "events/release/execution_ended.event.json").read_text())
    pattern = resources("AWS::Serverless::Function")["RepairInterrupted"]["Events"]["Ended"]["Properties"]["Pattern"]
    assert event["source"] in pattern["source"]
    assert event["detail-type"] in pattern["detail-type"]
    assert event["detail"]["status"] in pattern["detail"]["status"]


def test_the_event_of_a_pushed_image_matches_its_rule_and_makes_a_valid_input():
    event = json.loads((ROOT / "events/release/image_pushed.event.json").read_text())
    rule = resources("AWS::Events::Rule")["ImagePushed"]
    pattern = rule["EventPattern"]
    assert event["source"] in pattern["source"]
    assert event["detail"]["action-type"] in pattern["detail"]["action-type"]
    transformer = rule["Targets"][0]["InputTransformer"]
    text = transformer["InputTemplate"]
    for name, path in transformer["InputPathsMap"].items():
        text = text.replace(f"<{name}>", event["detail"][path.removeprefix("$.detail.")])
    assert validate("release", json.loads(text))["image"].startswith("detection-api@sha256:")


def test_the_event_of_an_alarm_matches_its_rule_and_is_a_valid_input():
    event = json.loads((ROOT / "events/remediate/alarm_fired.event.json").read_text())
    rule = resources("AWS::Events::Rule")["AlarmFired"]
    pattern = rule["EventPattern"]
    assert event["source"] in pattern["source"]
    assert event["detail-type"] in pattern["detail-type"]
    assert event["detail"]["state"]["value"] in pattern["detail"]["state"]["value"]
    given = {"Partition": "aws", "Region": "us-east-1", "AccountId": "000000000000"}
    ((prefix,),) = [list(one.values()) for one in pattern["resources"]]
    known = {f"AWS::{name}": value for name, value in given.items()} | {
        "Service": "detection-api",
        "Environment": "dev",
    }
    text = re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1]], prefix["!Sub"])
    assert event["resources"][0].startswith(text)
    assert "Input" not in rule["Targets"][0]
    assert "InputTransformer" not in rule["Targets"][0]
    assert validate("remediate", event)["resources"] == event["resources"]


def test_the_documented_contract_is_the_contract():
    documented = set(re.findall(r"`(\w+)`", "".join(_rows("docs/platform-contract.md"))))
    assert set(PARAMETERS) == documented & (set(PARAMETERS) | {n for n in documented if n.endswith("_arn")})


def test_what_the_template_reads_of_the_platform_is_in_the_contract():
    types = {name: p for name, p in template()["Parameters"].items() if p["Type"].startswith("AWS::SSM::")}
    assert types
    for parameter in types.values():
        assert parameter["Default"].rpartition("/")[2] in PARAMETERS


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_every_environment_passes_the_contracts_paths_of_its_own(environment):
    given = tomllib.loads((ROOT / "samconfig.toml").read_text())[environment]["deploy"]["parameters"]
    overrides = dict(item.split("=", 1) for item in given["parameter_overrides"])
    for name, parameter in template()["Parameters"].items():
        if parameter["Type"].startswith("AWS::SSM::"):
            path = parameter["Default"].rpartition("/")[2]
            assert overrides[name] == f"/detection-api/{environment}/platform/{path}"
    assert set(overrides) <= set(template()["Parameters"])


def _rows(page):
    lines = (ROOT / page).read_text().splitlines()
    return [line.split("|")[1] for line in lines if line.startswith("| `")]
