"""The benchmark of recoveries: how much is measured, with which waits, and what its figures come to."""

import math
import threading

import pytest

from sandbox.bench import bare_restore, durations, recovery
from sandbox.bench.background import repeatedly
from sandbox.bench.bare_restore import ByHand, ByWorkflow
from sandbox.bench.production import defaults
from sandbox.bench.recovery import QUICK, Size


@pytest.mark.parametrize("scale", [1, 2.5, 5, 200])
def test_waits_are_productions_divided_by_the_scale(scale):
    production = defaults()
    for name, seconds in durations.scaled(scale).items():
        exact = production[name] / scale
        assert seconds == max(durations.LEAST[name], math.ceil(exact)), name
        # Rounding is to the workflow's disadvantage, never to its advantage.
        assert seconds >= exact, name


def test_the_report_says_what_became_of_each_wait():
    waits = durations.waits(5)
    assert set(waits) == {*durations.LEAST, "ENDPOINT_POLL_SECONDS of the service"}
    assert all(wait["here_on_productions_clock"] == wait["here"] * 5 for wait in waits.values())
    assert all(wait["here_on_productions_clock"] >= wait["production"] for wait in waits.values())


def test_the_scaled_restore_has_a_sandbox_with_waits_of_its_own():
    (scaled, own), (usual, others) = recovery.sandboxes(Size(), quick=False)
    assert (own, others) == (("scaled",), ("moments", "bare"))
    assert scaled["RestorePollSeconds"] == str(durations.scaled(Size().scale)["RestorePollSeconds"])
    assert "RestorePollSeconds" not in usual


def test_in_a_hurry_one_sandbox_does_for_all():
    ((_, parts),) = recovery.sandboxes(QUICK, quick=True)
    assert parts == recovery.PARTS


def test_only_the_parts_that_are_asked_for():
    assert [parts for _, parts in recovery.sandboxes(Size(parts=("bare",)), quick=False)] == [("bare",)]


def figures(seconds=800.0, ratio=1.02, rows=0, too_new=0):
    return {
        "restore_at_aws_durations": {"as_measured": {"recovery_seconds": seconds, "ratio": ratio}},
        "recovery_point": {"rows_lost": {"all": rows, "most": rows}, "rows_too_new": too_new},
    }


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        (figures(), set()),
        (figures(seconds=900.1), {"recovery_seconds"}),
        (figures(ratio=1.031), {"recovery_ratio"}),
        (figures(rows=1), {"rows_lost"}),
        (figures(too_new=1), {"rows_too_new"}),
    ],
)
def test_each_target_is_judged_by_itself(found, missed):
    judged = recovery.targets(found, quick=False)
    assert {name for name, target in judged.items() if target["met"] is False} == missed
    assert {name for name, target in judged.items() if target["met"] is None} == set()


def test_in_a_hurry_times_are_not_judged_but_rows_are():
    judged = recovery.targets(figures(seconds=5000.0, ratio=3.0, rows=1), quick=True)
    assert {name: target["met"] for name, target in judged.items()} == {
        "recovery_seconds": None,
        "recovery_ratio": None,
        "rows_lost": False,
        "rows_too_new": True,
    }


def test_what_was_not_measured_is_not_judged():
    assert recovery.targets({}, quick=False) == {}


def test_ratios_are_of_medians():
    by_workflow = [ByWorkflow(5, seconds, 9, rows=7) for seconds in (6.0, 8.0, 100.0)]
    by_hand = [ByHand(seconds, 2 * seconds, rows=7) for seconds in (1.0, 4.0, 5.0)]
    found = bare_restore._figures(10 * bare_restore.MIB, by_workflow, by_hand)
    assert (found["ratio"], found["ratio_with_rows_counted_by_both"]) == (2.0, 1.0)
    assert (found["database_mib"], found["rows"]) == (10, 7)


def test_copies_that_differ_are_no_comparison():
    with pytest.raises(SystemExit, match="do not have the same rows"):
        bare_restore._figures(1, [ByWorkflow(1, 1, 1, rows=7)], [ByHand(1, 1, rows=8)])


def test_what_fails_in_the_background_is_what_the_block_fails_with():
    begun = threading.Event()

    def work():
        begun.set()
        raise OSError("the connection is gone")

    with pytest.raises(OSError, match="connection is gone"), repeatedly(work, 0):  # noqa: PT012
        assert begun.wait(30)
        raise LookupError("there is nothing, for want of a connection")


def test_a_block_that_fails_by_itself_says_so():
    with pytest.raises(LookupError), repeatedly(lambda: None, 0.01):
        raise LookupError


def test_it_goes_on_until_the_block_ends():
    done = []
    with repeatedly(lambda: done.append(1), 0):
        while len(done) < 3:
            pass
    count = len(done)
    assert count >= 3
    assert len(done) == count
