"""Values as a parser gives them, to one typed column and what is wrong with each. Nothing is silently changed.

| the point is | it takes                                                                                       |
|--------------|------------------------------------------------------------------------------------------------|
| float64      | every number; true and false as 1 and 0; text of digits                                        |
| int64        | whole numbers within int64, also written 5.0; true and false as 1 and 0; text of whole digits  |
| bool         | true, false; 1 and 0; words such as on and off                                                 |
| text         | text of at most 64 KiB                                                                         |

null is BadWaitingForInitialData, a number that does not fit BadOutOfRange, everything else BadTypeMismatch; what a
message leaves out makes no sample at all.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.payload.pointer import MISSING
from headrace.model import quality as q
from headrace.model.batch import TEXT_BYTES_MAX, TEXT_DTYPE, Value, ValueKind

Qualities = NDArray[np.uint32]
Words = Mapping[str, bool]

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,5})?\s*")
_WHOLE = re.compile(r"\s*[+-]?\d{1,40}\s*")
_NO_NUMBER = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)
_NUMBER_LENGTH_MAX: Final = 400
_BLANK: Final[dict[ValueKind, Value]] = {
    ValueKind.FLOAT64: float("nan"),
    ValueKind.INT64: 0,
    ValueKind.BOOL: False,
    ValueKind.TEXT: "",
}


def typed_column(
    kind: ValueKind, given: Sequence[Any], words: Words
) -> tuple[NDArray[Any], Qualities | None, NDArray[np.bool_] | None]:
    """Values; their faults, where any; which are samples at all, where not all are. Shape: (count,)."""
    column = _clean_column(kind, given)
    if column is not None:
        return column, None, None
    count = len(given)
    convert = partial(_bool, words) if kind is ValueKind.BOOL else _CONVERT[kind]
    values = np.full(count, _BLANK[kind], kind.dtype)
    faults = np.zeros(count, np.uint32)
    present = np.ones(count, np.bool_)
    for at, value in enumerate(given):
        if value is MISSING:
            present[at] = False
            continue
        if value is None:
            faults[at] = q.BAD_WAITING_FOR_INITIAL_DATA
            continue
        try:
            values[at] = convert(value)
        except _Fault as fault:
            faults[at] = fault.quality
    return values, (faults if faults.any() else None), (None if present.all() else present)


def _clean_column(kind: ValueKind, given: Sequence[Any]) -> NDArray[Any] | None:
    """The whole column at once where every value is what the point declares, else None.

    `struct` is the fastest strict conversion there is: it takes numbers (true and false among them) and refuses the
    rest, and whole numbers beyond int64, where NumPy would guess.
    """
    try:
        if kind is ValueKind.FLOAT64:
            return np.frombuffer(struct.pack(f"{len(given)}d", *given))
        if kind is ValueKind.INT64:
            return np.frombuffer(struct.pack(f"{len(given)}q", *given), np.int64)
    except (struct.error, OverflowError):
        return None
    if kind is ValueKind.BOOL:
        return np.array(given, np.bool_) if set(map(type, given)) == {bool} else None
    if set(map(type, given)) == {str} and max(map(len, given)) <= TEXT_BYTES_MAX // 4:
        return np.array(given, TEXT_DTYPE)
    return None


class _Fault(Exception):
    def __init__(self, quality: int) -> None:
        self.quality = quality


def _float(value: Any) -> float:
    kind = type(value)
    if kind is float or kind is int or kind is bool:
        return float(value)
    if kind is str and len(value) <= _NUMBER_LENGTH_MAX:
        if _NUMBER.fullmatch(value):
            number = float(value)
            if number in (float("inf"), float("-inf")):
                raise _Fault(q.BAD_OUT_OF_RANGE)
            return number
        if _NO_NUMBER.fullmatch(value):
            return float(value)
    raise _Fault(q.BAD_TYPE_MISMATCH)


def _int(value: Any) -> int:
    kind = type(value)
    if kind is float:
        if value - value != 0 or value % 1:  # not finite, or with a fraction
            raise _Fault(q.BAD_TYPE_MISMATCH)
        if abs(value) >= 2.0**53:  # a whole number that a float may have rounded is not known exactly
            raise _Fault(q.BAD_OUT_OF_RANGE)
        return int(value)
    if kind is str and len(value) <= _NUMBER_LENGTH_MAX and _WHOLE.fullmatch(value):
        value = int(value)
    elif kind is not int and kind is not bool:
        raise _Fault(q.BAD_TYPE_MISMATCH)
    if not -(2**63) <= value < 2**63:
        raise _Fault(q.BAD_OUT_OF_RANGE)
    return int(value)


def _bool(words: Words, value: Any) -> bool:
    kind = type(value)
    if kind is bool:
        return bool(value)
    if (kind is int or kind is float) and value in (0, 1):
        return bool(value == 1)
    if kind is str and len(value) <= _NUMBER_LENGTH_MAX:
        meant = words.get(value.strip().lower())
        if meant is not None:
            return meant
    raise _Fault(q.BAD_TYPE_MISMATCH)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _Fault(q.BAD_TYPE_MISMATCH)
    if len(value) > TEXT_BYTES_MAX // 4 and len(value.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise _Fault(q.BAD_OUT_OF_RANGE)
    return str(value)


_CONVERT: Final[dict[ValueKind, Callable[[Any], Value]]] = {
    ValueKind.FLOAT64: _float,
    ValueKind.INT64: _int,
    ValueKind.TEXT: _text,
}
