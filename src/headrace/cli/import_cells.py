"""Cells of a column to numbers and times: all at once where they are as they should be, else one by one.

`bad(row, why)` is told of each cell that says nothing; its row stays out, the others go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.batch import TEXT_BYTES_MAX, ValueKind
from headrace.model.errors import DataError
from headrace.model.text import unguarded
from headrace.model.time import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, parse_time_ns

Bad = Callable[[int, str], None]
Mask = NDArray[np.bool_]

_EPOCH: Final = re.compile(r"-?\d{1,19}(\.\d+)?")
_BOOLS: Final = {
    **dict.fromkeys(("true", "1", "on", "yes", "1.0", "t", "y", "是", "开"), True),
    **dict.fromkeys(("false", "0", "off", "no", "0.0", "f", "n", "否", "关"), False),
}
_QUALITIES: Final = {"": q.GOOD, "good": q.GOOD, "uncertain": q.UNCERTAIN, "bad": q.BAD}
_NS_MIN, _NS_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Clock:
    """`zone` and its `name` are where times without an offset were written; `form` is one of strptime, if given."""

    zone: tzinfo = UTC
    name: str = "UTC"
    form: str = ""


def times(cells: Sequence[str], clock: Clock, bad: Bad) -> tuple[NDArray[np.int64], Mask]:
    """(ns, usable). Shape: (cells,) each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    good = np.ones(len(cells), np.bool_)
    if not clock.form and cells and not _EPOCH.fullmatch(cells[0].strip()):
        texts = pa.array(cells, pa.string())
        stamp, naive = pa.timestamp("ns", tz="UTC"), pa.timestamp("ns")
        for form in (stamp, naive):
            try:
                moments = texts.cast(form)
                if form is naive:
                    moments = pc.assume_timezone(moments, clock.name, ambiguous="earliest", nonexistent="earliest")
                return moments.cast(stamp).view(pa.int64()).to_numpy(), good
            except pa.ArrowException:
                continue
    found = np.zeros(len(cells), np.int64)
    for row, cell in enumerate(cells):
        try:
            found[row] = one_time(cell.strip(), clock)
        except DataError as error:
            good[row] = False
            bad(row, error.message)
    return found, good


def one_time(text: str, clock: Clock) -> int:
    """Ns of one time: RFC 3339 or ISO 8601, seconds to nanoseconds since 1970 by their size, or `clock.form`.

    Raises: DataError.
    """
    if clock.form:
        try:
            moment = datetime.strptime(text, clock.form)
        except ValueError:
            raise DataError(f"'{text[:40]}' is no time of the form '{clock.form}'") from None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=clock.zone)
        whole = (aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1
        return int(whole) * SECOND_NS + aware.microsecond * MICROSECOND_NS
    if _EPOCH.fullmatch(text):
        whole_text, _, fraction = text.partition(".")
        digits = len(whole_text.lstrip("-"))
        unit = SECOND_NS if digits <= 11 else MILLISECOND_NS if digits <= 14 else MICROSECOND_NS if digits <= 17 else 1
        rest = int(fraction.ljust(9, "0")[:9]) * unit // SECOND_NS if fraction else 0
        return _bounded(int(whole_text) * unit + (-rest if text.startswith("-") else rest), text)
    try:
        return _bounded(parse_time_ns(text), text)
    except (DataError, OverflowError):
        pass
    try:
        naive_ns = parse_time_ns(f"{text}+00:00")
        offset = datetime.fromtimestamp(naive_ns // SECOND_NS, UTC).replace(tzinfo=clock.zone).utcoffset()
    except (DataError, OverflowError, ValueError, OSError):
        raise DataError(f"'{text[:40]}' is no time; write 2026-11-22T08:00:00, or say --time-format") from None
    shift_s = int(offset.total_seconds()) if offset else 0
    return _bounded(naive_ns - shift_s * SECOND_NS, text)


def _bounded(time_ns: int, text: str) -> int:
    if not _NS_MIN <= time_ns <= _NS_MAX:
        raise DataError(f"'{text[:40]}' is outside 1677 to 2262")
    return time_ns


def values(kind: ValueKind, cells: Sequence[str], keep_empty: bool, bad: Bad) -> tuple[Any, Mask]:
    """(values, usable); an empty cell is no sample unless `keep_empty`. Shape: (cells,) each."""
    import pyarrow as pa

    present = np.array([bool(cell) for cell in cells], np.bool_)
    if kind is ValueKind.TEXT:
        good = np.ones(len(cells), np.bool_) if keep_empty else present
        for row, cell in enumerate(cells):
            if len(cell) > TEXT_BYTES_MAX // 4 and len(cell.encode()) > TEXT_BYTES_MAX:
                good[row] = False
                bad(row, f"text longer than {TEXT_BYTES_MAX} bytes")
        return np.array([unguarded(cell) for cell in cells], object), good
    if kind is not ValueKind.BOOL and present.all():
        try:
            wanted = pa.float64() if kind is ValueKind.FLOAT64 else pa.int64()
            return pa.array(cells, pa.string()).cast(wanted).to_numpy(), present
        except pa.ArrowException:
            pass
    column, good = np.zeros(len(cells), kind.dtype), present.copy()
    convert = _CONVERT[kind]
    for row in np.flatnonzero(present).tolist():
        text = cells[row].strip()
        if not text:
            good[row] = False
            continue
        try:
            column[row] = convert(text)
        except (KeyError, ValueError, OverflowError):
            good[row] = False
            bad(row, f"'{text[:40]}' is not a {kind.label} value")
    return column, good


def qualities(cells: Sequence[str], bad: Bad) -> tuple[NDArray[np.uint32], Mask]:
    """(codes, usable): a StatusCode as a number, or good, uncertain, bad. Shape: (cells,) each."""
    found, good = np.zeros(len(cells), np.uint32), np.ones(len(cells), np.bool_)
    known: dict[str, int | None] = {}
    for row, cell in enumerate(cells):
        if cell not in known:
            known[cell] = _quality(cell.strip().lower())
        code = known[cell]
        if code is None:
            good[row] = False
            bad(row, f"'{cell[:40]}' is no quality; write good, uncertain, bad or an OPC UA StatusCode")
        else:
            found[row] = code
    return found, good


def _quality(text: str) -> int | None:
    if text in _QUALITIES:
        return _QUALITIES[text]
    try:
        code = int(text, 0)
    except ValueError:
        return None
    return code if 0 <= code < 2**32 else None


def _float(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _int(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ValueError(text)
    return int(text)


_CONVERT: Final[dict[ValueKind, Callable[[str], Any]]] = {
    ValueKind.FLOAT64: _float,
    ValueKind.INT64: _int,
    ValueKind.BOOL: lambda text: _BOOLS[text.lower()],
}
