"""Steps that change what the service uses: the lock first, announced, read back, safe to repeat, and back."""

import pytest

from functions.restore import cut_over, request_cut_over, retain_replaced, swap_back, verify_service
from opskit.adapters.endpoints import Endpoints
from opskit.adapters.probe import ProbeResult
from opskit.adapters.service import Service
from opskit.decisions.manifest import Kind
from opskit.decisions.swaps import digest_of, swaps_of
from opskit.errors import DriftError, EndpointNotConfirmedError, LockLostError, UnavailableError

BEFORE, AFTER = ("db:5432", "cache:6379"), ("db-new:5432", "cache-new:6379")


def call(module, event, run, **more):
    return module.handler.__wrapped__({**event, **more}, run)


def now(world):
    return world.endpoint("database"), world.endpoint("cache")


def events(run):
    return [event.what for event in run.ledger.operation_of("restore", "r1").events]


@pytest.mark.parametrize("module", [cut_over, swap_back, retain_replaced, verify_service])
def test_without_the_lock_nothing_is_changed(module, event, run, world, clock):
    run.ledger.seize(run.execution.id, owner="somebody", purpose="else", lease_seconds=60)
    cut = {"at": clock.now().isoformat()}
    with pytest.raises(LockLostError, match="somebody"):
        call(module, event, run, cut=cut, recovery_point=None, heartbeat=None)
    assert now(world) == BEFORE
    assert world.tagged == []


def test_a_cut_over_is_announced_made_and_recorded(event, run, world):
    done = call(cut_over, event, run)
    assert now(world) == AFTER
    assert events(run) == ["cutting over", "cut over"]
    assert done["swaps"] == event["swaps"]
    assert call(cut_over, event, run)["swaps"] == event["swaps"]
    assert now(world) == AFTER


def test_the_lock_lost_between_the_announcement_and_the_swap_stops_it(event, run, world, monkeypatch):
    read = Endpoints.read

    def seized_meanwhile(endpoints, kind):
        run.ledger.seize(run.execution.id, owner="the repair", purpose="repair", lease_seconds=60)
        return read(endpoints, kind)

    monkeypatch.setattr(Endpoints, "read", seized_meanwhile)
    with pytest.raises(LockLostError, match="the repair"):
        call(cut_over, event, run)
    monkeypatch.setattr(Endpoints, "read", read)
    assert now(world) == BEFORE
    assert events(run) == []


def test_only_what_was_approved_is_cut_over(event, run, world, request_):
    asking = request_ | {"approval": True}
    for approval in (None, {"digest": "sha256:other"}):
        with pytest.raises(DriftError, match="what was approved"):
            call(cut_over, event, run, request=asking, approval=approval)
    assert now(world) == BEFORE
    approved = {"digest": digest_of(swaps_of(event["swaps"])), "approved_by": "me"}
    call(cut_over, event, run, request=asking, approval=approved)
    assert now(world) == AFTER


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "modifying"}, "modifying"),
        ({"address": "elsewhere"}, "elsewhere"),
    ],
)
def test_what_is_not_there_as_it_was_verified_does_not_go_live(change, words, event, run, world):
    world.change(Kind.CACHE, "cache-new", **change)
    with pytest.raises(DriftError, match=words):
        call(cut_over, event, run)
    assert now(world) == BEFORE
    assert events(run) == []


def test_an_endpoint_that_somebody_moved_is_left_alone(event, run, world):
    world.move("cache", "someone:1")
    with pytest.raises(DriftError, match="someone:1"):
        call(cut_over, event, run)
    assert world.endpoint("database") == "db:5432"


def test_a_cut_over_that_fails_half_way_is_taken_back(event, run, world, monkeypatch):
    swap = Endpoints.swap

    def unconfirmed(endpoints, kind, expected, wanted):
        if kind == "cache":
            raise EndpointNotConfirmedError("it still says the old one")
        return swap(endpoints, kind, expected, wanted)

    monkeypatch.setattr(Endpoints, "swap", unconfirmed)
    with pytest.raises(EndpointNotConfirmedError):
        call(cut_over, event, run)
    assert now(world) == ("db-new:5432", "cache:6379")
    monkeypatch.setattr(Endpoints, "swap", swap)
    done = call(swap_back, event, run)
    assert done["outcome"] == "BACK"
    assert now(world) == BEFORE
    assert events(run) == ["cutting over", "swapping back", "swapped back"]


def test_the_way_back_is_taken_once(event, run, world):
    call(cut_over, event, run)
    assert call(swap_back, event, run)["outcome"] == "BACK"
    assert call(swap_back, event, run)["outcome"] == "NOT_MOVED"


def test_a_service_is_not_sent_back_to_what_is_gone(event, run, world):
    call(cut_over, event, run)
    del world.there[Kind.DATABASE, "db"]
    done = call(swap_back, event, run)
    assert (done["outcome"], now(world)) == ("STAYED", AFTER)


def test_an_approval_is_asked_for_in_words_and_keeps_the_lock(event, run, world, clock):
    call(request_cut_over, event, run, task_token="t", verified=None)
    asked = run.ledger.approval("r1")
    assert (asked.workflow, asked.digest) == ("restore", digest_of(swaps_of(event["swaps"])))
    assert "db (db:5432) -> db-new (db-new:5432)" in asked.subject
    clock.advance(900)
    assert not run.ledger.holder().expired


@pytest.fixture
def service(monkeypatch):
    """What the service answers."""
    answers = {
        "ready": {"database": "db-new:5432"},
        "stored": ProbeResult(201, 0.1),
        "posted": [],
    }
    monkeypatch.setenv("READY_PATH", "/ready")
    monkeypatch.setenv("READ_PATH", "/things")
    monkeypatch.setenv("WRITE_PATH", "/things")
    monkeypatch.setenv("WRITE_DOCUMENT", '{"a": 1}')
    monkeypatch.setattr(Service, "get", lambda _, path: ProbeResult(200, 0.1, answers["ready"]))

    def post(_, path, document, *, key):
        answers["posted"].append((path, document, key))
        return answers["stored"]

    monkeypatch.setattr(Service, "post", post)
    return answers


def test_the_service_is_verified_by_a_read_and_a_write_of_its_own(event, run, service, clock):
    done = call(verify_service, event, run, cut={"at": clock.now().isoformat()})
    assert done["outcome"] == "PASS"
    assert service["posted"] == [("/things", {"a": 1}, "ops-0123456789ab")]
    assert events(run) == ["verified through the service"]


def test_a_service_on_the_old_database_is_waited_for_and_then_given_up(event, run, service, clock):
    service["ready"] = {"database": "db:5432"}
    cut = {"at": clock.now().isoformat()}
    assert call(verify_service, event, run, cut=cut)["outcome"] == "WAIT"
    clock.advance(61)
    assert call(verify_service, event, run, cut=cut)["outcome"] == "FAIL"


def kept(event, run, clock, **more):
    return call(retain_replaced, event, run, cut={"at": clock.now().isoformat()}, **more)


def test_what_is_live_is_backed_up_and_protected_and_what_was_replaced_is_kept(event, run, world, clock, monkeypatch):
    monkeypatch.setattr(retain_replaced, "_lost", lambda *_: {"outcome": "PASS"})
    done = kept(event, run, clock, recovery_point={"outcome": "INCONCLUSIVE"}, heartbeat=None)
    tags = {arn: (add, remove) for arn, add, remove in world.tagged}
    assert tags["arn:db-new"] == ({"backup": "true"}, ("ops:expires-at", "ops:replaced-by", "ops:keep-until"))
    assert tags["arn:db"] == (
        {"ops:replaced-by": "db-new", "ops:keep-until": "2026-11-26T" + done["keep_until"][11:]},
        ("backup",),
    )
    assert set(tags) == {"arn:db", "arn:db-new", "arn:cache", "arn:cache-new"}
    assert world.protected == ["db-new"]
    assert done["recovery_point"] == {"outcome": "PASS"}


def test_what_is_gone_is_not_kept_and_what_was_lost_stays_as_it_was_judged(event, run, world, clock):
    del world.there[Kind.DATABASE, "db"], world.there[Kind.CACHE, "cache"]
    done = kept(event, run, clock, recovery_point={"outcome": "INCONCLUSIVE"}, heartbeat=None)
    assert (done["kept"], done["recovery_point"]) == ([], {"outcome": "INCONCLUSIVE"})


def test_a_replaced_database_that_does_not_answer_says_nothing_of_what_was_lost(event, run, world, clock, monkeypatch):
    def silent(*_, **__):
        raise UnavailableError("no answer")

    monkeypatch.setattr(retain_replaced, "read_authorities", lambda _: "pem")
    monkeypatch.setattr(retain_replaced, "connect", silent)
    done = kept(event, run, clock, recovery_point={"outcome": "INCONCLUSIVE"}, heartbeat=None)
    assert done["recovery_point"] == {"outcome": "INCONCLUSIVE"}
