import pytest

from opskit.decisions.statement_text import redacted


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("SELECT * FROM t WHERE name = 'Alice'", "SELECT * FROM t WHERE name = ?"),
        ("SELECT 'it''s', E'a\\'b', 'c'", "SELECT ?, ?, ?"),
        ("SELECT 1, -2.5, .5, 1e10, 3.5E-3", "SELECT ?, -?, ?, ?, ?"),
        ("SELECT $1, t2.c3 FROM t2 WHERE x = $2", "SELECT $1, t2.c3 FROM t2 WHERE x = $2"),
        ("SELECT $$secret$$, $tag$also 'secret' $$ $tag$ FROM t", "SELECT ?, ? FROM t"),
        ('SELECT "Odd \'name" FROM "t1" WHERE a = \'x\'', 'SELECT "Odd \'name" FROM "t1" WHERE a = ?'),
        ("SELECT 1 -- of Alice\n, 2 /* and 'Bob' */ FROM t", "SELECT ? , ? FROM t"),
        ("SELECT\n\t x\n  FROM   t", "SELECT x FROM t"),
        ("SELECT B'1010', X'ff', N'n', U&'d'", "SELECT ?, ?, ?, ?"),
        ("", ""),
    ],
)
def test_no_literal_is_left(statement: str, kept: str) -> None:
    assert redacted(statement, 200) == kept


@pytest.mark.parametrize(
    "statement", ["SELECT 'Alice", "SELECT $$Alice", "SELECT $t$Alice $$", "SELECT /* Alice", "SELECT E'Al\\'ice"]
)
def test_what_the_server_cut_off_in_a_literal_is_none_the_less_one(statement: str) -> None:
    assert "ice" not in redacted(statement, 200)


def test_it_is_cut_to_the_length_that_is_asked_for() -> None:
    assert redacted("SELECT abcdefgh", 10) == "SELECT ab…"
    assert redacted("SELECT abc", 10) == "SELECT abc"
    assert len(redacted("x" * 500, 160)) == 160
