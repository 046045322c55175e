"""The buckets of backups, of cache exports, and of the Terraform state, with what stands in them from the start."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from opskit.platform import DATABASE_AUTHORITIES
from sandbox.provision import terraform_state
from sandbox.provision.clients import Clients, tags
from sandbox.provision.network import Network

_EXPORTING = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:GetBucketAcl",
    "s3:ListMultipartUploadParts",
    "s3:ListBucketMultipartUploads",
)
"""What ElastiCache needs: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/backups-exporting.html"""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Names, and the key of the state's object."""

    backups: str
    cache_exports: str
    terraform_state: str
    terraform_state_key: str


def provision(clients: Clients, network: Network, *, backup_key_arn: str) -> Buckets:
    """Create the buckets, the authorities of the databases' certificates and a Terraform state.

    What is there is left, but for the buckets' settings.
    """
    config = clients.config
    made = Buckets(
        backups=f"{config.name}-backups-{config.account}",
        cache_exports=f"{config.name}-cache-exports-{config.account}",
        terraform_state=f"{config.service}-terraform-state-{config.account}",
        terraform_state_key=f"{config.environment}/platform.tfstate",
    )
    _bucket(clients, made.backups, kms_key=backup_key_arn)
    # No other encryption: ElastiCache reads a dump of SSE-S3 only.
    _bucket(clients, made.cache_exports)
    _bucket(clients, made.terraform_state)
    _let_elasticache_in(clients, made.cache_exports)
    _put(clients, made.backups, DATABASE_AUTHORITIES, (config.tls_dir / "ca.pem").read_bytes())
    state = terraform_state.document(config, network)
    _put(clients, made.terraform_state, made.terraform_state_key, state)
    return made


def _bucket(clients: Clients, name: str, *, kms_key: str | None = None) -> None:
    s3, region = clients["s3"], clients.config.region
    # us-east-1 is the one region that must not be named.
    where: Any = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=name, **where)
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key} if kms_key else {"SSEAlgorithm": "AES256"}
    s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": encryption}]},
    )
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags(clients.config)})


def _let_elasticache_in(clients: Clients, bucket: str) -> None:
    config = clients.config
    statement = {
        "Sid": "ElastiCacheExports",
        "Effect": "Allow",
        "Principal": {"Service": f"{config.region}.elasticache-snapshot.amazonaws.com"},
        "Action": list(_EXPORTING),
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"StringEquals": {"aws:SourceAccount": config.account}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    clients["s3"].put_bucket_policy(Bucket=bucket, Policy=policy)


def _put(clients: Clients, bucket: str, key: str, body: bytes) -> None:
    """Write an object unless there is one."""
    s3 = clients["s3"]
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        s3.put_object(Bucket=bucket, Key=key, Body=body)
