"""Who is calling: EKS bearer tokens, and the sandbox's own administrator.

A token is `k8s-aws-v1.` and the base64url of a presigned STS GetCallerIdentity URL whose signature covers the
header `x-k8s-aws-id`. It is checked as
https://github.com/kubernetes-sigs/aws-iam-authenticator/blob/master/pkg/token/token.go does, and replayed.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from yarl import URL

from sandbox.kubernetes.access import AccessEntries, Policy

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
LIFETIME = timedelta(minutes=15)
CLOCK_SKEW = timedelta(minutes=5)
CACHE_SECONDS = 60.0
MAX_TOKEN_BYTES = 16 * 1024

_ASSUMED_ROLE = re.compile(r"^arn:(?P<partition>aws[\w-]*):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+$")
_PARAMETERS = frozenset(
    {
        "action",
        "version",
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-security-token",
        "x-amz-signature",
        "x-amz-signedheaders",
        "x-amz-user-agent",
    }
)


class AuthenticationError(Exception):
    """The token is not accepted; the message is for the log, callers only learn 401."""


@dataclass(frozen=True, slots=True)
class User:
    """A caller whose identity is proven."""

    name: str
    groups: tuple[str, ...] = ()
    policies: tuple[Policy, ...] = ()


ADMINISTRATOR = User("sandbox-administrator", ("system:masters",))


def presigned_url(token: str, *, sts_url: str, now: datetime) -> str:
    """The URL inside `token`, if it may be replayed; raises `AuthenticationError`.

    `sts_url` is the only STS that is ever called.
    """
    if len(token) > MAX_TOKEN_BYTES or not token.startswith(PREFIX):
        raise AuthenticationError("not an EKS token")
    encoded = token.removeprefix(PREFIX)
    try:
        url = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
        parts, sts = urlsplit(url), urlsplit(sts_url)
        query = {name.lower(): values for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    except (binascii.Error, ValueError) as error:
        raise AuthenticationError(f"the token does not decode: {error}") from error
    if (parts.scheme, parts.netloc) != (sts.scheme, sts.netloc) or parts.path not in ("", "/") or parts.fragment:
        raise AuthenticationError(f"the token is for {parts.scheme}://{parts.netloc}{parts.path}, not this STS")
    if any(len(values) != 1 for values in query.values()):
        raise AuthenticationError("a query parameter is given twice")
    if unknown := query.keys() - _PARAMETERS:
        raise AuthenticationError(f"query parameters that GetCallerIdentity does not take: {sorted(unknown)}")
    single = {name: values[0] for name, values in query.items()}
    if single.get("action") != "GetCallerIdentity":
        raise AuthenticationError("the token is for another action")
    if CLUSTER_HEADER not in single.get("x-amz-signedheaders", "").lower().split(";"):
        raise AuthenticationError(f"{CLUSTER_HEADER} is not signed")
    _check_time(single, now)
    return url


def _check_time(query: dict[str, str], now: datetime) -> None:
    try:
        signed_at = datetime.strptime(query["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        expires = int(query["x-amz-expires"])
    except (KeyError, ValueError):
        raise AuthenticationError("X-Amz-Date or X-Amz-Expires is missing or malformed") from None
    # The authenticator requires 0-900 and then ignores it: a token is good for 15 minutes in any case.
    if not 0 <= expires <= LIFETIME.total_seconds():
        raise AuthenticationError("X-Amz-Expires is out of range")
    if now > signed_at + LIFETIME:
        raise AuthenticationError("the token has expired")
    if signed_at > now + CLOCK_SKEW:
        raise AuthenticationError("the token is from the future")


def principal_of(caller_arn: str) -> str:
    """The ARN that access entries know: the role behind an assumed role, else the caller itself."""
    found = _ASSUMED_ROLE.match(caller_arn)
    if not found:
        return caller_arn
    return f"arn:{found['partition']}:iam::{found['account']}:role/{found['role']}"


class Authenticator:
    """Turns an `Authorization` header into a `User`."""

    def __init__(self, *, sts_url: str, cluster: str, entries: AccessEntries, admin_token: str) -> None:
        self._sts_url = sts_url
        self._cluster = cluster
        self._entries = entries
        self._admin_token = admin_token
        self._known: dict[str, tuple[float, User]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections to STS."""
        if self._session:
            await self._session.close()

    async def authenticate(self, authorization: str | None) -> User:
        """The caller; raises `AuthenticationError`. An accepted token is remembered for up to 60 seconds."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise AuthenticationError("no bearer token")
        if hmac.compare_digest(token.encode(), self._admin_token.encode()):
            return ADMINISTRATOR
        url = presigned_url(token, sts_url=self._sts_url, now=datetime.now(UTC))
        digest = hashlib.sha256(token.encode()).hexdigest()
        self._known = {key: kept for key, kept in self._known.items() if kept[0] > time.monotonic()}
        if digest in self._known:
            return self._known[digest][1]
        arn = await self._replay(url)
        principal = principal_of(arn)
        try:
            entry = await asyncio.to_thread(self._entries.of, principal)
        except (ClientError, BotoCoreError) as error:
            raise AuthenticationError(f"the access entries cannot be read: {error}") from error
        if entry is None:
            raise AuthenticationError(f"{principal} has no access entry")
        user = User(entry.username or arn, (*entry.groups, "system:authenticated"), entry.policies)
        self._known[digest] = (time.monotonic() + CACHE_SECONDS, user)
        return user

    async def _replay(self, url: str) -> str:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        headers = {CLUSTER_HEADER: self._cluster, "Accept": "application/json"}
        # Already encoded: encoding it again would change what was signed.
        try:
            async with self._session.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AuthenticationError(f"STS cannot be reached: {error}") from error
        if answer.status != 200:
            raise AuthenticationError(f"STS answered {answer.status}: {text[:300]}")
        return caller_arn(text)


def caller_arn(answer: str) -> str:
    """The `Arn` in STS's answer, JSON or XML; raises `AuthenticationError`."""
    try:
        if answer.lstrip().startswith("{"):
            document: Any = json.loads(answer)
            document = document.get("GetCallerIdentityResponse", document)
            return str(document.get("GetCallerIdentityResult", document)["Arn"])
        root = ElementTree.fromstring(answer)  # noqa: S314
        return next(str(element.text) for element in root.iter() if element.tag.endswith("}Arn"))
    except (ValueError, KeyError, AttributeError, ElementTree.ParseError, StopIteration) as error:
        raise AuthenticationError("STS's answer carries no Arn") from error
