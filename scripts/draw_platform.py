"""A picture of a planned platform, drawn from its plan: docs/platform-<environment>.svg.

Boxes are resources where the plan places them; arrows are the rules of its security groups, its routes, and who may
write to which bucket by its policies. Laid out by graphviz-pure (requirements/terraform.in), whose output is the same
everywhere, so that the tests can tell whether a picture is current.
"""

import html
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from scripts.graphviz import svg
from tests.infrastructure.platform import Platform, Resource, listed

# Security groups by the end of their names, and what a rule without one stands for.
_BOXES = ("alb", "nodes", "functions", "cluster", "database", "redis", "queue", "drill")
_PUBLIC, _PRIVATE, _STORE, _PLAIN = "#dff0d8", "#dbe9f6", "#fdf3d0", "#f4f4f4"
_WRITERS = {
    "elasticache-snapshot": "redis",
    "logdelivery.elasticloadbalancing": "alb",
    "cloudtrail": "trail",
}


def picture(platform: Platform) -> str:
    """The picture, as SVG; raises CalledProcessError if it cannot be laid out."""
    return svg(graph(platform))


def graph(platform: Platform) -> str:
    """The same, in Graphviz's language."""
    name = f"{platform.variables['service']}-{platform.environment}"
    zones = sorted({subnet["availability_zone"] for subnet in platform.of("subnet")})
    network = f"VPC {platform['vpc.main']['cidr_block']} in {len(zones)} zones: {', '.join(zones)}"
    buckets = list(_buckets(platform))
    lines = [
        'digraph platform { rankdir=TB; compound=true; nodesep=0.35; ranksep=0.55; bgcolor="white"; newrank=true;',
        f'label="{name}"; labelloc=t; fontname="Helvetica"; fontsize=18;',
        'node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, color="#777777",',
        'margin="0.12,0.07"];',
        'edge [fontname="Helvetica", fontsize=9, color="#555555", fontcolor="#333333", arrowsize=0.7];',
        _box("clients", "clients", (), _PLAIN),
        _box("internet", "AWS APIs, registries", (), _PLAIN),
        _cluster("vpc", network, "#fafafa", _inside(platform)),
        _cluster("region", "in the region", "#fafafa", [_box(*box) for box in _regional(platform)]),
        _cluster("buckets", "buckets (S3)", "#fffdf5", [_box(*box) for box in buckets]),
        *(_arrow(*arrow) for arrow in sorted(_arrows(platform))),
        # Rows, from the outside inwards.
        _row("clients", "internet"),
        _row("alb", "nat", "watch"),
        _row("nodes", "functions", "keys"),
        _row("database", "redis", "queue", "cluster", "drill", "contract"),
        _row(*(name for name, *_ in buckets)),
        *(f'"{above}" -> "{name}" [style=invis];' for name, *_ in buckets for above in ("database", "contract")),
        "}",
    ]
    return "\n".join(lines)


def _inside(platform: Platform) -> Iterator[str]:
    for name, fill in (("public", _PUBLIC), ("private", _PRIVATE)):
        cidrs = [subnet["cidr_block"] for subnet in platform.of("subnet", name)]
        boxes = _public(platform) if name == "public" else _private(platform)
        yield _cluster(name, f"{name} subnets {cidrs[0]} to {cidrs[-1]}", fill, [_box(*box) for box in boxes])


Box = tuple[str, str, Sequence[str], str]


def _public(platform: Platform) -> Iterator[Box]:
    listeners = sorted((listener["port"], listener["protocol"]) for listener in platform.of("lb_listener"))
    groups = sorted(str(group.index) for group in platform.of("lb_target_group"))
    yield (
        "alb",
        "load balancer",
        (", ".join(f"{protocol} {port}" for port, protocol in listeners), f"target groups {', '.join(groups)}"),
        "white",
    )
    gateways = len(platform.of("nat_gateway"))
    yield (
        "nat",
        "NAT gateway" if gateways == 1 else f"{gateways} NAT gateways",
        ("one for all zones",) * (gateways == 1) or ("one in each zone",),
        "white",
    )


def _private(platform: Platform) -> Iterator[Box]:
    cluster = platform["eks_cluster.main"]
    yield "cluster", f"EKS {cluster['version']}", (f"{len(platform.of('eks_addon'))} add-ons",), "white"
    yield "nodes", "nodes and their pods", [_node_group(group) for group in platform.of("eks_node_group")], "white"
    yield "functions", "functions of the workflows", ("template.yaml",), "white"
    database = platform["db_instance.main"]
    replicas = len(platform.of("db_instance", "replica"))
    more = ["standby in another zone"] * bool(database["multi_az"]) + [f"{replicas} replica"] * bool(replicas)
    size = f"{database['instance_class'].removeprefix('db.')}, {database['allocated_storage']} GB"
    yield "database", f"PostgreSQL {database['engine_version']}", (size, *more), _STORE
    cache = platform["elasticache_replication_group.main"]
    nodes = cache["num_cache_clusters"]
    failover = ["fails over"] * bool(cache["automatic_failover_enabled"])
    yield (
        "redis",
        f"Redis {cache['engine_version']}",
        (f"{nodes} {'nodes' if nodes > 1 else 'node'}, {cache['node_type'].removeprefix('cache.')}", *failover),
        _STORE,
    )
    yield "queue", "write queue", (f"EFS, {len(platform.of('efs_mount_target'))} mount targets",), _STORE
    group = platform["security_group.drill"]["id"]
    leaving = [r for r in platform.of("vpc_security_group_egress_rule") if r["security_group_id"] == group]
    reach = "reaches nothing" if not leaving else ""
    yield "drill", "what drills restore", ("in subnet groups of its own", reach), _STORE


def _node_group(group: Resource) -> str:
    (scaling,) = group["scaling_config"]
    kind = group["capacity_type"].lower().replace("_", " ")
    return f"{scaling['min_size']} to {scaling['max_size']} {kind}, {group['instance_types'][0]}"


def _regional(platform: Platform) -> Iterator[Box]:
    yield (
        "watch",
        "CloudWatch",
        (
            f"{len(platform.of('cloudwatch_metric_alarm'))} alarms, a dashboard",
            f"{len(platform.of('cloudwatch_log_group'))} log groups, {platform.variables['log_retention_days']} days",
        ),
        _PLAIN,
    )
    if platform.of("cloudtrail"):
        yield "trail", "CloudTrail", ("who called which API",), _PLAIN
    keys = sorted(str(key.index) for key in platform.of("kms_key"))
    yield "keys", "keys (KMS)", (", ".join(keys[:3]), ", ".join(keys[3:])), _PLAIN
    yield "contract", "parameters (SSM)", (f"{len(platform.of('ssm_parameter'))}: contract, endpoints",), _PLAIN


def _buckets(platform: Platform) -> Iterator[Box]:
    locks = {lock.index: lock for lock in platform.of("s3_bucket_object_lock_configuration")}
    for bucket in platform.of("s3_bucket"):
        name = str(bucket.index)
        days = [f"locked for {locks[name]['rule'][0]['default_retention'][0]['days']} days"] if name in locks else []
        yield f"bucket {name}", name.replace("-", " "), days, _STORE


def _arrows(platform: Platform) -> Iterator[tuple[str, str, str]]:
    """From where to where, and what is written at it."""
    prefix = f"{platform.variables['service']}-{platform.environment}-"
    names = {group["id"]: group["name"].removeprefix(prefix) for group in platform.of("security_group")}
    ports: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for rule in platform.of("vpc_security_group_ingress_rule"):
        by = names.get(rule["referenced_security_group_id"], "clients")
        ports[by, names.get(rule["security_group_id"], "cluster")].append(str(rule["from_port"]))
    for (by, to), at in ports.items():
        yield by, to, ", ".join(sorted(at, key=int))
    # Whatever lets traffic out to everywhere goes by the private subnets' routes, through the gateways.
    outward = {
        names[rule["security_group_id"]] for rule in platform.of("vpc_security_group_egress_rule") if rule["cidr_ipv4"]
    }
    for by in sorted(outward & set(_BOXES) | {"nodes"}):
        yield by, "nat", "443"
    yield "nat", "internet", "443"
    for policy in platform.of("s3_bucket_policy"):
        for statement in json.loads(policy["policy"])["Statement"]:
            if statement["Effect"] == "Allow" and "s3:PutObject" in listed(statement["Action"]):
                service = statement["Principal"]["Service"].removesuffix(".amazonaws.com")
                yield next(box for part, box in _WRITERS.items() if part in service), f"bucket {policy.index}", ""
    for statement in json.loads(platform["iam_role_policy.service"]["policy"])["Statement"]:
        if "ssm:GetParameter" in listed(statement["Action"]):
            yield "nodes", "contract", "endpoints"
        if "s3:PutObject" in listed(statement["Action"]):
            found = next(b.index for b in platform.of("s3_bucket") if b["bucket"] in str(statement["Resource"]))
            yield "nodes", f"bucket {found}", "dumps of the queue"


def _box(name: str, title: str, details: Sequence[str], fill: str) -> str:
    rows = "".join(f'<BR/><FONT POINT-SIZE="9">{html.escape(detail)}</FONT>' for detail in details if detail)
    return f'"{name}" [label=<<B>{html.escape(title)}</B>{rows}>, fillcolor="{fill}"];'


def _cluster(name: str, label: str, fill: str, inside: Sequence[str] | Iterator[str]) -> str:
    style = f'style="rounded,filled"; fillcolor="{fill}"; color="#999999"; fontname="Helvetica"; fontsize=11;'
    return f'subgraph "cluster {name}" {{ label="{label}"; labelloc=t; {style}\n' + "\n".join(inside) + "\n}"


def _arrow(by: str, to: str, label: str) -> str:
    back = to in ("nat", "internet")  # above what it is reached from
    ends = (to, by) if back else (by, to)
    return f'"{ends[0]}" -> "{ends[1]}" [label="{label}"{", dir=back" if back else ""}];'


def _row(*names: str) -> str:
    return "{ rank=same; " + " ".join(f'"{name}";' for name in names) + " }"
