"""A dump that SQLite finds nothing wrong with, and the ways in which one is damaged."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from opskit.adapters.sqlite_dump import inspect_dump


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "queue.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, body TEXT)")
        database.execute('CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY)')
        database.execute("CREATE TABLE autoincremented (id INTEGER PRIMARY KEY AUTOINCREMENT)")
        database.execute("CREATE TABLE found (word TEXT)")
        database.execute("INSERT INTO found VALUES ('needle')")
        database.execute("CREATE INDEX by_word ON found (word)")
        database.executemany("INSERT INTO queue (body) VALUES (?)", [("x" * 500,) for _ in range(200)])
        database.commit()
    return path


def test_a_whole_dump_is_counted_and_left_as_it_is(whole: Path) -> None:
    before = whole.read_bytes()
    dump = inspect_dump(whole)
    assert (dump.problem, dump.rows) == (None, {"queue": 200, 'odd "name': 0, "autoincremented": 0, "found": 1})
    assert whole.read_bytes() == before
    assert [path.name for path in whole.parent.iterdir()] == ["queue.db"]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda content: b"", "it is empty"),
        (lambda content: content[: len(content) // 2], ""),
        (lambda content: b"no database" + content[11:], "cannot read it"),
        (lambda content: content[:8192] + b"\xa5" * 4096 + content[12288:], ""),
        (lambda content: content.replace(b"needle", b"noodle", 1), "integrity_check: row 1 missing from index by_word"),
    ],
)
def test_a_damaged_dump_is_found_out(whole: Path, damage: Callable[[bytes], bytes], why: str) -> None:
    whole.write_bytes(damage(whole.read_bytes()))
    assert inspect_dump(whole).problem
    assert why in str(inspect_dump(whole).problem)


def test_a_database_without_tables_and_a_file_that_is_not_there_are_no_dumps(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
        database.commit()
    assert inspect_dump(path).problem == "it has no tables"
    assert inspect_dump(tmp_path / "missing.db").problem == "it is empty"
