"""The role of the service's pods, and the cluster's identity provider through which they get it (IRSA)."""

import json
from collections.abc import Sequence

from botocore.exceptions import ClientError

from opskit.platform import endpoint_parameter
from sandbox.config import Config
from sandbox.kubernetes.workload_identity import AUDIENCE
from sandbox.provision.clients import Clients, tags
from sandbox.provision.roles import database_user

INCOMING = "application-data/incoming/"
"""Where in the backup bucket applications put their data."""

_ROOT_CA = "9e99a48a9960b14926bb7f3b02e22da2b0ab7280"
"""IAM wants a thumbprint and does not use it for EKS's issuers, whose certificate is of a public authority:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html"""


def provision(clients: Clients, *, namespace: str, account: str, backup_bucket: str, backup_key_arn: str) -> str:
    """Create provider, role and policy, or bring them up to date; returns the role's ARN.

    Only pods of service account `account` in `namespace` get the role. The cluster must exist.
    """
    config, iam = clients.config, clients["iam"]
    issuer = clients["eks"].describe_cluster(name=config.name)["cluster"]["identity"]["oidc"]["issuer"]
    provider = str(issuer).removeprefix("https://")
    trust = _trust(config, provider, f"system:serviceaccount:{namespace}:{account}")
    name = f"{config.name}-service"
    try:
        iam.create_open_id_connect_provider(Url=issuer, ClientIDList=[AUDIENCE], ThumbprintList=[_ROOT_CA])
    except ClientError as error:
        _unless(error, "EntityAlreadyExists")
    try:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document([trust]), Tags=tags(config))
    except ClientError as error:
        _unless(error, "EntityAlreadyExists")
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=_document([trust]))
    statements = _statements(config, backup_bucket, backup_key_arn)
    iam.put_role_policy(RoleName=name, PolicyName="stores", PolicyDocument=_document(statements))
    return str(iam.get_role(RoleName=name)["Role"]["Arn"])


def _trust(config: Config, provider: str, subject: str) -> dict[str, object]:
    return {
        "Sid": "PodsOfTheService",
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{config.account}:oidc-provider/{provider}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{provider}:aud": AUDIENCE, f"{provider}:sub": subject}},
    }


def _statements(config: Config, bucket: str, key_arn: str) -> list[dict[str, object]]:
    here = f"{config.region}:{config.account}"
    names = [endpoint_parameter(config.service, config.environment, kind) for kind in ("database", "cache")]
    return [
        {
            "Sid": "FindDatabaseAndCache",
            "Effect": "Allow",
            "Action": "ssm:GetParameter",
            "Resource": [f"arn:aws:ssm:{here}:parameter{name}" for name in names],
        },
        {
            "Sid": "LogInToTheDatabase",
            "Effect": "Allow",
            "Action": "rds-db:connect",
            # Any instance: one that is restored has a resource id that nobody knows beforehand.
            "Resource": f"arn:aws:rds-db:{here}:dbuser:*/{database_user(config)}",
        },
        {
            "Sid": "StoreTheDumpOfTheQueue",
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/{INCOMING}*",
        },
        {
            "Sid": "EncryptTheDumpOfTheQueue",
            "Effect": "Allow",
            "Action": "kms:GenerateDataKey",
            "Resource": key_arn,
            "Condition": {"StringEquals": {"kms:ViaService": f"s3.{config.region}.amazonaws.com"}},
        },
    ]


def _document(statements: Sequence[dict[str, object]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _unless(error: ClientError, code: str) -> None:
    """Raise `error`, but for one of `code`: what was to be created is there."""
    if error.response["Error"]["Code"] != code:
        raise error
