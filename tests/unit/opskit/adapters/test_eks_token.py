import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from opskit.adapters.eks_token import REFRESH_SECONDS, OperatorToken, presign, session_name
from opskit.errors import ClusterError

from .conftest import aws_client

ROLE = "arn:aws:iam::123456789012:role/detection-api-dev-cluster-operator"


def url_of(token: str) -> str:
    prefix, _, encoded = token.partition(".")
    assert prefix == "k8s-aws-v1"
    assert "=" not in encoded
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()


def signature(url: str, headers: dict[str, str], secret: str) -> str:
    """Signature Version 4 of a presigned GET, from its definition:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    query = dict(parse_qsl(urlsplit(url).query))
    query.pop("X-Amz-Signature")
    _, date, region, service, kind = query["X-Amz-Credential"].split("/")
    canonical = "\n".join(
        (
            "GET",
            urlsplit(url).path,
            "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(query.items())),
            *(f"{name}:{headers[name]}" for name in query["X-Amz-SignedHeaders"].split(";")),
            "",
            query["X-Amz-SignedHeaders"],
            hashlib.sha256(b"").hexdigest(),
        )
    )
    scope = f"{date}/{region}/{service}/{kind}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, kind):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://sts.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com"),
        ("http://127.0.0.1:4566", "127.0.0.1:4566"),
    ],
)
def test_is_a_correctly_signed_get_caller_identity(endpoint: str, host: str) -> None:
    credentials = Credentials("ASIAEXAMPLE", "secret/+=", "session//token==")
    token = presign("detection-api-dev", credentials, endpoint=endpoint, region="us-east-1", sts=aws_client("sts"))

    url = url_of(token)
    query = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith(f"{endpoint}/?")
    assert query["Action"] == "GetCallerIdentity"
    assert query["Version"] == "2011-06-15"
    assert query["X-Amz-Expires"] == "60"
    assert query["X-Amz-Security-Token"] == "session//token=="
    assert query["X-Amz-Credential"].startswith("ASIAEXAMPLE/")
    assert query["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    headers = {"host": host, "x-k8s-aws-id": "detection-api-dev"}
    assert query["X-Amz-Signature"] == signature(url, headers, "secret/+=")
    assert query["X-Amz-Signature"] != signature(url, headers | {"x-k8s-aws-id": "another"}, "secret/+=")


class Sts:
    """moto's STS, with a note of the sessions that were asked for."""

    def __init__(self) -> None:
        self._client = aws_client("sts")
        self.meta = self._client.meta
        self.sessions: list[dict[str, Any]] = []

    def assume_role(self, **arguments: Any) -> Any:
        self.sessions.append(arguments)
        return self._client.assume_role(**arguments)


def test_speaks_as_the_operator_role_in_a_session_named_after_the_execution() -> None:
    sts = Sts()
    token = OperatorToken("detection-api-dev", ROLE, "release-7", sts)()  # type: ignore[arg-type]
    assert sts.sessions == [{"RoleArn": ROLE, "RoleSessionName": "release-7", "DurationSeconds": 900}]
    query = dict(parse_qsl(urlsplit(url_of(token)).query))
    assert query["X-Amz-Credential"].startswith("ASIA")
    assert query["X-Amz-Security-Token"]


def test_is_kept_for_ten_minutes() -> None:
    sts = Sts()
    now = [1000.0]
    token = OperatorToken("detection-api-dev", ROLE, "release-7", sts, clock=lambda: now[0])  # type: ignore[arg-type]
    first = token()
    now[0] += REFRESH_SECONDS - 1
    assert token() == first
    now[0] += 1
    assert token() != first
    assert len(sts.sessions) == 2


def test_says_which_role_could_not_be_assumed() -> None:
    class Refusing(Sts):
        def assume_role(self, **arguments: Any) -> Any:
            super().assume_role(**arguments)
            raise self._client.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "AssumeRole")

    sts = Refusing()
    token = OperatorToken("detection-api-dev", ROLE, "release-7", sts)  # type: ignore[arg-type]
    for _ in range(2):  # a failure is not remembered as a token
        with pytest.raises(ClusterError, match=rf"{ROLE} failed: .*AccessDenied"):
            token()
    assert len(sts.sessions) == 2


@given(st.text())
def test_any_name_makes_a_session_name(name: str) -> None:
    made = session_name(name)
    assert 2 <= len(made) <= 64
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-")
