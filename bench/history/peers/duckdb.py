"""DuckDB, its native file: a table a kind, times as int64 nanoseconds, a commit is one transaction through its WAL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.history.dataset import Dataset
from bench.history.peers.base import Absent, Peer, folder_bytes
from bench.history.peers.sql import TABLES, Dialect, Sql
from bench.history.questions import Digest, Question, digest
from headrace.model.batch import Batch, ValueKind

_TYPES = {ValueKind.FLOAT64: "DOUBLE", ValueKind.INT64: "BIGINT", ValueKind.BOOL: "BOOLEAN", ValueKind.TEXT: "VARCHAR"}


class DuckDB(Peer):
    title = "DuckDB"

    def start(self, directory: Path, dataset: Dataset, *, fresh: bool) -> None:
        try:
            import duckdb
        except ImportError:
            raise Absent("DuckDB comes with the development set: make setup") from None
        self.title = f"DuckDB {duckdb.__version__}"
        self._directory = directory
        self._db = duckdb.connect(str(directory / "history.duckdb"))
        self._sql = Sql(dataset, Dialect())
        for kind, table in TABLES.items() if fresh else ():
            self._db.execute(
                f"CREATE TABLE {table} (handle UINTEGER, source BIGINT, received BIGINT, value {_TYPES[kind]}, "
                "quality UINTEGER)"
            )

    def prepare(self, batches: Sequence[Batch]) -> Any:
        return [(TABLES[batch.kind], table(batch)) for batch in batches]

    def write(self, commit: Any) -> None:
        self._db.begin()
        for name, rows in commit:
            self._db.register("arrived", rows)
            self._db.execute(f"INSERT INTO {name} SELECT * FROM arrived")
        self._db.commit()

    def finish(self) -> None:
        self._db.unregister("arrived")
        self._db.execute("CHECKPOINT")

    def disk(self) -> Mapping[str, int]:
        return {"file": folder_bytes(self._directory)}

    def ask(self, question: Question) -> Callable[[], Any]:
        statement = self._sql.statement(question)
        return lambda: self._db.execute(statement).fetchnumpy()

    def digest(self, question: Question, answer: Any) -> Digest:
        return digest_of(question, answer)

    def stop(self) -> None:
        self._db.close()


def table(batch: Batch) -> pa.Table:
    """Times as int64; Arrow shares the memory of all but bools and texts."""
    text = batch.kind is ValueKind.TEXT
    return pa.table(
        {
            "handle": pa.array(batch.handles),
            "source": pa.array(batch.source_ns),
            "received": pa.array(batch.received_ns),
            "value": pa.array(batch.values.tolist(), pa.string()) if text else pa.array(batch.values),
            "quality": pa.array(batch.quality),
        }
    )


def digest_of(question: Question, answer: Mapping[str, Any]) -> Digest:
    """Of an answer to `Sql.statement` as columns."""
    match question.ask:
        case "raw":
            good = np.asarray(answer["quality"], np.uint32) < 1 << 30
            return digest(np.asarray(answer["value"], np.float64)[good])
        case "latest":
            return digest(answer["value"])
        case "mean":
            return digest(answer["mean"])
        case _:
            return digest(answer["mean"], answer["low"], answer["high"])
