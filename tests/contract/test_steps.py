"""Every step file has exactly one function, policies of its own, a log group, and somebody who starts it."""

import ast
import keyword
import re
import sys

import pytest

from tests.contract.stack import ROOT, WORKFLOWS, function_of, resources, states, step_files

FUNCTIONS = resources("AWS::Serverless::Function")
STEPS = [path.relative_to(ROOT / "functions") for path in step_files()]


def logical_id(step):
    return "".join(word.capitalize() for word in step.stem.split("_"))


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_one_function_with_its_handler(step):
    handlers = [name for name, f in FUNCTIONS.items() if f["Handler"] == f"{step.stem}.handler"]
    assert handlers == [logical_id(step)]


def test_no_function_without_a_file():
    assert {logical_id(step) for step in STEPS} == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_policies_of_its_own(name):
    statements = [s for policy in FUNCTIONS[name]["Policies"] for s in policy["Statement"]]
    assert statements
    for statement in statements:
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            assert "*" not in action, f"{name}: {action}"
    sids = [statement["Sid"] for statement in statements]
    assert len(sids) == len(set(sids))


def test_a_wildcard_resource_has_its_reason_beside_it():
    lines = (ROOT / "template.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r'\s*Resource: "\*"', line):
            sid = next(text for text in reversed(lines[:number]) if "- Sid:" in text)
            assert "#" in sid, f"template.yaml:{number + 1}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_to_its_own_group_with_a_retention(name):
    group = FUNCTIONS[name]["LoggingConfig"]["LogGroup"]["!Ref"]
    properties = resources("AWS::Logs::LogGroup")[group]
    assert properties["LogGroupName"]["!Sub"] == "/aws/lambda/" + FUNCTIONS[name]["FunctionName"]["!Sub"]
    assert "RetentionInDays" in properties


def test_every_function_is_started_by_a_state_or_an_event():
    invoked = {function_of(state) for workflow in WORKFLOWS for state in states(workflow).values()}
    for name, properties in FUNCTIONS.items():
        assert name in invoked or properties.get("Events"), name


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_is_named_verb_noun_and_shadows_nothing(step):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", step.stem)
    assert step.stem not in sys.stdlib_module_names
    assert not keyword.iskeyword(step.stem)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_imports_opskit_and_the_standard_library_only(step):
    tree = ast.parse((ROOT / "functions" / step).read_text())
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module or ""]
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names | {"opskit"}, f"{step} imports {name}"


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_what_a_step_asks_of_the_settings_is_configured(step):
    source = (ROOT / "functions" / step).read_text()
    asked = set(re.findall(r'settings"?\]?\["(\w+)"\]', source))
    # What belongs to no workflow has no settings to ask.
    configured = states(step.parts[0])["Configure"]["Assign"]["settings"] if step.parts[0] in WORKFLOWS else {}
    assert asked <= set(configured)
