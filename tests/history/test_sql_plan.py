"""What a statement reads, by DuckDB's real plans: narrow where it can be told, and never too narrow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.history.sql.plan import ALL_COLUMNS, EVERYTHING, FOREVER, Need, needs_of
from headrace.history.sql.tables import MINUTES, SAMPLES
from headrace.history.sql.worker import connect, handles_of, plan_of, prepare
from headrace.model.time import HOUR_NS, parse_time_ns

QUERY = {"threads": 1, "memory_bytes": 256_000_000, "timezone": "UTC"}
DAY = "2026-01-02 00:00:00+00"
DAY_NS = parse_time_ns("2026-01-02T00:00:00Z")


def point(handle: int, path: str, unit: str) -> list[Any]:
    asset, _, name = path.rpartition("/")
    return [handle, path, asset, name, unit, "float64", None, None, None, None, False, None, True]


TABLES = {
    "points": [point(0, "a/x", "Cel"), point(1, "a/y", "bar"), point(5, "b/x", "Cel"), point(9, "b/it's", "bar")],
    "assets": [["a", None, "site", None, "A", {"en": "A"}]],
}


def needs(sql: str) -> dict[str, Need]:
    return prepare(connect(QUERY), sql, TABLES)


def read(sql: str, table: str = "samples") -> tuple[list[int] | None, int, int]:
    """(points, start, end) that a statement reads of a table."""
    connection = connect(QUERY)
    need = prepare(connection, sql, TABLES).get(table, EVERYTHING)
    return handles_of(connection, need), need.condition.start_ns, need.condition.end_ns


@pytest.mark.parametrize(
    ("where", "points"),
    [
        ("path = 'a/x'", [0]),
        ("'a/x' = path", [0]),
        ("path = 'b/it''s'", [9]),
        ("path IN ('a/x', 'b/x', 'c')", [0, 5]),
        ("path IN ('a/x', 'a/y', 'b/x', 'c', 'd', 'e')", [0, 1, 5]),
        ("path = 'a/x' OR path = 'a/y'", [0, 1]),
        ("path LIKE 'a/%'", [0, 1]),
        ("path LIKE '%/x'", [0, 5]),
        ("path ILIKE '%IT%'", [9]),
        ("regexp_matches(path, '^b/i')", [9]),
        ("asset = 'b' AND unit = 'Cel'", [5]),
        ("asset = 'b' AND value > 3", [5, 9]),
        ("path <> 'a/x'", [1, 5, 9]),
        ("name = 'x' AND NOT good", [0, 5]),
        ("path = 'nowhere'", []),
        ("value > 3", None),
        ("path = 'a/x' OR value > 3", None),
        ("path = text", None),
        ("lower(path) = 'a/x'", None),
    ],
)
def test_points_are_narrowed(where: str, points: list[int] | None) -> None:
    assert read(f"SELECT avg(value) FROM samples WHERE {where}")[0] == points
    assert read(f"SELECT avg(value) FROM (SELECT * FROM samples) AS s WHERE {where}")[0] == points
    assert read(f"WITH s AS (SELECT * FROM samples) SELECT count(*) FROM s WHERE {where}")[0] == points


@pytest.mark.parametrize(
    ("where", "start_ns", "end_ns"),
    [
        (f"time >= '{DAY}'", DAY_NS, FOREVER[1]),
        (f"time < '{DAY}'", FOREVER[0], DAY_NS),
        (f"time BETWEEN '{DAY}' AND TIMESTAMPTZ '{DAY}' + INTERVAL 1 HOUR", DAY_NS, DAY_NS + HOUR_NS + 1_000),
        (f"time = '{DAY}'", DAY_NS, DAY_NS + 1_000),
        (f"time_ns >= {DAY_NS} AND time_ns < {DAY_NS + 5}", DAY_NS, DAY_NS + 5),
        (f"time > '{DAY}' OR path = 'a/x'", *FOREVER),
        (f"time >= '{DAY}' OR time = '2026-01-03'", DAY_NS, FOREVER[1]),
        (f"received > '{DAY}'", *FOREVER),
        ("time > 'infinity'", FOREVER[1], FOREVER[1]),
        ("time > '-infinity'", *FOREVER),
    ],
)
def test_time_is_narrowed(where: str, start_ns: int, end_ns: int) -> None:
    assert read(f"SELECT avg(value) FROM samples WHERE {where}")[1:] == (start_ns, end_ns)


def test_now_is_one_moment_while_a_statement_is_planned_and_answered() -> None:
    connection = connect(QUERY)
    need = prepare(connection, "SELECT 1 FROM samples WHERE time >= now() - INTERVAL 1 HOUR", TABLES)["samples"]
    (now_us,) = connection.execute("SELECT epoch_us(now())").fetchone()
    assert need.condition.start_ns == now_us * 1_000 - HOUR_NS


def test_joins_windows_and_several_scans() -> None:
    joined = f"SELECT avg(value) FROM samples s JOIN points p USING (path) WHERE p.unit = 'Cel' AND s.time >= '{DAY}'"
    assert read(joined) == (None, DAY_NS, FOREVER[1])
    # A window over a point may be narrowed to the point, not in time: the row before belongs to it.
    window = "SELECT *, lag(value) OVER (PARTITION BY path ORDER BY time) FROM samples"
    assert read(f"SELECT * FROM ({window}) WHERE path = 'a/x' AND time > '{DAY}'") == ([0], *FOREVER)
    both = "SELECT count(*) FROM samples WHERE path = '{}' AND time {} '" + DAY + "'"
    assert read(f"{both.format('a/x', '<')} UNION ALL {both.format('b/x', '>')}") == ([0, 5], *FOREVER)
    outer = f"SELECT p.path FROM points p LEFT JOIN samples s ON s.path = p.path AND s.time >= '{DAY}'"
    assert read(outer) == (None, DAY_NS, FOREVER[1])
    assert read(f"{outer} WHERE coalesce(s.path, 'a/x') = 'a/x'")[0] is None
    shared = "WITH s AS (SELECT * FROM samples WHERE path = 'a/x') SELECT * FROM s a ASOF JOIN s b ON a.time >= b.time"
    assert read(shared)[0] == [0]
    assert read("SELECT * FROM minutes WHERE path = 'a/y'", "minutes")[0] == [1]
    assert "samples" not in needs("SELECT * FROM minutes")


def test_only_columns_that_are_read() -> None:
    assert needs("SELECT count(*) FROM samples")["samples"].columns == frozenset()
    assert needs("SELECT avg(value) FROM samples WHERE good")["samples"].columns == {"value", "good"}
    assert needs("SELECT * FROM samples")["samples"].columns == set(SAMPLES)
    assert needs("SELECT max FROM minutes ORDER BY time LIMIT 1")["minutes"].columns == {"max", "time"}


def test_a_statement_that_cannot_be_planned_narrows_nothing() -> None:
    assert needs("SELECT nope FROM samples") == {} and needs("SELEC") == {}


PLAN_PARTS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.sampled_from(["samples", "path", "CONSTANT_COMPARISON"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "children", "function_data", "table", "table_filters", "filters", "key", "value", "filter_type",
             "column_indexes", "index", "projection_ids", "expressions", "constant", "comparison_type", "expr", "qname"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=examples(200), suppress_health_check=list(HealthCheck), deadline=None)
@given(PLAN_PARTS, PLAN_PARTS, PLAN_PARTS)
def test_a_plan_in_an_unknown_form_narrows_nothing_and_breaks_nothing(filters: Any, columns: Any, rest: Any) -> None:
    get = {"type": "LOGICAL_GET", "function_data": {"table": "samples"}, "table_filters_by_projection": True}
    plan = {"plans": [{**get, "table_filters": filters, "column_indexes": columns, "children": rest}]}
    found = needs_of(plan, {"samples": list(SAMPLES), "minutes": list(MINUTES)})
    assert found["samples"].condition.points == "TRUE" or found["samples"].columns != ALL_COLUMNS


def test_the_planner_survives_a_statement_that_duckdb_refuses_to_tell() -> None:
    connection = connect(QUERY)
    connection.execute("BEGIN")
    assert plan_of(connection, "PIVOT samples ON path USING avg(value)") == {}
    connection.execute("SELECT 1")
