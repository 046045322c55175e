"""Metrics that functions write into their logs, as AWS takes them out of there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sandbox.fixtures.automation import Plane, running_plane

SOURCE = """
    import json, time

    def handler(event, context):
        print("before, and no JSON")
        for name, value in event["metrics"].items():
            print(json.dumps({
                "_aws": {
                    "Timestamp": int(time.time() * 1000),
                    "CloudWatchMetrics": [{
                        "Namespace": "Ours",
                        "Dimensions": [["environment", "workflow"], ["environment"]],
                        "Metrics": [{"Name": name, "Unit": "Count"}],
                    }],
                },
                "environment": "dev",
                "workflow": "w",
                name: value,
            }))
        print('{"_aws": {"CloudWatchMetrics": "not in the format"}}')
        if event.get("fails"):
            raise RuntimeError("told to fail")
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture(scope="module")
def function(plane: Plane) -> str:
    return plane.function(SOURCE)


def read(plane: Plane, name: str, statistic: str, **dimensions: str) -> list[float]:
    metric = {
        "Namespace": "Ours",
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }
    query: Any = {"Id": "q", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": statistic}}
    now = datetime.now(UTC)
    answer = plane.client("cloudwatch").get_metric_data(
        MetricDataQueries=[query], StartTime=now - timedelta(hours=2), EndTime=now + timedelta(hours=1)
    )
    return list(answer["MetricDataResults"][0]["Values"])


def test_each_value_is_stored_under_every_set_of_dimensions(plane: Plane, function: str) -> None:
    plane.invoke(function, {"metrics": {"Steps": [1, 2], "Met": 0}})
    assert sum(read(plane, "Steps", "Sum", environment="dev", workflow="w")) == 3
    assert sum(read(plane, "Steps", "SampleCount", environment="dev")) == 2
    assert read(plane, "Met", "Minimum", environment="dev", workflow="w") == [0]
    assert read(plane, "Met", "Sum", workflow="w") == []


def test_what_a_function_wrote_before_it_failed_counts(plane: Plane, function: str) -> None:
    _, error = plane.invoke(function, {"metrics": {"Failed": 7}, "fails": True})
    assert error
    assert read(plane, "Failed", "Maximum", environment="dev") == [7]
