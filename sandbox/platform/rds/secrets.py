"""The master user's password where RDS manages it: a secret on the automation plane.

"Password management with Amazon RDS and AWS Secrets Manager" in the RDS user guide.
"""

import json
import secrets
import string
import uuid
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.config import Config
from sandbox.platform.errors import AwsError

_ALPHABET = string.ascii_letters + string.digits + "!#$%&*+-.:;<=>?^_|~"
_LENGTH = 28


class Secrets:
    """The secrets of one account's instances."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._made: Any = None

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = boto3.client(
                "secretsmanager",
                endpoint_url=self._config.automation_url,
                region_name=self._config.region,
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106 - the sandbox's administrator
                config=ClientConfig(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2}, proxies={}),
            )
        return self._made

    def create(self, user: str, instance_arn: str) -> tuple[str, dict[str, str]]:
        """A new password, and `MasterUserSecret`; raises `AwsError` if the secret cannot be kept."""
        password = _password()
        try:
            answer = self._client.create_secret(
                Name=f"rds!db-{uuid.uuid4()}",
                SecretString=json.dumps({"username": user, "password": password}),
                Tags=[{"Key": "aws:rds:primaryDBInstanceArn", "Value": instance_arn}],
            )
        except (BotoCoreError, ClientError) as error:
            raise AwsError("InternalFailure", f"The secret could not be created: {error}", 500) from error
        return password, {"SecretArn": answer["ARN"], "SecretStatus": "active"}

    def rotate(self, user: str, arn: str) -> str:
        """A new password in an existing secret."""
        password = _password()
        try:
            self._client.put_secret_value(
                SecretId=arn, SecretString=json.dumps({"username": user, "password": password})
            )
        except (BotoCoreError, ClientError) as error:
            raise AwsError("InternalFailure", f"The secret could not be changed: {error}", 500) from error
        return password

    def delete(self, arn: str) -> None:
        """Remove the secret with its instance; raises nothing."""
        try:
            self._client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
        except (BotoCoreError, ClientError):
            return  # somebody else did


def _password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
