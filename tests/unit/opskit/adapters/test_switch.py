import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from opskit.adapters.switch import Switch, SwitchState, switch_parameter

from .conftest import aws_client, session

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NAME = "/detection-api/dev/remediation/switch"


@pytest.fixture
def ssm() -> Any:
    return aws_client("ssm")


def read(ssm: Any, value: str) -> SwitchState:
    ssm.put_parameter(Name=NAME, Value=value, Type="String", Overwrite=True)
    return Switch("detection-api", "dev", ssm).read()


def test_the_templates_first_value_holds_nothing(ssm: Any) -> None:
    state = read(ssm, '{"paused": false}')
    assert state == SwitchState(paused=False)
    assert not state.holds(NOW)
    assert state.words == "not paused"
    assert switch_parameter("detection-api", "dev") == NAME


def test_what_is_written_is_read(ssm: Any) -> None:
    switch = Switch("detection-api", "dev", ssm)
    for until in (None, NOW + timedelta(hours=2)):
        state = SwitchState(True, until, "the database is being moved", "ann", NOW)
        switch.write(state)
        assert switch.read() == state
        assert state.holds(NOW)
    assert state.words == "paused by ann until 2026-11-23T14:00:00.000000Z: the database is being moved"
    switch.write(SwitchState(paused=False, by="ann", at=NOW))
    assert not switch.read().holds(NOW)


def test_a_pause_ends_by_itself(ssm: Any) -> None:
    state = read(ssm, '{"paused": true, "until": "2026-11-23T12:00:00Z"}')
    assert state.holds(NOW - timedelta(microseconds=1))
    assert not state.holds(NOW)


@pytest.mark.parametrize(
    "value",
    [
        *("off", "{", "null", "[]", '"paused"', "{}", "false", "0"),
        *('{"paused": "false"}', '{"paused": 0}', '{"paused": null}', '{"Paused": false}'),
        *('{"paused": false, "until": "soon"}', '{"paused": true, "until": "2026-11-23T12:00:00"}'),
        *('{"paused": true, "until": 0}', '{"paused": false, "at": {}}'),
    ],
)
def test_a_switch_that_makes_no_sense_holds(ssm: Any, value: str) -> None:
    state = read(ssm, value)
    assert state.unreadable
    assert state.holds(NOW)
    assert state.holds(NOW + timedelta(days=10_000)), "and does not end by itself"
    assert "counts as thrown" in state.words


def test_a_switch_that_is_missing_or_out_of_reach_holds(ssm: Any) -> None:
    missing = Switch("detection-api", "dev", ssm).read()
    assert missing.holds(NOW)
    assert "ParameterNotFound" in missing.words
    client = session().client("ssm")
    with Stubber(client) as stub:
        stub.add_client_error("get_parameter", "AccessDeniedException", "no")
        denied = Switch("detection-api", "dev", client).read()
    assert denied.holds(NOW)
    assert "AccessDenied" in denied.reason


def test_a_network_that_fails_holds(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://ssm")

    monkeypatch.setattr(ssm, "get_parameter", unreachable)
    assert Switch("detection-api", "dev", ssm).read().holds(NOW)


def test_what_is_stored_is_the_contracts(ssm: Any) -> None:
    Switch("detection-api", "dev", ssm).write(SwitchState(True, NOW, "why", "ann", NOW))
    assert json.loads(ssm.get_parameter(Name=NAME)["Parameter"]["Value"]) == {
        "paused": True,
        "until": "2026-11-23T12:00:00.000000Z",
        "reason": "why",
        "by": "ann",
        "at": "2026-11-23T12:00:00.000000Z",
    }
