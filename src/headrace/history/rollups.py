"""One-minute roll-ups: what a trend or a fleet needs, without touching samples. In columns, so a mean reads three.

A *run* is the minutes of one chunk; a *row* is one minute of it. Only good values that are numbers count, but bad ones
are counted too. Numbers of a run are integers at the run's decimal scale where that is exact, else 64-bit patterns.

    block   directory: length u32 · CRC32 u32 · one entry a kind (kind, runs, rows, length of each column)
            columns, each one zstd frame (`pack.pack_column`)
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.history.chunks import Encoded, chunk_starts, measured
from headrace.history.numbers import PLAIN, SCALES
from headrace.history.pack import pack_column
from headrace.history.presence import uneven
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError
from headrace.model.quality import is_good
from headrace.model.time import HOUR_NS, MINUTE_NS

RUN_COLUMNS: Final = ("handle", "rows", "scale")
ROW_COLUMNS: Final = (
    "minute", "offset", "span", "count", "bad", "skipped", "uneven", "min", "max", "first", "last", "sum", "square",
)  # fmt: skip
COLUMNS: Final = RUN_COLUMNS + ROW_COLUMNS
#: Columns that go up smoothly from row to row are stored as differences.
DELTAS: Final = frozenset({"handle", "minute", "offset", "span", "count", "min"})

_FACTORS: Final = np.array([*SCALES, 1.0])
_ENTRY: Final = struct.Struct(f"<BII{len(COLUMNS)}I")
_EXACT_MAX, _EXACT_SPREAD = 2.0**36, 2.0**18  # beyond, sums and squares of a chunk may not be exact in a double


@dataclass(slots=True)
class KindTable:
    """Columns of one kind, gathered slice by slice."""

    parts: list[dict[str, NDArray[np.int64]]] = field(default_factory=list)

    def add(self, columns: dict[str, NDArray[np.int64]]) -> None:
        self.parts.append({name: narrow(columns[name]) for name in COLUMNS})

    def drop(self, handles: NDArray[np.integer[Any]]) -> None:
        """Runs of some points and their rows."""
        for at, part in enumerate(self.parts):
            keep = ~np.isin(part["handle"], handles)
            if not keep.all():
                rows = np.repeat(keep, part["rows"])
                self.parts[at] = {name: column[keep if name in RUN_COLUMNS else rows] for name, column in part.items()}

    def columns(self) -> dict[str, NDArray[np.int64]]:
        """Runs by point, and their rows."""
        parts = [part for part in self.parts if len(part["handle"])] or self.parts
        joined = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
        if bool((joined["handle"][1:] >= joined["handle"][:-1]).all()):
            return joined
        order = np.argsort(joined["handle"], kind="stable")
        lengths = joined["rows"].astype(np.int64)
        begins = (np.cumsum(lengths) - lengths)[order]
        lengths = lengths[order]
        before = np.cumsum(lengths) - lengths
        rows = np.repeat(begins - before, lengths) + np.arange(int(lengths.sum()))
        return {name: column[order if name in RUN_COLUMNS else rows] for name, column in joined.items()}


def narrow(column: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same numbers in as few bytes as hold them, for keeping; to be widened before anything is computed."""
    low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    for dtype in (np.int8, np.int16, np.int32):
        bounds = np.iinfo(dtype)
        if bounds.min <= low and high <= bounds.max:
            return column.astype(dtype)
    return column


def summarise(batch: Batch, encoded: Encoded) -> dict[str, NDArray[np.int64]]:
    """Runs and rows of freshly encoded chunks. Texts have runs without rows."""
    starts, table = encoded.starts, encoded.table
    runs = len(starts)
    handles = table["handle"].astype(np.int64)
    if batch.kind is ValueKind.TEXT:
        empty = np.empty(0, np.int64)
        return dict.fromkeys(ROW_COLUMNS, empty) | {
            "handle": handles,
            "rows": np.zeros(runs, np.int64),
            "scale": np.full(runs, PLAIN, np.int64),
        }
    minute = batch.source_ns // MINUTE_NS
    change = np.empty(len(batch), np.bool_)
    change[1:] = minute[1:] != minute[:-1]
    change[starts] = True
    rows = np.flatnonzero(change)
    ends = np.append(rows[1:], len(batch))
    run_of = np.searchsorted(starts, rows, "right") - 1
    counts = ends - rows
    first_ns, last_ns = batch.source_ns[rows], batch.source_ns[ends - 1]
    columns = {
        "handle": handles,
        "rows": np.bincount(run_of, minlength=runs).astype(np.int64),
        "minute": minute[rows] % (HOUR_NS // MINUTE_NS),
        "offset": first_ns % MINUTE_NS,
        "span": last_ns - first_ns,
        "count": counts,
        "uneven": uneven(encoded.steps, batch.source_ns, rows, counts, run_of),
    }
    with np.errstate(all="ignore"):  # infinities are values like others
        columns |= _value_columns(batch, encoded, rows, counts, run_of)
    return columns


def summarise_samples(batch: Batch) -> dict[str, NDArray[np.int64]]:
    """The same of samples by (point, time) that nobody encodes."""
    starts = chunk_starts(batch, len(batch))
    return summarise(batch, measured(batch, starts))


def _value_columns(
    batch: Batch, encoded: Encoded, rows: NDArray[np.int64], counts: NDArray[np.int64], run_of: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    values = batch.values.astype(np.float64, copy=False)
    good = is_good(batch.quality)
    number = ~np.isnan(values)
    every = bool(good.all() and number.all())
    size = len(rows)
    if every:
        filled, part, part_counts, chosen = np.arange(size), rows, counts, values
        bad = skipped = np.zeros(size, np.int64)
    else:
        counting = good & number
        bad = counts - np.add.reduceat(good.astype(np.int64), rows)
        held = np.add.reduceat(counting.astype(np.int64), rows)
        skipped = counts - bad - held
        filled = np.flatnonzero(held)
        part_counts = held[filled]
        part = np.concatenate([[0], np.cumsum(part_counts)[:-1]]) if len(filled) else np.empty(0, np.int64)
        chosen = values[counting]
    columns = {"bad": bad, "skipped": skipped}
    names = ("min", "max", "first", "last", "sum", "square")
    if not len(filled):
        columns |= {name: np.zeros(size, np.int64) for name in names}
        columns["scale"] = np.full(len(encoded.starts), PLAIN, np.int64)
        return columns
    low, high = np.minimum.reduceat(chosen, part), np.maximum.reduceat(chosen, part)
    scale = _run_scales(batch, encoded, low, high, run_of[filled])
    factor = factor_of(scale)[run_of[filled]]
    exact = (scale != PLAIN)[run_of[filled]]
    if (factor != 1).any():
        # Work on the integers themselves: their sums are exact where the sums of decimals are not.
        wide = np.repeat(np.where(exact, factor, 1.0), part_counts)
        chosen = np.where(np.repeat(exact, part_counts), np.rint(chosen * wide), chosen)
        low, high = np.where(exact, np.rint(low * factor), low), np.where(exact, np.rint(high * factor), high)
    total = np.add.reduceat(chosen, part)
    square = np.add.reduceat((chosen - np.repeat(low, part_counts)) ** 2, part)
    numbers = {
        "min": low, "max": high, "first": chosen[part], "last": chosen[part + part_counts - 1], "sum": total,
        "square": square,
    }  # fmt: skip
    for name in names:
        column = np.zeros(size, np.int64)
        column[filled] = coded(name, numbers, exact, part_counts)
        columns[name] = column
    columns["scale"] = scale
    return columns


def coded(
    name: str, numbers: dict[str, NDArray[np.float64]], exact: NDArray[np.bool_], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Integers, counted from the smallest of the minute where that makes them small; else bit patterns."""
    number = numbers[name]
    if name in ("max", "first", "last"):
        small = number - numbers["min"]
    elif name == "sum":
        small = number - numbers["min"] * counts
    else:
        small = number
    whole = np.where(exact, small, 0).astype(np.int64)
    return np.where(exact, whole, number.view(np.int64))


def factor_of(scale: NDArray[np.int64]) -> NDArray[np.float64]:
    """What integers of a scale are divided by; 1 for PLAIN."""
    factors: NDArray[np.float64] = _FACTORS[np.minimum(scale, len(SCALES))]
    return factors


def is_exact(least: NDArray[np.float64], most: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether sums and squares of a run's integers are exact in a double. Shape: (runs,)."""
    return (np.maximum(np.abs(least), np.abs(most)) < _EXACT_MAX) & (most - least < _EXACT_SPREAD)


def _run_scales(
    batch: Batch, encoded: Encoded, low: NDArray[np.float64], high: NDArray[np.float64], run_of: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Decimal scale of each run, PLAIN where its integers could not be summed exactly."""
    runs = len(encoded.starts)
    scale = encoded.table["value_scale"].astype(np.int64) if batch.kind is ValueKind.FLOAT64 else np.zeros(runs, int)
    begins = np.flatnonzero(np.concatenate([[True], run_of[1:] != run_of[:-1]]))
    least, most = np.full(runs, np.inf), np.full(runs, -np.inf)
    least[run_of[begins]] = np.minimum.reduceat(low, begins)
    most[run_of[begins]] = np.maximum.reduceat(high, begins)
    factor = factor_of(scale)
    return np.where(is_exact(least * factor, most * factor), scale, PLAIN)


def encode_block(tables: dict[ValueKind, KindTable], zstd: zstandard.ZstdCompressor) -> bytes:
    directory, body = b"", []
    for kind in sorted(tables):
        columns = tables[kind].columns()
        packed = [pack_column(columns[name], zstd, deltas=name in DELTAS) for name in COLUMNS]
        directory += _ENTRY.pack(kind, len(columns["handle"]), len(columns["minute"]), *map(len, packed))
        body += packed
    return struct.pack("<II", len(directory), zlib.crc32(directory)) + directory + b"".join(body)


@dataclass(frozen=True, slots=True)
class ColumnPlace:
    """`offset` counts from the start of the block."""

    offset: int
    length: int
    count: int


DIRECTORY_HEAD: Final = 8


def decode_directory(head: bytes, directory: bytes) -> dict[ValueKind, dict[str, ColumnPlace]]:
    """Raises: DataError."""
    length, crc = struct.unpack("<II", head)
    if len(directory) != length or zlib.crc32(directory) != crc or length % _ENTRY.size:
        raise DataError("the directory of roll-ups does not add up")
    at = DIRECTORY_HEAD + length
    tables: dict[ValueKind, dict[str, ColumnPlace]] = {}
    for entry in range(0, length, _ENTRY.size):
        kind, runs, rows, *lengths = _ENTRY.unpack_from(directory, entry)
        places = {}
        for name, size in zip(COLUMNS, lengths, strict=True):
            places[name] = ColumnPlace(at, size, runs if name in RUN_COLUMNS else rows)
            at += size
        tables[ValueKind(kind)] = places
    return tables


class RealValues:
    """Value columns of some runs as they were meant: undoes `_coded`, and scales. Shape: (rows,) each."""

    def __init__(self, columns: dict[str, NDArray[np.int64]]) -> None:
        self._columns = columns
        scale, rows = columns["scale"], columns["rows"]
        factor = factor_of(scale)
        scaled = bool((factor != 1).any())
        self._factor = np.repeat(factor, rows) if scaled else None
        exact = scale != PLAIN
        self._exact = None if exact.all() else np.repeat(exact, rows)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        columns = self._columns
        coded = columns[name]
        if name in ("max", "first", "last"):
            whole = coded + columns["min"]
        elif name == "sum":
            whole = coded + columns["min"] * (columns["count"] - columns["bad"] - columns["skipped"])
        else:
            whole = coded
        values: NDArray[np.float64] = whole.astype(np.float64)
        if self._factor is not None:
            values /= self._factor * self._factor if name == "square" else self._factor
        if self._exact is not None:
            values = np.where(self._exact, values, coded.view(np.float64))
        return values


def columns_behind(names: Sequence[str]) -> set[str]:
    """What has to be read for `RealValues` of these."""
    behind: set[str] = {"scale", "rows", *names}
    if behind & {"max", "first", "last", "sum"}:
        behind.add("min")
    if "sum" in behind:
        behind |= {"count", "bad", "skipped"}
    return behind
