"""Tokens are read as strictly as the real authenticator reads them, and policies scoped as EKS scopes them."""

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from sandbox.kubernetes.access import Policy
from sandbox.kubernetes.authorization import Attempt, allowed
from sandbox.kubernetes.identity import AuthenticationError, User, caller_arn, presigned_url, principal_of
from sandbox.kubernetes.resources import resolve
from sandbox.kubernetes.store import Store

STS = "http://127.0.0.1:4566"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUERY = {
    "Action": "GetCallerIdentity",
    "Version": "2011-06-15",
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": "AKIA/20260102/us-east-1/sts/aws4_request",
    "X-Amz-Date": "20260102T030405Z",
    "X-Amz-Expires": "60",
    "X-Amz-SignedHeaders": "host;x-k8s-aws-id",
    "X-Amz-Security-Token": "t",
    "X-Amz-Signature": "0" * 64,
}


def token(url: str) -> str:
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def url_with(base: str = STS + "/", **changes: str) -> str:
    query = {**QUERY, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return f"{base}?{urlencode(query)}"


def test_a_good_token_yields_its_url() -> None:
    url = url_with()
    assert presigned_url(token(url), sts_url=STS, now=NOW) == url
    assert presigned_url(token(url), sts_url=STS, now=NOW + timedelta(minutes=15)) == url


@pytest.mark.parametrize(
    "url",
    [
        url_with("http://evil.example/"),
        url_with("https://127.0.0.1:4566/"),
        url_with("http://127.0.0.1:4567/"),
        url_with("http://127.0.0.1:4566@evil.example/"),
        url_with("http://evil.example#@127.0.0.1:4566/"),
        url_with(STS + "/_sandbox/authorize"),
        url_with(Action="AssumeRole"),
        url_with() + "&Action=AssumeRole",
        url_with() + "&action=AssumeRole",
        url_with(RoleArn="arn"),
        url_with(X_Amz_SignedHeaders="host"),
        url_with(X_Amz_Expires="901"),
        url_with(X_Amz_Expires="soon"),
        url_with(X_Amz_Date="20260102T024904Z"),
        url_with(X_Amz_Date="20260102T031405Z"),
        url_with(X_Amz_Date="today"),
        STS + "/",
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(AuthenticationError):
        presigned_url(token(url), sts_url=STS, now=NOW)


@pytest.mark.parametrize("text", ["", "k8s-aws-v1", "k8s-aws-v1.=", "k8s-aws-v1.é", "k8s-aws-v1." + "A" * 20000])
def test_what_does_not_decode_is_refused(text: str) -> None:
    with pytest.raises(AuthenticationError):
        presigned_url(text, sts_url=STS, now=NOW)


def test_the_principal_behind_a_session_is_its_role() -> None:
    assert principal_of("arn:aws:sts::000000000000:assumed-role/op/x") == "arn:aws:iam::000000000000:role/op"
    assert principal_of("arn:aws:iam::000000000000:user/me") == "arn:aws:iam::000000000000:user/me"


@pytest.mark.parametrize(
    "answer",
    [
        '{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Arn":"arn:x"}}}',
        '{"Arn":"arn:x"}',
        '<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:x</Arn>'
        "</GetCallerIdentityResult></R>",
    ],
)
def test_stss_answer_in_both_forms(answer: str) -> None:
    assert caller_arn(answer) == "arn:x"


@pytest.mark.parametrize("answer", ["", "{}", "[]", "<R/>", "{"])
def test_an_answer_without_arn_is_refused(answer: str) -> None:
    with pytest.raises(AuthenticationError):
        caller_arn(answer)


@pytest.mark.parametrize(
    ("policy", "verb", "path", "may"),
    [
        (Policy("AmazonEKSClusterAdminPolicy"), "delete", "/api/v1/namespaces/x", True),
        (Policy("AmazonEKSEditPolicy"), "patch", "/apis/apps/v1/namespaces/a/deployments/d", True),
        (Policy("AmazonEKSEditPolicy", ("a",)), "patch", "/apis/apps/v1/namespaces/a/deployments/d", True),
        (Policy("AmazonEKSEditPolicy", ("b",)), "patch", "/apis/apps/v1/namespaces/a/deployments/d", False),
        (
            Policy("AmazonEKSEditPolicy"),
            "patch",
            "/apis/elbv2.k8s.aws/v1beta1/namespaces/a/targetgroupbindings/t",
            False,
        ),
        (Policy("AmazonEKSViewPolicy"), "list", "/api/v1/namespaces/a/pods", True),
        (Policy("AmazonEKSViewPolicy"), "list", "/api/v1/namespaces/a/secrets", False),
        (Policy("AmazonEKSViewPolicy"), "patch", "/apis/apps/v1/namespaces/a/deployments/d", False),
        (Policy("NoSuchPolicy"), "get", "/api/v1/namespaces/a/pods/p", False),
    ],
)
def test_access_policies(policy: Policy, verb: str, path: str, may: bool) -> None:
    user = User("someone", (), (policy,))
    assert allowed(Store(), user, Attempt(verb, resolve(path))) is may
