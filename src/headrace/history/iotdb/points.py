"""Which number is which path, kept in IoTDB's own schema, so that every process of every machine agrees.

    known? ─► yes: its number
           └► no: make series `points.n<next free number>` with alias `<path>`, many in one call ─► read all ─► again
                  for those that still have none, because another process took the number or the path

The server makes a series name once and an alias within `points` once, in one replicated step of the schema region; so
no two points share a number, and no path has two, however many processes register at the same time. A number whose
alias lost that race stays unused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headrace.history.iotdb.blocks import INT32
from headrace.history.iotdb.connection import Connection
from headrace.history.iotdb.pool import Pool
from headrace.history.iotdb.schema import Names, number_of, quoted, unquoted
from headrace.model.errors import DataError, Unavailable

ROUNDS_MAX: Final = 100
CREATE_AT_ONCE: Final = 5_000


class Points:
    """Called by one thread at a time."""

    def __init__(self, pool: Pool, names: Names) -> None:
        self._pool, self._names = pool, names
        self.paths: dict[int, str] = {}
        self.handles: dict[str, int] = {}
        self._used = 0

    def load(self) -> None:
        """Everything that any process has registered."""
        for number, path in sorted(self._pool.call(self._read)):
            self._used = max(self._used, number + 1)
            if number not in self.paths and path not in self.handles:
                self.paths[number] = path
                self.handles[path] = number

    def register(self, paths: Sequence[str]) -> None:
        """Raises: Unavailable where the cluster does not answer, DataError for a path that IoTDB refuses."""
        for _ in range(ROUNDS_MAX):
            new = list(dict.fromkeys(path for path in paths if path not in self.handles))
            if not new:
                return
            part = new[:CREATE_AT_ONCE]
            before = self._used
            refusal = self._claim(part)
            self.load()
            if refusal is not None and self._used == before:
                raise refusal
        raise Unavailable("other processes register points all the time; try again")

    def _claim(self, paths: Sequence[str]) -> DataError | None:
        """Try the next numbers; what of it was granted, the next `load` tells."""
        names = [self._names.point(self._used + index) for index in range(len(paths))]
        try:
            self._pool.call(lambda connection: connection.create_series(names, INT32, [quoted(p) for p in paths]))
        except DataError as error:
            return error
        return None

    def _read(self, connection: Connection) -> list[tuple[int, str]]:
        answer = connection.query(f"SHOW TIMESERIES {self._names.points}.*")
        series, alias = (answer.places[answer.columns.index(name)] for name in ("Timeseries", "Alias"))
        return [
            (number_of(path), unquoted(name))
            for block in answer.blocks
            for path, name in zip(block.columns[series].values, block.columns[alias].values, strict=True)
        ]
