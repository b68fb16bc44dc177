"""Parquet by pyarrow: zstd, delta-encoded times, one file a kind and hour; asked through DuckDB.

Written twice: by (point, time), which points are found in, and as the samples arrived. The smaller one counts as its
size, the sorted one answers. A file is there once its hour is over: nothing is durable before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.history.dataset import Dataset
from bench.history.peers.base import Absent, Peer, folder_bytes
from bench.history.peers.duckdb import digest_of, table
from bench.history.peers.sql import TABLES, Dialect, Sql
from bench.history.questions import Digest, Question
from headrace.model.batch import Batch
from headrace.model.time import HOUR_NS

_SORTED, _ARRIVED = "by point and time", "as arrived"
_ROW_GROUP = 131_072
_OPTIONS = {
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": ["value", "quality"],
    "column_encoding": dict.fromkeys(("handle", "source", "received"), "DELTA_BINARY_PACKED"),
    "write_statistics": True,
}


class Parquet(Peer):
    title = "Parquet (zstd)"

    def start(self, directory: Path, dataset: Dataset, *, fresh: bool) -> None:
        try:
            import duckdb
        except ImportError:
            raise Absent("the files are asked through DuckDB, which is not here: make setup") from None
        self._folders = {form: directory / form for form in (_SORTED, _ARRIVED)}
        for folder in self._folders.values():
            folder.mkdir(exist_ok=True)
        self._held: dict[str, list[pa.Table]] = {}
        self._hour = dataset.start_ns // HOUR_NS
        self._db = duckdb.connect()
        files = {name: f"read_parquet('{self._folders[_SORTED]}/{name}-*.parquet')" for name in TABLES.values()}
        self._sql = Sql(dataset, Dialect(), files)

    def prepare(self, batches: Sequence[Batch]) -> Any:
        return int(batches[0].received_ns[0]), [(TABLES[batch.kind], table(batch)) for batch in batches]

    def write(self, commit: Any) -> None:
        now_ns, tables = commit
        if now_ns // HOUR_NS > self._hour:
            self._put()
            self._hour = now_ns // HOUR_NS
        for name, rows in tables:
            self._held.setdefault(name, []).append(rows)

    def _put(self) -> None:
        for name in list(self._held):
            rows = pa.concat_tables(self._held.pop(name)).combine_chunks()
            file = f"{name}-{self._hour}.parquet"
            pq.write_table(rows, self._folders[_ARRIVED] / file, row_group_size=_ROW_GROUP, **_OPTIONS)
            order = np.lexsort((rows["source"].to_numpy(), rows["handle"].to_numpy()))
            rows = rows.take(pa.array(order))
            pq.write_table(rows, self._folders[_SORTED] / file, row_group_size=_ROW_GROUP, **_OPTIONS)

    def finish(self) -> None:
        self._put()

    def _sizes(self) -> dict[str, int]:
        return {form: folder_bytes(folder) for form, folder in self._folders.items()}

    def disk(self) -> Mapping[str, int]:
        form, size = min(self._sizes().items(), key=lambda each: each[1])
        return {form: size}

    def extra(self) -> Mapping[str, Any]:
        sizes = self._sizes()
        return {"alternatives": {form: size for form, size in sizes.items() if size > min(sizes.values())}}

    def ask(self, question: Question) -> Callable[[], Any]:
        statement = self._sql.statement(question)
        return lambda: self._db.execute(statement).fetchnumpy()

    def digest(self, question: Question, answer: Any) -> Digest:
        return digest_of(question, answer)

    def stop(self) -> None:
        self._db.close()
