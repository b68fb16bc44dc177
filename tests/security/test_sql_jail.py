"""SQL of a firm that wants more than its history: files, settings, bombs, and the names of other firms.

Beside `tests/history/test_sql.py`, which asks DuckDB alone: here all goes through the route, as a tenant sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.tenants.hub import Hub, hub

from headrace.api import ApiSettings, create_app

pytestmark = pytest.mark.clause(
    "62443-3-3 SR 2.1", "62443-3-3 SR 3.5", "62443-3-3 SR 4.1", "62443-3-3 SR 7.1", "GB/T 22239-2019 8.1.4.2"
)

SECRET = "canary-of-a-file"


@pytest.fixture
async def firms(tmp_path: Path) -> AsyncIterator[Hub]:
    async with hub(tmp_path) as made:
        yield made


@pytest.fixture
async def client(firms: Hub) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(firms.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", headers=firms.as_("beta.viewer"), timeout=120
    ) as client:
        yield client


async def ask(client: httpx.AsyncClient, sql: str, **more: object) -> httpx.Response:
    answer = await client.post("/api/v1/history/sql", json={"sql": sql, **more})
    assert answer.status_code in (200, 422, 429), (sql, answer.status_code, answer.text)
    return answer


async def every(client: httpx.AsyncClient, statements: list[str], **more: object) -> list[httpx.Response]:
    """Two at a time, as many as may run."""
    places = asyncio.Semaphore(2)

    async def one(sql: str) -> httpx.Response:
        async with places:
            return await ask(client, sql, **more)

    return await asyncio.gather(*map(one, statements))


FILES = [
    "SELECT * FROM '{file}'", "SELECT * FROM \"{file}\"", "FROM '{file}'", "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_csv_auto(['{file}', '{file}'])", "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{folder}/*')", "SELECT * FROM glob('{folder}/**')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM read_json_objects('{file}')", "SELECT * FROM read_ndjson('file://{file}')",
    "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')", "SELECT * FROM query_table(['{file}'])",
    "SELECT * FROM query_table('read_text(''{file}'')')", "SELECT * FROM parquet_scan('{file}')",
    "SELECT * FROM sqlite_scan('{folder}/access.db', 'tokens')", "SELECT (SELECT content FROM read_text('{file}'))",
    "WITH x AS MATERIALIZED (FROM read_text('{file}')) FROM x", "SELECT * FROM points, LATERAL read_text('{file}')",
    "SELECT json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{file}'')'))",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{file}'')'))",
    "PIVOT read_text('{file}') ON filename USING count(*)", "DESCRIBE FROM read_csv('{file}')",
    "SUMMARIZE FROM read_csv('{file}')", "SELECT getvariable('x'), getenv('HOME'), '{file}'::BLOB",
    "SELECT * FROM '/proc/self/environ'", "SELECT * FROM read_text('/proc/self/maps')",
    "SELECT * FROM read_text('/dev/fd/0')", "SELECT * FROM read_blob('/proc/self/fd/1')",
    "SELECT * FROM 'http://127.0.0.1:1/x.csv'", "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT * FROM read_text('\\\\\\\\host\\share')", "SELECT * FROM delta_scan('{folder}')",
    "SELECT * FROM iceberg_scan('{folder}')", "SELECT * FROM st_read('{file}')", "SELECT * FROM read_xlsx('{file}')",
    "SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 'x')", "SELECT * FROM python_map_function(1)",
]  # fmt: skip


async def test_no_file_is_read(client: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text(f"a,b\n{SECRET},1\n")
    for answer in await every(client, [sql.format(file=tmp_path / "secret.csv", folder=tmp_path) for sql in FILES]):
        assert SECRET not in answer.text and "PATH=" not in answer.text, answer.request.content
        assert answer.status_code == 422, (answer.request.content, answer.text)


STATEMENTS = [
    "ATTACH '{folder}/x.db' AS x", "ATTACH ':memory:' AS x", "COPY points TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.csv'", "EXPORT DATABASE '{folder}/out'", "INSTALL httpfs", "LOAD '{folder}/x.so'",
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1:1'", "SET memory_limit = '100GB'", "SET GLOBAL threads = 999",
    "RESET ALL", "PRAGMA memory_limit='100GB'", "PRAGMA table_info('points')", "CALL enable_logging()",
    "CREATE OR REPLACE MACRO f() AS 1", "CREATE TEMP TABLE x AS SELECT 1", "CREATE VIEW samples AS SELECT 1",
    "DROP TABLE points", "DELETE FROM assets", "ALTER TABLE points ADD COLUMN x INT", "BEGIN; COMMIT", "USE x",
    "SELECT 1; COPY points TO '{folder}/out.csv'", "SELECT 1;;ATTACH '{folder}/x.db'", "PREPARE p AS SELECT 1",
    "EXECUTE p", "DEALLOCATE p", "SELECT 1 -- \n; SET threads = 1", "SELECT 1 /* ; */; SELECT 2",
    "WITH x AS (COPY points TO '{folder}/out.csv') FROM x",
    "WITH x AS (UPDATE points SET unit = '' RETURNING *) FROM x",
    "SELECT (WITH y AS (INSERT INTO points SELECT * FROM points RETURNING 1) SELECT 1)",
    "SELECT 1 UNION ALL SELECT * FROM (WITH y AS (DELETE FROM points RETURNING 1) FROM y)",
    "SELECT ';' ; SELECT 1", "SELECT $$;$$; SELECT 1",
    "SELECT 1\u037e SELECT 2", "\ufeffATTACH '{folder}/x.db'", "ATT\u200bACH '{folder}/x.db'",
    "\uff33ELECT 1", "SELECT 1\u2028;SET threads=1", "EXPLAIN ANALYZE SELECT 1", "CHECKPOINT", "VACUUM ANALYZE",
    "CREATE SECRET (TYPE s3)", "COMMENT ON TABLE points IS 'x'", "MERGE INTO points USING points ON true",
    "INSERT INTO points SELECT * FROM points", "UPDATE EXTENSIONS", "SET VARIABLE x = 1", "SELECT ?", "SELECT $1",
    "WITH x AS (DELETE FROM points RETURNING *) SELECT * FROM x", "FROM points INSERT INTO points",
]  # fmt: skip


async def test_nothing_but_one_select_is_taken(client: httpx.AsyncClient, tmp_path: Path) -> None:
    before = names_in(tmp_path)
    for answer in await every(client, [sql.format(folder=tmp_path) for sql in STATEMENTS]):
        assert answer.status_code == 422, (answer.request.content, answer.text)
    assert names_in(tmp_path) == before
    for sql in (
        "SELECT 1 /* /* */ ; DROP TABLE points */",
        'SELECT \'"type":"DELETE_QUERY_NODE"\'',
        "SELECT 1" + "+ 1" * 900,
    ):
        assert (await ask(client, sql)).status_code == 200, sql
    again = await ask(client, "SELECT count(*) FROM points")
    assert again.status_code == 200 and again.json()["rows"][0][0] != 0


def names_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


PEEPS = [
    "SELECT * FROM information_schema.tables", "SELECT * FROM information_schema.columns",
    "SELECT * FROM information_schema.schemata", "SHOW ALL TABLES", "SHOW DATABASES", "SHOW TABLES",
    "SELECT * FROM duckdb_tables()", "SELECT * FROM duckdb_columns()", "SELECT * FROM duckdb_views()",
    "SELECT * FROM duckdb_databases()", "SELECT * FROM duckdb_settings()", "SELECT * FROM duckdb_memory()",
    "SELECT * FROM duckdb_temporary_files()", "SELECT * FROM duckdb_prepared_statements()",
    "SELECT * FROM duckdb_variables()", "SELECT * FROM duckdb_dependencies()", "SELECT * FROM duckdb_constraints()",
    "SELECT * FROM pragma_storage_info('points')", "SELECT * FROM pragma_table_info('points')",
    "SELECT * FROM pragma_metadata_info()", "SELECT * FROM duckdb_log_contexts()", "SELECT * FROM duckdb_logs()",
    "SELECT * FROM sqlite_master", "SELECT * FROM pg_catalog.pg_class", "SELECT * FROM pg_catalog.pg_stats",
    "SELECT stats(path) FROM points", "SELECT * FROM points WHERE handle < 10000", "SELECT * FROM _sent",
    "SELECT * FROM memory.main.points", "SELECT * FROM temp.points", "SELECT * FROM system.main.duckdb_tables",
    "SELECT DISTINCT path FROM samples", "SELECT DISTINCT path FROM minutes", "SELECT * FROM assets",
    "SELECT count(*), min(path), max(path) FROM samples WHERE path LIKE 'ac_e%' OR path LIKE 'own%'",
    "SELECT * FROM own.samples", "SELECT * FROM \"ac\" 'me'", "SELECT * FROM samples_own",
    "EXPLAIN SELECT * FROM samples", "SUMMARIZE points", "SUMMARIZE assets", "DESCRIBE points",
    "SELECT error(path) FROM points", "SELECT path::INTEGER FROM points", "SELECT path FROM samples TABLESAMPLE 50%",
    "SELECT last(path) FROM samples", "SELECT * FROM samples AS OF TIMESTAMP '2026-11-22'",
    "SELECT * FROM points ORDER BY rowid",
]  # fmt: skip


async def test_another_firm_is_in_no_view_and_no_error(client: httpx.AsyncClient, tmp_path: Path) -> None:
    for sql, answer in zip(PEEPS, await every(client, PEEPS, limit=10_000), strict=True):
        for inside in ("acme", "own/", str(tmp_path), str(Path.home()), "site-packages"):
            assert inside not in answer.text, (sql, answer.text[:2_000])


BOMBS = [
    "SELECT repeat('x', 2000000000)", "SELECT range(2000000000)", "SELECT list(range) FROM range(1000000000)",
    "WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "WITH RECURSIVE r AS (SELECT repeat('x', 1000000) s UNION ALL SELECT s || s FROM r) SELECT count(*) FROM r",
    "WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT a.n FROM r a, r b, range(10)) SELECT count(*) FROM r",
    "SELECT string_agg(a.range::VARCHAR, '') FROM range(100000000) a",
    "SELECT histogram(range) FROM range(1000000000)", "SELECT DISTINCT hash(range) FROM range(1000000000)",
    "SELECT regexp_replace(repeat('a', 10000000), '(a*)*b', '', 'g')",
    "SELECT bitstring_agg(range) FROM range(1000000000)",
    "SELECT repeat('a', 30000) LIKE repeat('%a', 12) || 'b'", "SELECT 10::HUGEINT ** 1e300",
    "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))", "SELECT format('{:999999999}', 1)",
    "SELECT printf('%999999999d', 1)", "SELECT lpad('x', 2000000000, 'y')",
    "SELECT array_agg(s) FROM samples s, range(1000000)",
    "SELECT * FROM " + ", ".join(f"range(1000) r{n}" for n in range(12)) + " ORDER BY ALL",
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000, "SELECT " + "-" * 9_998 + "1", "SELECT " + "NOT " * 10_000 + "true",
    "SELECT 1" + " UNION ALL SELECT 1" * 3_000, "SELECT " + "[" * 3_000 + "]" * 3_000,
    "SELECT * FROM " + "(SELECT * FROM " * 900 + "points" + ")" * 900,
    "SELECT CASE " + "WHEN true THEN CASE " * 2_000 + "END " * 2_000 + "END",
]  # fmt: skip


@pytest.mark.timeout(600)
async def test_bombs_end_in_their_own_process(firms: Hub) -> None:
    """A platform that went down with one would answer no more."""

    def children() -> set[int]:
        return {child.pid for child in psutil.Process().children(recursive=True)}

    app = create_app(firms.services, ApiSettings(sql_timeout_s=4, sql_memory_bytes=128_000_000))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost", headers=firms.as_("beta.viewer"), timeout=120
    ) as client:
        assert (await ask(client, "SELECT 1")).status_code == 200
        before = children()  # with the one that all are copies of
        for sql, answer in zip(BOMBS, await every(client, BOMBS), strict=True):
            assert len(answer.content) < 70_000_000, sql[:80]
        while children() - before:
            await asyncio.sleep(0.01)
        assert (await ask(client, "SELECT count(*) FROM points")).status_code == 200
