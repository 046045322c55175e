import threading

import pytest

from opskit.adapters import probe as probe_module
from opskit.adapters.probe import Probe, ProbeResult
from opskit.traffic import Colour

from .servers import Request, serve


def test_asks_for_one_colour_and_decodes_the_answer() -> None:
    with serve(lambda _: (200, {}, b'{"version": "1.2.3"}')) as server:
        result = Probe(server.url + "/", "X-Release-Colour", Colour.GREEN).get("/version")
    assert (result.status, result.body_json, result.error, result.ok) == (200, {"version": "1.2.3"}, None, True)
    assert result.seconds >= 0
    assert ProbeResult.from_dict(result.as_dict()) == result
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/version")
    assert request.headers["x-release-colour"] == "green"


@pytest.mark.parametrize(
    ("status", "headers"), [(302, {"Location": "/elsewhere"}), (404, {}), (503, {"Retry-After": "1"})]
)
def test_takes_the_first_answer_for_the_answer(status: int, headers: dict[str, str]) -> None:
    with serve(lambda _: (status, headers, b"no")) as server:
        result = Probe(server.url, "X-Release-Colour", Colour.BLUE).get("/health")
    assert (result.status, result.ok, result.body_json, result.error) == (status, False, None, None)
    assert len(server.requests) == 1


def test_a_body_too_large_is_not_decoded() -> None:
    with serve(lambda _: (200, {}, b" " * probe_module.BODY_BYTES + b"1")) as server:
        result = Probe(server.url, "X-Release-Colour", Colour.BLUE).get("/")
    assert (result.status, result.body_json) == (200, None)


def test_no_server_is_an_error_not_an_exception() -> None:
    with serve(lambda _: (200, {}, b"")) as server:
        url = server.url
    result = Probe(url, "X-Release-Colour", Colour.BLUE).get("/health")
    assert (result.status, result.ok) == (None, False)
    assert result.error
    assert "refused" in result.error


def test_a_broken_answer_is_an_error_not_an_exception() -> None:
    with serve(lambda _: (200, {"Content-Length": "10", "Connection": "close"}, b"{}")) as server:
        result = Probe(server.url, "X-Release-Colour", Colour.BLUE).get("/health")
    assert result.status is None
    assert result.error


def test_a_silent_server_is_an_error_not_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "READ_SECONDS", 0.2)
    over = threading.Event()

    def silent(_: Request) -> tuple[int, dict[str, str], bytes]:
        over.wait(20)
        return 200, {}, b""

    with serve(silent) as server:
        result = Probe(server.url, "X-Release-Colour", Colour.BLUE).get("/health")
        over.set()
    assert result.status is None
    assert result.error
    assert "timed out" in result.error.lower()


def test_a_server_that_trickles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "TOTAL_SECONDS", -1.0)
    with serve(lambda _: (200, {}, b"{}")) as server:
        result = Probe(server.url, "X-Release-Colour", Colour.BLUE).get("/health")
    assert result.status is None
    assert result.error
    assert "not complete" in result.error


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:99999", "ftp://127.0.0.1"])
def test_a_malformed_address_is_an_error_not_an_exception(url: str) -> None:
    result = Probe(url, "X-Release-Colour", Colour.BLUE).get("/health")
    assert result.status is None
    assert result.error
