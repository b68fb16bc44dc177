"""A recorded table as it is: its text decoded, its cells typed exactly, its times in nanoseconds.

    bytes ─► UTF-8 (BOM or not) or GB 18030 ─► delimiter ; , tab | ─► header + cells ─► typed columns + times

A column is int64, float64 or bool only if every cell that is filled says so; anything else stays text, so nothing is
changed on the way in: `007` is text, `9007199254740993` an exact int64 (and text among fractions). An empty cell is
no sample.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import TEXT_DTYPE, ValueKind
from headrace.model.errors import ConfigError, DataError
from headrace.model.time import SECOND_NS, parse_time_ns

DELIMITERS = ";,\t|"
TIME_NAMES = ("datetime", "timestamp", "time", "date_time", "date", "ts", "时间", "采集时间", "日期", "时间戳")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,18})")
_FLOAT = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE
)
_BOOL = {"true": True, "false": False}
_CLOCK = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})"
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?"
)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Shape: (rows,) each; `present` is False where the cell was empty (its value is then 0, False or "")."""

    name: str
    kind: ValueKind
    values: NDArray[Any]
    present: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """`times_ns` as recorded, in the order of the file, or None where the file has none."""

    name: str
    times_ns: NDArray[np.int64] | None
    columns: tuple[Column, ...]
    rows: int
    encoding: str
    delimiter: str


def read_recording(path: Path, *, time_column: str | None = None, utc_offset: str = "Z") -> Recording:
    """`utc_offset` (`Z`, `+08:00`) is for times that carry none. Raises: ConfigError, DataError, OSError."""
    return parse_recording(path.read_bytes(), path.stem, time_column=time_column, utc_offset=utc_offset)


def parse_recording(
    data: bytes, name: str = "recording", *, time_column: str | None = None, utc_offset: str = "Z"
) -> Recording:
    """Raises: ConfigError for a time column that is not there, DataError for text that is no table."""
    if not re.fullmatch(r"Z|[+-]\d\d:\d\d", utc_offset):
        raise ConfigError(f"'{utc_offset}' is no UTC offset; write Z or, for example, +08:00")
    text, encoding = _decode(data)
    delimiter = _delimiter(text)
    try:
        table = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]
    except csv.Error as error:
        raise DataError(f"{name} is not a table of separated values: {error}") from None
    if len(table) < 2:
        raise DataError(f"{name} has no rows below its header")
    header, body = [cell.strip() for cell in table[0]], table[1:]
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise DataError(f"{name}, row {number}: {len(row)} cells where the header has {len(header)}")
    cells = [[row[position].strip() for row in body] for position in range(len(header))]
    at, times = _times(header, cells, time_column, utc_offset)
    columns = [
        _column(title or f"column-{position + 1}", cells[position])
        for position, title in enumerate(header)
        if position != at
    ]
    if not columns:
        raise DataError(f"{name} has times but no values")
    return Recording(name, times, tuple(columns), len(body), encoding, delimiter)


def _decode(data: bytes) -> tuple[str, str]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "strict"), "utf-16"
    for encoding in ("utf-8-sig", "gb18030"):  # GB 18030 holds all of GBK
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise DataError("the file is neither UTF-8 nor GB 18030 (GBK) text")


def _delimiter(text: str) -> str:
    """The one that cuts the first lines into the same number (at least two) of cells; one column has none."""
    lines = [line for line in text[:65_536].splitlines() if line.strip()][:20]
    if len(lines) > 1 and len(text) > 65_536:
        lines = lines[:-1]
    best, width = ",", 0
    for mark in DELIMITERS:
        counts = {len(row) for row in csv.reader(lines, delimiter=mark)}
        if len(counts) == 1 and (cells := counts.pop()) > width:
            best, width = mark, cells
    return best


def _times(
    header: Sequence[str], cells: Sequence[Sequence[str]], wanted: str | None, offset: str
) -> tuple[int | None, NDArray[np.int64] | None]:
    if wanted is not None:
        if wanted not in header:
            raise ConfigError(f"there is no column '{wanted}'; there are {', '.join(header)}")
        at = header.index(wanted)
        times = _parse_times(cells[at], offset)
        if times is None:
            raise DataError(f"column '{wanted}' holds no times: '{next(iter(cells[at]), '')}'")
        return at, times
    named = [at for at, title in enumerate(header) if title.casefold() in TIME_NAMES]
    for at in named or range(len(header)):
        if at in named or _CLOCK.fullmatch(cells[at][0]):
            times = _parse_times(cells[at], offset)
            if times is not None:
                return at, times
    return None, None


def _parse_times(cells: Sequence[str], offset: str) -> NDArray[np.int64] | None:
    """Calendar times, or whole seconds, ms, µs or ns since 1970 told apart by their size; None if they are neither."""
    if all(_INTEGER.fullmatch(cell) for cell in cells):
        numbers = [int(cell) for cell in cells]
        for low, high, factor in ((10**8, 10**10, SECOND_NS), (10**11, 10**13, 10**6), (10**14, 10**16, 10**3),
                                  (10**17, 9 * 10**18, 1)):  # fmt: skip
            if all(low <= number < high for number in numbers):
                return np.array(numbers, dtype=np.int64) * factor
        return None
    times = np.empty(len(cells), dtype=np.int64)
    for row, cell in enumerate(cells):
        found = _CLOCK.fullmatch(cell)
        if found is None:
            return None
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        zone = zone or offset
        if zone != "Z" and ":" not in zone:
            zone = f"{zone[:3]}:{zone[3:]}"
        clock = f"{int(hour or 0):02}:{minute or '00'}:{second or '00'}" + (f".{fraction}" if fraction else "")
        try:
            times[row] = parse_time_ns(f"{year}-{int(month):02}-{int(day):02}T{clock}{zone}")
        except (DataError, OverflowError):
            return None
    return times


def _column(name: str, cells: Sequence[str]) -> Column:
    present = np.array([cell != "" for cell in cells], dtype=bool)
    filled = [cell for cell in cells if cell]
    if not filled:
        kind = ValueKind.TEXT
    elif all(_INTEGER.fullmatch(cell) and -(2**63) <= int(cell) < 2**63 for cell in filled):
        kind = ValueKind.INT64
    elif all(_is_float(cell) for cell in filled):
        kind = ValueKind.FLOAT64
    elif all(cell.casefold() in _BOOL for cell in filled):
        kind = ValueKind.BOOL
    else:
        kind = ValueKind.TEXT
    if kind is ValueKind.TEXT:
        return Column(name, kind, np.array(cells, dtype=TEXT_DTYPE), present)
    convert: Any = {ValueKind.INT64: int, ValueKind.FLOAT64: float, ValueKind.BOOL: lambda cell: _BOOL[cell.casefold()]}
    values = np.array([convert[kind](cell) if cell else 0 for cell in cells], dtype=kind.dtype)
    return Column(name, kind, values, present)


def _is_float(cell: str) -> bool:
    """A whole number that float64 cannot hold exactly is none."""
    if _FLOAT.fullmatch(cell) is None:
        return False
    return not cell.lstrip("+-").isdigit() or (len(cell) < 300 and int(float(cell)) == int(cell))
