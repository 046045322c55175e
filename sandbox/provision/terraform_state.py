"""A state of the platform as Terraform keeps it, version 4 of the format, for what was really created."""

import json
import uuid
from typing import Any

from sandbox.config import Config
from sandbox.provision.network import Network

TERRAFORM_VERSION = "1.13.4"


def document(config: Config, network: Network) -> bytes:
    """The state's JSON. Its lineage, which tells states of different origin apart, follows from the sandbox's name."""
    lineage = uuid.uuid5(uuid.NAMESPACE_URL, f"terraform:{config.dir}:{config.name}")
    subnets = [("private", ids) for ids in network.private_subnet_ids] + [
        ("public", ids) for ids in network.public_subnet_ids
    ]
    resources = [
        _resource("aws_vpc", "main", [{"id": network.vpc_id}]),
        *(
            _resource("aws_subnet", kind, [{"id": one, "vpc_id": network.vpc_id} for of, one in subnets if of == kind])
            for kind in ("private", "public")
        ),
        _resource(
            "aws_security_group", "database", [{"id": network.database_security_group_id, "vpc_id": network.vpc_id}]
        ),
        _resource("aws_db_instance", "main", [{"identifier": config.name, "engine": "postgres"}]),
        _resource("aws_elasticache_replication_group", "main", [{"id": config.name, "engine": "redis"}]),
    ]
    state = {
        "version": 4,
        "terraform_version": TERRAFORM_VERSION,
        "serial": 17,
        "lineage": str(lineage),
        "outputs": {"vpc_id": {"value": network.vpc_id, "type": "string"}},
        "resources": resources,
        "check_results": None,
    }
    return json.dumps(state, indent=2).encode()


def _resource(kind: str, name: str, attributes: list[dict[str, Any]]) -> dict[str, Any]:
    several = len(attributes) > 1
    return {
        "mode": "managed",
        "type": kind,
        "name": name,
        "provider": 'provider["registry.terraform.io/hashicorp/aws"]',
        "instances": [
            {"schema_version": 1, "attributes": one, "sensitive_attributes": []} | ({"index_key": n} if several else {})
            for n, one in enumerate(attributes)
        ],
    }
