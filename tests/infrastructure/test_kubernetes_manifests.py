"""The manifests of every environment keep the rules; and each rule notices when it is broken."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.kubernetes.kustomize import Manifest
from tests.infrastructure import network_rules, scaling_rules  # noqa: F401 - they add their rules
from tests.infrastructure.manifest_rules import RULES
from tests.infrastructure.manifests import ENVIRONMENTS, ROOT, VERSIONS, container, of, pods, rendered


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds(rule: str, environment: str) -> None:
    assert list(RULES[rule](rendered(environment))) == []


def spec(manifests: list[Manifest], kind: str, name: str = "detection-api-blue") -> dict[str, Any]:
    return of(manifests, kind)[name]["spec"]


def pod(manifests: list[Manifest], name: str = "detection-api-blue") -> dict[str, Any]:
    return dict(pods(manifests))[name]["spec"]


def app(manifests: list[Manifest]) -> dict[str, Any]:
    return pod(manifests)["containers"][0]


def drop(manifests: list[Manifest], kind: str, name: str) -> None:
    manifests[:] = [each for each in manifests if (each["kind"], each["metadata"]["name"]) != (kind, name)]


def policy(manifests: list[Manifest], name: str) -> dict[str, Any]:
    return spec(manifests, "NetworkPolicy", name)


BROKEN: dict[str, tuple[str, Callable[[list[Manifest]], Any]]] = {
    "a colour without autoscaler": (
        "both_colours_have_all_that_they_need",
        lambda m: drop(m, "HorizontalPodAutoscaler", "detection-api-green"),
    ),
    "a colour with another probe": (
        "colours_differ_in_nothing_but_their_colour",
        lambda m: app(m)["readinessProbe"].update(periodSeconds=6),
    ),
    "a pod that runs as root": ("pods_are_restricted", lambda m: pod(m)["securityContext"].update(runAsUser=0)),
    "a dump that may gain rights": (
        "pods_are_restricted",
        lambda m: pod(m, "queue-dump")["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    ),
    "a namespace for privileged pods": (
        "pods_are_restricted",
        lambda m: m[0]["metadata"]["labels"].update({"pod-security.kubernetes.io/enforce": "privileged"}),
    ),
    "a root file system to write to": (
        "pods_are_restricted",
        lambda m: app(m)["securityContext"].update(readOnlyRootFilesystem=False),
    ),
    "a service account without a role": (
        "pods_have_the_role_and_no_token_of_the_cluster",
        lambda m: of(m, "ServiceAccount")["detection-api"]["metadata"].pop("annotations"),
    ),
    "a pod with a token for the API": (
        "pods_have_the_role_and_no_token_of_the_cluster",
        lambda m: pod(m).pop("automountServiceAccountToken"),
    ),
    "a release that may change any Deployment": (
        "nobody_may_more_than_is_needed",
        lambda m: of(m, "Role")["release"]["rules"][0].pop("resourceNames"),
    ),
    "a repair that may delete pods, whatever their budget": (
        "nobody_may_more_than_is_needed",
        lambda m: of(m, "Role")["remediate"]["rules"][0]["verbs"].append("delete"),
    ),
    "a repair that may make pods of its own": (
        "nobody_may_more_than_is_needed",
        lambda m: of(m, "Role")["remediate"]["rules"][1]["resources"].append("pods"),
    ),
    "a repair that scales any Deployment": (
        "nobody_may_more_than_is_needed",
        lambda m: of(m, "Role")["remediate"]["rules"][2].pop("resourceNames"),
    ),
    "a backup that reads Secrets": (
        "nobody_may_more_than_is_needed",
        lambda m: of(m, "Role")["backup"]["rules"][0]["resources"].append("secrets"),
    ),
    "a pod that leaves at once": (
        "a_pod_leaves_after_the_balancer_let_go_and_answers_what_it_began",
        lambda m: app(m).pop("lifecycle"),
    ),
    "a pod that is killed in the middle of a request": (
        "a_pod_leaves_after_the_balancer_let_go_and_answers_what_it_began",
        lambda m: pod(m).update(terminationGracePeriodSeconds=40),
    ),
    "a pod that outlasts its spot node": (
        "a_pod_leaves_after_the_balancer_let_go_and_answers_what_it_began",
        lambda m: pod(m).update(terminationGracePeriodSeconds=300),
    ),
    "a pod that is restarted rather than spared": (
        "probes_take_a_pod_out_before_they_restart_it",
        lambda m: app(m)["livenessProbe"].update(failureThreshold=1),
    ),
    "pods in one zone": (
        "pods_are_spread_over_zones_and_nodes",
        lambda m: pod(m)["topologySpreadConstraints"].pop(0),
    ),
    "pods that are spread by the other colour": (
        "pods_are_spread_over_zones_and_nodes",
        lambda m: pod(m)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(colour="green"),
    ),
    "a budget that allows no drain": (
        "drains_and_rollouts_take_one_pod_at_a_time",
        lambda m: spec(m, "PodDisruptionBudget").update(maxUnavailable=0),
    ),
    "a budget for other pods": (
        "drains_and_rollouts_take_one_pod_at_a_time",
        lambda m: spec(m, "PodDisruptionBudget")["selector"]["matchLabels"].update(colour="red"),
    ),
    "a single pod": (
        "autoscalers_know_their_bounds",
        lambda m: spec(m, "HorizontalPodAutoscaler").update(minReplicas=1),
    ),
    "more pods than the database has connections": (
        "autoscalers_know_their_bounds",
        lambda m: spec(m, "HorizontalPodAutoscaler").update(maxReplicas=20),
    ),
    "an autoscaler for the other colour": (
        "autoscalers_know_their_bounds",
        lambda m: spec(m, "HorizontalPodAutoscaler")["scaleTargetRef"].update(name="detection-api-green"),
    ),
    "green that starts with pods": (
        "autoscalers_know_their_bounds",
        lambda m: spec(m, "Deployment", "detection-api-green").update(replicas=1),
    ),
    "an autoscaler that measures memory alone": (
        "autoscalers_measure_what_is_requested",
        lambda m: spec(m, "HorizontalPodAutoscaler")["metrics"].pop(0),
    ),
    "a share of nothing": (
        "autoscalers_measure_what_is_requested",
        lambda m: app(m)["resources"]["requests"].pop("memory"),
    ),
    "manifests that end a release's pause": (
        "releases_decide_whether_pods_may_be_taken_away",
        lambda m: spec(m, "HorizontalPodAutoscaler")["behavior"]["scaleDown"].update(selectPolicy="Max"),
    ),
    "pods that are taken away all at once": (
        "releases_decide_whether_pods_may_be_taken_away",
        lambda m: spec(m, "HorizontalPodAutoscaler").pop("behavior"),
    ),
    "a pod that takes all memory": (
        "memory_is_bounded_and_the_processor_is_not",
        lambda m: app(m)["resources"].pop("limits"),
    ),
    "a pod that is slowed down": (
        "memory_is_bounded_and_the_processor_is_not",
        lambda m: app(m)["resources"]["limits"].update(cpu="1"),
    ),
    "a pod that tolerates any node": (
        "spot_nodes_are_a_second_choice",
        lambda m: pod(m).update(tolerations=[{"operator": "Exists"}]),
    ),
    "a pod that would as soon be on spot": ("spot_nodes_are_a_second_choice", lambda m: pod(m).pop("affinity")),
    "a binding after the pods that need its gate": (
        "what_pods_refer_to_is_there_before_them",
        lambda m: m.append(m.pop(next(i for i, each in enumerate(m) if each["kind"] == "TargetGroupBinding"))),
    ),
    "a priority that is not there": (
        "what_pods_refer_to_is_there_before_them",
        lambda m: drop(m, "PriorityClass", "detection-api"),
    ),
    "a service with another port": (
        "bindings_and_services_lead_to_the_port_that_pods_serve",
        lambda m: spec(m, "Service")["ports"][0].update(port=80),
    ),
    "a service that selects the other colour": (
        "bindings_and_services_lead_to_the_port_that_pods_serve",
        lambda m: spec(m, "Service")["selector"].update(colour="green"),
    ),
    "a password in the environment": (
        "no_secret_is_written_down",
        lambda m: app(m)["env"].append({"name": "DATABASE_PASSWORD", "value": "x"}),
    ),
    "a placeholder without a value": (
        "nothing_is_left_open",
        lambda m: app(m).update(image="${IMAGE}"),
    ),
    "no default deny": ("pods_talk_to_nobody_but_whom_they_must", lambda m: drop(m, "NetworkPolicy", "default-deny")),
    "pods that anybody reaches": (
        "pods_talk_to_nobody_but_whom_they_must",
        lambda m: policy(m, "serve-balancer")["ingress"][0].pop("from"),
    ),
    "a policy for pods that are not there": (
        "pods_talk_to_nobody_but_whom_they_must",
        lambda m: policy(m, "use-stores")["podSelector"]["matchExpressions"][0].update(values=["red"]),
    ),
    "pods that reach the nodes' credentials": (
        "pods_talk_to_nobody_but_whom_they_must",
        lambda m: policy(m, "call-aws")["egress"][0]["to"][0]["ipBlock"].pop("except"),
    ),
    "pods that cannot resolve names": (
        "pods_talk_to_nobody_but_whom_they_must",
        lambda m: drop(m, "NetworkPolicy", "resolve-names"),
    ),
    "a new pod that reaches the database": (
        "a_pod_that_is_added_later_is_shut_in",
        lambda m: policy(m, "use-stores").update(podSelector={}),
    ),
    "metrics at a port that is shut": (
        "policies_are_about_ports_that_pods_have",
        lambda m: app(m)["ports"][1].update(containerPort=9091),
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_rule_notices(broken: str) -> None:
    name, breaks = BROKEN[broken]
    manifests = rendered("prod")
    breaks(manifests)
    assert list(RULES[name](manifests))


def test_every_rule_has_been_seen_to_notice() -> None:
    assert {name for name, _ in BROKEN.values()} == set(RULES)


def autoscaler(environment: str) -> tuple[int, int]:
    found = spec(rendered(environment), "HorizontalPodAutoscaler")
    return found["minReplicas"], found["maxReplicas"]


def test_environments_differ_in_size() -> None:
    assert {environment: autoscaler(environment) for environment in ENVIRONMENTS} == {
        "dev": (2, 4),
        "staging": (2, 6),
        "prod": (3, 12),
    }
    requests = {each: container(pods(rendered(each))["detection-api-blue"])["resources"] for each in ENVIRONMENTS}
    assert requests["staging"]["requests"] == requests["prod"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert requests["dev"]["requests"] == {"cpu": "250m", "memory": "256Mi"}


def test_production_has_a_pod_in_every_zone() -> None:
    assert autoscaler("prod")[0] >= 3


def test_environments_differ_in_nothing_else() -> None:
    def shape(environment: str) -> str:
        text = str(rendered(environment))
        for pattern in (r"'(min|max)?[rR]eplicas': \d+", r"'(cpu|memory)': '[^']*'", environment):
            text = re.sub(pattern, "", text)
        return text

    assert shape("dev") == shape("staging") == shape("prod")


def test_terraform_s_kubernetes_is_one_that_the_manifests_are_checked_for() -> None:
    variables = ROOT / "terraform/variables.tf"
    if not variables.exists():
        pytest.skip("the platform's Terraform is not in this checkout")
    found = re.search(r'variable "kubernetes_version" \{.*?default += "([\d.]+)"', variables.read_text(), re.DOTALL)
    assert found
    assert found[1] in VERSIONS
