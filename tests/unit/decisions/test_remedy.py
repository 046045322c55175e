from dataclasses import replace

import pytest

from opskit.decisions.capacity import CacheNodes, NodeGroup, Pods
from opskit.decisions.remedy import ACTIONS, Facts, LastRelease, Plan, choose
from opskit.decisions.runbook import Runbook
from opskit.runbooks import load_runbooks

from .remediation import NOW, ago

RUNBOOKS = load_runbooks("staging").by_alarm
NOTHING_READ = Facts(NOW)
RELEASE = LastRelease("r-7", "release", ago(600), "api:1.4", "api:1.3")


def chosen(alarm: str, facts: Facts) -> str | None:
    plan = choose(RUNBOOKS[alarm], "arn", facts).plan
    return plan and plan.action


@pytest.mark.parametrize("runbook", RUNBOOKS.values(), ids=list(RUNBOOKS))
def test_every_runbook_says_what_it_would_do(runbook: Runbook) -> None:
    found = choose(runbook, "arn", NOTHING_READ)
    assert found.plan is not None
    assert found.plan.resource_arn == "arn"
    assert found.reason == found.plan.words
    for value in found.plan.bounds.values():
        text = ", ".join(value) if isinstance(value, list) else f"{value:g}"
        assert text in found.plan.words, "with its bounds"
    assert Plan.from_dict(found.plan.as_dict() | {"verdict": "ACT"}) == found.plan


def test_every_action_that_runbooks_may_name_has_a_rule() -> None:
    named = {action.name for runbook in RUNBOOKS.values() for action in runbook.actions}
    assert named == set(ACTIONS)


def test_a_recent_release_is_rolled_back_when_answers_slow_down() -> None:
    plan = choose(RUNBOOKS["alb-response-time"], "arn", Facts(NOW, last_release=RELEASE)).plan
    assert plan is not None
    assert plan.action == "roll_back_release"
    assert plan.words == "roll back r-7, finished 2026-11-23T11:50:00.000000Z: api:1.4 to api:1.3"


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (None, "no release is recorded"),
        (replace(RELEASE, operation="rollback"), "the live version came by a rollback (r-7)"),
        (replace(RELEASE, finished_at=ago(1801)), "r-7 finished 1801 s ago, more than 1800 s"),
        (replace(RELEASE, previous=None), "there is no version before api:1.4"),
    ],
)
def test_otherwise_the_service_is_scaled(release: LastRelease | None, words: str) -> None:
    found = choose(RUNBOOKS["alb-response-time"], "arn", Facts(NOW, last_release=release, pods=Pods(2, 2, 4)))
    assert found.plan is not None
    assert found.plan.action == "scale_service"
    assert found.plan.words == "raise the service's pods from 2 to 3 pods"
    assert found.passed_over == (f"roll_back_release: {words}",)


def test_a_release_at_the_edge_of_the_window_is_rolled_back() -> None:
    edge = replace(RELEASE, finished_at=ago(1800))
    assert chosen("alb-response-time", Facts(NOW, last_release=edge)) == "roll_back_release"


def test_at_the_bounds_a_person_is_asked() -> None:
    full = Facts(
        NOW,
        node_group=NodeGroup("on-demand", 2, 10, 10),
        cache=CacheNodes("cache.t4g.medium", 2),
        pods=Pods(4, 2, 4),
    )
    for alarm in ("eks-cpu", "eks-memory", "cache-evictions", "cache-cpu", "alb-response-time"):
        found = choose(RUNBOOKS[alarm], "arn", full)
        assert found.plan is None
        assert found.reason.startswith("no action applies: ")
        assert len(found.passed_over) == len(RUNBOOKS[alarm].actions)
    assert "node group on-demand has 10 nodes, its maximum" in choose(RUNBOOKS["eks-cpu"], "arn", full).reason


def test_a_cache_gets_replicas_before_larger_nodes_for_which_a_person_is_asked() -> None:
    few = Facts(NOW, cache=CacheNodes("cache.t4g.small", 1))
    assert chosen("cache-cpu", few) == "add_cache_replica"
    assert chosen("cache-evictions", few) == "resize_cache", "replicas hold the same keys"
    many = choose(RUNBOOKS["cache-cpu"], "arn", Facts(NOW, cache=CacheNodes("cache.t4g.small", 2))).plan
    assert many is not None
    assert (many.action, many.approval, many.reversible) == ("resize_cache", True, False)
    assert many.words == "give the cache larger nodes: from cache.t4g.small to cache.t4g.medium"


def test_an_approval_is_of_one_plan() -> None:
    small = choose(RUNBOOKS["cache-evictions"], "arn", Facts(NOW, cache=CacheNodes("cache.t4g.small", 1))).plan
    assert small is not None
    assert small.digest == Plan.from_dict(small.as_dict()).digest
    assert small.digest.startswith("sha256:")
    changed = [replace(small, words="from cache.t4g.small to cache.r7g.16xlarge"), replace(small, resource_arn="other")]
    changed += [replace(small, bounds={"sizes": ["a", "b"]}), replace(small, action="end_sessions")]
    assert len({small.digest, *(plan.digest for plan in changed)}) == 5
