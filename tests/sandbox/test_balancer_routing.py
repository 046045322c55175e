"""Where requests go: weights, rules, health, draining; and what is counted. Real sockets, one event loop."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web

from sandbox.balancer import proxy as proxy_module
from sandbox.balancer.checker import Checker
from sandbox.balancer.publisher import Publisher
from tests.sandbox.fixtures.balancer import Lab, answering, group, running_lab, snapshot, target, until


@pytest.fixture
async def lab(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    monkeypatch.setattr(proxy_module, "SWEEP_SECONDS", 0.05)
    async with running_lab() as lab:
        yield lab


async def test_weights_are_respected_per_request_on_kept_connections(lab: Lab) -> None:
    random.seed(7)
    blue, green = await lab.backend(answering("blue")), await lab.backend(answering("green"))
    lab.table.apply(snapshot({"blue": 70, "green": 30}, group("blue", target(blue)), group("green", target(green))))
    texts = [(await lab.get())[1] for _ in range(600)]
    # Binomial(600, 0.3): mean 180, standard deviation 11.2; five of them on either side.
    assert 124 <= texts.count("green") <= 236
    assert texts.count("green") + texts.count("blue") == 600


async def test_a_weight_change_takes_effect_at_once_and_fails_nothing(lab: Lab) -> None:
    blue, green = await lab.backend(answering("blue")), await lab.backend(answering("green"))
    groups = group("blue", target(blue)), group("green", target(green))
    lab.table.apply(snapshot({"blue": 1, "green": 0}, *groups))
    running = True
    results: list[tuple[int, str]] = []

    async def client() -> None:
        while running:
            results.append(await lab.get())

    clients = [asyncio.create_task(client()) for _ in range(5)]
    for turn in range(20):
        lab.table.apply(snapshot({"blue": turn % 2, "green": 1 - turn % 2}, *groups))
        seen = len(results)
        await until(lambda seen=seen: len(results) > seen + 20)
    running = False
    await asyncio.gather(*clients)
    assert {status for status, _ in results} == {200}
    lab.table.apply(snapshot({"blue": 0, "green": 1}, *groups))
    assert {(await lab.get())[1] for _ in range(20)} == {"green"}


async def test_header_rule_reaches_the_group_that_has_no_weight(lab: Lab) -> None:
    blue, green = await lab.backend(answering("blue")), await lab.backend(answering("green"))
    rule = {
        "arn": "rule",
        "priority": 1,
        "conditions": [{"field": "http-header", "name": "X-Release-Colour", "values": ["green"]}],
        "actions": [{"type": "forward", "target_groups": [{"arn": "green", "weight": 1}]}],
    }
    lab.table.apply(
        snapshot({"blue": 1, "green": 0}, group("blue", target(blue)), group("green", target(green)), rules=(rule,))
    )
    assert await lab.get() == (200, "blue")
    assert await lab.get(headers={"x-release-colour": "green"}) == (200, "green")


async def test_round_robin_over_healthy_targets_and_fail_open_without_any(lab: Lab) -> None:
    healthy = {"a": True, "b": True}

    def named(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            if request.path == "/health" and not healthy[name]:
                return web.Response(status=503)
            return web.Response(text=name)

        return handler

    a, b = await lab.backend(named("a")), await lab.backend(named("b"))
    checker = Checker(lab.table, lab.session, 0.02)
    lab.table.on_change = checker.follow
    lab.table.apply(snapshot({"g": 1}, group("g", target(a), target(b))))

    def states() -> list[str]:
        return [str(one.health.state) for one in lab.table.groups["g"].targets.values()]

    await until(lambda: states() == ["healthy", "healthy"])
    assert sorted([(await lab.get())[1] for _ in range(10)]) == ["a"] * 5 + ["b"] * 5
    healthy["b"] = False
    await until(lambda: states() == ["healthy", "unhealthy"])
    assert {(await lab.get())[1] for _ in range(6)} == {"a"}
    healthy["a"] = False
    await until(lambda: states() == ["unhealthy", "unhealthy"])
    assert {(await lab.get())[1] for _ in range(6)} == {"a", "b"}
    healthy["b"] = True
    await until(lambda: states() == ["unhealthy", "healthy"])
    assert {(await lab.get())[1] for _ in range(6)} == {"b"}
    lab.table.apply(snapshot({}))


async def test_group_not_in_use_is_unused_and_unchecked(lab: Lab) -> None:
    asked = 0

    async def handler(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response()

    port = await lab.backend(handler)
    checker = Checker(lab.table, lab.session, 0.02)
    lab.table.on_change = checker.follow
    lab.table.apply(snapshot({}, group("g", target(port), in_use=False)))
    one = next(iter(lab.table.groups["g"].targets.values()))
    assert one.health.reason == "Target.NotInUse"
    assert lab.table.groups["g"].host_counts() is None
    lab.table.apply(snapshot({"g": 1}, group("g", target(port))))
    await until(lambda: one.health.state == "healthy")
    assert asked >= 1
    lab.table.apply(snapshot({}))


async def test_draining_finishes_what_is_in_flight_and_gets_nothing_new(lab: Lab) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        entered.set()
        await go.wait()
        return web.Response(text="old")

    old, new = await lab.backend(slow), await lab.backend(answering("new"))
    lab.table.apply(snapshot({"g": 1}, group("g", target(old))))
    in_flight = asyncio.create_task(lab.get())
    await entered.wait()
    lab.table.apply(snapshot({"g": 1}, group("g", target(old, draining=True), target(new))))
    assert {await lab.get() for _ in range(10)} == {(200, "new")}
    assert lab.table.groups["g"].in_flight == 1
    go.set()
    assert await in_flight == (200, "old")
    assert lab.table.groups["g"].in_flight == 0


async def test_request_still_in_flight_when_draining_ends_gets_502(lab: Lab) -> None:
    entered = asyncio.Event()

    async def stuck(_: web.Request) -> web.StreamResponse:
        entered.set()
        await asyncio.sleep(60)
        return web.Response()

    port = await lab.backend(stuck)
    lab.table.apply(snapshot({"g": 1}, group("g", target(port))))
    in_flight = asyncio.create_task(lab.get())
    await entered.wait()
    lab.table.apply(snapshot({"g": 1}, group("g")))
    assert (await in_flight)[0] == 502


async def test_503_without_registered_targets_or_with_draining_ones_only(lab: Lab) -> None:
    assert (await lab.get())[0] == 503
    lab.table.apply(snapshot({"g": 1}, group("g")))
    assert (await lab.get())[0] == 503
    port = await lab.backend(answering("x"))
    lab.table.apply(snapshot({"g": 1}, group("g", target(port, draining=True))))
    assert (await lab.get())[0] == 503
    lab.table.apply(snapshot({"g": 0}, group("g", target(port))))
    assert (await lab.get())[0] == 503
    assert lab.table.tally.totals["HTTPCode_ELB_503_Count"] == 4
    assert lab.table.tally.totals["RequestCount"] == 0


async def test_a_snapshot_that_cannot_be_read_changes_nothing(lab: Lab) -> None:
    port = await lab.backend(answering("ok"))
    lab.table.apply(snapshot({"g": 1}, group("g", target(port))))
    broken = snapshot({"g": 1}, group("g"))
    broken["listener"]["default_actions"] = [{"type": "redirect"}]
    with pytest.raises(ValueError, match="redirect"):
        lab.table.apply(broken)
    assert await lab.get() == (200, "ok")


async def test_metrics_have_the_names_and_dimensions_of_an_alb(lab: Lab) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=int(request.path[1:]))

    lab.table.apply(snapshot({"g": 1, "empty": 0}, group("g", target(await lab.backend(handler))), group("empty")))
    for status in (200, 200, 302, 404, 500):
        await lab.get(f"/{status}", allow_redirects=False)
    publisher = Publisher(lab.table, endpoint_url="http://127.0.0.1:9", region="us-east-1", period=1)
    data = publisher.collect(datetime.now(UTC))
    values = {
        (one["MetricName"], *(dimension["Value"] for dimension in one["Dimensions"])): one.get("Value") for one in data
    }
    both = ("targetgroup/g/1", "app/test/1")
    assert values == {
        ("RequestCount", "app/test/1"): 5.0,
        ("HTTPCode_Target_2XX_Count", "app/test/1"): 2.0,
        ("HTTPCode_Target_3XX_Count", "app/test/1"): 1.0,
        ("HTTPCode_Target_4XX_Count", "app/test/1"): 1.0,
        ("HTTPCode_Target_5XX_Count", "app/test/1"): 1.0,
        ("TargetResponseTime", "app/test/1"): None,
        ("RequestCount", *both): 5.0,
        ("HTTPCode_Target_2XX_Count", *both): 2.0,
        ("HTTPCode_Target_3XX_Count", *both): 1.0,
        ("HTTPCode_Target_4XX_Count", *both): 1.0,
        ("HTTPCode_Target_5XX_Count", *both): 1.0,
        ("TargetResponseTime", *both): None,
        ("HealthyHostCount", *both): 0.0,
        ("UnHealthyHostCount", *both): 0.0,
    }
    again = {one["MetricName"] for one in publisher.collect(datetime.now(UTC))}
    assert again == {"HealthyHostCount", "UnHealthyHostCount"}
