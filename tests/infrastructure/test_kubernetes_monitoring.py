"""Prometheus finds the pods, may reach them, and every panel of the dashboard asks for what there is."""

import json
import re
from typing import Any

import promql_parser
import pytest
import yaml

from sandbox.service.detections import Readiness
from sandbox.service.metrics import Metrics
from tests.infrastructure.manifests import (
    ENVIRONMENTS,
    ROOT,
    SERVICE,
    container,
    matches,
    monitoring,
    of,
    pods,
    rendered,
)
from tests.infrastructure.network_rules import PROMETHEUS, ways

FOLDER = ROOT / "kubernetes/monitoring"
VALUES = yaml.safe_load((FOLDER / "kube-prometheus-stack.yaml").read_text())
DASHBOARD = json.loads((FOLDER / "dashboards/service.json").read_text().replace("${SERVICE}", SERVICE))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]

# https://github.com/kubernetes/kube-state-metrics/tree/main/docs/metrics/workload, and of cAdvisor (the kubelet)
KUBERNETES = {
    "kube_deployment_status_replicas_ready": {"namespace", "deployment"},
    "kube_horizontalpodautoscaler_status_current_replicas": {"namespace", "horizontalpodautoscaler"},
    "kube_horizontalpodautoscaler_status_desired_replicas": {"namespace", "horizontalpodautoscaler"},
    "kube_horizontalpodautoscaler_spec_max_replicas": {"namespace", "horizontalpodautoscaler"},
    "kube_pod_container_resource_requests": {"namespace", "pod", "container", "resource"},
    "kube_pod_container_resource_limits": {"namespace", "pod", "container", "resource"},
    "kube_pod_container_status_restarts_total": {"namespace", "pod", "container"},
    "container_cpu_usage_seconds_total": {"namespace", "pod", "container"},
    "container_memory_working_set_bytes": {"namespace", "pod", "container"},
}
TARGET_LABELS = {"namespace", "pod", "container"}
"""What the operator puts on whatever a PodMonitor finds, beside its podTargetLabels."""


def monitor() -> dict[str, Any]:
    return dict(of(monitoring(), "PodMonitor")["detection-api"]["spec"])


def exposed() -> dict[str, set[str]]:
    """The metrics of the service and their labels, as Prometheus has them."""
    metrics = Metrics("1.2.3")
    metrics.begin()
    metrics.end("GET", "/detections", 200, 0.1)
    text = metrics.text(Readiness(read=True, write="stored", cache=True, queued=1))
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, labels = line.partition("{")
            own = set(re.findall(r'(\w+)="', labels))
            assert not own & {*TARGET_LABELS, *monitor()["podTargetLabels"]}, "it would be renamed to exported_…"
            found[name.split(" ")[0]] = own | TARGET_LABELS | set(monitor()["podTargetLabels"])
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_prometheus_asks_every_pod_of_the_colours_and_no_other(environment: str) -> None:
    manifests, spec = rendered(environment), monitor()
    (endpoint,) = spec["podMetricsEndpoints"]
    for name, template in pods(manifests).items():
        labels = template["metadata"]["labels"]
        assert matches(spec["selector"], labels) == (name in of(manifests, "Deployment"))
        if not matches(spec["selector"], labels):
            continue
        (port,) = (each["containerPort"] for each in container(template)["ports"] if each["name"] == endpoint["port"])
        variables = {each["name"]: each.get("value") for each in container(template)["env"]}
        assert variables["METRICS_PORT"] == str(port)
        assert ("TCP", PROMETHEUS, port) in (ways(manifests, labels, "Ingress") or set())
        assert set(spec["podTargetLabels"]) <= labels.keys()
    assert spec["namespaceSelector"]["matchNames"] == [*of(manifests, "Namespace")]


def test_prometheus_is_where_the_service_lets_it_in_from() -> None:
    namespace, _, label = PROMETHEUS.partition("/")
    assert [*of(monitoring(), "Namespace")] == [namespace]
    # The operator's own label, on every pod of a Prometheus.
    assert label == "app.kubernetes.io/name=prometheus"
    # Without this it would look only for monitors that the chart itself has made.
    assert VALUES["prometheus"]["prometheusSpec"]["podMonitorSelectorNilUsesHelmValues"] is False


def test_a_scrape_is_over_before_the_next() -> None:
    (endpoint,) = monitor()["podMetricsEndpoints"]
    assert int(endpoint["scrapeTimeout"][:-1]) < int(endpoint["interval"][:-1])


def test_alarms_are_left_to_cloudwatch() -> None:
    assert VALUES["alertmanager"]["enabled"] is False
    assert VALUES["defaultRules"]["create"] is False
    assert not [each for each in monitoring() if each["kind"] in ("PrometheusRule", "AlertmanagerConfig")]


def test_nobody_can_guess_grafana_s_password() -> None:
    assert VALUES["grafana"]["admin"]["existingSecret"]
    text = (FOLDER / "kube-prometheus-stack.yaml").read_text()
    assert not re.search(r"(?i)(adminPassword|password):\s*\S", text)


def test_nothing_runs_without_bounds() -> None:
    prometheus = VALUES["prometheus"]["prometheusSpec"]
    parts = [prometheus, VALUES["grafana"], VALUES["prometheusOperator"], VALUES["kube-state-metrics"]]
    for part in parts:
        assert {"cpu", "memory"} <= part["resources"]["requests"].keys()
        assert "memory" in part["resources"]["limits"]
    kept, room = prometheus["retentionSize"], prometheus["storageSpec"]["emptyDir"]["sizeLimit"]
    assert int(kept.removesuffix("GB")) < int(room.removesuffix("Gi"))


def test_the_chart_s_version_is_stated_once_and_the_same() -> None:
    command, values = (FOLDER / name for name in ("kustomization.yaml", "kube-prometheus-stack.yaml"))
    (installed,) = re.findall(r"--version (\d+\.\d+\.\d+)", command.read_text())
    assert re.findall(r"kube-prometheus-stack (\d+\.\d+\.\d+)", values.read_text()) == [installed]


def test_the_dashboard_is_found_by_grafana() -> None:
    found = of(monitoring(), "ConfigMap")["detection-api-dashboard"]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["namespace"] == VALUES["grafana"]["sidecar"]["dashboards"]["searchNamespace"]
    assert json.loads(found["data"]["service.json"]) == DASHBOARD


def selectors(expression: Any) -> list[Any]:
    """The vector selectors of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        return [expression]
    found = []
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (part := getattr(expression, name, None)) is not None:
            found += selectors(part)
    for part in getattr(expression, "args", None) or []:
        found += selectors(part)
    return found


def queries() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]


@pytest.mark.parametrize(("title", "query"), queries())
def test_a_panel_asks_for_what_there_is(title: str, query: str) -> None:
    known = exposed() | KUBERNETES
    found = selectors(promql_parser.parse(query.replace("$__rate_interval", "2m")))
    assert found
    for selector in found:
        assert selector.name in known, f"{title}: {selector.name}"
        labels = {each.name for each in selector.matchers.matchers}
        assert "namespace" in labels, f"{title} shows everybody's"
        assert labels <= known[selector.name], f"{title}: {selector.name} has no {labels - known[selector.name]}"


@pytest.mark.parametrize(("title", "query"), queries())
def test_a_panel_s_legend_and_sums_are_by_labels_that_are_kept(title: str, query: str) -> None:
    kept = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    panel = next(each for each in PANELS if each["title"] == title)
    (legend,) = (target["legendFormat"] for target in panel["targets"] if target["expr"] == query)
    names = set(re.findall(r"\{\{(\w+)\}\}", legend))
    available = kept or set().union(
        *((exposed() | KUBERNETES)[each] for each in re.findall(r"\b(?:kube|http)_\w+", query))
    )
    assert names <= available


def test_every_metric_of_the_service_is_on_the_dashboard() -> None:
    asked = {
        each.name
        for _, query in queries()
        for each in selectors(promql_parser.parse(query.replace("$__rate_interval", "2m")))
    }
    derived = {name for name in exposed() if name.endswith(("_sum", "_count"))}
    assert exposed().keys() - derived <= asked


def test_panels_do_not_overlap_and_have_a_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["description"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"prometheus"}
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
