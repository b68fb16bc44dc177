"""JSON lines to columns: one object a line, or an array of them; `time`, `value` and `quality` may be columns.

    {"path": "acme/press-3/oil.temperature", "time": "2026-11-25T08:00:00.5Z", "value": 62.4}
    {"path": "acme/press-3/strokes", "time": [1795334400000000000, …], "value": [412, …], "quality": "good"}

`time` is RFC 3339 text or a whole number of the request's unit; now where it is left out. `quality` is good unless
given: a StatusCode as a number, or its name. An int64 may be decimal text. Source: RFC 8259.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from headrace.connect.ingest.series import Points
from headrace.connect.ingest.slices import INT64_MAX, Lane, Slice, check_text
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.time import parse_time_ns

_DECIMAL = re.compile(r"-?[0-9]{1,19}")
_KEYS: Final = frozenset(("path", "time", "value", "quality"))
_QUALITIES: Final[Mapping[str, int]] = {
    "good": q.GOOD,
    "uncertain": q.UNCERTAIN,
    "bad": q.BAD,
    **{q.name_of(code): code for name, code in vars(q).items() if name.isupper() and isinstance(code, int)},
}


class JsonLines:
    """Parses into a slice. `unit_ns` is what a time that is a number counts."""

    def __init__(self, points: Points, unit_ns: int) -> None:
        self._points, self._unit_ns = points, unit_ns

    def parse(self, lines: Sequence[bytes], first: int, out: Slice, now_ns: int, *, last: bool) -> int:
        """Fill an empty slice from `lines`, the first of which is number `first`; how many were used: all."""
        del last
        for number, line in enumerate(lines, first):
            try:
                said = orjson.loads(line) if line and not line.isspace() else ()
            except orjson.JSONDecodeError as error:
                out.receipt.refuse(number, f"this is not JSON: {error}")
                continue
            for one in said if isinstance(said, list | tuple) else (said,):
                try:
                    self._add(one, number, out, now_ns)
                except DataError as error:
                    out.receipt.refuse(number, error.message)
        return len(lines)

    def _add(self, said: Any, number: int, out: Slice, now_ns: int) -> None:
        """Raises: DataError; of columns, those before the wrong one are in."""
        if not isinstance(said, dict):
            raise DataError('a sample is an object: {"path": …, "time": …, "value": …}')
        if not said.keys() <= _KEYS:
            raise DataError(
                f"'{min(said.keys() - _KEYS)[:60]}' is not known; a sample has path, time, value and quality"
            )
        path = said.get("path")
        handle = self._points.handles.get(path) if isinstance(path, str) else None
        if handle is None:
            raise DataError(self._points.why_not(path) if isinstance(path, str) else "'path' is missing or no text")
        value, time, quality = said.get("value"), said.get("time"), said.get("quality")
        if not isinstance(value, list):
            self._add_one(handle, value, time, quality, number, out, now_ns)
            return
        for one, at, code in zip(
            value, _spread(time, len(value), "time"), _spread(quality, len(value), "quality"), strict=True
        ):
            self._add_one(handle, one, at, code, number, out, now_ns)

    def _add_one(self, handle: int, value: Any, time: Any, quality: Any, number: int, out: Slice, now_ns: int) -> None:
        """Raises: DataError."""
        time_ns = self._time(time, now_ns)
        code = _quality(quality) if quality is not None else q.GOOD
        kind = value.__class__
        if kind is float:
            lane = out.floats
        elif kind is bool:
            lane = out.bools
        elif kind is int and -INT64_MAX - 1 <= value <= INT64_MAX:
            lane = out.ints
        else:
            value = _unusual(value, ValueKind(int(self._points.kinds[handle])), code)
            lane = _lane_of(value, out)
        if code and not lane.quality:
            lane.quality = [q.GOOD] * len(lane.handles)
        if code or lane.quality:
            lane.quality.append(code)
        lane.add(handle, value, len(out.numbers))
        out.numbers.append(number)
        out.times_ns.append(time_ns)

    def _time(self, said: Any, now_ns: int) -> int:
        if said is None:
            return now_ns
        if said.__class__ is int:
            time_ns = said * self._unit_ns
        elif said.__class__ is str:
            time_ns = parse_time_ns(said)
        else:
            raise DataError("'time' is RFC 3339 text such as 2026-11-25T08:00:00Z, or a whole number")
        if abs(time_ns) > INT64_MAX:
            raise DataError(f"'{str(said)[:40]}' is no time that ns of 64 bits hold")
        return time_ns


def _spread(said: Any, count: int, name: str) -> Iterable[Any]:
    """One for each value. Raises: DataError."""
    if not isinstance(said, list):
        return itertools.repeat(said, count)
    if len(said) != count:
        raise DataError(f"'{name}' has {len(said)} entries, 'value' has {count}")
    return said


def _quality(said: Any) -> int:
    """Raises: DataError."""
    if isinstance(said, str) and said in _QUALITIES:
        return _QUALITIES[said]
    if isinstance(said, int) and not isinstance(said, bool) and 0 <= said < 2**32:
        return said
    raise DataError(
        f"'{str(said)[:40]}' is no quality: a StatusCode such as 2147483648, or good, uncertain, BadTimeout"
    )


def _unusual(said: Any, kind: ValueKind, code: int) -> Any:
    """A text, or nothing: a bad sample may have no value; an int64 may be text, as JavaScript needs it."""
    if said is None:
        if not code & q.BAD:
            raise DataError("'value' is missing; null is for samples of bad quality")
        return {ValueKind.FLOAT64: float("nan"), ValueKind.INT64: 0, ValueKind.BOOL: False}.get(kind, "")
    if isinstance(said, str) and kind is ValueKind.INT64 and _DECIMAL.fullmatch(said):
        said = int(said)
    if isinstance(said, int) and not -INT64_MAX - 1 <= said <= INT64_MAX:
        raise DataError(f"{said} does not fit into 64 bits")
    if not isinstance(said, str | int):
        raise DataError("'value' is a number, true, false or text")
    wrong = check_text(said) if isinstance(said, str) else None
    if wrong is not None:
        raise DataError(wrong)
    return said


def _lane_of(value: Any, out: Slice) -> Lane:
    if isinstance(value, bool):
        return out.bools
    return out.ints if isinstance(value, int) else out.floats if isinstance(value, float) else out.texts
