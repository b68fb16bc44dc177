"""The SQL process: one statement, then it ends. `python -m headrace.history.sql.worker`, spoken to over its pipes.

QUERY, TABLES ─► DuckDB in memory, locked ─► one SELECT? ─► plan ─► what is read ─► SCAN
                                                                         │ NEXT ─► pieces
                                                    execute over them ◄──┘
                                                           └─► rows, as many as may be ─► ANSWER, BYTES, DONE
"""

from __future__ import annotations

import os
import queue
import re
import sys
import threading
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, Final

from headrace.history.records import decode_batches
from headrace.history.sql import frames
from headrace.history.sql.answers import Answer, arrow_bytes, collect, json_bytes
from headrace.history.sql.frames import Tag
from headrace.history.sql.plan import EVERYTHING, Need, needs_of
from headrace.history.sql.tables import SCANNED, SENT, Rows, create_table
from headrace.model.errors import DataError, HeadraceError, LimitReached
from headrace.sdk.jail import confine

if TYPE_CHECKING:
    import pyarrow as pa

PIECE_BYTES: Final = 256 * 1024
ONLY_SELECT: Final = "only one SELECT is taken (WITH, DESCRIBE and SUMMARIZE too): this language reads history"
NO_OUTSIDE: Final = "SQL reads history and nothing else: no files, no network, no settings, no extensions"

_NODE: Final = re.compile(r'"type":"([A-Z_]+_NODE)"')
#: What a SELECT is made of in DuckDB's tree of it.
READING: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
#: The rewrites that bring a filter down to its scan. None that looks at rows: while planning, the tables are empty.
PLANNING: Final = frozenset(
    {
        "expression_rewriter",
        "filter_pullup",
        "filter_pushdown",
        "cte_filter_pusher",
        "cte_inlining",
        "regex_range",
        "in_clause",
        "deliminator",
        "unnest_rewriter",
        "unused_columns",
    }
)
#: A stream has no length, which these would take for none, and gather history to look up points in it; nor has it
#: row numbers.
NOT_EXECUTING: Final = frozenset({"join_order", "build_side_probe_side", "late_materialization"})


class Link:
    """The two pipes. A thread reads, so that the platform's end ends this process whatever DuckDB is busy with."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source, self._sink = source, sink
        self._arrived: queue.SimpleQueue[tuple[Tag, bytes]] = queue.SimpleQueue()
        self._asking = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def receive(self) -> tuple[Tag, bytes]:
        return self._arrived.get()

    def send(self, frame: bytes) -> None:
        self._sink.write(frame)
        self._sink.flush()

    def ask(self, frame: bytes) -> tuple[Tag, bytes]:
        """One question at a time, whichever of DuckDB's threads asks."""
        with self._asking:
            self.send(frame)
            return self.receive()

    def _read(self) -> None:
        while True:
            try:
                frame = frames.read_frame(self._source)
            except DataError:
                frame = None
            if frame is None:
                os._exit(3)
            self._arrived.put(frame)


class Scan:
    """A table of the store: each time DuckDB scans it, a new stream of pieces."""

    def __init__(self, link: Link, table: str, rows: Rows, need: Need, handles: list[int] | None) -> None:
        self._link, self._table, self._rows, self._need, self._handles = link, table, rows, need, handles
        self._numbers = 0

    def __arrow_c_schema__(self) -> Any:
        return self._rows.schema(self._table).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        import pyarrow as pa

        schema = self._rows.schema(self._table)
        return pa.RecordBatchReader.from_batches(schema, self._pieces()).__arrow_c_stream__(requested_schema)

    def _pieces(self) -> Iterator[pa.RecordBatch]:
        self._numbers += 1
        condition, name = self._need.condition, f"{self._table}-{self._numbers}"
        self._link.send(
            frames.pack_json(
                Tag.SCAN,
                {
                    "scan": name,
                    "table": self._table,
                    "handles": self._handles,
                    "start_ns": condition.start_ns,
                    "end_ns": condition.end_ns,
                },
            )
        )
        while True:
            tag, payload = self._link.ask(frames.pack_json(Tag.NEXT, {"scan": name}))
            if tag is Tag.SAMPLES:
                for batch in decode_batches(payload):
                    yield self._rows.samples(batch, self._need.columns)
            elif tag is Tag.MINUTES:
                yield self._rows.minutes(frames.decode_minutes(payload), self._need.columns)
            else:
                return


def run(link: Link, query: dict[str, Any], tables: dict[str, list[list[Any]]]) -> Answer:
    """Raises: DataError for a statement that is wrong or not taken; LimitReached for one that needs too much."""
    import duckdb

    connection = connect(query)
    rows = Rows(tables["points"])
    confine(query["memory_bytes"])
    try:
        check_only_select(connection, query["sql"])
        needs = prepare(connection, query["sql"], tables)
        for table in SCANNED:
            need = needs.get(table, EVERYTHING)
            connection.register(table, Scan(link, table, rows, need, handles_of(connection, need)))
        return collect(connection.sql(query["sql"]), query["rows_max"], query["bytes_max"])
    except duckdb.OutOfMemoryException:
        raise LimitReached(_too_much_memory(query["memory_bytes"])) from None
    except duckdb.PermissionException:
        raise DataError(NO_OUTSIDE) from None
    except duckdb.Error as error:
        raise DataError(_plain(str(error))) from None
    except MemoryError:
        raise LimitReached(_too_much_memory(query["memory_bytes"])) from None


def connect(query: dict[str, Any]) -> Any:
    import duckdb
    import pyarrow as pa

    connection = duckdb.connect()
    for name, value in (
        ("threads", str(query["threads"])),
        ("memory_limit", f"{query['memory_bytes'] // 1_000_000}MB"),
        ("temp_directory", ""),  # before the file system goes: what does not fit in memory is refused, not spilt
        ("home_directory", "/nonexistent"),
        ("python_enable_replacements", "false"),
        ("autoload_known_extensions", "false"),
        ("autoinstall_known_extensions", "false"),
        ("allow_community_extensions", "false"),
        ("enable_external_access", "false"),
        ("asof_loop_join_threshold", "0"),  # nobody can say how long a stream is, so none counts as short
    ):
        connection.execute(f"SET {name} = {_literal(value)}")
    try:
        connection.execute(f"SET TimeZone = {_literal(query['timezone'])}")
        pa.scalar(0, pa.timestamp("us", query["timezone"])).as_py()  # reads the zone's file while files can be read
    except (duckdb.Error, ValueError, OSError, LookupError):
        raise DataError(f"'{query['timezone'][:60]}' is not a time zone, such as UTC or Asia/Shanghai") from None
    return connection


def check_only_select(connection: Any, sql: str) -> None:
    """Also within it: a WITH of DuckDB may hold INSERT, UPDATE, DELETE and COPY. Raises: DataError."""
    import duckdb

    statements = connection.extract_statements(sql)
    try:
        found = [statement.type.name for statement in statements]
    except ValueError:  # a kind that DuckDB knows and its Python does not
        found = ["another statement"]
    if found != [duckdb.StatementType.SELECT.name]:
        raise DataError(f"{ONLY_SELECT}. Found: {', '.join(found) or 'nothing'}")
    # As text, for a long sum is a deep tree; within a literal these quotes are escaped.
    tree = str(connection.execute(f"SELECT json_serialize_sql({_literal(sql)})").fetchone()[0])
    strange = sorted(set(_NODE.findall(tree)) - READING)
    if strange or not tree.startswith('{"error":false'):
        raise DataError(f"{ONLY_SELECT}. Found: {', '.join(strange) or 'what it cannot be told from'}")


def prepare(connection: Any, sql: str, tables: dict[str, list[list[Any]]]) -> dict[str, Need]:
    """Fill the small tables and say what is read of the large ones; `now()` stays the same until the answer."""
    import orjson
    import pyarrow as pa

    arrow = {"VARCHAR": pa.string(), "UINTEGER": pa.uint32(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_()}
    for name, columns in SENT.items():
        connection.execute(create_table(name, columns))
        cells = list(zip(*tables[name], strict=True)) or [()] * len(columns)
        arrays = [
            pa.array([None if one is None else orjson.dumps(one).decode() for one in cell], pa.string())
            if kind == "JSON"
            else pa.array(cell, arrow[kind])
            for cell, kind in zip(cells, columns.values(), strict=True)
        ]
        connection.register("_sent", pa.table(arrays, names=list(columns)))
        connection.execute(f"INSERT INTO {name} SELECT * FROM _sent")
        connection.unregister("_sent")
    connection.execute("BEGIN")
    for name, columns in SCANNED.items():
        connection.execute(create_table(name, columns))
    needs = plan_of(connection, sql)
    for name in SCANNED:
        connection.execute(f"DROP TABLE IF EXISTS {name}")
    return needs


def plan_of(connection: Any, sql: str) -> dict[str, Need]:
    """Nothing for a plan that DuckDB cannot tell: then everything is read, and DuckDB filters."""
    import duckdb
    import orjson

    every = {row[0] for row in connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()}
    columns, needs = {name: list(kinds) for name, kinds in SCANNED.items()}, {}
    for kept in (PLANNING, PLANNING - {"unused_columns"}):  # some plans can be told only with all their columns
        try:
            connection.execute(f"SET disabled_optimizers = {_literal(','.join(sorted(every - kept)))}")
            told = connection.execute(
                f"SELECT json_serialize_plan({_literal(sql)}, optimize := true, skip_null := true, "
                "skip_empty := true, skip_default := true)"
            ).fetchone()[0]
            plan = orjson.loads(told)
        except (duckdb.Error, orjson.JSONDecodeError):
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
            break
        if not plan.get("error"):
            needs = needs_of(plan, columns)
            break
    connection.execute(f"SET disabled_optimizers = {_literal(','.join(sorted(NOT_EXECUTING & every)))}")
    connection.execute("SET lock_configuration = true")
    return needs


def handles_of(connection: Any, need: Need) -> list[int] | None:
    """The points that a need names, None for all."""
    if need.condition.points == "TRUE":
        return None
    found = connection.execute(
        f"SELECT handle FROM points WHERE {need.condition.points} ORDER BY handle", list(need.condition.parameters)
    ).fetchall()
    return [row[0] for row in found]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _plain(message: str) -> str:
    return message.replace("\n\n", "\n").strip()[:2_000]


def _too_much_memory(limit: int) -> str:
    return f"this needs more than {limit // 1_000_000} MB; read a shorter time, fewer points, or aggregate earlier"


def ready() -> None:
    """What every statement needs, imported before there is one."""
    import duckdb  # noqa: F401
    import orjson  # noqa: F401
    import pyarrow as pa

    pa.scalar(0, pa.timestamp("us", "UTC")).as_py()  # imports what it makes Python's times with


def main() -> None:
    link = Link(sys.stdin.buffer, sys.stdout.buffer)
    query = frames.json_of(link.receive()[1])
    tables = frames.json_of(link.receive()[1])
    try:
        answer = run(link, query, tables)
        body = arrow_bytes(answer) if query["form"] == "arrow" else json_bytes(answer)
    except (HeadraceError, MemoryError) as error:
        limit = isinstance(error, (LimitReached, MemoryError))
        message = error.message if isinstance(error, HeadraceError) else _too_much_memory(query["memory_bytes"])
        link.send(frames.pack_json(Tag.ERROR, {"limit": limit, "message": message}))
    else:
        link.send(frames.pack_json(Tag.ANSWER, {"rows": answer.table.num_rows, "truncated": answer.truncated}))
        for at in range(0, len(body), PIECE_BYTES):
            link.send(frames.pack(Tag.BYTES, body[at : at + PIECE_BYTES]))
        link.send(frames.pack(Tag.DONE))
    os._exit(0)  # at once: what DuckDB would tidy up goes with the process


if __name__ == "__main__":
    main()
