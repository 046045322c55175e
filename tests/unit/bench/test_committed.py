"""What of the committed rows is lost in a copy of a moment."""

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.bench.committed import Row, lost

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


# Row n is stamped at n seconds and committed a tenth of a second later.
WRITTEN = [Row(number, at(number), at(number + 0.1)) for number in range(1, 11)]


def test_all_that_was_committed_by_the_moment_is_there():
    found = lost(WRITTEN, {1, 2, 3, 4, 5}, at(5.5))
    assert (found.wanted, found.rows, found.seconds, found.rows_too_new, found.behind) == (5, 0, 0, 0, 0.5)


def test_the_newest_rows_are_lost():
    found = lost(WRITTEN, {1, 2, 3}, at(5.5))
    assert (found.rows, found.seconds, found.behind) == (2, 2, 2.5)


def test_a_gap_is_lost_too_though_no_time_is():
    found = lost(WRITTEN, {1, 3, 4, 5}, at(5.5))
    assert (found.rows, found.seconds) == (1, 0)


@pytest.mark.parametrize("there", [{1, 2, 3, 4}, {1, 2, 3, 4, 5}])
def test_a_row_in_the_middle_of_its_commit_may_be_there_or_not(there):
    found = lost(WRITTEN, there, at(5.05))
    assert (found.wanted, found.rows, found.seconds, found.rows_too_new) == (4, 0, 0, 0)


def test_what_was_written_after_the_moment_must_not_be_there():
    assert lost(WRITTEN, {1, 2, 3, 4, 5, 6, 7}, at(5.5)).rows_too_new == 2


def test_an_empty_copy_has_lost_everything():
    found = lost(WRITTEN, set(), at(5.5))
    assert (found.rows, found.seconds) == (5, 4)


def test_a_moment_before_the_first_commit_says_nothing():
    with pytest.raises(ValueError, match="nothing was committed"):
        lost(WRITTEN, {1}, at(1.05))
