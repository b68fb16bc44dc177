"""Decoded columns to batches of the kinds that points declare, and values of ours to what a node can hold.

    Items ──key──► points of that key ──declared kind──► lossless conversion ──► at most four batches
                   (one node may feed several)               └─ else BadTypeMismatch, the rest goes on

What converts: every integer to int64 (a UInt64 above 2^63−1 is BadOutOfRange), to float64 where exact, to bool where
0 or 1; Float and Double to float64, to int64 where whole; Boolean to every number; DateTime to int64 (ns since 1970)
or text (ISO 8601); StatusCode to a number; String, XmlElement and LocalizedText to text. Nothing is ever rounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.drivers.opcua import codec
from headrace.connect.drivers.opcua.codec import Items, Odd
from headrace.model import quality as q
from headrace.model.batch import TEXT_BYTES_MAX, TEXT_DTYPE, Batch, Value, ValueKind
from headrace.model.errors import DataError, Garbled
from headrace.model.time import format_time
from headrace.sdk.driver import PointBinding

BAD_INDEX_RANGE_NO_DATA: Final = 0x8037_0000
_TICKS_1970: Final = 116_444_736_000_000_000
_TICKS_MIN: Final = _TICKS_1970 - (2**63 - 1) // 100
_TICKS_MAX: Final = _TICKS_1970 + (2**63 - 1) // 100

_INT_RANGES: Final = {
    codec.SBYTE: (-(2**7), 2**7 - 1),
    codec.BYTE: (0, 2**8 - 1),
    codec.INT16: (-(2**15), 2**15 - 1),
    codec.UINT16: (0, 2**16 - 1),
    codec.INT32: (-(2**31), 2**31 - 1),
    codec.UINT32: (0, 2**32 - 1),
    codec.INT64: (-(2**63), 2**63 - 1),
    codec.UINT64: (0, 2**64 - 1),
}
_INTEGERS: Final = frozenset(_INT_RANGES)
_FLOATS: Final = frozenset({codec.FLOAT, codec.DOUBLE})
_TEXTS: Final = frozenset({codec.STRING, codec.XML_ELEMENT, codec.LOCALIZED_TEXT})

KIND_OF_TYPE: Final[dict[int, ValueKind]] = {
    codec.BOOLEAN: ValueKind.BOOL,
    **dict.fromkeys((*_INTEGERS, codec.DATETIME, codec.STATUS_CODE), ValueKind.INT64),
    **dict.fromkeys(_FLOATS, ValueKind.FLOAT64),
    **dict.fromkeys(_TEXTS, ValueKind.TEXT),
}
"""The kind that a point should declare for a node of each built-in type; used when browsing."""

_Faults = NDArray[np.uint32]


@dataclass(slots=True)
class _Part:
    order: NDArray[np.int64]
    handles: NDArray[np.uint32]
    source_ns: NDArray[np.int64]
    values: NDArray[Any]
    quality: NDArray[np.uint32]


class PointTable:
    """Which points each key feeds. Keys are dense from 0; a key may feed several points, each its own array element."""

    def __init__(self, points_of_key: Sequence[Sequence[PointBinding]]) -> None:
        flat = [point for points in points_of_key for point in points]
        fan = [len(points) for points in points_of_key]
        self._fan = np.array(fan, np.int64)
        self._first = np.concatenate(([0], np.cumsum(self._fan)))[:-1]
        self._handles = np.array([point.handle for point in flat], np.uint32)
        self._kinds = np.array([point.kind for point in flat], np.int8)
        self._index = np.array([-1 if point.address.index is None else point.address.index for point in flat], np.int64)

    def batches(self, items: Iterable[Items], received_ns: int) -> list[Batch]:
        """At most one batch a kind, samples in the order of the response. Raises: Garbled for a key that nobody has."""
        parts: dict[ValueKind, list[_Part]] = {}
        base = 0
        for response in items:
            for block in response.blocks:
                self._scalars(
                    parts, block.type_id, block.order + base, block.key, block.values,
                    block.status, _times(block.source_ticks, block.server_ticks, received_ns),
                )  # fmt: skip
            self._odds(parts, response.odds, base, received_ns)
            base += response.count
        return [_join(kind, kind_parts, received_ns) for kind, kind_parts in parts.items()]

    def bad(self, keys: Sequence[int], statuses: Sequence[int], time_ns: int) -> list[Batch]:
        """One bad sample for every point of the keys."""
        count = len(keys)
        items = Items(
            count, odds=[Odd(at, keys[at], codec.NULL, False, None, statuses[at], 0, 0) for at in range(count)]
        )
        return self.batches([items], time_ns)

    # --- by shape -------------------------------------------------------------------------------------------------

    def _scalars(
        self,
        parts: dict[ValueKind, list[_Part]],
        type_id: int,
        order: NDArray[np.int64],
        keys: NDArray[Any],
        values: NDArray[Any] | None,
        status: NDArray[np.uint32],
        source_ns: NDArray[np.int64],
        own_faults: _Faults | None = None,
    ) -> None:
        if len(keys) and int(keys.max()) >= len(self._fan):
            raise Garbled("the server sent a value for an item that it was not asked to watch")
        fan = self._fan[keys]
        rows = np.repeat(np.arange(len(keys)), fan)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(fan) - fan, fan)
        binding = self._first[keys[rows]] + within
        faults = np.zeros(len(rows), np.uint32) if own_faults is None else own_faults[rows]
        faults[(self._index[binding] >= 0) & (faults == 0)] = q.BAD_TYPE_MISMATCH
        picked = None if values is None else values[rows]
        self._add(parts, type_id, order[rows], binding, picked, status[rows], source_ns[rows], faults)

    def _odds(self, parts: dict[ValueKind, list[_Part]], odds: list[Odd], base: int, received_ns: int) -> None:
        """Texts and missing values by the column, arrays one by one."""
        scalars: dict[bool, list[Odd]] = {}
        for odd in odds:
            if odd.is_array:
                self._array(parts, odd, base, received_ns)
            else:
                scalars.setdefault(odd.type_id in _TEXTS, []).append(odd)
        for is_text, group in scalars.items():
            keys = np.array([odd.key for odd in group], np.int64)
            status = np.array([odd.status for odd in group], np.uint32)
            source = np.array([odd.source_ticks for odd in group], np.int64)
            server = np.array([odd.server_ticks for odd in group], np.int64)
            order = np.array([odd.order for odd in group], np.int64) + base
            texts, faults = None, np.array([_fault_of(odd) for odd in group], np.uint32)
            if is_text:
                texts = np.array(
                    ["" if fault else odd.value for odd, fault in zip(group, faults, strict=True)], TEXT_DTYPE
                )
            type_id = codec.STRING if is_text else codec.NULL
            self._scalars(parts, type_id, order, keys, texts, status, _times(source, server, received_ns), faults)

    def _array(self, parts: dict[ValueKind, list[_Part]], odd: Odd, base: int, received_ns: int) -> None:
        """One array feeds every point that names an element of it."""
        if odd.key >= len(self._fan):
            raise Garbled("the server sent a value for an item that it was not asked to watch")
        first = self._first[odd.key]
        binding = np.arange(first, first + self._fan[odd.key])
        count = len(binding)
        index = self._index[binding]
        length = 0 if odd.value is None else len(odd.value)
        faults = np.zeros(count, np.uint32)
        faults[index >= length] = BAD_INDEX_RANGE_NO_DATA
        faults[index < 0] = q.BAD_TYPE_MISMATCH
        values = None
        if odd.value is None:
            faults[:] = q.BAD_TYPE_MISMATCH
        elif length:
            elements = odd.value
            if odd.type_id in _TEXTS:
                undecoded = np.array([_text_fault(text) for text in elements], np.uint32)
                elements = np.array([text if _text_fault(text) == 0 else "" for text in elements], TEXT_DTYPE)
                faults = np.where(faults == 0, undecoded[np.clip(index, 0, length - 1)], faults)
            values = elements[np.clip(index, 0, length - 1)]
        moment = _times(np.array([odd.source_ticks]), np.array([odd.server_ticks]), received_ns)
        order = np.full(count, odd.order + base, np.int64)
        status = np.full(count, odd.status, np.uint32)
        self._add(parts, odd.type_id, order, binding, values, status, np.repeat(moment, count), faults)

    def _add(
        self,
        parts: dict[ValueKind, list[_Part]],
        type_id: int,
        order: NDArray[np.int64],
        binding: NDArray[Any],
        values: NDArray[Any] | None,
        status: NDArray[np.uint32],
        source_ns: NDArray[np.int64],
        faults: _Faults,
    ) -> None:
        kinds = self._kinds[binding]
        for number in np.unique(kinds):
            kind = ValueKind(int(number))
            chosen: Any = kinds == number
            own = faults[chosen]
            column, mismatch = (None, None) if values is None else convert(values[chosen], type_id, kind)
            if column is None:
                column, mismatch = _blanks(kind, len(own)), np.full(len(own), q.BAD_TYPE_MISMATCH, np.uint32)
            fault = np.where(own == 0, mismatch, own)
            column[fault != 0] = _blank(kind)
            given = status[chosen]
            quality = np.where((fault != 0) & ((given & q.BAD) == 0), fault, given).astype(np.uint32)
            parts.setdefault(kind, []).append(
                _Part(order[chosen], self._handles[binding[chosen]], source_ns[chosen], column, quality)
            )


# --- conversions ------------------------------------------------------------------------------------------------------


def convert(values: NDArray[Any], type_id: int, kind: ValueKind) -> tuple[NDArray[Any] | None, _Faults | None]:
    """Wire values to a fresh column of `kind` and a fault per value (0 is none); (None, None) where none can convert.

    Shape: (count,). A faulty value's place holds anything.
    """
    count = len(values)
    fine = np.zeros(count, np.uint32)
    if type_id in _TEXTS:
        return (values.copy(), fine) if kind is ValueKind.TEXT else (None, None)
    if type_id == codec.BOOLEAN and kind is not ValueKind.TEXT:
        return (values != 0).astype(kind.dtype), fine
    if type_id in _FLOATS:
        if kind is ValueKind.FLOAT64:
            return values.astype(np.float64), fine
        if kind is ValueKind.INT64:
            whole = np.isfinite(values) & (np.abs(values) < 2.0**63) & (np.trunc(values) == values)
            return np.where(whole, values, 0).astype(np.int64), _unless(whole, q.BAD_TYPE_MISMATCH)
        return None, None
    if type_id == codec.DATETIME:
        inside = (values > _TICKS_MIN) & (values < _TICKS_MAX)
        nanoseconds = _ns(values)
        if kind is ValueKind.INT64:
            return nanoseconds, _unless(inside, q.BAD_OUT_OF_RANGE)
        if kind is ValueKind.TEXT:
            texts = [format_time(ns) if ok else "" for ns, ok in zip(nanoseconds.tolist(), inside, strict=True)]
            return np.array(texts, TEXT_DTYPE), _unless(inside, q.BAD_OUT_OF_RANGE)
        return None, None
    if type_id in _INTEGERS or type_id == codec.STATUS_CODE:
        return _integers(values, kind)
    return None, None


def _integers(values: NDArray[Any], kind: ValueKind) -> tuple[NDArray[Any] | None, _Faults | None]:
    if kind is ValueKind.INT64:
        fits = values <= np.int64(2**63 - 1) if values.dtype != np.uint64 else values <= np.uint64(2**63 - 1)
        return np.where(fits, values, 0).astype(np.int64), _unless(fits, q.BAD_OUT_OF_RANGE)
    if kind is ValueKind.BOOL:
        return values == 1, _unless((values == 0) | (values == 1), q.BAD_TYPE_MISMATCH)
    if kind is ValueKind.FLOAT64:
        wide = values.astype(np.float64)
        if values.dtype.itemsize < 8:
            return wide, np.zeros(len(values), np.uint32)
        below = wide < (2.0**64 if values.dtype == np.uint64 else 2.0**63)
        exact = below & (np.where(below, wide, 0.0).astype(values.dtype) == values)
        return wide, _unless(exact, q.BAD_TYPE_MISMATCH)
    return None, None


def _unless(fine: NDArray[np.bool_], fault: int) -> _Faults:
    return np.where(fine, np.uint32(0), np.uint32(fault))


def _text_fault(text: str | None) -> int:
    if text is None:
        return q.BAD_DECODING_ERROR
    return q.BAD_OUT_OF_RANGE if len(text) * 4 > TEXT_BYTES_MAX < len(text.encode()) else 0


def _fault_of(odd: Odd) -> int:
    if odd.type_id in _TEXTS:
        return _text_fault(odd.value)
    return q.BAD_WAITING_FOR_INITIAL_DATA if odd.type_id == codec.NULL else q.BAD_TYPE_MISMATCH


def _ns(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    return (np.clip(ticks, _TICKS_MIN, _TICKS_MAX) - _TICKS_1970) * 100


def _times(source: NDArray[np.int64], server: NDArray[np.int64], received_ns: int) -> NDArray[np.int64]:
    """The source's time, else the server's, else when we got it. Units: ticks in, ns since 1970 out."""
    ticks = np.where(source != 0, source, server)
    return np.where(ticks != 0, _ns(ticks), received_ns).astype(np.int64)


def _blank(kind: ValueKind) -> Value:
    return {ValueKind.FLOAT64: math.nan, ValueKind.INT64: 0, ValueKind.BOOL: False}.get(kind, "")


def _blanks(kind: ValueKind, count: int) -> NDArray[Any]:
    return np.full(count, _blank(kind), kind.dtype)


def _join(kind: ValueKind, parts: list[_Part], received_ns: int) -> Batch:
    if len(parts) == 1:
        part = parts[0]
        return Batch.of(kind, part.handles, part.source_ns, part.values, part.quality, received_ns)
    place = np.argsort(np.concatenate([part.order for part in parts]), kind="stable")
    return Batch.of(
        kind,
        np.concatenate([part.handles for part in parts])[place],
        np.concatenate([part.source_ns for part in parts])[place],
        np.concatenate([part.values for part in parts])[place],
        np.concatenate([part.quality for part in parts])[place],
        received_ns,
    )


# --- the other way ----------------------------------------------------------------------------------------------------


def fit(value: Value, type_id: int) -> Value:
    """A value as a node of this built-in type can hold it: the same value, maybe of another Python type.

    A Float takes the float32 nearest to a float. Raises: DataError that says why it does not fit.
    """
    if type_id == codec.BOOLEAN:
        if isinstance(value, str) or value not in (0, 1):
            raise DataError(f"the node holds true or false; {value!r} is neither")
        return bool(value)
    if type_id in _TEXTS:
        if not isinstance(value, str):
            raise DataError(f"the node holds text; {value!r} is not")
        return value
    if isinstance(value, str):
        raise DataError(f"the node holds a number; {value!r} is text")
    if type_id in _INT_RANGES or type_id == codec.STATUS_CODE:
        low, high = _INT_RANGES.get(type_id, (0, 2**32 - 1))
        if not math.isfinite(value) or value != int(value):
            raise DataError(f"the node holds whole numbers; {value!r} is not one")
        if not low <= value <= high:
            raise DataError(f"the node holds {low} to {high}; {value!r} is outside")
        return int(value)
    if type_id in _FLOATS:
        name, narrow = ("Double", np.float64) if type_id == codec.DOUBLE else ("Float", np.float32)
        if math.isfinite(value) and abs(value) > float(np.finfo(narrow).max):
            raise DataError(f"the node holds a {name}, up to ±{np.finfo(narrow).max:.6g}; {value!r} is outside")
        if isinstance(value, int) and int(narrow(value)) != value:
            raise DataError(f"the node holds a {name}, which cannot hold {value!r} exactly")
        return float(value)
    if type_id == codec.DATETIME:
        if not math.isfinite(value) or value != int(value) or int(value) % 1000:
            raise DataError(f"the node holds a time; write ns since 1970 in whole microseconds, not {value!r}")
        return int(value)
    raise DataError(f"the node holds a value of built-in type {type_id}, which a point cannot")
