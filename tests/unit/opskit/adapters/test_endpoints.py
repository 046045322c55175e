from typing import Any

import pytest
from botocore.stub import Stubber

from opskit.adapters.endpoints import CACHE, DATABASE, READ_BACK_ATTEMPTS, Endpoint, Endpoints
from opskit.errors import DriftError, EndpointNotConfirmedError, PlatformContractError

from .conftest import aws_client, session

NAME = "/detection-api/dev/endpoints/database"
OLD, NEW = "old.example.com:5432", "new.example.com:5432"


@pytest.fixture
def ssm() -> Any:
    return aws_client("ssm")


@pytest.fixture
def endpoints(ssm: Any) -> Endpoints:
    ssm.put_parameter(Name=NAME, Value=OLD, Type="String")
    return Endpoints("detection-api", "dev", ssm)


def test_what_is_live_is_read(endpoints: Endpoints, ssm: Any) -> None:
    assert endpoints.read(DATABASE) == Endpoint("old.example.com", 5432, 1)
    assert endpoints.read(DATABASE).text == OLD
    ssm.put_parameter(Name="/detection-api/dev/endpoints/cache", Value=" 127.42.0.9:6379\n", Type="String")
    assert endpoints.read(CACHE).as_dict() == {"host": "127.42.0.9", "port": 6379, "version": 1}


@pytest.mark.parametrize("value", ["nowhere", "host:", ":5432", "host:0", "host:65536", "redis://host:6379", "a b:1"])
def test_what_is_no_endpoint_is_refused(endpoints: Endpoints, ssm: Any, value: str) -> None:
    ssm.put_parameter(Name=NAME, Value=value, Type="String", Overwrite=True)
    with pytest.raises(PlatformContractError, match="must be host:port"):
        endpoints.read(DATABASE)
    with pytest.raises(ValueError, match="is not host:port"):
        endpoints.swap(DATABASE, OLD, value)


def test_a_parameter_that_is_missing_is_named(endpoints: Endpoints) -> None:
    with pytest.raises(PlatformContractError, match="/detection-api/dev/endpoints/cache is missing"):
        endpoints.read(CACHE)


def test_a_swap_writes_once_and_reads_back(endpoints: Endpoints, ssm: Any) -> None:
    assert endpoints.swap(DATABASE, OLD, NEW) == Endpoint("new.example.com", 5432, 2)
    assert endpoints.swap(DATABASE, OLD, NEW).version == 2, "repeated, it writes nothing"
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Value"] == NEW
    assert endpoints.swap(DATABASE, NEW, OLD).text == OLD


def test_what_someone_else_has_moved_is_left_alone(endpoints: Endpoints, ssm: Any) -> None:
    ssm.put_parameter(Name=NAME, Value="third.example.com:5432", Type="String", Overwrite=True)
    with pytest.raises(DriftError, match=r"is third\.example\.com:5432, not old\.example\.com:5432"):
        endpoints.swap(DATABASE, OLD, NEW)
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == 2


def stubbed(*answers: str) -> tuple[Endpoints, list[float]]:
    """Parameter Store that reads back `answers` one after the other; the first is from before the write."""
    client, slept = session().client("ssm"), []
    stub = Stubber(client)
    for number, value in enumerate(answers):
        stub.add_response("get_parameter", {"Parameter": {"Name": NAME, "Value": value, "Version": 7}}, {"Name": NAME})
        if number == 0:
            stub.add_response(
                "put_parameter", {"Version": 8}, {"Name": NAME, "Value": NEW, "Type": "String", "Overwrite": True}
            )
    stub.activate()
    return Endpoints("detection-api", "dev", client, sleep=slept.append), slept


def test_a_write_that_shows_late_is_waited_for() -> None:
    endpoints, slept = stubbed(OLD, OLD, OLD, NEW)
    assert endpoints.swap(DATABASE, OLD, NEW).text == NEW
    assert len(slept) == 2


def test_a_write_that_never_shows_is_an_error() -> None:
    endpoints, slept = stubbed(OLD, *[OLD] * READ_BACK_ATTEMPTS)
    with pytest.raises(EndpointNotConfirmedError, match=r"still answered old\.example\.com:5432"):
        endpoints.swap(DATABASE, OLD, NEW)
    assert len(slept) == READ_BACK_ATTEMPTS - 1
