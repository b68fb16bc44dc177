"""Tables of an app: durable, whole, and no way out of the file, whatever the SQL."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.model.errors import ConfigError, Conflict, DataError, HeadraceError, LimitReached
from headrace.sdk.apps import Statement
from headrace.sdk.apps.sqlite_tables import SqliteTables, TableLimits, statements_of

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
MORE = "CREATE TABLE more (x INTEGER);"
ORDERS = "CREATE TABLE orders (id TEXT PRIMARY KEY, pieces INTEGER CHECK (pieces >= 0), note TEXT) STRICT;"
ADD = "INSERT INTO orders VALUES (?, ?, ?)"


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[SqliteTables]:
    made = SqliteTables(tmp_path / "app.db", {"0001-orders.sql": ORDERS}, TableLimits(call_s=0.5))
    yield made
    made.close()


def test_rows_come_back_as_they_were_given(tables: SqliteTables) -> None:
    rows = [("a", 2**63 - 1, "停机"), ("b", 0, None)]
    assert tables.write([Statement(ADD, many=rows)]) == [2]
    found = tables.query("SELECT id, pieces, note FROM orders WHERE pieces >= ? ORDER BY id", (0,))
    assert found.columns == ("id", "pieces", "note") and list(found.rows) == rows
    assert found.one() == {"id": "a", "pieces": 2**63 - 1, "note": "停机"}
    assert tables.query("SELECT ?1 AS x, ?2 AS y, ?3 AS z", (math.inf, b"\x00\xff", "")).rows == [
        (math.inf, b"\x00\xff", "")
    ]


def test_all_statements_of_a_write_or_none(tables: SqliteTables) -> None:
    tables.write([Statement(ADD, ("a", 1, None))])
    with pytest.raises(Conflict, match="UNIQUE"):
        tables.write([Statement(ADD, ("b", 1, None)), Statement(ADD, ("a", 2, None))])
    with pytest.raises(Conflict, match="CHECK"):
        tables.write([Statement("UPDATE orders SET pieces = -1")])
    with pytest.raises(DataError, match="no such table"):
        tables.write([Statement("DELETE FROM orders"), Statement("DELETE FROM elsewhere")])
    assert tables.query("SELECT id, pieces FROM orders").rows == [("a", 1)]


@pytest.mark.parametrize("value", [math.nan, [1], {"a": 1}, 2**63])
def test_what_a_column_cannot_hold_is_said(tables: SqliteTables, value: Any) -> None:
    with pytest.raises(DataError):
        tables.query("SELECT ?", (value,))
    with pytest.raises(DataError):
        tables.write([Statement(ADD, many=[("a", 1, "x"), ("b", value, "x")])])
    assert tables.query("SELECT count(*) FROM orders").rows == [(0,)]


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH DATABASE 'other.db' AS other",
        "ATTACH ':memory:' AS other",
        "PRAGMA journal_mode = OFF",
        "PRAGMA writable_schema = ON",
        "SELECT * FROM pragma_table_info('orders')",
        "SELECT load_extension('x')",
        "SELECT LOAD_EXTENSION('x')",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "DETACH main",
        "CREATE TABLE more (x)",
        "CREATE TEMP TABLE more (x)",
        "CREATE VIRTUAL TABLE t USING fts5(x)",
        "DROP TABLE orders",
        "ALTER TABLE orders ADD COLUMN x",
        "DELETE FROM _headrace_migrations",
        "UPDATE _Headrace_Migrations SET sha256 = ''",
        "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, '')",
        "UPDATE sqlite_master SET sql = ''",
        "SELECT 1; DELETE FROM orders",
        "ANALYZE",
        "REINDEX",
        "\x00",
        "",
    ],
)
def test_no_way_out_of_the_file(tables: SqliteTables, tmp_path: Path, sql: str) -> None:
    tables.write([Statement(ADD, ("a", 1, None))])
    before = sorted(path.name for path in tmp_path.iterdir())
    for attempt in (lambda: tables.query(sql), lambda: tables.write([sql]), lambda: tables.write([sql])):
        try:
            attempt()
        except HeadraceError:
            continue
        assert sql in ("", "\x00"), "it was taken"
    assert tables.query("SELECT count(*) FROM orders").rows == [(1,)]
    assert tables.write([Statement(ADD, (f"b{len(sql)}", 1, None))]) == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_query_changes_nothing(tables: SqliteTables) -> None:
    for sql in ("DELETE FROM orders", "INSERT INTO orders VALUES ('x', 1, '') RETURNING id"):
        with pytest.raises(DataError):
            tables.query(sql)
        assert tables.write([sql]) == [
            int("INSERT" in sql)
        ]  # and what was prepared for a write is not taken in a query afterwards
        with pytest.raises(DataError):
            tables.query(sql)


@pytest.mark.parametrize(
    "sql",
    [
        f"{ENDLESS} SELECT count(*) FROM n",
        f"{ENDLESS} SELECT i FROM n",
        "SELECT zeroblob(1000000000)",
        "SELECT hex(zeroblob(20000000))",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT zeroblob(1000000) FROM n",
    ],
)
def test_it_ends(tables: SqliteTables, sql: str) -> None:
    with pytest.raises((LimitReached, DataError)):
        tables.query(sql)
    assert tables.query("SELECT 1").rows == [(1,)]


def test_a_write_that_takes_too_long_leaves_nothing(tables: SqliteTables) -> None:
    endless = f"{ENDLESS} INSERT INTO orders SELECT 'a' || i, i, '' FROM n"
    with pytest.raises(LimitReached, match=r"0\.5 s"):
        tables.write([Statement(ADD, ("a", 1, None)), endless])
    assert tables.query("SELECT count(*) FROM orders").rows == [(0,)]
    assert tables.write([Statement(ADD, ("a", 1, None))]) == [1]


def test_it_grows_to_what_was_granted_and_goes_on(tmp_path: Path) -> None:
    tables = SqliteTables(tmp_path / "app.db", {"0001-orders.sql": ORDERS}, TableLimits(bytes=400_000))
    with pytest.raises(LimitReached, match=r"0\.4 MB"):
        for at in range(1_000):
            tables.write([Statement(ADD, (str(at), 1, "x" * 4_000))])
    held = tables.query("SELECT count(*) FROM orders").rows[0][0]
    assert isinstance(held, int) and 20 < held < 110
    tables.write(["DELETE FROM orders"])
    assert tables.write([Statement(ADD, ("a", 1, "x" * 4_000))]) == [1]
    tables.close()


def test_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    code = f"""
        import os, sys
        from pathlib import Path
        from headrace.sdk.apps import Statement
        from headrace.sdk.apps.sqlite_tables import SqliteTables
        tables = SqliteTables(Path({str(tmp_path)!r}) / "app.db", {{"0001-orders.sql": {ORDERS!r}}})
        tables.write([Statement({ADD!r}, ("a", 7, "held"))])
        os.kill(os.getpid(), 9)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=60).returncode == -9
    tables = SqliteTables(tmp_path / "app.db", {"0001-orders.sql": ORDERS})
    assert tables.query("SELECT note FROM orders").rows == [("held",)]
    tables.close()


# --- migrations -------------------------------------------------------------------------------------------------------


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    first = {"0001-orders.sql": ORDERS}
    second = {
        **first,
        "0002-shifts.sql": "-- who\nALTER TABLE orders ADD COLUMN shift TEXT;\nCREATE INDEX s ON orders (shift);",
    }
    tables = SqliteTables(tmp_path / "app.db", first)
    tables.write([Statement(ADD, ("a", 1, None))])
    tables.close()
    for _ in range(2):
        tables = SqliteTables(tmp_path / "app.db", second)
        assert tables.query("SELECT id, shift FROM orders").rows == [("a", None)]
        tables.close()
    with pytest.raises(ConfigError, match="newer version"):
        SqliteTables(tmp_path / "app.db", first)
    changed = {**second, "0001-orders.sql": ORDERS.replace("note", "remark")}
    with pytest.raises(ConfigError, match="never changed"):
        SqliteTables(tmp_path / "app.db", changed)


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    tables = SqliteTables(tmp_path / "app.db", {"0001-orders.sql": ORDERS})
    tables.write([Statement(ADD, ("a", 1, None))])
    tables.close()
    broken = {
        "0001-orders.sql": ORDERS,
        "0002-more.sql": f"{MORE}\n\nINSERT INTO more VALUES (1);\nINSERT INTO nowhere VALUES (1);",
    }
    with pytest.raises(ConfigError, match="no such table") as said:
        SqliteTables(tmp_path / "app.db", broken)
    assert (said.value.file, said.value.line) == ("migrations/0002-more.sql", 4)
    tables = SqliteTables(tmp_path / "app.db", {"0001-orders.sql": ORDERS, "0002-more.sql": MORE})
    assert tables.query("SELECT count(*) FROM more").rows == [(0,)]
    assert tables.query("SELECT count(*) FROM orders").rows == [(1,)]
    tables.close()


@pytest.mark.parametrize(
    "sql",
    ["ATTACH 'x.db' AS x;", "PRAGMA foreign_keys = OFF;", "COMMIT;", "DROP TABLE _headrace_migrations;",
     "CREATE VIEW v AS SELECT load_extension('x') FROM orders; INSERT INTO orders SELECT * FROM v;",
     "CREATE TABLE _headrace_mine (x);",
     "CREATE TRIGGER t AFTER INSERT ON orders BEGIN DELETE FROM _headrace_migrations; END;"
     "INSERT INTO orders VALUES ('a', 1, NULL);"],
)  # fmt: skip
def test_a_migration_has_no_way_out_either(tmp_path: Path, sql: str) -> None:
    with pytest.raises(ConfigError):
        SqliteTables(tmp_path / "app.db", {"0001-orders.sql": ORDERS, "0002-out.sql": sql})
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == ["app.db"]
    connection = sqlite3.connect(tmp_path / "app.db")
    assert connection.execute("SELECT number FROM _headrace_migrations").fetchall() == [(1,)]
    connection.close()


@pytest.mark.parametrize(
    "names", [["0002-a.sql"], ["0001-a.sql", "0001-b.sql"], ["1-a.sql"], ["0001-../x.sql"], ["0001-A.sql"]]
)
def test_names_of_migrations(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ConfigError):
        SqliteTables(tmp_path / "app.db", dict.fromkeys(names, "SELECT 1;"))


def test_statements_are_told_apart() -> None:
    text = """
        -- first; not the end
        CREATE TABLE a (x TEXT DEFAULT ';');  /* ; */
        CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; DELETE FROM a; END;

        INSERT INTO a VALUES ('it''s; so')
    """
    found = statements_of(text)
    assert [line for line, _ in found] == [3, 4, 6]
    assert [sql.split()[0] for _, sql in found] == ["CREATE", "CREATE", "INSERT"]
    assert statements_of("-- nothing\n;;\n/* here */") == []


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(max_size=60) | st.binary(max_size=40).map(lambda data: data.decode("latin-1")),
    st.lists(st.none() | st.integers() | st.text(max_size=5), max_size=3),
)
def test_whatever_is_asked_it_is_answered_or_refused_by_us(tables: SqliteTables, sql: str, values: list[Any]) -> None:
    for attempt in (lambda: tables.query(sql, values), lambda: tables.write([Statement(sql, values)])):
        try:
            attempt()
        except HeadraceError:
            pass
    assert tables.query("SELECT 1").rows == [(1,)]


def test_an_export_is_a_file_of_its_own(tables: SqliteTables, tmp_path: Path) -> None:
    tables.write([Statement(ADD, ("a", 1, None))])
    tables.export(tmp_path / "copy.db")
    tables.write(["DELETE FROM orders"])
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT id FROM orders").fetchall() == [("a",)]
    copy.close()
    assert not (tmp_path / "copy.db-wal").exists()
