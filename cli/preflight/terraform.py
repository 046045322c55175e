"""Terraform's bucket, lock and state, and how the pipeline logs in."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from cli.preflight.check import Sources
from cli.preflight.finding import Finding, failed
from cli.preflight.rules import terraform as rules
from opskit.errors import PlatformContractError

GITHUB = "token.actions.githubusercontent.com"
_NOT_SET = frozenset({"ServerSideEncryptionConfigurationNotFoundError", "NoSuchPublicAccessBlockConfiguration"})
_MISSING = frozenset({"404", "NoSuchBucket", "NotFound"})
_NO_OBJECT = frozenset({"404", "NoSuchKey", "NotFound"})


def place(sources: Sources) -> tuple[str, str]:
    """Bucket and key of the state: those of the contract, or, before there is one, those of terraform/bootstrap and
    `terraform/environments/*.tfbackend`, so that both can be looked at before the first deployment.
    """
    session = sources.session
    try:
        platform = sources.platform
    except PlatformContractError:
        return (
            f"{session.service}-terraform-state-{session.caller['account']}",
            f"{session.environment}/platform.tfstate",
        )
    return platform.terraform_state_bucket, platform.terraform_state_key


def state_bucket(sources: Sources) -> Finding:
    """Terraform's bucket: there, versioned, encrypted, closed."""
    s3, (bucket, _) = sources.session.client("s3"), place(sources)
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _code(error) not in _MISSING:
            raise
        return failed(f"there is no bucket {bucket}", rules.BOOTSTRAP, bucket=bucket)
    encryption = _setting(lambda: s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]) or {}
    algorithms = [
        rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in encryption.get("Rules", ())
    ]
    return rules.judge_bucket(
        bucket,
        versioning=s3.get_bucket_versioning(Bucket=bucket).get("Status"),
        encryption=next(filter(None, algorithms), None),
        public_access=_setting(lambda: s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]),
    )


def state_lock(sources: Sources) -> Finding:
    """The lock file beside the state."""
    bucket, key = place(sources)
    lock = f"{key}.tflock"
    content, since = _object(sources, bucket, lock)
    return rules.judge_lock(content, since=since, now=sources.now, path=f"s3://{bucket}/{lock}")


def state(sources: Sources) -> Finding:
    """The state itself."""
    bucket, key = place(sources)
    content, changed_at = _object(sources, bucket, key)
    return rules.judge_state(content, changed_at=changed_at, path=f"s3://{bucket}/{key}")


def pipeline_identity(sources: Sources) -> Finding:
    """Section 11 asks for the secrets of GitHub Actions: AWS cannot see those, but what replaces them."""
    listed = sources.session.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    return rules.judge_providers([one["Arn"] for one in listed], GITHUB)


def _object(sources: Sources, bucket: str, key: str) -> tuple[bytes | None, Any]:
    """Content and time of the last change; None for both if there is none."""
    try:
        answer = sources.session.client("s3").get_object(Bucket=bucket, Key=key)
        return answer["Body"].read(), answer["LastModified"]
    except ClientError as error:
        if _code(error) not in _NO_OBJECT:
            raise
        return None, None


def _setting(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ClientError as error:
        if _code(error) not in _NOT_SET:
            raise
        return None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
