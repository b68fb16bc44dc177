"""ClickHouse in this process, by chdb: MergeTree by (point, time) with codecs for time series, synced inserts.

chdb brings 900 MB of its own, so it lives in `.venv-bench` (bench/peers.lock) and this module runs there alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from bench.history.dataset import Dataset
from bench.history.peers.base import Absent, Peer, folder_bytes
from bench.history.peers.duckdb import digest_of, table
from bench.history.peers.sql import TABLES, Dialect, Sql
from bench.history.questions import Digest, Question
from headrace.model.batch import Batch, ValueKind

_VALUES = {
    ValueKind.FLOAT64: "Float64 CODEC(Gorilla, ZSTD)",
    ValueKind.INT64: "Int64 CODEC(Delta, ZSTD)",
    ValueKind.BOOL: "Bool CODEC(ZSTD)",
    ValueKind.TEXT: "String CODEC(ZSTD)",
}
_ORDER = "ENGINE = MergeTree ORDER BY (handle, source) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"


class Chdb(Peer):
    title = "chdb"

    def start(self, directory: Path, dataset: Dataset, *, fresh: bool) -> None:
        try:
            import chdb
            from chdb import session
        except ImportError:
            raise Absent("tools/setup.sh bench puts it into .venv-bench") from None
        self.title = f"chdb {chdb.__version__}"
        self._directory = directory
        self._session = session.Session(str(directory / "clickhouse"))
        self._sql = Sql(dataset, Dialect(divide="intDiv({0}, {1})", newest="argMax(value, source)", number="Float64"))
        if fresh:
            self._session.query("CREATE DATABASE bench")
            for kind, name in TABLES.items():
                self._session.query(
                    f"CREATE TABLE bench.{name} (handle UInt32 CODEC(Delta, ZSTD), source Int64 CODEC(DoubleDelta, "
                    f"ZSTD), received Int64 CODEC(Delta, ZSTD), value {_VALUES[kind]}, quality UInt32 CODEC(ZSTD)) "
                    + _ORDER
                )
        self._session.query("USE bench")

    def prepare(self, batches: Sequence[Batch]) -> Any:
        return [(TABLES[batch.kind], table(batch)) for batch in batches]

    def write(self, commit: Any) -> None:
        for name, arrived in commit:
            assert arrived is not None
            self._session.query(f"INSERT INTO {name} SELECT * FROM Python(arrived)")

    def finish(self) -> None:
        """What is inserted is in its parts already."""

    def compact(self) -> None:
        for name in TABLES.values():
            self._session.query(f"OPTIMIZE TABLE {name} FINAL")

    def disk(self) -> Mapping[str, int]:
        """Active parts only: those that a merge replaced stay for some minutes."""
        answer = self._session.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'bench'")
        return {"parts": int(str(answer).strip())}

    def ask(self, question: Question) -> Callable[[], Any]:
        statement = self._sql.statement(question)
        return lambda: self._session.query(statement, "ArrowStream").bytes()

    def digest(self, question: Question, answer: Any) -> Digest:
        rows: pa.Table = pyarrow.ipc.open_stream(io.BytesIO(answer)).read_all()
        return digest_of(question, {name: rows[name].to_numpy() for name in rows.column_names})

    def extra(self) -> Mapping[str, Any]:
        return {"files": folder_bytes(self._directory)}

    def stop(self) -> None:
        self._session.close()
