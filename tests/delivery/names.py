"""What a sandbox holds, by name: `python -m tests.delivery.names DIRECTORY FILE` writes them as a JSON list."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Service, ServiceAccount

from sandbox.config import Config
from sandbox.kubernetes.client import administrator
from sandbox.provision.clients import Clients


def names(config: Config) -> Iterator[str]:
    """The resources of the stack, and what the platform and the cluster have beside it."""
    clients = Clients(config)
    stack = f"{config.name}-automation"
    for page in clients["cloudformation"].get_paginator("list_stack_resources").paginate(StackName=stack):
        yield from (each["PhysicalResourceId"] for each in page["StackResourceSummaries"])
    for page in clients["ssm"].get_paginator("describe_parameters").paginate():
        for each in page["Parameters"]:
            yield each["Name"]
            yield clients["ssm"].get_parameter(Name=each["Name"])["Parameter"]["Value"]
    yield from (each["DBInstanceIdentifier"] for each in clients["rds"].describe_db_instances()["DBInstances"])
    found = clients["elasticache"].describe_replication_groups()["ReplicationGroups"]
    yield from (each["ReplicationGroupId"] for each in found)
    yield from (each["repositoryName"] for each in clients["ecr"].describe_repositories()["repositories"])
    yield from (each["Name"] for each in clients["s3"].list_buckets()["Buckets"])
    for role in clients["iam"].list_roles()["Roles"]:
        yield role["Arn"]
        for policy in clients["iam"].list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            document = clients["iam"].get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"]
            yield json.dumps(document)
    cluster = administrator(config)
    for namespace in cluster.list(Namespace):
        yield str(namespace.metadata and namespace.metadata.name)
    for kind in (Deployment, Service, ServiceAccount, ConfigMap):
        for each in cluster.list(kind, namespace="*"):
            # Its data too, but for the authorities, which are the sandbox's own.
            yield json.dumps(each.to_dict())


if __name__ == "__main__":
    _config = Config.load(Path(sys.argv[1]) / "config.json")
    Path(sys.argv[2]).write_text(json.dumps(list(names(_config))), encoding="utf-8")
