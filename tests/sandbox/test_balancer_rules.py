"""Rules, weighted choice, health states and measurements: the parts of the balancer without I/O."""

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.balancer.health import NO_ANSWER, PASSED, HealthTracker, State, code_mismatch, matches
from sandbox.balancer.measurements import bucket, metric_data, values_and_counts
from sandbox.balancer.rules import FixedResponse, Forward, RequestFacts, Rules, pattern


def forward(arn: str) -> list[dict[str, object]]:
    return [{"type": "forward", "target_groups": [{"arn": arn, "weight": 1}]}]


def rule(priority: int, arn: str, *conditions: dict[str, object]) -> dict[str, object]:
    return {"arn": f"rule-{priority}", "priority": priority, "conditions": conditions, "actions": forward(arn)}


def chosen(rules: Rules, method: str = "GET", path: str = "/", **headers: str) -> str | None:
    lower = {name.replace("_", "-"): [value] for name, value in headers.items()}
    action = rules.match(RequestFacts(method, path, lower))
    assert isinstance(action, Forward)
    return action.choose()


COLOUR = {"field": "http-header", "name": "X-Release-Colour"}


def test_rules_are_tried_by_priority_whatever_their_order() -> None:
    path = {"field": "path-pattern", "values": ["/admin/*"]}
    rules = Rules(
        {
            "default_actions": forward("default"),
            "rules": [
                rule(30, "late", path),
                rule(2, "green", {**COLOUR, "values": ["green"]}),
                rule(10, "both", {**COLOUR, "values": ["blue"]}, path),
            ],
        }
    )
    assert chosen(rules) == "default"
    assert chosen(rules, path="/admin/x") == "late"
    assert chosen(rules, path="/admin/x", x_release_colour="green") == "green"
    assert chosen(rules, path="/admin/x", x_release_colour="blue") == "both"
    assert chosen(rules, x_release_colour="blue") == "default"


def test_header_values_ignore_case_and_paths_do_not() -> None:
    rules = Rules(
        {
            "default_actions": forward("default"),
            "rules": [
                rule(1, "header", {**COLOUR, "values": ["gr?en*"]}),
                rule(2, "path", {"field": "path-pattern", "values": ["/Img/*.png"]}),
                rule(3, "host", {"field": "host-header", "values": ["*.example.com"]}),
                rule(4, "method", {"field": "http-request-method", "values": ["PATCH"]}),
            ],
        }
    )
    assert chosen(rules, x_release_colour="GREEN-2") == "header"
    assert chosen(rules, path="/Img/a/b.png") == "path"
    assert chosen(rules, path="/img/a.png") == "default"
    assert chosen(rules, host="Api.Example.com:8080") == "host"
    assert chosen(rules, method="PATCH") == "method"


def test_an_unknown_condition_is_refused_rather_than_ignored() -> None:
    with pytest.raises(ValueError, match="source-ip"):
        Rules(
            {
                "default_actions": forward("default"),
                "rules": [rule(1, "x", {"field": "source-ip", "values": ["10.0.0.0/8"]})],
            }
        )


@given(st.text(max_size=20))
def test_a_value_without_wildcards_matches_only_itself(text: str) -> None:
    literal = text.replace("*", "x").replace("?", "x")
    assert pattern(literal, ignore_case=False).fullmatch(literal)
    assert not pattern(literal, ignore_case=False).fullmatch(literal + "!")


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 999), min_size=1), st.floats(0, 1, exclude_max=True))
def test_choice_never_falls_on_weight_zero(weights: dict[str, int], number: float) -> None:
    arn = Forward(weights).choose(lambda: number)
    if any(weights.values()):
        assert arn is not None
        assert weights[arn] > 0
    else:
        assert arn is None


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 20), min_size=1))
def test_each_group_gets_exactly_its_share_of_the_number_line(weights: dict[str, int]) -> None:
    total = sum(weights.values())
    forward_action = Forward(weights)
    shares = Counter(forward_action.choose(lambda i=i: (i + 0.5) / total) for i in range(total))
    assert shares == Counter({arn: weight for arn, weight in weights.items() if weight})


def test_fixed_response_is_kept_as_configured() -> None:
    rules = Rules(
        {
            "default_actions": [
                {"type": "fixed-response", "status": 503, "content_type": "text/plain", "body": "closed"}
            ],
            "rules": [],
        }
    )
    assert rules.default == FixedResponse(503, "text/plain", b"closed")


def record(tracker: HealthTracker, *passed: bool) -> list[State]:
    states = []
    for one in passed:
        outcome = PASSED if one else code_mismatch(503)
        tracker.record(outcome, healthy_threshold=3, unhealthy_threshold=2)
        states.append(tracker.health.state)
    return states


def test_a_new_target_needs_one_passed_check() -> None:
    tracker = HealthTracker()
    assert tracker.health.state is State.INITIAL
    assert record(tracker, True) == [State.HEALTHY]
    assert tracker.health.reason is None


def test_a_new_target_that_fails_once_stays_initial_then_is_unhealthy() -> None:
    tracker = HealthTracker()
    assert record(tracker, False, False) == [State.INITIAL, State.UNHEALTHY]
    assert tracker.health.reason == "Target.ResponseCodeMismatch"
    assert tracker.health.description == "Health checks failed with these codes: [503]"


def test_thresholds_count_consecutive_checks_only() -> None:
    tracker = HealthTracker()
    record(tracker, True)
    assert record(tracker, False, True, False, True) == [State.HEALTHY] * 4
    assert record(tracker, False, False) == [State.HEALTHY, State.UNHEALTHY]
    assert record(tracker, True, True, False) == [State.UNHEALTHY] * 3
    assert record(tracker, True, True, True) == [State.UNHEALTHY, State.UNHEALTHY, State.HEALTHY]


def test_the_reason_of_an_unhealthy_target_follows_its_latest_failure() -> None:
    tracker = HealthTracker()
    record(tracker, False, False)
    assert not tracker.record(NO_ANSWER, healthy_threshold=3, unhealthy_threshold=2)
    assert tracker.health.reason == "Target.FailedHealthChecks"


@pytest.mark.parametrize(
    ("codes", "status", "expected"),
    [("200", 200, True), ("200", 204, False), ("200,202", 202, True), ("200-299", 250, True), ("200-299", 300, False)],
)
def test_matcher(codes: str, status: int, expected: bool) -> None:
    assert matches(codes, status) is expected


@given(st.floats(0.0002, 60))
def test_buckets_are_within_two_percent(seconds: float) -> None:
    assert bucket(seconds) == pytest.approx(seconds, rel=0.02)


@given(st.dictionaries(st.floats(0.001, 60), st.integers(1, 50), min_size=1, max_size=400))
def test_values_fit_one_datum_and_keep_count_and_sum(durations: dict[float, int]) -> None:
    values, counts = values_and_counts(Counter(durations))
    assert len(values) == len(counts) <= 150
    assert sum(counts) == sum(durations.values())
    assert sum(v * c for v, c in zip(values, counts, strict=True)) == pytest.approx(
        sum(v * c for v, c in durations.items())
    )
    assert all(low <= high for low, high in pairwise(values))


def test_metric_data_reports_hosts_even_at_zero_and_counts_only_above() -> None:
    data = metric_data(
        Counter({"RequestCount": 3}),
        Counter({0.1: 2, 0.4: 1}),
        {"HealthyHostCount": 0, "UnHealthyHostCount": 2},
        {"TargetGroup": "targetgroup/a/1", "LoadBalancer": "app/b/2"},
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert {one["MetricName"]: one.get("Value") for one in data} == {
        "HealthyHostCount": 0.0,
        "RequestCount": 3.0,
        "TargetResponseTime": None,
        "UnHealthyHostCount": 2.0,
    }
    response_time = data[-1]
    assert response_time["Values"] == [0.1, 0.4]
    assert response_time["Counts"] == [2.0, 1.0]
    assert all(one["StorageResolution"] == 1 for one in data)
