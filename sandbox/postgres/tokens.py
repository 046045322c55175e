"""IAM database authentication tokens: what is in one, and whether it holds.

A token is a presigned URL without its scheme, for the action `connect` of the service `rds-db` ("Connecting
with IAM authentication" in the RDS user guide); it is valid for 15 minutes and names the instance's own
endpoint, not an alias of it.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

VALID_FOR = timedelta(minutes=15)
_SKEW = timedelta(minutes=5)


class TokenError(Exception):
    """The token is not valid; the message says why, for the log and not for the client."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is well-formed, current, and for this endpoint, user and region. Its signature is unchecked."""

    access_key_id: str
    session_token: str | None
    scope: str
    """`<date>/<region>/rds-db/aws4_request`"""
    string_to_sign: str
    signature: str


def read(text: str, *, host: str, port: int, user: str, region: str, now: datetime) -> Token:
    """The token in `text`; raises `TokenError`."""
    address, mark, query = text.partition("/?")
    pairs = parse_qsl(query, keep_blank_values=True)
    values = dict(pairs)
    if not mark or len(values) != len(pairs) or "X-Amz-Signature" not in values:
        raise TokenError("not an authentication token")
    if address.lower() != f"{host}:{port}".lower():
        raise TokenError(f"the token is for {address}, this is {host}:{port}")
    if values.get("Action") != "connect" or values.get("DBUser") != user:
        raise TokenError(f"the token is for {values.get('DBUser')!r}, not for {user!r}")
    access_key_id, _, scope = values.get("X-Amz-Credential", "").partition("/")
    date = values.get("X-Amz-Date", "")
    if values.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" or values.get("X-Amz-SignedHeaders") != "host":
        raise TokenError("the token is not signed as one is")
    if scope != f"{date[:8]}/{region}/rds-db/aws4_request":
        raise TokenError(f"the token's scope is {scope}")
    try:
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        expires = timedelta(seconds=int(values.get("X-Amz-Expires", "")))
    except ValueError:
        raise TokenError("the token's times cannot be read") from None
    if not -_SKEW <= now - signed_at < min(expires, VALID_FOR):
        raise TokenError(f"the token of {signed_at.isoformat()} is not valid now")
    return Token(
        access_key_id=access_key_id,
        session_token=values.get("X-Amz-Security-Token"),
        scope=scope,
        string_to_sign=_string_to_sign(address, pairs, date, scope),
        signature=values["X-Amz-Signature"],
    )


def _string_to_sign(address: str, pairs: list[tuple[str, str]], date: str, scope: str) -> str:
    """Signature Version 4's, for a GET of `/` with the signature in the query."""
    query = "&".join(
        f"{key}={value}"
        for key, value in sorted(
            (quote(key, safe="-_.~"), quote(value, safe="-_.~")) for key, value in pairs if key != "X-Amz-Signature"
        )
    )
    empty = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{query}\nhost:{address}\n\nhost\n{empty}"
    return f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
