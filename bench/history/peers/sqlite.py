"""SQLite: one table keyed by (point, time) without row ids, WAL, synchronous=FULL, a commit is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.history.dataset import Dataset
from bench.history.peers.base import Peer, folder_bytes
from bench.history.peers.duckdb import digest_of
from bench.history.peers.sql import Dialect, Sql
from bench.history.questions import Digest, Question
from headrace.model.batch import Batch


class SQLite(Peer):
    title = f"SQLite {sqlite3.sqlite_version}"

    def start(self, directory: Path, dataset: Dataset, *, fresh: bool) -> None:
        self._directory = directory
        self._db = sqlite3.connect(directory / "history.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA cache_size=-262144")
        if fresh:
            self._db.execute(
                "CREATE TABLE samples (handle INTEGER, source INTEGER, received INTEGER, value, quality INTEGER, "
                "PRIMARY KEY (handle, source)) WITHOUT ROWID"
            )
        self._sql = Sql(dataset, Dialect(divide="({0}) / {1}", newest="value", number="REAL", kinds_apart=False))

    def prepare(self, batches: Sequence[Batch]) -> Any:
        columns = (
            (b.handles.tolist(), b.source_ns.tolist(), b.received_ns.tolist(), b.values.tolist(), b.quality.tolist())
            for b in batches
        )
        return [row for each in columns for row in zip(*each, strict=True)]

    def write(self, commit: Any) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?)", commit)
        self._db.execute("COMMIT")

    def finish(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def disk(self) -> Mapping[str, int]:
        return {"file": folder_bytes(self._directory)}

    def ask(self, question: Question) -> Callable[[], Any]:
        statement = self._sql.statement(question)
        if question.ask == "latest":  # a seek a point, instead of a walk over all their samples
            points = ", ".join(f"({handle})" for handle in question.handles.tolist())
            statement = (
                f"WITH asked(point) AS (VALUES {points}) SELECT point AS handle, "
                "(SELECT value FROM samples WHERE handle = point ORDER BY source DESC LIMIT 1) AS value FROM asked"
            )

        def run() -> Any:
            cursor = self._db.execute(statement)
            return [column[0] for column in cursor.description], cursor.fetchall()

        return run

    def digest(self, question: Question, answer: Any) -> Digest:
        names, rows = answer
        return digest_of(question, dict(zip(names, zip(*rows, strict=True), strict=True)))

    def stop(self) -> None:
        self._db.close()
