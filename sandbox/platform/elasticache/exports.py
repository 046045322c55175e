"""Dumps to and from S3, as far as the bucket lets ElastiCache do it.

"Exporting a backup" and "Seeding a new cluster with an externally created backup" in the ElastiCache user
guide: the bucket grants the service `READ`, `WRITE` and `READ_ACP` by its ACL, or the same by a policy for the
principal `<region>.elasticache-snapshot.amazonaws.com`.
"""

import fnmatch
import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.platform.errors import AwsError

CANONICAL_ID = "540804c33a284a299d2547575ce1010f2312ef3da9b3a053c8bc45bf233e4353"
"""ElastiCache's canonical user, whom the user guide tells to grant access to in a bucket's ACL."""

# What each permission of an ACL stands for, as actions of a policy.
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "READ": ("s3:ListBucket", "s3:GetObject"),
    "WRITE": ("s3:PutObject",),
    "READ_ACP": ("s3:GetBucketAcl",),
}
_OF_OBJECTS = frozenset({"s3:GetObject", "s3:PutObject"})


class Exports:
    """Speaks to S3 on the automation plane; usable from several threads."""

    def __init__(self, endpoint_url: str, *, region: str, account: str) -> None:
        self._endpoint_url = endpoint_url
        self._region = region
        self._account = account
        self._principal = f"{region}.elasticache-snapshot.amazonaws.com"
        self._lock = threading.Lock()
        self._made: Any = None

    def check_target(self, bucket: str, key: str) -> None:
        """Raises the `AwsError` with which CopySnapshot refuses to write `key` to `bucket`."""
        self._check_bucket(bucket)
        for permission in ("READ", "WRITE", "READ_ACP"):
            if not self._granted(bucket, key, permission):
                raise AwsError(
                    "InvalidParameterValue",
                    f"ElastiCache has not been granted {permission} permissions {self._principal} on the S3 Bucket.",
                )
        if self._head(bucket, key) is not None:
            raise AwsError(
                "InvalidParameterValue", f"The S3 bucket {bucket} already contains an object with key {key}."
            )

    def check_source(self, arn: str) -> None:
        """Raises the `AwsError` with which CreateReplicationGroup refuses to read the dump at an S3 ARN."""
        bucket, key = _parse(arn)
        if not all(self._granted(bucket, key, permission) for permission in ("READ", "READ_ACP")):
            raise AwsError(
                "InvalidParameterValue", f"No permission to access S3 object: {arn}. Grant {self._principal} access."
            )
        head = self._head(bucket, key)
        if head is None:
            raise AwsError("InvalidParameterValue", f"The S3 object {arn} does not exist.")
        # "Only SSE-S3 encryption is supported" for a dump to seed from.
        if str(head.get("ServerSideEncryption", "AES256")) != "AES256":
            raise AwsError("InvalidParameterValue", f"The S3 object {arn} must be encrypted with SSE-S3, not SSE-KMS.")

    def upload(self, path: Path, bucket: str, key: str) -> None:
        """Raises botocore's errors."""
        with path.open("rb") as body:
            self._s3().put_object(Bucket=bucket, Key=key, Body=body)

    def download(self, arn: str, path: Path) -> None:
        """Raises botocore's errors."""
        bucket, key = _parse(arn)
        with path.open("wb") as target:
            for chunk in self._s3().get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(2**20):
                target.write(chunk)

    def _check_bucket(self, bucket: str) -> None:
        try:
            location = self._s3().get_bucket_location(Bucket=bucket).get("LocationConstraint") or "us-east-1"
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucket":
                raise AwsError("InvalidParameterValue", f"The S3 bucket {bucket} does not exist.") from error
            raise _unavailable(error) from error
        except BotoCoreError as error:
            raise _unavailable(error) from error
        if location != self._region:
            raise AwsError("InvalidParameterValue", f"The S3 bucket {bucket} is outside of the region.")

    def _granted(self, bucket: str, key: str, permission: str) -> bool:
        try:
            grants = self._s3().get_bucket_acl(Bucket=bucket)["Grants"]
            try:
                policy = json.loads(self._s3().get_bucket_policy(Bucket=bucket)["Policy"])
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
                    raise
                policy = {}
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucket":
                raise AwsError("InvalidParameterValue", f"The S3 bucket {bucket} does not exist.") from error
            raise _unavailable(error) from error
        except BotoCoreError as error:
            raise _unavailable(error) from error
        statements = _list(policy.get("Statement"))
        by_acl = any(
            grant["Grantee"].get("ID") == CANONICAL_ID and grant["Permission"] in (permission, "FULL_CONTROL")
            for grant in grants
        )
        for action in _ACTIONS[permission]:
            resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if action in _OF_OBJECTS else "")
            effects = {one["Effect"] for one in statements if self._applies(one, action, resource)}
            if "Deny" in effects or not ("Allow" in effects or by_acl):
                return False
        return True

    def _applies(self, statement: Mapping[str, Any], action: str, resource: str) -> bool:
        principal = statement.get("Principal")
        if principal != "*":
            services = [*_list((principal or {}).get("Service")), *_list((principal or {}).get("AWS"))]
            if not {self._principal, "*"} & set(services):
                return False
        return (
            _matches(statement.get("Action"), action, fold=True)
            and _matches(statement.get("Resource"), resource, fold=False)
            and self._holds(statement)
        )

    def _holds(self, statement: Mapping[str, Any]) -> bool:
        """Whether its conditions do. One that is not known here grants nothing, and denies nothing."""
        known = {"aws:securetransport": "true", "aws:sourceaccount": self._account}
        for operator, pairs in (statement.get("Condition") or {}).items():
            for name, wanted in pairs.items():
                value = known.get(name.lower())
                if value is None or operator not in ("Bool", "StringEquals", "StringLike"):
                    return False
                if not any(fnmatch.fnmatchcase(value, str(one).lower()) for one in _list(wanted)):
                    return False
        return True

    def _head(self, bucket: str, key: str) -> dict[str, Any] | None:
        try:
            return dict(self._s3().head_object(Bucket=bucket, Key=key))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise _unavailable(error) from error
        except BotoCoreError as error:
            raise _unavailable(error) from error

    def _s3(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = boto3.client(
                    "s3",
                    endpoint_url=self._endpoint_url,
                    region_name=self._region,
                    aws_access_key_id="test",
                    aws_secret_access_key="test",  # noqa: S106 - the sandbox's administrator
                    config=ClientConfig(
                        connect_timeout=2,
                        read_timeout=20,
                        retries={"total_max_attempts": 2},
                        proxies={},
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._made


def _unavailable(error: Exception) -> AwsError:
    return AwsError("ServiceUnavailable", f"S3 could not be asked: {error}", 503)


def _parse(arn: str) -> tuple[str, str]:
    bucket, _, key = arn.removeprefix("arn:aws:s3:::").partition("/")
    if not arn.startswith("arn:aws:s3:::") or not bucket or not key or "*" in arn or "," in key:
        raise AwsError("InvalidParameterValue", f"{arn} is not the ARN of an object in S3.")
    return bucket, key


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _matches(patterns: Any, value: str, *, fold: bool) -> bool:
    candidates: Iterable[str] = _list(patterns)
    if fold:
        return any(fnmatch.fnmatchcase(value.lower(), pattern.lower()) for pattern in candidates)
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in candidates)
