from typing import TYPE_CHECKING

import boto3
import pytest

from opskit.errors import PlatformContractError
from opskit.platform import PARAMETERS, Platform, path_of
from opskit.traffic import Colour

from .stand_ins import REGION

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

VALUES = {name: f"arn:aws:x:{REGION}:1:{name}" if name.endswith("_arn") else f"the-{name}" for name in PARAMETERS} | {
    "service_url": "https://shop.example",
    "release_alarms": "shop-test-errors, shop-test-latency",
    "function_subnet_ids": "subnet-1,subnet-2",
    "alarm_resources": "shop-test-cpu=arn:aws:x:1:db/a=b,shop-test-latency=arn:aws:x:1:lb/c",
}


@pytest.fixture
def ssm(mocked_aws: None) -> "SSMClient":
    return boto3.client("ssm", region_name=REGION)


def put(ssm: "SSMClient", values: dict[str, str], path: str = "/shop/test/platform/") -> None:
    for name, value in values.items():
        ssm.put_parameter(Name=f"{path}{name}", Value=value, Type="String")


def test_all_parameters_are_read_from_every_page(ssm: "SSMClient") -> None:
    assert len(PARAMETERS) > 10, "one page would do, and paging would go untested"
    put(ssm, VALUES)
    platform = Platform.load("shop", "test", ssm)
    assert {name: getattr(platform, name) for name in PARAMETERS} == VALUES | {
        "release_alarms": ("shop-test-errors", "shop-test-latency"),
        "function_subnet_ids": ("subnet-1", "subnet-2"),
        "alarm_resources": ("shop-test-cpu=arn:aws:x:1:db/a=b", "shop-test-latency=arn:aws:x:1:lb/c"),
    }
    assert (platform.service, platform.environment) == ("shop", "test")


def test_parameters_of_another_environment_are_not_read(ssm: "SSMClient") -> None:
    put(ssm, VALUES, "/shop/prod/platform/")
    put(ssm, VALUES, "/shop/test/other/")
    with pytest.raises(PlatformContractError):
        Platform.load("shop", "test", ssm)


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_missing_parameter_is_named_with_its_path(name: str) -> None:
    with pytest.raises(PlatformContractError) as caught:
        Platform.parse("shop", "test", {key: value for key, value in VALUES.items() if key != name})
    assert f"/shop/test/platform/{name} is missing" in str(caught.value)
    assert str(caught.value).count("is missing") == 1


def test_all_missing_parameters_are_named_at_once() -> None:
    with pytest.raises(PlatformContractError) as caught:
        Platform.parse("shop", "test", {})
    assert all(f"{path_of('shop', 'test')}{name} is missing" in str(caught.value) for name in PARAMETERS)


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name.endswith("_arn")])
def test_what_is_not_an_arn_is_refused(name: str) -> None:
    with pytest.raises(PlatformContractError, match=f"{name} must start with arn:, got 'blue'"):
        Platform.parse("shop", "test", VALUES | {name: "blue"})


def test_a_service_url_without_a_scheme_is_refused() -> None:
    with pytest.raises(PlatformContractError, match="service_url must start with http"):
        Platform.parse("shop", "test", VALUES | {"service_url": "shop.example"})


def test_none_stands_for_an_empty_list() -> None:
    platform = Platform.parse("shop", "test", VALUES | {"release_alarms": "none"})
    assert platform.release_alarms == ()


def test_an_alarm_has_the_resource_that_the_platform_says_and_no_other() -> None:
    platform = Platform.parse("shop", "test", VALUES)
    assert platform.alarm_resource("shop-test-cpu") == "arn:aws:x:1:db/a=b"
    assert platform.alarm_resource("shop-test-latency") == "arn:aws:x:1:lb/c"
    assert platform.alarm_resource("cpu") is None
    assert Platform.parse("shop", "test", VALUES | {"alarm_resources": "none"}).alarm_resource("shop-test-cpu") is None


@pytest.mark.parametrize("item", ["shop-test-cpu", "=arn:aws:x", "shop-test-cpu=", "shop-test-cpu=db"])
def test_an_alarm_without_a_resource_is_refused(item: str) -> None:
    with pytest.raises(PlatformContractError, match="alarm_resources must be items of <alarm>=<resource ARN>"):
        Platform.parse("shop", "test", VALUES | {"alarm_resources": f"a=arn:aws:x,{item}"})


def test_unknown_parameters_are_ignored_so_that_the_platform_can_be_ahead() -> None:
    assert Platform.parse("shop", "test", VALUES | {"later": "x"}) == Platform.parse("shop", "test", VALUES)


def test_each_colour_has_its_own_target_group() -> None:
    platform = Platform.parse("shop", "test", VALUES)
    assert platform.target_group_arn(Colour.BLUE) == VALUES["target_group_blue_arn"]
    assert platform.target_group_arn(Colour.GREEN) == VALUES["target_group_green_arn"]
