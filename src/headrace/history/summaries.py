"""Hour roll-ups of days and months: what a trend over years reads. One row a (point, hour), exact where minutes are.

    section   group … · directory                              one (class, day) or (class, period of days)
    group     columns of some neighbouring points, each one zstd frame (`pack.pack_column`)
    directory CRC32 u32 · entries: first and last point, runs, rows, offset, length of each column

A *run* is the hours of one point; a *row* is one hour of it, as `rows.py` has it. Groups are small, so one point over
years is a few frames a month; a fleet reads all of them. Numbers of a run are integers at its decimal scale where that
is exact, else 64-bit patterns. Time-weighted sums are kept as what they differ from even steps by: mostly by nothing.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.history import rows as r
from headrace.history.catalog import Section
from headrace.history.columns import starts_of
from headrace.history.numbers import PLAIN, SCALES
from headrace.history.pack import pack_column, unpack_column
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS
from headrace.sdk.store import Aggregate

RUN_COLUMNS: Final = ("handle", "rows", "scale")
ROW_COLUMNS: Final = (
    "hour", "offset", "span", "count", "bad", "skipped", "flags", "min", "max", "first", "last", "sum", "square",
    "gap", "zero", "drift",
)  # fmt: skip
COLUMNS: Final = RUN_COLUMNS + ROW_COLUMNS
DELTAS: Final = frozenset({"handle", "hour", "offset", "min"})
HOLDS, TEXT = 1, 2  # flags
NEED: Final = r.columns_for(list(Aggregate))
"""All columns of rows, which a summary is made of."""

_ENTRY: Final = np.dtype(
    [("first", "<u4"), ("last", "<u4"), ("runs", "<u4"), ("rows", "<u4"), ("offset", "<u8")]
    + [("lengths", "<u4", (len(COLUMNS),))]
)
_GROUP_ROWS: Final = 4096
_EXACT_MAX: Final = 2.0**50
_VALUES: Final = ("min", "max", "first", "last", "sum", "square")

Columns = dict[str, NDArray[np.int64]]
Directory = NDArray[Any]


class SummaryEncoder:
    """Rows in, groups of bytes out; `directory` at the end. Points ascend from call to call."""

    def __init__(self, first_hour: int) -> None:
        self._first_hour, self._offset = first_hour, 0
        self._zstd = zstandard.ZstdCompressor(level=3, write_checksum=True, write_content_size=True)
        self._entries: list[tuple[Any, ...]] = []
        self.samples = self.points = 0
        self.first_ns, self.last_ns = (1 << 63) - 1, -(1 << 63)

    def add(self, rows: r.Rows, text: NDArray[np.bool_]) -> Iterator[bytes]:
        """`rows` with all columns of `NEED`, one a (point, hour), in that order; `text` where there were only texts."""
        if not len(text):
            return
        self.samples += int(rows["count"].sum())
        self.points += len(starts_of(rows["handle"]))
        self.first_ns = min(self.first_ns, int(rows["first_ns"].min()))
        self.last_ns = max(self.last_ns, int(rows["last_ns"].max()))
        with np.errstate(all="ignore"):  # infinities are values like others
            columns = _encode(rows, text, self._first_hour)
        ends = np.cumsum(columns["rows"])
        group = (ends - columns["rows"]) // _GROUP_ROWS
        cuts = np.append(starts_of(group), len(group)).tolist()
        for low, high in itertools.pairwise(cuts):
            yield self._group(columns, low, high, int(ends[low] - columns["rows"][low]), int(ends[high - 1]))

    def _group(self, columns: Columns, run: int, run_end: int, row: int, row_end: int) -> bytes:
        packed = [pack_column(columns[name][run:run_end], self._zstd, deltas=name in DELTAS) for name in RUN_COLUMNS]
        packed += [pack_column(columns[name][row:row_end], self._zstd, deltas=name in DELTAS) for name in ROW_COLUMNS]
        handles = columns["handle"]
        self._entries.append(
            (handles[run], handles[run_end - 1], run_end - run, row_end - row, self._offset, [len(p) for p in packed])
        )
        data = b"".join(packed)
        self._offset += len(data)
        return data

    def directory(self) -> bytes:
        entries = np.array(self._entries, _ENTRY).tobytes()
        return zlib.crc32(entries).to_bytes(4, "little") + entries


def decode_directory(data: bytes) -> Directory:
    """Raises: DataError."""
    entries = data[4:]
    if len(data) < 4 or len(entries) % _ENTRY.itemsize or zlib.crc32(entries) != int.from_bytes(data[:4], "little"):
        raise DataError("the directory of hours does not add up")
    return np.frombuffer(entries, _ENTRY)


def groups_of(directory: Directory, handles: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Groups that may hold any of these points, sorted."""
    low = np.searchsorted(handles, directory["first"])
    high = np.searchsorted(handles, directory["last"], "right")
    chosen: NDArray[np.int64] = np.flatnonzero(high > low)
    return chosen


def decode_group(entry: Any, data: bytes, names: frozenset[str]) -> Columns:
    """Columns of one group; `data` is all of it. Raises: DataError, zstandard.ZstdError."""
    zstd = zstandard.ZstdDecompressor()
    columns, at = {}, 0
    for name, length in zip(COLUMNS, entry["lengths"].tolist(), strict=True):
        if name in names:
            count = int(entry["runs"] if name in RUN_COLUMNS else entry["rows"])
            columns[name] = unpack_column(data[at : at + length], count, zstd, deltas=name in DELTAS)
        at += length
    if int(columns["rows"].sum()) != int(entry["rows"]):
        raise DataError("the runs of a group of hours do not add up")
    return columns


def group_bytes(entry: Any) -> tuple[int, int]:
    """Where a group is in its section, and how long."""
    return int(entry["offset"]), int(entry["lengths"].sum(dtype=np.int64))


def columns_behind(need: frozenset[str]) -> frozenset[str]:
    """Stored columns behind columns of rows."""
    names = {"handle", "rows", "hour", "offset", "span", "count", "bad", "skipped", "flags"}
    values = set(need & {"min", "max", "first", "last", "sum"})
    if "weight" in need:
        names |= {"gap", "zero", "drift"}
        values |= {"sum", "last"}
    if "m2" in need:
        values |= {"sum", "square"}
    if values:
        names |= values | {"scale", "min"}
    return frozenset(names)


def rows_of(columns: Columns, section: Section, need: frozenset[str]) -> tuple[r.Rows, NDArray[np.bool_]]:
    """Rows by (point, hour), and which of them are of texts: these count nothing."""
    count, bad, skipped, flags = columns["count"], columns["bad"], columns["skipped"], columns["flags"]
    n = count - bad - skipped
    first_ns = (section.hour + columns["hour"]) * HOUR_NS + columns["offset"]
    rows: r.Rows = {
        "handle": np.repeat(columns["handle"].astype(np.uint32), columns["rows"]),
        "first_ns": first_ns,
        "last_ns": first_ns + columns["span"],
        "n": n,
    }
    if "count" in need:
        rows["count"] = count
    if "good" in need:
        rows["good"] = count - bad
    values = _values(columns, n)
    for name in need.intersection(("min", "max", "first", "last", "sum")):
        rows[name] = values[name]
    if "m2" in need:
        lift = values["sum"] / np.maximum(n, 1) - values["min"]
        exact = np.repeat(columns["scale"] != PLAIN, columns["rows"])
        rows["m2"] = np.where(exact, np.maximum(values["square"] - n * lift * lift, 0.0), values["square"])
    if "weight" in need:
        even = _even(columns["span"], n, values["sum"], values["last"])
        drift = columns["drift"].view(np.float64)
        rows["weight"] = (columns["span"] - columns["gap"]).astype(np.float64)
        rows["integral"] = np.where(np.isfinite(even), even + drift, drift)
        rows["nonzero"] = rows["weight"] - columns["zero"]
        rows["holds"] = (flags & HOLDS) != 0
    return rows, (flags & TEXT) != 0


def _even(span: NDArray[np.int64], n: NDArray[np.int64], total: r.Column, last: r.Column) -> NDArray[np.float64]:
    """The integral where all steps are alike."""
    even: NDArray[np.float64] = np.where(n > 1, span / np.maximum(n - 1, 1) * (total - last), 0.0)
    return even


def _encode(rows: r.Rows, text: NDArray[np.bool_], first_hour: int) -> Columns:
    hour = rows["first_ns"] // HOUR_NS
    starts = starts_of(rows["handle"])
    n, count, good = rows["n"], rows["count"], rows["good"]
    span = rows["last_ns"] - rows["first_ns"]
    filled = n > 0
    real = {name: np.where(filled, rows[name], 0.0) for name in ("min", "max", "first", "last", "sum", "m2")}
    lift = real["sum"] / np.maximum(n, 1) - real["min"]
    real["square"] = real["m2"] + n * lift * lift
    runs = np.diff(np.append(starts, len(n)))
    scale = _scales(real, n, starts)
    columns: Columns = {
        "handle": rows["handle"][starts].astype(np.int64),
        "rows": runs,
        "scale": scale,
        "hour": hour - first_hour,
        "offset": rows["first_ns"] - hour * HOUR_NS,
        "span": span,
        "count": count,
        "bad": count - good,
        "skipped": good - n,
        "flags": rows["holds"] * HOLDS + text * TEXT,
        "gap": span - np.rint(rows["weight"]).astype(np.int64),
        "zero": np.rint(rows["weight"] - rows["nonzero"]).astype(np.int64),
    }
    exact = np.repeat(scale != PLAIN, runs)
    factor = np.repeat(np.array([*SCALES, 1.0])[np.minimum(scale, len(SCALES))], runs)
    whole = {
        name: np.rint(np.where(exact, real[name], 0.0) * factor) for name in ("min", "max", "first", "last", "sum")
    }
    whole["square"] = np.rint(np.where(exact, real["square"], 0.0) * factor * factor)
    for name in ("max", "first", "last"):
        whole[name] = whole[name] - whole["min"]
    whole["sum"] = whole["sum"] - n * whole["min"]
    plain = real | {"square": real["m2"]}
    for name in _VALUES:
        columns[name] = np.where(exact, whole[name].astype(np.int64), plain[name].view(np.int64))
    stored = _values(columns, n)
    even = _even(span, n, stored["sum"], stored["last"])
    drift = np.where(np.isfinite(even), rows["integral"] - even, rows["integral"])
    noise = 1e-13 * rows["weight"] * np.maximum(np.abs(real["min"]), np.abs(real["max"]))
    drift = np.where(filled & (np.abs(drift) > noise) | np.isnan(drift), drift, 0.0)
    columns["drift"] = drift.view(np.int64)
    return columns


def _scales(real: dict[str, NDArray[np.float64]], n: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each run, the least decimal scale at which all its numbers are integers, PLAIN where there is none."""
    chosen = np.full(len(starts), PLAIN, np.int64)
    largest = np.maximum(np.abs(real["min"]), np.abs(real["max"]))
    for scale in reversed(range(len(SCALES))):
        factor = SCALES[scale]
        fits = (largest * factor * np.maximum(n, 1) < _EXACT_MAX) & (real["square"] * factor * factor < _EXACT_MAX)
        for name in ("min", "max", "first", "last"):
            fits &= np.rint(real[name] * factor) / factor == real[name]
        for total, magnitude in (
            (real["sum"] * factor, n * largest * factor),
            (real["square"] * factor * factor, real["square"] * factor * factor),
        ):
            fits &= np.abs(total - np.rint(total)) <= 2.0**-44 * magnitude
        chosen[np.logical_and.reduceat(fits, starts)] = scale
    return chosen


def _values(columns: Columns, n: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Value columns as they were meant, as far as they are here."""
    if "scale" not in columns:
        return {}
    scale = np.repeat(columns["scale"], columns["rows"])
    exact = scale != PLAIN
    every = bool(exact.all())
    factor = np.array([*SCALES, 1.0])[np.minimum(scale, len(SCALES))]
    values: dict[str, NDArray[np.float64]] = {}
    for name in _VALUES:
        if name not in columns:
            continue
        coded = columns[name]
        whole = coded
        if name in ("max", "first", "last"):
            whole = coded + columns["min"]
        elif name == "sum":
            whole = coded + columns["min"] * n
        by = factor * factor if name == "square" else factor
        values[name] = whole / by if every else np.where(exact, whole / by, coded.view(np.float64))
    return values
