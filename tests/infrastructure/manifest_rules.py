"""What must hold for the manifests of an environment: each rule yields what is wrong, in words."""

import json
from collections.abc import Callable, Iterator

from sandbox.kubernetes.kustomize import Manifest
from sandbox.kubernetes.podsecurity import violations
from tests.infrastructure.manifests import COLOURS, container, matches, of, pods

Rule = Callable[[list[Manifest]], Iterator[str]]
RULES: dict[str, Rule] = {}

DEREGISTRATION_SECONDS = 30  # of the target groups
LONGEST_REQUEST_SECONDS = 30
SPOT_NOTICE_SECONDS = 120  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html


def rule(check: Rule) -> Rule:
    RULES[check.__name__] = check
    return check


@rule
def nothing_is_left_open(manifests: list[Manifest]) -> Iterator[str]:
    for each in manifests:
        if "${" in json.dumps(each):
            yield f"{each['kind']} {each['metadata']['name']}"


@rule
def both_colours_have_all_that_they_need(manifests: list[Manifest]) -> Iterator[str]:
    kinds = ("Deployment", "Service", "TargetGroupBinding", "PodDisruptionBudget", "HorizontalPodAutoscaler")
    for kind in kinds:
        for colour in COLOURS:
            if f"detection-api-{colour}" not in of(manifests, kind):
                yield f"{kind} of {colour}"


@rule
def colours_differ_in_nothing_but_their_colour(manifests: list[Manifest]) -> Iterator[str]:
    blue, green = (of(manifests, "Deployment")[f"detection-api-{colour}"]["spec"]["template"] for colour in COLOURS)
    if json.dumps(blue).replace("blue", "green") != json.dumps(green):
        yield "blue's pods differ from green's"


@rule
def pods_are_restricted(manifests: list[Manifest]) -> Iterator[str]:
    (namespace,) = of(manifests, "Namespace").values()
    if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace lets anything in"
    for name, template in pods(manifests).items():
        yield from (f"{name}: {each}" for each in violations(template["spec"]))
        if not container(template)["securityContext"].get("readOnlyRootFilesystem"):
            yield f"{name} can write to its image"


@rule
def pods_have_the_role_and_no_token_of_the_cluster(manifests: list[Manifest]) -> Iterator[str]:
    accounts = of(manifests, "ServiceAccount")
    for name, account in accounts.items():
        if not account["metadata"].get("annotations", {}).get("eks.amazonaws.com/role-arn", "").startswith("arn:"):
            yield f"service account {name} has no role"
    for name, template in pods(manifests).items():
        spec = template["spec"]
        if spec.get("serviceAccountName") not in accounts:
            yield f"{name} runs as another account"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name} has a token for the cluster's API"


@rule
def nobody_may_more_than_is_needed(manifests: list[Manifest]) -> Iterator[str]:
    if any(each["kind"].startswith("Cluster") for each in manifests):
        yield "rights beyond the namespace"
    changing = {"create", "update", "patch", "delete", "deletecollection"}
    for name, role in of(manifests, "Role").items():
        for entry in role["rules"]:
            if "*" in [*entry["apiGroups"], *entry["resources"], *entry["verbs"]] or "secrets" in entry["resources"]:
                yield f"{name}: {entry}"
            # Nobody knows pods' names beforehand; their budgets bound what evictions do.
            evicts = (entry["resources"], entry["verbs"]) == (["pods/eviction"], ["create"])
            if changing & set(entry["verbs"]) and not entry.get("resourceNames") and not evicts:
                yield f"{name} may change any of {entry['resources']}"


@rule
def a_pod_leaves_after_the_balancer_let_go_and_answers_what_it_began(manifests: list[Manifest]) -> Iterator[str]:
    for name in of(manifests, "Deployment"):
        template = pods(manifests)[name]
        stop = container(template).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace = template["spec"].get("terminationGracePeriodSeconds", 30)
        if stop <= DEREGISTRATION_SECONDS:
            yield f"{name} stops after {stop} s"
        if grace < stop + LONGEST_REQUEST_SECONDS + 5:
            yield f"{name} is killed after {grace} s"
        if grace >= SPOT_NOTICE_SECONDS:
            yield f"{name} takes longer than a spot node has"


@rule
def probes_take_a_pod_out_before_they_restart_it(manifests: list[Manifest]) -> Iterator[str]:
    for name in of(manifests, "Deployment"):
        spec = container(pods(manifests)[name])
        readiness, liveness = spec.get("readinessProbe"), spec.get("livenessProbe")
        if not readiness or not liveness:
            yield f"{name} has not both probes"
        elif 2 * readiness["periodSeconds"] * readiness["failureThreshold"] > (
            liveness["periodSeconds"] * liveness["failureThreshold"]
        ):
            yield f"{name} is restarted while it has traffic"


@rule
def pods_are_spread_over_zones_and_nodes(manifests: list[Manifest]) -> Iterator[str]:
    for name in of(manifests, "Deployment"):
        template = pods(manifests)[name]
        spread = {each["topologyKey"]: each for each in template["spec"].get("topologySpreadConstraints", [])}
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname"):
            if key not in spread or spread[key]["maxSkew"] != 1:
                yield f"{name}: {key}"
            elif not matches(spread[key]["labelSelector"], template["metadata"]["labels"]):
                yield f"{name} is spread by what others do"


@rule
def drains_and_rollouts_take_one_pod_at_a_time(manifests: list[Manifest]) -> Iterator[str]:
    for name, deployment in of(manifests, "Deployment").items():
        budget = of(manifests, "PodDisruptionBudget").get(name, {"spec": {"selector": {"matchLabels": {"no": "pods"}}}})
        if not matches(budget["spec"]["selector"], deployment["spec"]["template"]["metadata"]["labels"]):
            yield f"{name} has no budget"
        elif budget["spec"].get("maxUnavailable") != 1:
            yield f"the budget of {name} stops every drain, or none"
        if deployment["spec"]["strategy"]["rollingUpdate"] != {"maxSurge": 1, "maxUnavailable": 0}:
            yield f"{name} loses pods when it is updated"


@rule
def spot_nodes_are_a_second_choice(manifests: list[Manifest]) -> Iterator[str]:
    for name in of(manifests, "Deployment"):
        spec = pods(manifests)[name]["spec"]
        for each in spec.get("tolerations", []):
            if each != {"key": "lifecycle", "operator": "Equal", "value": "spot", "effect": "NoSchedule"}:
                yield f"{name} tolerates {each}"
        node = spec.get("affinity", {}).get("nodeAffinity", {})
        preferred = [
            expression
            for each in node.get("preferredDuringSchedulingIgnoredDuringExecution", [])
            for expression in each["preference"]["matchExpressions"]
        ]
        if spec.get("tolerations") and {"key": "lifecycle", "operator": "In", "values": ["on-demand"]} not in preferred:
            yield f"{name} would as soon be interrupted"


@rule
def what_pods_refer_to_is_there_before_them(manifests: list[Manifest]) -> Iterator[str]:
    order = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    for name, deployment in of(manifests, "Deployment").items():
        own = order.index(("Deployment", name))
        classes = deployment["spec"]["template"]["spec"].get("priorityClassName")
        before = [("PriorityClass", classes), ("Service", name), ("TargetGroupBinding", name)]
        yield from (f"{name}: {each}" for each in before if each not in order[:own])


@rule
def bindings_and_services_lead_to_the_port_that_pods_serve(manifests: list[Manifest]) -> Iterator[str]:
    services = of(manifests, "Service")
    for name, binding in of(manifests, "TargetGroupBinding").items():
        reference = binding["spec"]["serviceRef"]
        service = services.get(reference["name"], {"spec": {"ports": [], "selector": {}}})["spec"]
        port = next((each for each in service["ports"] if each["name"] == reference["port"]), None)
        template = pods(manifests)[name]
        numbers = {each["name"]: each["containerPort"] for each in container(template)["ports"]}
        if port is None or port["targetPort"] != "http" or binding["spec"].get("targetType") != "ip":
            yield f"{name} leads nowhere"
        elif port["port"] != numbers["http"]:
            yield f"{name}: the VPC CNI wants the service's port to be the container's"
        if not service["selector"] or not matches({"matchLabels": service["selector"]}, template["metadata"]["labels"]):
            yield f"{name} selects no pod of its own"


@rule
def no_secret_is_written_down(manifests: list[Manifest]) -> Iterator[str]:
    if of(manifests, "Secret"):
        yield "a Secret"
    for each in manifests:
        for name in each.get("data", {}):
            if any(word in name.upper() for word in ("PASSWORD", "SECRET", "TOKEN")):
                yield f"{each['metadata']['name']}: {name}"
    for name, template in pods(manifests).items():
        for variable in container(template).get("env", []):
            if "value" in variable and any(word in variable["name"] for word in ("PASSWORD", "SECRET", "TOKEN")):
                yield f"{name}: {variable['name']}"
