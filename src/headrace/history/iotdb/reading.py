"""Samples out of the cluster: pages by (point, time), the newest of each point, the extent of everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from headrace.history.iotdb.connection import Busy, Connection
from headrace.history.iotdb.pool import Pool
from headrace.history.iotdb.pushdown import groups
from headrace.history.iotdb.schema import (
    EVERY,
    FIELDS,
    Names,
    SampleRows,
    batch_of,
    device_blocks,
    during,
    sample_rows,
)
from headrace.history.reader import EARLIEST_NS, LATEST_NS, newest_of_point
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError
from headrace.sdk.store import Page

PAGE_SAMPLES: Final = 200_000
_FIRST_GROUP: Final = 16


class Reading:
    def __init__(self, pool: Pool, names: Names, devices: int) -> None:
        self._pool, self._names, self._devices = pool, names, devices

    def raw(self, handles: Handles, start_ns: int, end_ns: int, limit: int, cursor: str | None) -> Page:
        """`handles` sorted. Raises: DataError for a cursor of another store."""
        limit = max(limit, 1)
        first, after_ns = _parse_cursor(cursor) if cursor is not None else (0, EARLIEST_NS)
        handles = handles[handles >= first]
        found: list[Batch] = []
        if cursor is not None and len(handles) and int(handles[0]) == first:
            handles, resumed = handles[1:], handles[:1]
            page = self._page(resumed, max(start_ns, after_ns), end_ns, limit)
            found, following, limit = page
            if following is not None:
                return Page(joined(found), following)
        # A page of a few dense points is not planned for many.
        size = _FIRST_GROUP
        at = 0
        while at < len(handles) and start_ns < end_ns:
            group = handles[at : at + size]
            if limit <= 0:
                return Page(joined(found), f"{int(group[0])}.{start_ns}")
            more, following, limit = self._page(group, start_ns, end_ns, limit)
            found += more
            if following is not None:
                return Page(joined(found), following)
            at, size = at + size, min(4 * size, self._devices)
        return Page(joined(found), None)

    def _page(
        self, handles: Handles, start_ns: int, end_ns: int, limit: int
    ) -> tuple[list[Batch], str | None, int]:  # fmt: skip
        """Samples of some points, where the rest begins, and how many of `limit` are left."""
        statement = (
            f"SELECT {EVERY} FROM {self._names.sources(handles)}{during(start_ns, end_ns)} "
            f"LIMIT {limit + 1} ALIGN BY DEVICE"
        )
        rows = self._pool.call(lambda connection: in_order(sample_rows(connection.query(statement), limit + 1)))
        counts = np.cumsum(rows.samples())
        fit = int(np.searchsorted(counts, limit, "right"))
        if fit == len(rows):
            return by_point(rows), None, limit - (int(counts[-1]) if fit else 0)
        fit = max(fit, 1)  # a row of two kinds is never cut
        if fit == len(rows):
            return by_point(rows), None, 0
        return by_point(rows.take(slice(0, fit))), f"{int(rows.handles[fit])}.{int(rows.time_ns[fit])}", 0

    def pages(self, handles: Handles, start_ns: int, end_ns: int) -> Iterator[Sequence[Batch]]:
        cursor: str | None = None
        while True:
            page = self.raw(handles, start_ns, end_ns, PAGE_SAMPLES, cursor)
            yield page.batches
            cursor = page.next_cursor
            if cursor is None:
                return

    def latest_at(self, handles: Handles, at_ns: int, earliest_ns: int = EARLIEST_NS) -> list[Batch]:
        """The newest sample of each point at or before `at_ns`. One batch a kind."""
        found: list[Batch] = []
        selected = ",".join(
            f"{','.join(f'last_value({name})' for name in fields.names)},max_time({fields.quality})"
            for fields in FIELDS
        )
        end_ns = LATEST_NS if at_ns >= LATEST_NS - 1 else at_ns + 1
        for group in groups(handles, self._devices):
            statement = (
                f"SELECT {selected} FROM {self._names.sources(group)}{during(earliest_ns, end_ns)} ALIGN BY DEVICE"
            )
            found += self._pool.call(lambda connection, s=statement: _newest(connection, s))  # type: ignore[misc]
        by_kind: dict[ValueKind, list[Batch]] = {}
        for batch in found:
            by_kind.setdefault(batch.kind, []).append(batch)
        return newest_of_point([_by_handle(Batch.concat(by_kind[kind])) for kind in sorted(by_kind)])

    def first_time(self, handles: Handles | None, start_ns: int, end_ns: int) -> int | None:
        """When the first sample of some points, or of all, is."""
        times = ",".join(f"min_time({fields.quality})" for fields in FIELDS)
        where = during(start_ns, end_ns)
        if handles is None:
            statements = [f"SELECT {times} FROM {self._names.devices}.*{where} GROUP BY LEVEL=1"]
        else:
            statements = [
                f"SELECT {times} FROM {self._names.sources(group)}{where} ALIGN BY DEVICE"
                for group in groups(handles, self._devices)
            ]
        found = [value for statement in statements for value in self._pool.call(lambda c, s=statement: _numbers(c, s))]  # type: ignore[misc]
        return min((value for _, value in found), default=None)

    def extent(self) -> tuple[int, int | None, int | None]:
        """Number of samples, oldest and newest source time."""
        wanted = ",".join(f"count({f.quality}),min_time({f.quality}),max_time({f.quality})" for f in FIELDS)
        statement = f"SELECT {wanted} FROM {self._names.devices}.* GROUP BY LEVEL=1"
        found = self._pool.call(lambda connection: _numbers(connection, statement))
        return (
            sum(value for name, value in found if name.startswith("count")),
            min((value for name, value in found if name.startswith("min")), default=None),
            max((value for name, value in found if name.startswith("max")), default=None),
        )


def in_order(rows: SampleRows) -> SampleRows:
    """The same, if they are by (point, time) and each once; pages depend on it. Raises: Busy.

    Seen once, in the soak: as a data node died, 6,130 of 210,768 rows came twice. Asked again, the cluster tells right.
    """
    same = rows.handles[1:] == rows.handles[:-1]
    if not ((rows.handles[1:] > rows.handles[:-1]) | (same & (rows.time_ns[1:] > rows.time_ns[:-1]))).all():
        raise Busy("the cluster answered with rows twice, or out of order")
    return rows


def _newest(connection: Connection, statement: str) -> list[Batch]:
    parts: dict[ValueKind, list[Batch]] = {}
    for handles, _, columns in device_blocks(connection.query(statement)):
        for fields in FIELDS:
            times = columns[f"max_time({fields.quality})"]
            if times.present.any():
                here = times.present
                value, quality, delay = (columns[f"last_value({name})"].values[here] for name in fields.names)
                batch = batch_of(fields, handles[here], times.values[here], value, quality, delay)
                parts.setdefault(fields.kind, []).append(batch)
    return [Batch.concat(batches) for batches in parts.values()]


def _numbers(connection: Connection, statement: str) -> list[tuple[str, int]]:
    """Every number of an answer, with the name of its column."""
    answer = connection.query(statement)
    return [
        (name, value)
        for block in answer.blocks
        for name, place in zip(answer.columns, answer.places, strict=True)
        if place >= 0 and name != "Device"
        for value in block.columns[place].values[block.columns[place].present].tolist()
    ]


def by_point(rows: SampleRows) -> list[Batch]:
    """Point by point, of each point kind by kind."""
    batches = rows.batches()
    if len(batches) < 2:
        return batches
    pieces: list[tuple[int, int, Batch]] = []
    for batch in batches:
        starts = np.flatnonzero(np.append(True, batch.handles[1:] != batch.handles[:-1])).tolist()
        for begin, end in zip(starts, [*starts[1:], len(batch)], strict=True):
            pieces.append((int(batch.handles[begin]), int(batch.kind), batch.take(slice(begin, end))))
    pieces.sort(key=lambda piece: piece[:2])
    return joined([batch for _, _, batch in pieces])


def joined(batches: Sequence[Batch]) -> list[Batch]:
    """Neighbours of one kind become one batch."""
    runs: list[list[Batch]] = []
    for batch in batches:
        if runs and runs[-1][0].kind is batch.kind:
            runs[-1].append(batch)
        else:
            runs.append([batch])
    return [Batch.concat(run) if len(run) > 1 else run[0] for run in runs]


def _by_handle(batch: Batch) -> Batch:
    return batch.take(np.argsort(batch.handles, kind="stable"))


def _parse_cursor(cursor: str) -> tuple[int, int]:
    try:
        handle, time_ns = cursor.split(".")
        return int(handle), int(time_ns)
    except ValueError:
        raise DataError(f"'{cursor[:40]}' is no cursor of this store; begin again without one") from None
