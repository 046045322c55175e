from opskit.adapters.probe import BODY_BYTES
from opskit.adapters.service import Service

from .servers import serve


def test_reads_and_writes_as_a_client_does() -> None:
    with serve(lambda request: (201 if request.method == "POST" else 200, {}, b'{"a": 1}')) as server:
        service = Service(server.url + "/")
        read = service.get("/things?limit=1")
        written = service.post("/things", {"b": 2}, key="ops-1")
    assert (read.status, read.body_json, written.status) == (200, {"a": 1}, 201)
    asked, posted = server.requests
    assert (asked.method, asked.path, asked.query) == ("GET", "/things", {"limit": "1"})
    assert (posted.body, posted.headers["idempotency-key"]) == (b'{"b": 2}', "ops-1")
    # Each on a connection of its own, so that the balancer may choose another target.
    assert {request.headers["connection"] for request in server.requests} == {"close"}


def test_no_connection_is_used_twice() -> None:
    with serve(lambda _: (200, {}, b"{}"), keep_open=True) as server:
        service = Service(server.url)
        assert service.get("/").ok
        assert service.post("/", {}, key="k").ok
        assert server.connections == 2


def test_follows_no_redirect_and_tries_nothing_twice() -> None:
    with serve(lambda _: (302, {"Location": "/elsewhere"}, b"")) as server:
        assert not Service(server.url).get("/").ok
    assert len(server.requests) == 1


def test_no_server_is_an_error_not_an_exception() -> None:
    with serve(lambda _: (200, {}, b"")) as server:
        url = server.url
    answer = Service(url).post("/", {}, key="k")
    assert (answer.status, answer.ok) == (None, False)
    assert "refused" in (answer.error or "")


def test_what_is_not_json_or_too_large_is_not_decoded() -> None:
    with serve(lambda r: (200, {}, b"no" if r.path == "/no" else b"1" * (BODY_BYTES + 1))) as server:
        service = Service(server.url)
        assert [service.get(path).body_json for path in ("/no", "/large")] == [None, None]
