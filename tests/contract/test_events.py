"""The inputs in `events/` are what the schemas and the rules take."""

import json

import pytest

from opskit.decisions.request import complete_request
from opskit.schema import validate
from tests.contract.stack import ROOT, WORKFLOWS, resources

INPUTS = sorted(p for p in (ROOT / "events").glob("*/*.json") if not p.name.endswith(".event.json"))
SETTINGS = {
    "bake_seconds": 60,
    "minimum_requests": 100,
    "inconclusive_wait_seconds": 30,
    "approval_seconds": 900,
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
