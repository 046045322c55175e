"""What AWS would answer: account, zones, identifiers and ARNs, the same for the same configuration."""

import hashlib
import json
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"
ZONES = ("a", "b", "c")

# ARNs whose form is not `arn:aws:<service>:<region>:<account>:<kind>/<name>`.
_ARNS = {
    "aws_acm_certificate": "arn:aws:acm:{region}:{account}:certificate/{name}",
    "aws_cloudtrail": "arn:aws:cloudtrail:{region}:{account}:trail/{name}",
    "aws_cloudwatch_log_group": "arn:aws:logs:{region}:{account}:log-group:{name}",
    "aws_cloudwatch_metric_alarm": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}",
    "aws_db_instance": "arn:aws:rds:{region}:{account}:db:{name}",
    "aws_ecr_repository": "arn:aws:ecr:{region}:{account}:repository/{name}",
    "aws_eks_cluster": "arn:aws:eks:{region}:{account}:cluster/{name}",
    "aws_elasticache_replication_group": "arn:aws:elasticache:{region}:{account}:replicationgroup:{name}",
    "aws_elasticache_user": "arn:aws:elasticache:{region}:{account}:user:{name}",
    "aws_iam_openid_connect_provider": "arn:aws:iam::{account}:oidc-provider/{name}",
    "aws_iam_policy": "arn:aws:iam::{account}:policy/{name}",
    "aws_iam_role": "arn:aws:iam::{account}:role/{name}",
    "aws_kms_key": "arn:aws:kms:{region}:{account}:key/{name}",
    "aws_lb": "arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/app/{name}/{hash}",
    "aws_lb_listener": "arn:aws:elasticloadbalancing:{region}:{account}:listener/app/{name}/{hash}",
    "aws_lb_target_group": "arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{name}/{hash}",
    "aws_s3_bucket": "arn:aws:s3:::{name}",
    "aws_ssm_parameter": "arn:aws:ssm:{region}:{account}:parameter{name}",
}
_PREFIXES = {
    "aws_vpc": "vpc",
    "aws_subnet": "subnet",
    "aws_security_group": "sg",
    "aws_launch_template": "lt",
    "aws_internet_gateway": "igw",
    "aws_nat_gateway": "nat",
    "aws_eip": "eipalloc",
    "aws_route_table": "rtb",
    "aws_network_acl": "acl",
}
# What a resource is known by, in the order of preference.
_NAMES = ("name", "bucket", "identifier", "replication_group_id", "user_id", "alarm_name", "cluster_name")


def data_source(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a data source; raises KeyError for one that nobody has needed yet."""
    found: dict[str, dict[str, Any]] = {
        "aws_caller_identity": {"account_id": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "user_id": ACCOUNT},
        "aws_partition": {"partition": "aws", "dns_suffix": "amazonaws.com", "id": "aws"},
        "aws_region": {"region": REGION, "name": REGION, "id": REGION},
        "aws_availability_zones": {"names": [REGION + zone for zone in ZONES], "id": REGION},
        "aws_ecr_repository": {
            "arn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{config.get('name')}",
            "repository_url": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{config.get('name')}",
        },
    }
    return found[kind]


def natural_name(kind: str, state: dict[str, Any]) -> str:
    """What people would call this resource: its name, its Name tag, or a hash of its configuration."""
    for attribute in _NAMES:
        if isinstance(state.get(attribute), str):
            return str(state[attribute])
    tags = state.get("tags")
    if isinstance(tags, dict) and isinstance(tags.get("Name"), str):
        return str(tags["Name"])
    return _hash(kind, state)


def attribute_value(kind: str, state: dict[str, Any], name: str, form: Any) -> Any:
    """A value for attribute `name` of type `form` that AWS would give to this resource."""
    known, digest = natural_name(kind, state), _hash(kind, state)
    arn = _arn(kind, known, digest)
    by_arn = kind.startswith("aws_lb") or kind == "aws_iam_openid_connect_provider"
    prefix = _PREFIXES.get(kind)
    host = f"{known}.{name.replace('_', '-')}.{REGION}.amazonaws.com"
    found = {
        "arn": arn,
        "id": f"{prefix}-{digest}" if prefix else arn if by_arn else known,
        "arn_suffix": arn.rpartition(":")[2].removeprefix("loadbalancer/"),
        "availability_zone": f"{REGION}{ZONES[0]}",
        "dns_name": host,
        "address": host,
        "primary_endpoint_address": host,
        "endpoint": f"https://{digest}.{REGION}.amazonaws.com",
        "node_group_name": f"{state.get('node_group_name_prefix') or known}{digest}",
        "issuer": f"https://oidc.eks.{REGION}.amazonaws.com/id/{digest.upper()}",
    }
    return found[name] if name in found else _sample(form, f"{kind}.{known}.{name}", kind, state)


def _arn(kind: str, name: str, digest: str) -> str:
    service, _, what = kind.removeprefix("aws_").partition("_")
    form = _ARNS.get(kind, f"arn:aws:{service}:{{region}}:{{account}}:{what}/{{name}}")
    return form.format(region=REGION, account=ACCOUNT, name=name, hash=digest)


def _sample(form: Any, text: str, kind: str, state: dict[str, Any]) -> Any:
    if form == "string":
        return text
    if form == "number":
        return 1
    if form == "bool":
        return False
    container, inner = form
    if container == "object":
        return {name: attribute_value(kind, state, name, of) for name, of in inner.items()}
    if container == "map":
        return {}
    return [_sample(inner, text, kind, state)]


def _hash(kind: str, state: dict[str, Any]) -> str:
    text = json.dumps([kind, state], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:17]
