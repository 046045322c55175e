"""Patches, field ownership and selectors on plain objects."""

import copy
from typing import Any

import pytest

from sandbox.kubernetes.errors import StatusError
from sandbox.kubernetes.merging import merge_patch, strategic_merge
from sandbox.kubernetes.ownership import applied, read, updated
from sandbox.kubernetes.resources import DEPLOYMENTS
from sandbox.kubernetes.selectors import from_selector, parse_fields, parse_labels


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # The examples of RFC 7386, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(target)
    assert merge_patch(target, patch) == result
    assert target == before


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ({"containers": [{"name": "b", "image": "2"}]}, [("a", "1"), ("b", "2")]),
        ({"containers": [{"name": "c", "image": "3"}]}, [("a", "1"), ("b", "1"), ("c", "3")]),
        ({"containers": [{"name": "a", "$patch": "delete"}]}, [("b", "1")]),
        ({"containers": [{"$patch": "replace"}, {"name": "z", "image": "9"}]}, [("z", "9")]),
        ({"$setElementOrder/containers": [{"name": "b"}]}, [("a", "1"), ("b", "1")]),
    ],
)
def test_strategic_merge_of_containers(patch: Any, result: list[tuple[str, str]]) -> None:
    target = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    merged = strategic_merge(target, patch)
    assert [(each["name"], each["image"]) for each in merged["containers"]] == result


def test_strategic_merge_retains_keys() -> None:
    target = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    assert strategic_merge(target, patch) == {"strategy": {"type": "Recreate"}}


def test_strategic_merge_tells_ports_apart_by_number_and_protocol() -> None:
    target = {"ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]}
    merged = strategic_merge(target, {"ports": [{"containerPort": 53, "protocol": "UDP", "name": "dns"}]})
    assert [each.get("name") for each in merged["ports"]] == [None, "dns"]


def web(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def container(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


def apply(live: Any, wanted: Any, manager: str, force: bool = False) -> dict[str, Any]:
    return applied(DEPLOYMENTS, live, wanted, manager, force=force)


def managers(obj: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each.name, each.operation) for each in read(obj)}


def test_the_same_value_is_shared_without_conflict() -> None:
    live = apply(None, web(replicas=1), "one")
    live = apply(live, web(replicas=1), "two")
    assert managers(live) == {("one", "Apply"), ("two", "Apply")}
    # One gives it up: the other still holds it.
    assert apply(live, web(paused=True), "one")["spec"] == {"replicas": 1, "paused": True}


def test_a_different_value_conflicts_until_forced() -> None:
    live = apply(None, web(replicas=1), "one")
    with pytest.raises(StatusError) as caught:
        apply(live, web(replicas=2), "two")
    assert caught.value.code == 409
    assert 'conflict with "one"' in caught.value.message
    live = apply(live, web(replicas=2), "two", force=True)
    assert live["spec"]["replicas"] == 2
    assert managers(live) == {("two", "Apply")}


def test_an_update_takes_the_fields_that_it_changes() -> None:
    live = apply(None, web(replicas=1, paused=False), "one")
    changed = copy.deepcopy(live)
    changed["spec"]["replicas"] = 3
    live = updated(live, changed, "kubectl-scale")
    assert managers(live) == {("one", "Apply"), ("kubectl-scale", "Update")}
    with pytest.raises(StatusError):
        apply(live, web(replicas=1, paused=False), "one")


def test_a_container_that_is_no_longer_stated_goes() -> None:
    live = apply(None, web(containers=[container("a", image="1"), container("b", image="1")]), "one")
    live = apply(live, web(containers=[container("b", image="1")]), "one")
    assert live["spec"]["containers"] == [container("b", image="1")]


def test_a_container_stays_while_another_manager_has_a_part_in_it() -> None:
    live = apply(None, web(containers=[container("a", image="1", tty=True)]), "one")
    live = apply(live, web(containers=[container("a", image="2")]), "two", force=True)
    live = apply(live, web(replicas=1), "one")
    assert live["spec"] == {"replicas": 1, "containers": [container("a", image="2")]}


def test_what_two_managers_of_one_container_state_is_merged() -> None:
    live = apply(None, web(containers=[container("a", image="1", env=[{"name": "X", "value": "1"}])]), "one")
    live = apply(live, web(containers=[container("a", env=[{"name": "Y", "value": "2"}])]), "two")
    assert live["spec"]["containers"] == [
        container("a", image="1", env=[{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}])
    ]


def test_giving_up_the_last_field_of_an_object_removes_it() -> None:
    live = apply(None, web(replicas=1, strategy={"rollingUpdate": {"maxSurge": 1}}), "one")
    assert apply(live, web(replicas=1), "one")["spec"] == {"replicas": 1}


LABELS = {"app": "api", "colour": "blue", "tier": ""}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("app=api", True),
        ("app==api,colour=blue", True),
        ("app=api,colour=green", False),
        ("colour!=green", True),
        ("missing!=x", True),
        ("tier=", True),
        ("colour in (green, blue)", True),
        ("colour notin (green,blue)", False),
        ("missing notin (x)", True),
        ("app", True),
        ("!app", False),
        ("!missing,app in (api)", True),
    ],
)
def test_label_selectors(selector: str, matches: bool) -> None:
    assert parse_labels(selector)(LABELS) is matches


@pytest.mark.parametrize("selector", ["((", "a=b=c", "in (a)", "app in"])
def test_unreadable_label_selectors(selector: str) -> None:
    with pytest.raises(StatusError) as caught:
        parse_labels(selector)
    assert caught.value.code == 400


def test_selector_objects() -> None:
    expressions = [
        {"key": "colour", "operator": "In", "values": ["blue"]},
        {"key": "app", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    assert from_selector({"matchLabels": {"app": "api"}, "matchExpressions": expressions})(LABELS)
    assert not from_selector({"matchLabels": {"app": "web"}})(LABELS)
    assert from_selector({})(LABELS)


def test_field_selectors() -> None:
    pod = {"metadata": {"name": "a"}, "status": {"phase": "Running"}}
    assert parse_fields("metadata.name=a,status.phase!=Failed")(pod)
    assert not parse_fields("status.phase=Pending")(pod)
