"""What the checks of `ops preflight` judge by."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.preflight.rules.account import judge_place
from cli.preflight.rules.alarms import judge_destinations, judge_release_alarms
from cli.preflight.rules.certificate import covers, judge_certificate, judge_listener
from cli.preflight.rules.quotas import Limit, judge_quota
from cli.preflight.rules.recovery import judge_backup, judge_drill, judge_report, target_of
from cli.preflight.rules.stack import judge_cluster, judge_stack
from cli.preflight.rules.terraform import judge_bucket, judge_lock, judge_providers, judge_state
from cli.preflight.rules.traffic import judge_health, judge_pods, judge_targets, judge_weights
from cli.preflight.rules.versions import (
    Support,
    cache_support,
    database_support,
    judge_support,
    kubernetes_support,
)
from opskit.adapters.balancer import Targets
from opskit.adapters.cluster import DeploymentState, PodState
from opskit.adapters.probe import ProbeResult
from opskit.ledger import Live, ReleaseRecord
from opskit.traffic import Colour, Weights

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CLOSED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)


def days(count: float) -> datetime:
    return NOW + timedelta(days=count)


@pytest.mark.parametrize(
    ("changed", "outcome", "says"),
    [
        ({}, "PASS", "is versioned"),
        ({"versioning": None}, "FAIL", "not versioned (versioning is off)"),
        ({"versioning": "Suspended"}, "FAIL", "Suspended"),
        ({"encryption": None}, "FAIL", "no default encryption"),
        ({"public_access": None}, "FAIL", "BlockPublicAcls, BlockPublicPolicy"),
        ({"public_access": {**CLOSED, "IgnorePublicAcls": False}}, "FAIL", "(IgnorePublicAcls)"),
    ],
)
def test_the_bucket_of_the_state(changed: dict[str, Any], outcome: str, says: str) -> None:
    well: dict[str, Any] = {"versioning": "Enabled", "encryption": "AES256", "public_access": CLOSED}
    found = judge_bucket("states", **(well | changed))
    assert found.outcome == outcome
    assert says in found.reason


@pytest.mark.parametrize(
    ("content", "outcome", "says"),
    [
        (None, "PASS", "free"),
        (b'{"ID": "6f1c", "Who": "ana@laptop", "Operation": "OperationTypeApply"}', "FAIL", "held by ana@laptop"),
        (b"not JSON", "FAIL", "held by unknown"),
        (b"[1]", "FAIL", "held by unknown"),
    ],
)
def test_a_lock_left_behind(content: bytes | None, outcome: str, says: str) -> None:
    found = judge_lock(content, since=days(-1) if content else None, now=NOW, path="s3://states/x.tflock")
    assert found.outcome == outcome
    assert says in found.reason
    if content and b"6f1c" in content:
        assert "terraform force-unlock 6f1c" in str(found.advice)


STATE = {"version": 4, "serial": 3, "lineage": "a", "resources": [{}]}


@pytest.mark.parametrize(
    ("content", "outcome", "says"),
    [
        (json.dumps(STATE).encode(), "PASS", "serial 3, 1 resources"),
        (json.dumps(STATE | {"resources": []}).encode(), "FAIL", "no resources"),
        (None, "FAIL", "there is no state"),
        (b"", "FAIL", "cannot be used"),
    ],
)
def test_the_state(content: bytes | None, outcome: str, says: str) -> None:
    found = judge_state(content, changed_at=NOW, path="s3://states/x")
    assert found.outcome == outcome
    assert says in found.reason


def test_the_login_of_the_pipeline() -> None:
    arn = "arn:aws:iam::1:oidc-provider/token.actions.githubusercontent.com"
    assert judge_providers([arn], "token.actions.githubusercontent.com").outcome == "PASS"
    other = judge_providers(["arn:aws:iam::1:oidc-provider/x.token.actions"], "token.actions.githubusercontent.com")
    assert other.outcome == "FAIL"


def test_a_contract_of_another_account_or_region() -> None:
    given: dict[str, Any] = {"path": "/s/e/platform/", "count": 2, "account": "1", "region": "us-east-1"}
    role = {"role_arn": "arn:aws:iam::1:role/x"}
    assert judge_place(role, **given).outcome == "PASS"
    for foreign in ("arn:aws:iam::2:role/x", "arn:aws:eks:eu-west-1:1:cluster/x"):
        found = judge_place({"foreign_arn": foreign}, **given)
        assert found.outcome == "FAIL"
        assert "foreign_arn" in found.reason


@pytest.mark.parametrize(
    ("protocol", "url", "outcome"),
    [("HTTP", "http://x", "PASS"), ("HTTP", "https://x", "FAIL"), ("HTTPS", "https://x", None)],
)
def test_a_listener_without_tls(protocol: str, url: str, outcome: str | None) -> None:
    found = judge_listener(protocol, url)
    assert (found and found.outcome) == outcome


CERTIFICATE = {"CertificateArn": "arn:c", "Status": "ISSUED", "DomainName": "api.example.com", "NotAfter": days(200)}


@pytest.mark.parametrize(
    ("changed", "outcome", "says"),
    [
        ({}, "PASS", "200 days"),
        ({"Status": "PENDING_VALIDATION"}, "FAIL", "PENDING_VALIDATION"),
        ({"DomainName": "www.example.com"}, "FAIL", "not for api.example.com"),
        ({"DomainName": "x.org", "SubjectAlternativeNames": ["x.org", "*.example.com"]}, "PASS", "200 days"),
        ({"NotAfter": days(29)}, "FAIL", "in 29 days"),
        ({"NotAfter": days(-1)}, "FAIL", "in -1 days"),
        ({"NotAfter": None}, "FAIL", "ends -"),
    ],
)
def test_a_certificate(changed: dict[str, Any], outcome: str, says: str) -> None:
    found = judge_certificate(CERTIFICATE | changed, "https://api.example.com/", NOW)
    assert found.outcome == outcome
    assert says in found.reason


@pytest.mark.parametrize(
    ("name", "host", "covered"),
    [
        ("a.com", "a.com", True),
        ("A.com", "a.com", True),
        ("*.a.com", "b.a.com", True),
        ("*.a.com", "a.com", False),
        ("*.a.com", "c.b.a.com", False),
        ("a.com", "b.a.com", False),
    ],
)
def test_names_of_certificates(name: str, host: str, covered: bool) -> None:
    assert covers([name], host) is covered


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("UPDATE_COMPLETE", "PASS"),
        ("UPDATE_ROLLBACK_COMPLETE", "FAIL"),
        ("ROLLBACK_COMPLETE", "FAIL"),
        ("UPDATE_IN_PROGRESS", "FAIL"),
        ("DELETE_FAILED", "FAIL"),
        (None, "FAIL"),
    ],
)
def test_the_stack(status: str | None, outcome: str) -> None:
    assert judge_stack("x", status, reason=None, changed_at=NOW).outcome == outcome


def test_the_cluster() -> None:
    assert judge_cluster("x", "ACTIVE") is None
    assert judge_cluster("x", "UPDATING") is None
    for status in (None, "FAILED", "CREATING"):
        found = judge_cluster("x", status)
        assert found is not None
        assert found.outcome == "FAIL"


@pytest.mark.parametrize(
    ("standard", "extended", "outcome", "says", "advised"),
    [
        (200, 500, "PASS", "in standard support", False),
        (30, 500, "PASS", "in standard support", True),
        (-10, 200, "PASS", "in extended support", True),
        (-300, 30, "FAIL", "ends 2026-07-01", True),
        (-500, -1, "FAIL", "ended", True),
        (-1, None, "FAIL", "ended", True),
        (None, None, "PASS", "no end is announced", False),
    ],
)
def test_support_of_a_version(
    standard: int | None, extended: int | None, outcome: str, says: str, advised: bool
) -> None:
    ends = (None if standard is None else days(standard), None if extended is None else days(extended))
    found = judge_support("Thing 1", Support(*ends, "AWS"), NOW, "upgrade")
    assert found.outcome == outcome
    assert says in found.reason
    assert bool(found.advice) is advised


def test_who_says_how_long_a_version_is_supported() -> None:
    listed = [{"clusterVersion": "1.35", "endOfStandardSupportDate": NOW}]
    assert kubernetes_support(listed, "1.35") == Support(NOW, None, "eks:DescribeClusterVersions")
    assert kubernetes_support(listed, "1.20") is None
    cycle = {"LifecycleSupportName": "open-source-rds-standard-support", "LifecycleSupportEndDate": NOW}
    majors = [{"MajorEngineVersion": "15", "SupportedEngineLifecycles": [cycle]}]
    found = database_support(majors, "15.13")
    assert found is not None
    assert found.standard_until == NOW
    assert database_support(majors, "14.1") is None
    assert database_support([{"MajorEngineVersion": "15", "SupportedEngineLifecycles": []}], "15.13") is None
    redis = [{"Engine": "redis", "EngineVersion": "7.1.0"}]
    assert cache_support(redis, "redis", "7.1.0") is not None
    assert cache_support(redis, "redis", "7.0.7") is None
    assert cache_support(redis, "valkey", "7.1.0") is None
    old = cache_support(redis, "redis", "6.2.6")
    assert old is not None
    assert old.standard_until == datetime(2027, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("used", "outcome", "advised"), [(0, "PASS", False), (81, "PASS", True), (99, "FAIL", True), (120, "FAIL", True)]
)
def test_headroom(used: int, outcome: str, advised: bool) -> None:
    found = judge_quota("things", used=used, limit=Limit(100, "AWS"), needed=2, needed_for="a drill", advice="more")
    assert found.outcome == outcome
    assert bool(found.advice) is advised
    assert f"{used} of 100 things (AWS)" in found.reason


TOPIC = "arn:aws:sns:us-east-1:1:ops"


@pytest.mark.parametrize(
    ("alarm", "listeners", "outcome", "says"),
    [
        ({"AlarmActions": [TOPIC]}, {TOPIC: 1}, "PASS", "1 confirmed"),
        ({"AlarmActions": [TOPIC]}, {TOPIC: 0}, "FAIL", "no confirmed subscription"),
        ({"AlarmActions": [TOPIC]}, {TOPIC: None}, "FAIL", "no such topic"),
        ({"AlarmActions": []}, {}, "FAIL", "no action: a"),
        ({"AlarmActions": [TOPIC], "ActionsEnabled": False}, {TOPIC: 1}, "FAIL", "disabled"),
        ({"AlarmActions": ["arn:aws:lambda:us-east-1:1:function:x"]}, {}, "PASS", "1 alarms"),
    ],
)
def test_where_alarms_go(alarm: dict[str, Any], listeners: dict[str, int | None], outcome: str, says: str) -> None:
    found = judge_destinations([{"AlarmName": "a", **alarm}], listeners)
    assert found.outcome == outcome
    assert says in found.reason


def test_no_alarms_are_no_good_news() -> None:
    assert judge_destinations([], {}).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("states", "outcome"),
    [({"a": "OK", "b": "INSUFFICIENT_DATA"}, "PASS"), ({"a": "OK"}, "FAIL"), ({"a": "OK", "b": "ALARM"}, "FAIL")],
)
def test_release_alarms(states: dict[str, str], outcome: str) -> None:
    assert judge_release_alarms(states, ["a", "b"]).outcome == outcome


LIVE = Live(colour=Colour.BLUE, image="i", digest=None, previous=None, release="r1", at=NOW, revision=1)
UNDER_WAY = ReleaseRecord(
    execution_id="arn", execution_name="r2", operation="release", started_at=NOW, image="i", weights=Weights(90, 10)
)


@pytest.mark.parametrize(
    ("weights", "live", "under_way", "outcome"),
    [
        (Weights(100, 0), LIVE, None, "PASS"),
        (Weights(0, 100), LIVE, None, "FAIL"),
        (Weights(50, 50), LIVE, None, "FAIL"),
        (Weights(100, 0), None, None, "PASS"),
        (Weights(50, 50), None, None, "FAIL"),
        (Weights(90, 10), LIVE, UNDER_WAY, "PASS"),
        (Weights(50, 50), LIVE, UNDER_WAY, "FAIL"),
        (Weights(50, 50), LIVE, replace(UNDER_WAY, intent=Weights(50, 50)), "PASS"),
    ],
)
def test_drift(weights: Weights, live: Live | None, under_way: ReleaseRecord | None, outcome: str) -> None:
    assert judge_weights(weights, live, under_way).outcome == outcome


@pytest.mark.parametrize(
    ("group", "outcome"),
    [
        (Targets(2, 0, 0, 0, 0), "PASS"),
        (Targets(2, 0, 0, 1, 0), "PASS"),
        (Targets(1, 0, 0, 0, 0), "FAIL"),
        (Targets(2, 1, 0, 0, 0, ("1 unhealthy",)), "FAIL"),
        (Targets(0, 2, 0, 0, 0), "FAIL"),
        (Targets(0, 0, 0, 0, 0), "FAIL"),
    ],
)
def test_targets(group: Targets, outcome: str) -> None:
    idle = Targets(0, 3, 0, 0, 0)
    found = judge_targets(Weights(100, 0), {Colour.BLUE: group, Colour.GREEN: idle})
    assert found.outcome == outcome


def test_health() -> None:
    well, ill, silent = ProbeResult(200, 0.0), ProbeResult(503, 0.0), ProbeResult(None, 0.0, error="refused")
    assert judge_health("http://x", {"/health": well}).outcome == "PASS"
    found = judge_health("http://x", {"/health": well, "/ready": ill, "/z": silent})
    assert found.outcome == "FAIL"
    assert "/ready: 503; /z: refused" in found.reason


def pod(*, ready: bool = True, phase: str = "Running", waiting: str | None = None, ends: bool = False) -> PodState:
    return PodState("p", ready, phase, 0, waiting, terminating=ends)


@pytest.mark.parametrize(
    ("replicas", "pods", "outcome"),
    [
        (2, [pod(), pod()], "PASS"),
        (2, [pod(), pod(), pod(ready=False, ends=True)], "PASS"),
        (2, [pod()], "FAIL"),
        (2, [pod(), pod(), pod(ready=False, phase="Pending", waiting="ImagePullBackOff")], "FAIL"),
        (0, [], "FAIL"),
    ],
)
def test_pods(replicas: int, pods: list[PodState], outcome: str) -> None:
    state = DeploymentState("d", "i", replicas, 1, 1, replicas, replicas, replicas, 0)
    assert judge_pods([Colour.BLUE], {Colour.BLUE: state}, {Colour.BLUE: pods}).outcome == outcome
    assert judge_pods([Colour.GREEN], {Colour.BLUE: state}, {Colour.GREEN: pods}).outcome == "FAIL"


def run(outcome: str, ended: datetime) -> dict[str, Any]:
    good = ended if outcome in ("COMPLETE", "PASS") else None
    return {
        "execution_name": "r",
        "outcome": outcome,
        "outcome_reason": "why",
        "started_at": ended,
        "ended_at": ended,
        "last_complete_at": good,
        "last_passed_at": good,
    }


def test_the_last_backup_and_drill() -> None:
    limit = timedelta(days=1)
    assert judge_backup(run("COMPLETE", days(-0.9)), limit, NOW).outcome == "PASS"
    assert judge_backup(run("COMPLETE", days(-1.1)), limit, NOW).outcome == "FAIL"
    assert judge_backup(run("INCOMPLETE", days(-0.1)), limit, NOW).outcome == "FAIL"
    assert judge_backup(None, limit, NOW).outcome == "FAIL"
    assert judge_drill(run("PASS", days(-0.9)), limit, NOW).outcome == "PASS"
    assert judge_drill(run("FAIL", days(-0.1)), limit, NOW).outcome == "FAIL"


def test_targets_of_age_are_those_of_the_last_report() -> None:
    report = {"objectives": {"manifest_age": {"facts": {"target_seconds": 60}}}}
    assert target_of(report, "manifest_age") == timedelta(minutes=1)
    assert target_of(report, "drill_age") == target_of(None, "drill_age") == timedelta(days=8)


@pytest.mark.parametrize(
    ("outcome", "stale", "found"),
    [
        ("PASS", False, "PASS"),
        ("PASS", True, "INCONCLUSIVE"),
        ("FAIL", True, "FAIL"),
        ("INCONCLUSIVE", False, "INCONCLUSIVE"),
    ],
)
def test_the_report_of_the_objectives(outcome: str, stale: bool, found: str) -> None:
    report = {"outcome": outcome, "stale": stale, "reason": "r", "judged_at": NOW, "age_seconds": 60.0}
    assert judge_report(report).outcome == found
    assert judge_report(None).outcome == "INCONCLUSIVE"
