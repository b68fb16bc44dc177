"""Columns of metrics to batches of the kinds that points declare.

    (type of the birth, field of the value) ──► a class: whole number, float, boolean, time, text, null, or none of ours
    (kind of the point, class) ──► one conversion for all rows that share them

| the point is | it takes                                                                                      |
|--------------|-----------------------------------------------------------------------------------------------|
| float64      | Float, Double; whole numbers where exact; Boolean as 1 and 0                                   |
| int64        | whole numbers (UInt64 to 2^63−1), DateTime as ns since 1970; Float, Double where whole; Boolean |
| bool         | Boolean; whole numbers 0 and 1                                                                 |
| text         | String, Text, UUID of at most 64 KiB; DateTime as ISO 8601                                      |

Int8, Int16 and Int32 travel in an unsigned field and get their sign back here, whether the sender has filled 8, 16, 32
or 64 bits. Null is BadWaitingForInitialData, what does not fit BadOutOfRange, another type BadTypeMismatch, a type that
makes no sample (data sets, templates, bytes, arrays) BadNotSupported. As with OPC UA, nothing is ever rounded.
Source: Sparkplug 3.0.0 §6.4.16.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.sparkplug.metrics import NULL, Metrics
from headrace.connect.sparkplug.schema import INTEGER_BITS, KIND_OF_TYPE, SIGNED, TEXTS, DataType, Field
from headrace.connect.sparkplug.slots import UNTYPED
from headrace.model import quality as q
from headrace.model.batch import TEXT_BYTES_MAX, TEXT_DTYPE, Batch, ValueKind
from headrace.model.time import MILLISECOND_NS, format_time

Qualities = NDArray[np.uint32]

_MISFIT, _INT, _UINT, _FLOAT, _DOUBLE, _BOOL, _TIME, _TEXT, _NULL, _OTHER = range(10)
_NAMES_OF_CLASSES: Final = 10
_MS_MAX: Final = (2**63 - 1) // MILLISECOND_NS
_EXACT: Final = 2.0**53
_SIGN: Final = 2.0**63

#: Types of values whose birth tells none.
_TYPE_OF_FIELD: Final = {
    Field.INT: DataType.UINT32,
    Field.LONG: DataType.INT64,
    Field.FLOAT: DataType.FLOAT,
    Field.DOUBLE: DataType.DOUBLE,
    Field.BOOLEAN: DataType.BOOLEAN,
    Field.STRING: DataType.STRING,
}


def _classes() -> NDArray[np.uint8]:
    """Shape: (256 types, 32 fields)."""
    table = np.full((256, 32), _MISFIT, np.uint8)
    table[:, 0] = _NULL
    for datatype in DataType:
        if datatype not in KIND_OF_TYPE:
            table[datatype, 1:] = _OTHER
    for datatype in INTEGER_BITS:
        table[datatype, [Field.INT, Field.LONG]] = _INT if datatype in SIGNED else _UINT
    for datatype in (DataType.FLOAT, DataType.DOUBLE):
        table[datatype, Field.FLOAT], table[datatype, Field.DOUBLE] = _FLOAT, _DOUBLE
    table[DataType.BOOLEAN, Field.BOOLEAN] = _BOOL
    table[DataType.DATETIME, [Field.INT, Field.LONG]] = _TIME
    for datatype in TEXTS:
        table[datatype, Field.STRING] = _TEXT
    return table


_CLASS: Final = _classes()
_WIDTH: Final = np.array([INTEGER_BITS.get(DataType(at), 64) if at < 35 else 64 for at in range(256)], np.uint64)
_FIELD_TYPES: Final = np.array([_TYPE_OF_FIELD.get(at, 0) for at in range(32)], np.uint8)  # type: ignore[call-overload]


def source_times(
    metrics: Metrics, rows: NDArray[np.int64], received_ns: NDArray[np.int64], has_time: int
) -> tuple[NDArray[np.int64], Qualities]:
    """When each metric was so: its own time, else its message's, else when that was received. By `rows`."""
    message = metrics.message[rows]
    own = (metrics.flags[rows] & has_time) != 0
    ms = np.where(own, metrics.time_ms[rows], metrics.sent_ms[message])
    given = own | metrics.has_sent[message]
    fits = ms <= _MS_MAX
    times = np.where(given & fits, ms.astype(np.int64) * MILLISECOND_NS, received_ns[message])
    return times, np.where(given & ~fits, np.uint32(q.BAD_INVALID_TIMESTAMP), np.uint32(0))


def batches(
    metrics: Metrics,
    rows: NDArray[np.int64],
    handles: NDArray[np.uint32],
    kinds: NDArray[np.int8],
    birth_types: NDArray[np.uint8],
    source_ns: NDArray[np.int64],
    received_ns: NDArray[np.int64],
    quality: Qualities,
) -> list[Batch]:
    """One batch a kind, in the order of `rows`. All columns by `rows`. Shape: (rows,)."""
    field = metrics.field[rows]
    told = metrics.datatype[rows]
    untold = (birth_types == 0) | (birth_types == UNTYPED)
    types = np.where(untold, np.where(told < UNTYPED, told, 0), birth_types).astype(np.uint8)
    types = np.where(types != 0, types, _FIELD_TYPES[field & 31])
    classes = _CLASS[types, field & 31]
    classes[(metrics.flags[rows] & NULL) != 0] = _NULL
    pairs = kinds.astype(np.int64) * _NAMES_OF_CLASSES + classes
    made = []
    for kind in ValueKind:
        mine = np.flatnonzero(kinds == kind)
        if not len(mine):
            continue
        values = np.full(len(mine), _BLANK[kind], kind.dtype)
        faults = np.zeros(len(mine), np.uint32)
        for pair in np.flatnonzero(np.bincount(pairs[mine])).tolist():
            at = np.flatnonzero(pairs[mine] == pair)
            which = mine[at]
            with np.errstate(invalid="ignore"):  # what does not fit is found, and its value not used
                values[at], faults[at] = _convert(kind, pair % _NAMES_OF_CLASSES, metrics, rows[which], types[which])
        status = np.where(faults != 0, faults, quality[mine])
        made.append(Batch(kind, handles[mine], source_ns[mine], received_ns[mine], values, status))
    return made


_BLANK: Final[dict[ValueKind, Any]] = {
    ValueKind.FLOAT64: np.nan,
    ValueKind.INT64: 0,
    ValueKind.BOOL: False,
    ValueKind.TEXT: "",
}
_REFUSED: Final = {
    _MISFIT: q.BAD_TYPE_MISMATCH,
    _NULL: q.BAD_WAITING_FOR_INITIAL_DATA,
    _OTHER: q.BAD_NOT_SUPPORTED,
}


def _convert(
    kind: ValueKind, which: int, metrics: Metrics, rows: NDArray[np.int64], types: NDArray[np.uint8]
) -> tuple[Any, Any]:
    """Values and faults of rows of one class."""
    if which in _REFUSED:
        return _BLANK[kind], _REFUSED[which]
    bits = metrics.bits[rows]
    if which in (_FLOAT, _DOUBLE):
        number = bits.astype("<u4").view("<f4").astype(np.float64) if which == _FLOAT else bits.view(np.float64)
        return _from_floats(kind, number)
    if which == _BOOL:
        return (_BLANK[kind], q.BAD_TYPE_MISMATCH) if kind is ValueKind.TEXT else (bits != 0, 0)
    if which == _INT:
        return _from_signed(kind, *_signed(bits, _WIDTH[types]))
    if which == _UINT:
        return _from_unsigned(kind, bits, np.where(bits >> (_WIDTH[types] - 1) > 1, np.uint32(q.BAD_OUT_OF_RANGE), 0))
    if which == _TIME:
        return _from_times(kind, bits)
    return _from_texts(kind, [metrics.texts[row] for row in rows.tolist()])


def _signed(bits: NDArray[np.uint64], width: NDArray[np.uint64]) -> tuple[NDArray[np.int64], Qualities]:
    """The sign back in place, and BadOutOfRange for bits that are neither the number nor its sign."""
    shift = np.uint64(64) - width
    number = (bits << shift).view(np.int64) >> shift.astype(np.int64)
    again = number.view(np.uint64)
    low = np.uint64(0xFFFF_FFFF)
    fits = (bits == again) | (bits == again & low) | (bits << shift >> shift == bits)
    return number, np.where(fits, np.uint32(0), np.uint32(q.BAD_OUT_OF_RANGE))


def _from_signed(kind: ValueKind, number: NDArray[np.int64], faults: Qualities) -> tuple[Any, Any]:
    if kind is ValueKind.INT64:
        return number, faults
    if kind is ValueKind.FLOAT64:
        exact = (np.abs(number) <= _EXACT) | (number.astype(np.float64).astype(np.int64) == number)
        return number.astype(np.float64), np.where(exact, faults, np.uint32(q.BAD_OUT_OF_RANGE))
    if kind is ValueKind.BOOL:
        return number == 1, np.where((number == 0) | (number == 1), faults, np.uint32(q.BAD_OUT_OF_RANGE))
    return "", q.BAD_TYPE_MISMATCH


def _from_unsigned(kind: ValueKind, number: NDArray[np.uint64], faults: Any) -> tuple[Any, Any]:
    if kind is ValueKind.FLOAT64:
        rounded = number.astype(np.float64)
        exact = (number <= np.uint64(2**53)) | ((rounded < 2.0**64) & (_back(rounded) == number))
        return rounded, np.where(exact, faults, q.BAD_OUT_OF_RANGE)
    large = number > np.uint64(2**63 - 1)
    return _from_signed(kind, number.view(np.int64), np.where(large, np.uint32(q.BAD_OUT_OF_RANGE), faults))


def _back(rounded: NDArray[np.float64]) -> NDArray[np.uint64]:
    return np.where(rounded < 2.0**64, rounded, 0.0).astype(np.uint64)


def _from_floats(kind: ValueKind, number: NDArray[np.float64]) -> tuple[Any, Any]:
    if kind is ValueKind.FLOAT64:
        return number, 0
    if kind is ValueKind.INT64:
        whole = np.isfinite(number) & (np.floor(number) == number)
        small = whole & (np.abs(number) < _SIGN)
        return (
            np.where(small, number, 0.0).astype(np.int64),
            np.where(small, 0, np.where(whole, q.BAD_OUT_OF_RANGE, q.BAD_TYPE_MISMATCH)),
        )
    return _BLANK[kind], q.BAD_TYPE_MISMATCH


def _from_times(kind: ValueKind, ms: NDArray[np.uint64]) -> tuple[Any, Any]:
    signed = ms.view(np.int64)
    fits = np.abs(signed.astype(np.float64)) <= _MS_MAX
    ns = np.where(fits, signed, 0) * MILLISECOND_NS
    faults = np.where(fits, np.uint32(0), np.uint32(q.BAD_OUT_OF_RANGE))
    if kind is ValueKind.INT64:
        return ns, faults
    if kind is ValueKind.TEXT:
        return np.array([format_time(moment) for moment in ns.tolist()], TEXT_DTYPE), faults
    return _BLANK[kind], q.BAD_TYPE_MISMATCH


def _from_texts(kind: ValueKind, texts: list[str]) -> tuple[Any, Any]:
    if kind is not ValueKind.TEXT:
        return _BLANK[kind], q.BAD_TYPE_MISMATCH
    fits = [len(text) <= TEXT_BYTES_MAX // 4 or len(text.encode()) <= TEXT_BYTES_MAX for text in texts]
    kept = [text if fit else "" for text, fit in zip(texts, fits, strict=True)]
    return np.array(kept, TEXT_DTYPE), np.where(fits, 0, q.BAD_OUT_OF_RANGE)
