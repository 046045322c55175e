"""The identity of pods on AWS (IRSA): what EKS's pod identity webhook adds to a pod, and the tokens it refers to.

A service account that is annotated with a role lends it to its pods: each gets a token of the cluster, which STS
takes for credentials of that role (AssumeRoleWithWebIdentity). Every AWS SDK does that by itself, when it finds the
variables that are set here, and again before the credentials expire.
https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
https://github.com/aws/amazon-eks-pod-identity-webhook
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

from sandbox.kubernetes.resources import SERVICE_ACCOUNTS
from sandbox.kubernetes.store import Key, Object, Store

ANNOTATION = "eks.amazonaws.com/role-arn"
AUDIENCE = "sts.amazonaws.com"
MOUNT_PATH = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
LIFETIME_SECONDS = 86_400
_VOLUME = "aws-iam-token"


def inject(store: Store, pod: Object) -> None:
    """Add token and variables to a pod whose service account has a role; what a container sets itself stays."""
    namespace, spec = pod["metadata"]["namespace"], pod["spec"]
    account = store.find(Key(SERVICE_ACCOUNTS, namespace, spec.get("serviceAccountName", "default")))
    role = ((account or {}).get("metadata", {}).get("annotations") or {}).get(ANNOTATION)
    if not role or any(volume["name"] == _VOLUME for volume in spec.get("volumes", [])):
        return
    source = {"audience": AUDIENCE, "expirationSeconds": LIFETIME_SECONDS, "path": "token"}
    volume = {"name": _VOLUME, "projected": {"sources": [{"serviceAccountToken": source}]}}
    variables = {
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_ROLE_ARN": role,
        "AWS_WEB_IDENTITY_TOKEN_FILE": f"{MOUNT_PATH}/token",
    }
    # New lists: the pod shares those of the template that it is made of.
    spec["volumes"] = [*spec.get("volumes", []), volume]
    for kind in ("initContainers", "containers"):
        if kind in spec:
            spec[kind] = [_with(container, variables) for container in spec[kind]]


def _with(container: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
    env = container.get("env", [])
    own = {each["name"] for each in env}
    added = [{"name": name, "value": value} for name, value in variables.items() if name not in own]
    mount = {"name": _VOLUME, "mountPath": MOUNT_PATH, "readOnly": True}
    return {**container, "env": [*env, *added], "volumeMounts": [*container.get("volumeMounts", []), mount]}


class TokenIssuer:
    """Makes the tokens of service accounts, as JSON Web Tokens.

    EKS signs them with a key whose other half its OIDC provider publishes. The STS of the sandbox compares the claims
    with the trust policy of the role and cannot check a signature, so a key that nobody else knows does here.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, pod: Object, *, issuer: str, audience: str, lifetime_seconds: int) -> str:
        """A token of the pod's service account."""
        metadata, account = pod["metadata"], pod["spec"].get("serviceAccountName", "default")
        now = int(time.time())
        claims = {
            # Kubernetes writes a list of one, which the standard equates with this and the sandbox's STS does not.
            # https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3
            "aud": audience,
            "exp": now + lifetime_seconds,
            "iat": now,
            "nbf": now,
            "iss": issuer,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{account}",
            "kubernetes.io": {
                "namespace": metadata["namespace"],
                "pod": {"name": metadata["name"], "uid": metadata["uid"]},
                "serviceaccount": {"name": account},
            },
        }
        head = {"alg": "HS256", "typ": "JWT"}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        return f"{text}.{_encoded(hmac.new(self._key, text.encode(), hashlib.sha256).digest())}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
