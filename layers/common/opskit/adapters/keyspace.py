"""What is in a Redis, for `decisions.recovery` to compare, and a login to ElastiCache by IAM.

Counts are those of all databases of the node; keys are sampled in the first. In cluster mode each shard has keys of
its own, and this sees one of them.
"""

import secrets
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlencode

from opskit import clients
from opskit.decisions.contents import CacheContents
from opskit.errors import CacheError, CacheLoginError, UnavailableError

TOKEN_SECONDS = 900
SAMPLE = 200
# A key can have 512 MB; one that is longer than this is not sampled.
_LONGEST_KEY = 512
_VERIFY_SECONDS = 60
# Printable ASCII but the percent sign, which marks every other byte of a key.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%") + " "


def connect_token(group: str, user: str, client: Any = None) -> str:
    """What ElastiCache takes as the password of the IAM `user` of the replication group `group`, for 15 minutes.

    A presigned URL without its scheme, for a host that is the group's id in lower case:
    https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html#auth-iam-Connecting. `client` (elasticache)
    says the region and is asked nothing.
    """
    import boto3  # noqa: PLC0415 - see opskit.clients
    from botocore.model import ServiceId  # noqa: PLC0415
    from botocore.signers import RequestSigner  # noqa: PLC0415

    meta = (client or clients.client("elasticache")).meta
    credentials = boto3.Session().get_credentials()
    if credentials is None:
        raise CacheLoginError("there are no AWS credentials to sign a token with")
    signer = RequestSigner(ServiceId("elasticache"), meta.region_name, "elasticache", "v4", credentials, meta.events)
    query = urlencode({"Action": "connect", "User": user})
    url = signer.generate_presigned_url(
        {"method": "GET", "url": f"https://{group.lower()}/?{query}", "body": {}, "headers": {}, "context": {}},
        operation_name="connect",
        expires_in=TOKEN_SECONDS,
        region_name=meta.region_name,
    )
    return str(url).removeprefix("https://")


@contextmanager
def open_cache(
    host: str,
    port: int,
    *,
    tls: bool,
    user: str | None,
    group: str,
    authorities: str | None = None,
    timeout_seconds: float = 10,
) -> Iterator[Any]:
    """A client (`redis.Redis`) that is logged in, closed at the end.

    With `user` it logs in by IAM as that user of the replication `group`, without one not at all. With `tls` the
    certificate must be of the system's authorities, or of `authorities` (PEM text), and for `host`. Raises
    UnavailableError if the cache cannot be reached or does not answer, CacheLoginError if it does not let the user
    in, CacheError for what it refuses, also inside the block.
    """
    # Half a second, which only those pay who talk to a cache.
    import redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    secured: dict[str, Any] = {"ssl": True, "ssl_ca_data": authorities, "ssl_check_hostname": True} if tls else {}
    login: dict[str, Any] = {"username": user, "password": connect_token(group, user)} if user else {}
    client = redis.Redis(
        host=host,
        port=port,
        socket_connect_timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        **secured,
        **login,
    )
    where = f"{host}:{port}"
    try:
        client.ping()
        yield client
    except redis.AuthenticationError as error:
        raise CacheLoginError(f"{where} did not let {user or 'the default user'} in: {error}") from error
    except (redis.BusyLoadingError, redis.ConnectionError, redis.TimeoutError, OSError) as error:
        if isinstance(error.__context__, ssl.SSLCertVerificationError):
            raise CacheError(f"{where}: the server's certificate is not to be trusted: {error}") from error
        raise UnavailableError(f"{where}: {error}") from error
    except redis.RedisError as error:
        # An open cache that is told a password, or a closed one that is not, answers with an error like any other.
        kind = CacheLoginError if str(error).startswith(("NOAUTH", "WRONGPASS")) else CacheError
        raise kind(f"{where}: {error}") from error
    finally:
        with suppress(redis.RedisError, OSError):
            client.close()


def read_cache_contents(client: Any, sample: int = SAMPLE) -> CacheContents:
    """How many keys there are, how many of them expire, and when those of a random sample do.

    All keys are in the sample where there are no more than `sample`.
    """
    databases = [value for name, value in client.info("keyspace").items() if name.startswith("db")]
    keys = sum(int(value["keys"]) for value in databases)
    expiring = sum(int(value["expires"]) for value in databases)
    if keys <= sample:
        chosen = set(client.scan_iter(count=sample or 1))
    else:
        pipeline = client.pipeline(transaction=False)
        for _ in range(sample):
            pipeline.randomkey()
        chosen = {key for key in pipeline.execute() if key is not None}
    names = [name_of(key) for key in sorted(chosen) if len(key) <= _LONGEST_KEY]
    return CacheContents(keys, expiring, read_expiries(client, names[:sample]))


def read_expiries(client: Any, keys: Collection[str]) -> dict[str, datetime | None]:
    """When each of `keys` expires (aware, by the server's clock), None if never; those that are gone are left out."""
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    for key in keys:
        pipeline.pttl(unquote_to_bytes(key))
    (seconds, microseconds), *left = pipeline.execute()
    now = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
    # -2: there is no such key; -1: it never expires. https://redis.io/docs/latest/commands/pttl/
    return {
        key: now + timedelta(milliseconds=milliseconds) if milliseconds >= 0 else None
        for key, milliseconds in zip(keys, left, strict=True)
        if milliseconds != -2
    }


def verify_write(client: Any) -> None:
    """Write a key that expires by itself, read it back, and delete it. Raises CacheError if it is not what was written.

    Inside `open_cache`, which names what the cache refuses.
    """
    key, value = f"ops:verify:{secrets.token_hex(8)}", secrets.token_bytes(16)
    client.set(key, value, ex=_VERIFY_SECONDS)
    found = client.get(key)
    client.delete(key)
    if found != value:
        raise CacheError("the cache did not keep a key that was just written")


def name_of(key: bytes) -> str:
    """`key` as text that JSON can carry: itself where it is plain ASCII, percent-encoded elsewhere."""
    return quote_from_bytes(key, safe=_PLAIN)
