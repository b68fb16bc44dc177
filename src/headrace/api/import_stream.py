"""Rows that come in: an Arrow stream, checked batch by batch, into the store at a bounded rate.

body ─► ArrowBody (a file for Arrow, fed by the event loop) ─► record batch, validated ─► Batches of declared points
                                                                └► refused, counted by point and reason
     Batches ─► store.append, a slice at a time ─► pause, so that live samples keep their place

The rows are those of an export. For an equal (point, time) the newest write wins, so doing it again changes nothing.
"""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from starlette.requests import ClientDisconnect

from headrace.api.plant_index import PlantIndex
from headrace.model.batch import TEXT_BYTES_MAX, TEXT_DTYPE, Batch, ValueKind
from headrace.model.errors import DataError, Unavailable
from headrace.sdk.clock import Clock
from headrace.sdk.store import HistoryStore

if TYPE_CHECKING:
    import pyarrow as pa

SLICE_ROWS: Final = 20_000  # a commit of this size holds live samples up for about ten milliseconds
READ_BYTES: Final = 256 * 1024
BATCH_ROWS_MAX: Final = 1_000_000
REFUSALS_MAX: Final = 1_000


@dataclass(slots=True)
class Imported:
    """`refused` counts rows by (path, reason)."""

    rows: int = 0
    paths: set[str] = field(default_factory=set)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)

    def refuse(self, path: str, reason: str, rows: int) -> None:
        key = (
            (path, reason) if len(self.refused) < REFUSALS_MAX or (path, reason) in self.refused else ("…", "and more")
        )
        self.refused[key] += rows


class ArrowBody(io.RawIOBase):
    """The body of a request as a file: a thread reads what the event loop receives, one piece ahead."""

    def __init__(self, chunks: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._chunks, self._loop, self._rest = chunks, loop, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    async def _next(self) -> bytes | None:
        return await anext(self._chunks, None)


async def take_in(
    body: AsyncIterator[bytes],
    index: PlantIndex,
    store: HistoryStore,
    clock: Clock,
    done: Imported,
    *,
    rows_per_s: float,
    dry_run: bool,
) -> None:
    """Store what can be stored and count it in `done`, also when this ends early. Raises: DataError, Unavailable."""
    import pyarrow as pa

    source = pa.PythonFile(io.BufferedReader(ArrowBody(body, asyncio.get_running_loop()), READ_BYTES), mode="r")
    began_s, sent = clock.monotonic_s(), 0
    try:
        reader = await asyncio.to_thread(pa.ipc.open_stream, source)
        while True:
            record = await asyncio.to_thread(_next_record, reader)
            if record is None:
                return
            for path_rows, batch in await asyncio.to_thread(lambda r=record: list(_batches(r, index, done))):  # type: ignore[misc]
                for at in range(0, len(batch), SLICE_ROWS):
                    part = batch.take(slice(at, at + SLICE_ROWS))
                    if not dry_run:
                        await store.append([part])
                        sent += len(part)
                        ahead_s = sent / rows_per_s - (clock.monotonic_s() - began_s)
                        if ahead_s > 0:
                            await clock.sleep(ahead_s)
                    done.rows += len(part)
                done.paths |= path_rows
    except ClientDisconnect:
        raise Unavailable("the caller left in the middle of the import") from None
    except (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError) as error:  # also what a length or name claims
        raise DataError(f"the body is not an Arrow stream as an export gives it: {str(error)[:200]}") from None
    finally:
        pa.default_memory_pool().release_unused()


def _next_record(reader: Any) -> pa.RecordBatch | None:
    try:
        record = reader.read_next_batch()
    except StopIteration:
        return None
    record.validate(full=True)  # what a stranger wrote must not be followed before
    if record.num_rows > BATCH_ROWS_MAX:
        raise DataError(f"a record batch has {record.num_rows} rows; write at most {BATCH_ROWS_MAX}")
    return record


def _batches(record: pa.RecordBatch, index: PlantIndex, done: Imported) -> Iterator[tuple[set[str], Batch]]:
    """One batch a kind, of points that are declared with it."""
    import pyarrow as pa

    columns = dict(zip(record.schema.names, record.columns, strict=True))
    missing = [name for name in ("path", "source_time") if name not in columns]
    if missing:
        raise DataError(f"the stream lacks the column '{missing[0]}'; its columns are those of an export")
    rows, names = _encoded(columns["path"])
    source = _times(columns["source_time"], "source_time")
    received = source
    if "received_time" in columns:  # where it is not told, the source time stands for it
        told = columns["received_time"]
        received = _times(
            told if not told.null_count else pa.compute.coalesce(told, columns["source_time"]), "received_time"
        )
    quality = columns.get("quality")
    codes = (
        np.zeros(record.num_rows, np.uint32)
        if quality is None
        else quality.fill_null(0).cast(pa.uint32()).to_numpy(zero_copy_only=False)
    )
    filled_of = _filled(columns)
    single = np.sum(list(filled_of.values()), axis=0) == 1 if filled_of else np.zeros(record.num_rows, np.bool_)
    for row in np.unique(rows[~single]).tolist():
        done.refuse(names[row], "a row needs exactly one value", int(np.count_nonzero((rows == row) & ~single)))
    for kind, filled in filled_of.items():
        column, chosen = columns[kind.label], filled & single
        if not chosen.any():
            continue
        chosen &= _admitted(rows, names, kind, chosen, index, done)
        if kind is ValueKind.TEXT:
            long = (
                pa.compute.fill_null(pa.compute.binary_length(column), 0).to_numpy(zero_copy_only=False)
                > TEXT_BYTES_MAX
            )
            for row in np.unique(rows[chosen & long]).tolist():
                count = int(np.count_nonzero(chosen & long & (rows == row)))
                done.refuse(names[row], f"text longer than {TEXT_BYTES_MAX} bytes", count)
            chosen &= ~long
        if chosen.any():
            at = np.flatnonzero(chosen)
            handles = index.handles(names)[rows[at]] if _all_known(names, index) else _handles(names, rows[at], index)
            values: Any = column.take(pa.array(at))
            batch = Batch.of(
                kind,
                handles,
                source[at],
                np.array(values.to_pylist(), TEXT_DTYPE)
                if kind is ValueKind.TEXT
                else values.to_numpy(zero_copy_only=False),
                codes[at],
                received[at],
            )
            yield {names[row] for row in np.unique(rows[at]).tolist()}, batch


def _filled(columns: Mapping[str, Any]) -> dict[ValueKind, Any]:
    """By kind, which rows have a value of it. Raises: DataError for a column of another type."""
    filled = {}
    for kind, wanted in _ARROW_NAMES.items():
        column = columns.get(kind.label)
        if column is not None:
            if str(column.type) not in wanted:
                raise DataError(f"the column '{kind.label}' holds {column.type}; it should hold {wanted[0]}")
            filled[kind] = column.is_valid().to_numpy(zero_copy_only=False)
    return filled


def _admitted(rows: Any, names: Sequence[str], kind: ValueKind, filled: Any, index: PlantIndex, done: Imported) -> Any:
    """Which rows are of points declared with this kind. Shape: (rows,) bool."""
    reasons = {row: reason for row, name in enumerate(names) if (reason := _reason(name, kind, index))}
    for row in np.unique(rows[filled]).tolist():
        if row in reasons:
            done.refuse(names[row], reasons[row], int(np.count_nonzero(filled & (rows == row))))
    good = np.array([row not in reasons for row in range(len(names))], np.bool_)
    return good[rows]


def _reason(name: str, kind: ValueKind, index: PlantIndex) -> str | None:
    point = index.plant.points.get(name)
    if point is None:
        return "is not declared"
    if not index.knows(name):
        return "was just declared and is being taken up; try again"
    return None if point.kind is kind else f"is declared {point.kind.label}, not {kind.label}"


def _all_known(names: Sequence[str], index: PlantIndex) -> bool:
    return all(index.knows(name) for name in names)


def _handles(names: Sequence[str], rows: Any, index: PlantIndex) -> Any:
    known = {row: int(index.handles([names[row]])[0]) for row in np.unique(rows).tolist()}
    return np.array([known[row] for row in rows.tolist()], np.uint32)


def _encoded(column: Any) -> tuple[Any, list[str]]:
    """(row of its name for each sample, the names). Raises: DataError."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.dictionary_encode()
    if not pa.types.is_dictionary(column.type) or not pa.types.is_string(column.type.value_type) or column.null_count:
        raise DataError("the column 'path' should hold text in every row")
    names = column.dictionary.to_pylist()
    if None in names:
        raise DataError("the column 'path' should hold text in every row")
    return column.indices.to_numpy(zero_copy_only=False).astype(np.int64), names


def _times(column: Any, name: str) -> Any:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        raise DataError(f"the column '{name}' has no time zone; write timestamps in UTC")
    if not pa.types.is_timestamp(column.type) or column.null_count:
        raise DataError(f"the column '{name}' should hold a timestamp in every row")
    exact = column.cast(pa.timestamp("ns", tz="UTC"))
    return exact.view(pa.int64()).to_numpy(zero_copy_only=False)


_ARROW_NAMES: Final[Mapping[ValueKind, tuple[str, ...]]] = {
    ValueKind.FLOAT64: ("double",),
    ValueKind.INT64: ("int64",),
    ValueKind.BOOL: ("bool",),
    ValueKind.TEXT: ("string", "large_string"),
}
