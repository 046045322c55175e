"""The platform and the balancer as processes, asked through boto3; the automation plane is a stand-in here."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
import urllib3
from botocore import UNSIGNED
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from tests.sandbox.fixtures.automation import config_in, eventually
from tests.sandbox.fixtures.platform import OPERATOR, Live, Platform, StandIn, process, running_platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    config = config_in(tmp_path_factory.mktemp("platform"))
    automation = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", int(config.automation_url.rsplit(":", 1)[1])), automation.handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with running_platform(config, automation) as platform:
            yield platform
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _allow(platform: Platform) -> None:
    platform.automation.decide = lambda _: "allowed"


@pytest.fixture(scope="module")
def live(platform: Platform) -> Iterator[Live]:
    live = Live(platform)
    yield live
    live.close()


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_unsigned_requests_are_refused(platform: Platform) -> None:
    client = boto3.client(
        "eks",
        endpoint_url=platform.config.platform_url,
        region_name="us-east-1",
        config=ClientConfig(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ClientError) as caught:
        client.list_clusters()
    assert code_of(caught) == ("MissingAuthenticationToken", 403)


def test_unknown_keys_are_refused(platform: Platform) -> None:
    for service, call, code, status in (
        ("elbv2", "describe_load_balancers", "InvalidClientTokenId", 403),
        ("ecr", "describe_repositories", "UnrecognizedClientException", 400),
        ("eks", "list_clusters", "UnrecognizedClientException", 403),
        ("ec2", "describe_vpcs", "AuthFailure", 401),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(platform.client(service, "ASIANOBODY"), call)()
        assert code_of(caught) == (code, status)


def test_denied_calls_change_nothing_and_are_logged(platform: Platform, live: Live) -> None:
    platform.automation.decide = lambda question: (
        "allowed" if question["action"].endswith("DescribeListeners") else "implicitDeny"
    )
    operator = platform.client("elbv2", "ASIAOPERATOR")
    before = operator.describe_listeners(ListenerArns=[live.listener])["Listeners"]
    with pytest.raises(ClientError, match="because no identity-based policy allows") as caught:
        operator.modify_listener(ListenerArn=live.listener, DefaultActions=live.action(0, 100))
    assert code_of(caught) == ("AccessDenied", 403)
    assert live.elb.describe_listeners(ListenerArns=[live.listener])["Listeners"] == before
    refusal = [one for one in platform.journal() if one["error"] == "AccessDenied"][-1]
    assert refusal["principal"] == OPERATOR
    assert refusal["action"] == "elasticloadbalancing:ModifyListener"
    assert refusal["resource"] == [live.listener]
    assert refusal["status"] == 403


def test_permission_for_one_listener_is_asked_by_its_arn(platform: Platform, live: Live) -> None:
    platform.automation.decide = lambda question: (
        "allowed" if question["resource"] in ("*", live.listener) else "explicitDeny"
    )
    operator = platform.client("elbv2", "ASIAOPERATOR")
    operator.modify_listener(ListenerArn=live.listener, DefaultActions=live.action(100, 0))
    with pytest.raises(ClientError, match="explicit deny"):
        operator.modify_target_group_attributes(
            TargetGroupArn=live.groups["blue"],
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}],
        )


def test_weights_read_back_exactly(live: Live) -> None:
    for blue, green in ((100, 0), (37, 63), (0, 999)):
        changed = live.elb.modify_listener(ListenerArn=live.listener, DefaultActions=live.action(blue, green))
        described = live.elb.describe_listeners(ListenerArns=[live.listener])["Listeners"][0]
        for listener in (changed["Listeners"][0], described):
            (action,) = listener["DefaultActions"]
            assert "TargetGroupArn" not in action
            assert action["ForwardConfig"] == {
                **live.action(blue, green)[0]["ForwardConfig"],
                "TargetGroupStickinessConfig": {"Enabled": False},
            }
        assert described["Port"] == 80
    live.shift(100, 0)


def test_wrong_weights_are_refused_and_leave_the_listener_alone(live: Live) -> None:
    before = live.elb.describe_listeners(ListenerArns=[live.listener])["Listeners"]
    unknown = [{"Type": "forward", "TargetGroupArn": live.groups["blue"] + "0"}]
    for actions, code in ((live.action(1000, 0), "ValidationError"), (unknown, "TargetGroupNotFound")):
        with pytest.raises(ClientError) as caught:
            live.elb.modify_listener(ListenerArn=live.listener, DefaultActions=actions)
        assert code_of(caught) == (code, 400)
    assert live.elb.describe_listeners(ListenerArns=[live.listener])["Listeners"] == before


def test_traffic_follows_the_weights_and_the_test_header(live: Live) -> None:
    live.shift(100, 0)
    assert live.get() == (200, "blue")
    assert live.get(**{"X-Release-Colour": "green"}) == (200, "green")
    live.shift(0, 100)
    assert {live.get() for _ in range(20)} == {(200, "green")}
    assert live.get(**{"X-Release-Colour": "blue"}) == (200, "blue")
    live.shift(100, 0)
    assert live.get() == (200, "blue")


def test_switches_under_load_fail_no_request(live: Live) -> None:
    pool = urllib3.PoolManager(maxsize=8)
    running = threading.Event()
    running.set()
    seen: list[tuple[int, bytes]] = []

    def client() -> None:
        while running.is_set():
            answer = pool.request("GET", live.platform.config.balancer_url, retries=False, timeout=30)
            seen.append((answer.status, answer.data))

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(10):
        green = 100 * (1 - turn % 2)
        live.shift(100 - green, green)
        expected = b"green" if green else b"blue"
        eventually(lambda expected=expected: [body for _, body in seen[-20:]] == [expected] * 20)
    running.clear()
    for thread in threads:
        thread.join()
    assert {status for status, _ in seen} == {200}


def test_a_deregistered_target_drains_for_its_delay(live: Live) -> None:
    live.elb.modify_target_group_attributes(
        TargetGroupArn=live.groups["green"],
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}],
    )
    backend = live.backends["green"]
    backend.hold.clear()
    backend.waiting.clear()
    answers: list[tuple[int, str]] = []
    slow = threading.Thread(target=lambda: answers.append(live.get("/slow", **{"X-Release-Colour": "green"})))
    slow.start()
    assert backend.waiting.wait(20)
    live.elb.deregister_targets(TargetGroupArn=live.groups["green"], Targets=[backend.target])
    (one,) = live.health("green")
    assert one["TargetHealth"]["State"] == "draining"
    assert one["TargetHealth"]["Reason"] == "Target.DeregistrationInProgress"
    eventually(lambda: live.get(**{"X-Release-Colour": "green"})[0] == 503)
    backend.hold.set()
    slow.join()
    assert answers == [(200, "green")]
    eventually(lambda: live.health("green") == [])
    missing = live.elb.describe_target_health(TargetGroupArn=live.groups["green"], Targets=[backend.target])
    assert missing["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"] == "Target.NotRegistered"
    live.elb.register_targets(TargetGroupArn=live.groups["green"], Targets=[backend.target])
    eventually(lambda: live.states("green") == ["healthy"])


def test_a_target_that_does_not_answer_is_unhealthy_by_its_port(live: Live) -> None:
    nobody = {"Id": "127.0.0.1", "Port": 9}
    live.elb.register_targets(TargetGroupArn=live.groups["green"], Targets=[nobody])
    eventually(lambda: sorted(live.states("green")) == ["healthy", "unhealthy"])
    found = {one["Target"]["Port"]: one for one in live.health("green")}[9]
    assert found["TargetHealth"]["Reason"] == "Target.FailedHealthChecks"
    assert found["HealthCheckPort"] == "9"
    live.elb.deregister_targets(TargetGroupArn=live.groups["green"], Targets=[nobody])


def test_a_group_without_a_listener_is_unused(platform: Platform) -> None:
    vpc = platform.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group, elb = platform.target_group(vpc), platform.client("elbv2")
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": 9}])
    (one,) = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    assert one["TargetHealth"]["State"] == "unused"
    assert one["TargetHealth"]["Reason"] == "Target.NotInUse"


def test_metrics_arrive_at_cloudwatch(platform: Platform, live: Live) -> None:
    live.get()
    metrics = platform.automation.metrics

    def published() -> bool:
        return any(b"AWS/ApplicationELB" in body and b"RequestCount" in body for body in list(metrics))

    eventually(published)


def test_the_routing_snapshot_is_not_sent_twice(platform: Platform, live: Live) -> None:
    url = f"{platform.config.platform_url}/_sandbox/routing"
    first = urllib3.request("GET", url)

    def asked_again() -> bool:
        # The end of a target's draining may come between the two.
        nonlocal first
        answer = urllib3.request("GET", url, headers={"If-None-Match": first.headers["ETag"]})
        if answer.status == 304:
            return answer.data == b""
        first = answer
        return False

    eventually(asked_again)
    live.shift(100, 0)
    changed = urllib3.request("GET", url, headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status == 200
    assert changed.json()["version"] > first.json()["version"]
    assert changed.json()["listener"]["arn"] == live.listener


def test_the_log_has_every_change_with_its_parameters(platform: Platform, live: Live) -> None:
    live.shift(99, 1)
    last = [one for one in platform.journal() if one["action"] == "elasticloadbalancing:ModifyListener"][-1]
    assert last["principal"] == "arn:aws:iam::000000000000:root"
    assert last["status"] == 200
    assert last["parameters"]["DefaultActions"] == live.action(99, 1)
    live.shift(100, 0)


def test_the_balancer_keeps_the_last_routing_while_the_platform_is_away(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    config.tls_dir.mkdir()
    (config.tls_dir / "ca.pem").write_text("ca")
    with process("sandbox.balancer", config, f"{config.balancer_admin_url}/health"):
        with process("sandbox.platform", config, f"{config.platform_url}/_sandbox/health"):
            live = Live(Platform(config, StandIn()))
            assert live.get() == (200, "blue")
        assert [live.get() for _ in range(5)] == [(200, "blue")] * 5
    live.close()
