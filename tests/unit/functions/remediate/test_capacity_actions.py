"""The steps that give more: nodes, replicas and size of the cache, pods."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from functions.remediate import add_cache_replica, resize_cache, scale_node_group, scale_service
from opskit import clients
from opskit.adapters.balancer import Balancer
from opskit.adapters.cache_capacity import CacheCapacity
from opskit.adapters.cache_state import CacheState
from opskit.adapters.caches import Caches
from opskit.adapters.node_groups import NodeGroups
from opskit.adapters.replicas import Replicas
from opskit.decisions.capacity import NodeGroup, Pods
from opskit.errors import InvalidInputError, LockLostError, NotReadyError, QuotaExceededError
from opskit.platform import Platform
from opskit.step import Run
from opskit.traffic import Colour, Weights
from tests.unit.decisions.backups import CACHE
from tests.unit.functions.load_balancer import with_load_balancer
from tests.unit.functions.remediate.acting import acting, announced, remediation

ARN = "arn:aws:elasticache:us-east-1:000000000000:replicationgroup:cache"
STEP = {"step": 1, "at_most": 4}
SIZES = {"sizes": [CACHE.node_type, "cache.larger", "cache.largest"]}


def call(module: Any, event: dict[str, Any], run: Run) -> dict[str, Any]:
    done: dict[str, Any] = module.handler.__wrapped__(event, run)
    assert set(done) == {"done", "what", "facts", "capture"}
    return done


@pytest.fixture
def platform(aws: None, platform: Platform) -> Platform:
    return with_load_balancer(platform)


@pytest.fixture
def run(run: Run) -> Run:
    return remediation(run, replace(run.platform, node_group="on-demand"))


@dataclass
class Nodes:
    """A node group that does as it is told, and how often it was told so."""

    state: NodeGroup = field(default_factory=lambda: NodeGroup("on-demand", minimum=2, desired=2, maximum=4))
    asked: list[tuple[int, str]] = field(default_factory=list)
    refuses: Exception | None = None

    def scale(self, desired: int, token: str) -> None:
        if self.refuses:
            raise self.refuses
        self.asked.append((desired, token))
        self.state = replace(self.state, desired=desired)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    double = Nodes()
    monkeypatch.setattr(NodeGroups, "state", lambda _, name: replace(double.state, name=name))
    monkeypatch.setattr(NodeGroups, "scale", lambda _, state, desired, token: double.scale(desired, token))
    return double


def test_one_node_more_however_often_it_is_repeated(run: Run, nodes: Nodes) -> None:
    event = acting(run, run.platform.cluster_arn, step=1)
    first, second = call(scale_node_group, event, run), call(scale_node_group, event, run)
    assert first["done"]
    assert second["done"]
    assert [desired for desired, _ in nodes.asked] == [3]
    assert announced(run) == [{"action": "scale_node_group", "node_group": "on-demand", "from": 2, "to": 3}]


def test_an_attempt_that_died_before_the_call_is_made_up_for(run: Run, nodes: Nodes) -> None:
    event = acting(run, run.platform.cluster_arn, step=1)
    nodes.refuses = RuntimeError("gone")
    with pytest.raises(RuntimeError):
        call(scale_node_group, event, run)
    nodes.refuses = None
    assert call(scale_node_group, event, run)["done"]
    assert [desired for desired, _ in nodes.asked] == [3]
    assert len(announced(run)) == 1


@pytest.mark.parametrize(
    ("changes", "words"), [({"desired": 4}, "maximum"), ({"status": "UPDATING"}, "on-demand is UPDATING")]
)
def test_at_the_maximum_or_during_an_update_nothing_is_asked(
    run: Run, nodes: Nodes, changes: dict[str, Any], words: str
) -> None:
    nodes.state = replace(nodes.state, **changes)
    done = call(scale_node_group, acting(run, run.platform.cluster_arn, step=1), run)
    assert not done["done"]
    assert words in done["what"]
    assert not nodes.asked
    assert announced(run) == []


def test_an_update_that_began_meanwhile_is_an_answer(run: Run, nodes: Nodes) -> None:
    nodes.refuses = NotReadyError("another update is under way")
    done = call(scale_node_group, acting(run, run.platform.cluster_arn, step=1), run)
    assert not done["done"]
    assert "another update" in done["what"]


def test_no_other_cluster_and_no_group_that_the_platform_does_not_name(run: Run, nodes: Nodes) -> None:
    other = call(scale_node_group, acting(run, f"{run.platform.cluster_arn}-2", step=1), run)
    assert not other["done"]
    assert "is not the service's cluster" in other["what"]
    nameless = remediation(run, replace(run.platform, node_group="none"))
    found = call(scale_node_group, acting(nameless, run.platform.cluster_arn, step=1), nameless)
    assert not found["done"]
    assert "names no node group" in found["what"]
    assert not nodes.asked


@dataclass
class Cache:
    """A replication group that does as it is told, and is not available from then on."""

    state: CacheState
    asked: list[Any] = field(default_factory=list)
    refuses: Exception | None = None

    def change(self, wanted: Any, **changes: Any) -> None:
        if self.refuses:
            raise self.refuses
        self.asked.append(wanted)
        configuration = replace(self.state.configuration, **changes)
        self.state = replace(self.state, status="modifying", configuration=configuration)


@pytest.fixture
def cache(run: Run, monkeypatch: pytest.MonkeyPatch) -> Cache:
    configuration = replace(CACHE, replicas_per_group=1)
    double = Cache(CacheState("cache", ARN, "available", configuration, address="cache.example.com"))
    monkeypatch.setattr(Caches, "group", lambda _, name: double.state if name == "cache" else None)
    monkeypatch.setattr(CacheCapacity, "have_replicas", lambda _, __, count: double.change(count))
    monkeypatch.setattr(CacheCapacity, "resize", lambda _, __, size: double.change(size))
    live(f"cache.example.com:{configuration.port}")
    return double


def live(endpoint: str) -> None:
    clients.client("ssm").put_parameter(
        Name="/detection-api/dev/endpoints/cache", Value=endpoint, Type="String", Overwrite=True
    )


CACHE_ACTIONS = [(add_cache_replica, {"at_most": 3}, 2), (resize_cache, SIZES, "cache.larger")]


@pytest.mark.parametrize(("module", "bounds", "wanted"), CACHE_ACTIONS)
def test_the_cache_gets_one_step_more_however_often_it_is_repeated(
    run: Run, cache: Cache, module: Any, bounds: dict[str, Any], wanted: Any
) -> None:
    event = acting(run, ARN, **bounds)
    assert call(module, event, run)["done"]
    # It is being changed, and then it is as it was told to be.
    assert call(module, event, run)["done"]
    done = {"status": "available"}
    changed = {"replicas_per_group": 2} if module is add_cache_replica else {"node_type": "cache.larger"}
    cache.state = replace(cache.state, **done, configuration=replace(cache.state.configuration, **changed))
    assert call(module, event, run)["done"]
    assert cache.asked == [wanted]
    assert [facts["to"] for facts in announced(run)] == [wanted]


@pytest.mark.parametrize(("module", "bounds", "wanted"), CACHE_ACTIONS)
@pytest.mark.parametrize(
    ("error", "words"),
    [(InvalidInputError("not this type"), "not this type"), (QuotaExceededError("no nodes left"), "no nodes left")],
)
def test_what_elasticache_refuses_for_good_is_an_answer(
    run: Run, cache: Cache, module: Any, bounds: dict[str, Any], wanted: Any, error: Exception, words: str
) -> None:
    cache.refuses = error
    done = call(module, acting(run, ARN, **bounds), run)
    assert not done["done"]
    assert words in done["what"]
    assert done["facts"]["to"] == wanted


@pytest.mark.parametrize(("module", "bounds"), [(add_cache_replica, {"at_most": 3}), (resize_cache, SIZES)])
def test_a_cache_that_is_not_available_or_not_live_stays(
    run: Run, cache: Cache, module: Any, bounds: dict[str, Any]
) -> None:
    cache.state = replace(cache.state, status="snapshotting")
    found = call(module, acting(run, ARN, **bounds), run)
    assert not found["done"]
    assert "snapshotting" in found["what"]
    cache.state = replace(cache.state, status="available")
    live("restored.example.com:6379")
    found = call(module, acting(run, ARN, **bounds), run)
    assert not found["done"]
    assert "not the one that the service uses" in found["what"]
    found = call(module, acting(run, ARN.replace("000000000000", "999999999999"), **bounds), run)
    assert not found["done"]
    assert not cache.asked
    assert announced(run) == []


@pytest.mark.parametrize(("module", "bounds"), [(add_cache_replica, {"at_most": 1}), (resize_cache, {"sizes": ["x"]})])
def test_beyond_its_bounds_the_cache_stays(run: Run, cache: Cache, module: Any, bounds: dict[str, Any]) -> None:
    assert not call(module, acting(run, ARN, **bounds), run)["done"]
    assert not cache.asked


@dataclass
class Service:
    """The colours' pods, and what was asked for."""

    counts: dict[Colour, Pods | None]
    asked: list[tuple[str, Colour, int]] = field(default_factory=list)
    broken: bool = False

    def pods(self, colour: Colour) -> Pods | None:
        return self.counts[colour]

    def raise_minimum(self, colour: Colour, count: int) -> None:
        self.asked.append(("minimum", colour, count))
        self.counts[colour] = replace(self.counts[colour] or Pods(0), minimum=count)

    def scale(self, colour: Colour, count: int) -> None:
        if self.broken:
            raise RuntimeError("gone")
        self.asked.append(("replicas", colour, count))
        self.counts[colour] = replace(self.counts[colour] or Pods(0), replicas=count)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    double = Service({Colour.BLUE: Pods(2, 2, 4), Colour.GREEN: Pods(1)})
    monkeypatch.setattr(Replicas, "connect", lambda *_, **__: double)
    return double


def test_the_live_colour_gets_one_pod_more_and_keeps_it(run: Run, service: Service) -> None:
    event = acting(run, run.platform.load_balancer_arn, **STEP)
    assert call(scale_service, event, run)["done"]
    assert call(scale_service, event, run)["done"]
    assert service.asked == [("minimum", Colour.BLUE, 3), ("replicas", Colour.BLUE, 3)]
    assert [facts["to"] for facts in announced(run)] == [3]


def test_an_attempt_that_died_halfway_is_finished_by_the_next(run: Run, service: Service) -> None:
    event = acting(run, run.platform.load_balancer_arn, **STEP)
    service.broken = True
    with pytest.raises(RuntimeError):
        call(scale_service, event, run)
    service.broken = False
    assert call(scale_service, event, run)["done"]
    assert service.counts[Colour.BLUE] == Pods(3, 3, 4)


def test_a_colour_without_an_autoscaler_is_scaled_alone(run: Run, service: Service) -> None:
    Balancer(run.platform).set_weights(Weights(0, 100))
    assert call(scale_service, acting(run, run.platform.load_balancer_arn, **STEP), run)["done"]
    assert service.asked == [("replicas", Colour.GREEN, 2)]


def test_the_autoscaler_may_have_gone_further(run: Run, service: Service) -> None:
    event = acting(run, run.platform.load_balancer_arn, **STEP)
    run.ledger.note(run.operation_key, "acting", {"action": "scale_service", "colour": "blue", "from": 2, "to": 3})
    service.counts[Colour.BLUE] = Pods(4, 2, 4)
    assert call(scale_service, event, run)["done"]
    assert service.asked == [("minimum", Colour.BLUE, 3)]


@pytest.mark.parametrize("pods", [Pods(4, 2, 8), Pods(3, 2, 3), Pods(0), None])
def test_where_there_is_no_room_no_pod_is_added(run: Run, service: Service, pods: Pods | None) -> None:
    service.counts[Colour.BLUE] = pods
    done = call(scale_service, acting(run, run.platform.load_balancer_arn, **STEP), run)
    assert not done["done"]
    assert not service.asked


def test_in_the_middle_of_a_release_nobody_scales(run: Run, service: Service) -> None:
    Balancer(run.platform).set_weights(Weights(50, 50))
    done = call(scale_service, acting(run, run.platform.load_balancer_arn, **STEP), run)
    assert not done["done"]
    assert "both colours have traffic" in done["what"]
    assert not service.asked


@pytest.mark.parametrize("module", [scale_node_group, add_cache_replica, resize_cache, scale_service])
def test_without_the_lock_nothing_is_changed(
    run: Run, nodes: Nodes, cache: Cache, service: Service, module: Any
) -> None:
    event = acting(run, ARN, **STEP, **SIZES)
    run.ledger.seize(run.execution.id, owner="somebody", purpose="else", lease_seconds=60, name="remedy:resource")
    with pytest.raises(LockLostError):
        call(module, event, run)
    assert not [*nodes.asked, *cache.asked, *service.asked]
