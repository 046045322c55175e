"""What is taken down of a real Redis, and the login that ElastiCache takes."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from opskit.adapters.keyspace import (
    connect_token,
    name_of,
    open_cache,
    read_cache_contents,
    read_expiries,
    verify_write,
)
from opskit.decisions.contents import CacheContents
from opskit.errors import CacheError, CacheLoginError, UnavailableError
from sandbox.redis.launcher import Launcher
from sandbox.redis.relay import Relays, server_context
from sandbox.redis.server import RedisServer

from .conftest import aws_client

TOKEN = "a-token-of-sixteen"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def launcher() -> Launcher:
    return Launcher()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, launcher: Launcher) -> Iterator[RedisServer]:
    running = RedisServer(launcher, tmp_path_factory.mktemp("redis"), ("127.0.0.1", free_port()))
    running.start({"maxmemory": "50mb"})
    yield running
    running.stop()


@pytest.fixture
def client(server: RedisServer) -> Iterator[Any]:
    with open_cache(*server.address, tls=False, user=None, group="g") as opened:
        opened.flushall()
        yield opened


def test_a_small_keyspace_is_taken_down_whole(client: Any) -> None:
    client.set("lasting", 1)
    client.set(b"odd \xff%:key", 1)
    client.set("soon", 1, px=90_000)
    client.set("k" * 600, 1)
    before = datetime.now(UTC)
    found = read_cache_contents(client)
    assert (found.keys, found.expiring) == (4, 1)
    assert found.expiries.keys() == {"lasting", "odd %FF%25:key", "soon"}, "a key that long is counted and not sampled"
    assert found.expiries["lasting"] is None
    assert found.expiries["soon"] is not None
    assert abs(found.expiries["soon"] - before - timedelta(seconds=90)) < timedelta(seconds=5)
    assert CacheContents.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_a_big_one_is_sampled(client: Any) -> None:
    client.mset({f"key:{number}": number for number in range(1000)})
    client.expire("key:1", 900)
    found = read_cache_contents(client, sample=50)
    assert (found.keys, found.expiring) == (1000, 1)
    assert 30 < len(found.expiries) <= 50
    assert all(key.startswith("key:") for key in found.expiries)


def test_an_empty_one_has_nothing(client: Any) -> None:
    assert read_cache_contents(client) == CacheContents(0, 0, {})


def test_keys_of_every_database_count(client: Any, server: RedisServer) -> None:
    client.set("here", 1)
    client.execute_command("SWAPDB", 0, 3)
    client.set("there", 1, ex=60)
    found = read_cache_contents(client)
    assert (found.keys, found.expiring, list(found.expiries)) == (2, 1, ["there"])


def test_expiries_of_a_copy_are_those_of_its_source(
    client: Any, server: RedisServer, tmp_path: Path, launcher: Launcher
) -> None:
    client.mset({"lasting": 1, b"\x00\x01": 2, "gone": 3})
    client.set("soon", 1, ex=600)
    recorded = read_cache_contents(client)
    client.delete("gone")
    server.save(tmp_path / "dump.rdb")
    copy = RedisServer(launcher, tmp_path / "copy", ("127.0.0.1", free_port()))
    copy.start({}, dump=tmp_path / "dump.rdb")
    try:
        with open_cache(*copy.address, tls=False, user=None, group="g") as opened:
            found = read_expiries(opened, list(recorded.expiries))
    finally:
        copy.stop()
    assert found.keys() == {"lasting", "%00%01", "soon"}
    assert found["lasting"] is None
    assert found["soon"] is not None
    assert recorded.expiries["soon"] is not None
    assert abs(found["soon"] - recorded.expiries["soon"]) < timedelta(seconds=1)


def test_names_of_keys_are_plain_where_they_can_be() -> None:
    assert name_of(b"detections:7:/?limit=5 x") == "detections:7:/?limit=5 x"
    assert name_of("ü%".encode()) == "%C3%BC%25"


def test_a_write_is_verified_and_leaves_nothing(client: Any) -> None:
    verify_write(client)
    assert client.dbsize() == 0


def test_a_write_that_is_refused_or_lost_is_an_error(client: Any, server: RedisServer) -> None:
    class Forgetful:
        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: None

    with pytest.raises(CacheError, match="did not keep"):
        verify_write(Forgetful())
    client.set("x", "y" * 4_000_000)
    server.configure({"maxmemory": "1mb"})
    try:
        with (
            pytest.raises(CacheError, match="maxmemory"),
            open_cache(*server.address, tls=False, user=None, group="g") as opened,
        ):
            verify_write(opened)
    finally:
        server.configure({"maxmemory": "50mb"})


def test_who_is_not_let_in_is_told(server: RedisServer) -> None:
    server.set_auth_tokens(TOKEN)
    try:
        for user in (None, "default"):
            with (
                pytest.raises(CacheLoginError, match=r"127\.0\.0\.1"),
                open_cache(*server.address, tls=False, user=user, group="g"),
            ):
                pass
    finally:
        server.set_auth_tokens()


def test_nobody_answering_is_unavailable() -> None:
    with (
        pytest.raises(UnavailableError, match=r"127\.0\.0\.1"),
        open_cache("127.0.0.1", free_port(), tls=False, user=None, group="g"),
    ):
        pass
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UnavailableError),
        open_cache(*silent.getsockname(), tls=False, user=None, group="g", timeout_seconds=0.2),
    ):
        pass


def test_tls_is_verified(server: RedisServer, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "engines.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "engines.key"))
    address = ("127.0.0.1", free_port())
    relay = Relays().open(address, server.address, server_context(tmp_path))
    try:
        ours, others = (ca.cert_pem.bytes().decode() for ca in (authority, trustme.CA()))
        with open_cache(*address, tls=True, user=None, group="g", authorities=ours) as opened:
            assert opened.ping()
        for authorities in (others, None):
            with (
                pytest.raises(CacheError, match="not to be trusted"),
                open_cache(*address, tls=True, user=None, group="g", authorities=authorities),
            ):
                pass
    finally:
        relay.close()


@pytest.mark.parametrize("session_token", [None, "a/session+token="])
def test_the_token_is_a_url_signed_for_the_group(session_token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    if session_token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", session_token)
    token = connect_token("Detection-API-Dev", "ops-reader", aws_client("elasticache"))
    assert token.startswith("detection-api-dev/?Action=connect&User=ops-reader&")
    query = dict(parse_qsl(urlsplit(f"https://{token}").query))
    assert query["X-Amz-Expires"] == "900"
    assert query["X-Amz-Credential"].split("/")[2:] == ["us-east-1", "elasticache", "aws4_request"]
    assert query.get("X-Amz-Security-Token") == session_token
    # What botocore's signer of presigned URLs makes of the same request at the same moment.
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", session_token)
    signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ")  # noqa: DTZ007 - UTC, as botocore takes it
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: signed_at)
    request = AWSRequest("GET", "https://detection-api-dev/", params={"Action": "connect", "User": "ops-reader"})
    SigV4QueryAuth(credentials, "elasticache", "us-east-1", expires=900).add_auth(request)
    assert dict(parse_qsl(urlsplit(request.url).query)) == query


def test_without_credentials_there_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    client = aws_client("elasticache")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(CacheLoginError, match="no AWS credentials"):
        connect_token("g", "u", client)
