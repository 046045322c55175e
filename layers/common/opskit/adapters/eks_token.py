"""Short-lived bearer tokens for the Kubernetes API of an EKS cluster.

A token is a presigned STS GetCallerIdentity URL: the API server replays it, learns the caller's ARN from STS
and maps it through the cluster's access entries. Its form is fixed by aws-iam-authenticator
(https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster):
`k8s-aws-v1.` and the URL in base64url without padding, with the cluster's name in the signed header
`x-k8s-aws-id`. The API server accepts it for 15 minutes after its signature, whatever `X-Amz-Expires` says;
60 is what `aws eks get-token` sends.
"""

import base64
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.signers import RequestSigner

from opskit import clients
from opskit.errors import ClusterError

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
URL_EXPIRES_SECONDS = 60
REFRESH_SECONDS = 600
SESSION_SECONDS = 900
"""The shortest session that AssumeRole grants, and all that a token can use."""


def presign(cluster_name: str, credentials: Credentials, *, endpoint: str, region: str, sts: "STSClient") -> str:
    """A token for `cluster_name` that speaks for `credentials`.

    `endpoint` is the STS endpoint that the API server will call, `sts` any STS client (only its service name
    and event hooks are used; nothing is sent).
    """
    signer = RequestSigner(sts.meta.service_model.service_id, region, "sts", "v4", credentials, sts.meta.events)
    url = signer.generate_presigned_url(
        {
            "method": "GET",
            "url": f"{endpoint.rstrip('/')}/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {CLUSTER_HEADER: cluster_name},
            "context": {},
        },
        operation_name="GetCallerIdentity",
        expires_in=URL_EXPIRES_SECONDS,
        region_name=region,
    )
    return PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def session_name(name: str) -> str:
    """`name` as a role session name: 2-64 of `[A-Za-z0-9_+=,.@-]`, other characters replaced by `-`."""
    return re.sub(r"[^A-Za-z0-9_+=,.@-]", "-", name)[:64].ljust(2, "-")


class OperatorToken:
    """The cluster operator role's token, renewed by assuming the role again when it is ten minutes old.

    The role session is named after the execution, so that CloudTrail and the cluster's audit log
    show which one acted.
    """

    def __init__(
        self,
        cluster_name: str,
        role_arn: str,
        name: str,
        client: "STSClient | None" = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster_name = cluster_name
        self._role_arn = role_arn
        self._name = session_name(name)
        self._client: STSClient = client or clients.client("sts")
        # Wall time: the monotonic clock stands still while Lambda keeps an environment frozen.
        self._clock = clock
        self._token = ""
        self._signed_at = float("-inf")

    def __call__(self) -> str:
        """A token with at least five minutes left; `ClusterError` if the role cannot be assumed."""
        if self._clock() - self._signed_at >= REFRESH_SECONDS:
            self._signed_at = self._clock()
            self._token = self._sign()
        return self._token

    def _sign(self) -> str:
        try:
            assumed = self._client.assume_role(
                RoleArn=self._role_arn, RoleSessionName=self._name, DurationSeconds=SESSION_SECONDS
            )["Credentials"]
        except (ClientError, BotoCoreError) as error:
            self._signed_at = float("-inf")
            raise ClusterError(
                f"AssumeRole of the cluster operator role {self._role_arn} failed: {error}. The function's "
                "role needs sts:AssumeRole on it, and its trust policy must name the function's role."
            ) from error
        return presign(
            self._cluster_name,
            Credentials(assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"]),
            endpoint=self._client.meta.endpoint_url,
            region=self._client.meta.region_name,
            sts=self._client,
        )
