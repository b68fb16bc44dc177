"""Source times as devices write them, to int64 ns. A whole column at a time where all are numbers.

| in the message        | becomes                                                                    |
|-----------------------|----------------------------------------------------------------------------|
| whole number          | that many units since 1970, exactly                                        |
| number with fraction  | the same, to the microsecond: a float64 of today's seconds holds no more   |
| text of digits        | as the number                                                              |
| RFC 3339 text         | that moment; digits beyond ns are cut off                                  |
| nothing, null         | when the message was received                                              |
| anything else         | when the message was received, and the sample is BadInvalidTimestamp       |
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.payload.pointer import MISSING
from headrace.model import quality as q
from headrace.model.errors import DataError
from headrace.model.time import MICROSECOND_NS, parse_time_ns

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DIGITS = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?")
_LONG_FRACTION = re.compile(r"(\.\d{9})\d+")
_INT64_MAX: Final = 2**63 - 1


def source_times(
    given: Sequence[Any], received_ns: Sequence[int], unit_ns: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32] | None]:
    """Times and, where any is wrong, a quality each. Shape: (count,)."""
    count = len(given)
    try:
        column = np.frombuffer(struct.pack(f"{count}q", *given), np.int64)  # refuses all but whole numbers
        largest = _INT64_MAX // unit_ns
        if not count or (
            -largest <= int(column.min()) and int(column.max()) <= largest and bool not in map(type, given)
        ):
            return column * unit_ns, None
    except struct.error:
        pass
    times = np.empty(count, np.int64)
    faults: NDArray[np.uint32] | None = None
    for at, value in enumerate(given):
        if value is MISSING or value is None:
            times[at] = received_ns[at]
            continue
        try:
            times[at] = time_ns(value, unit_ns)
        except (DataError, OverflowError):
            times[at] = received_ns[at]
            faults = np.zeros(count, np.uint32) if faults is None else faults
            faults[at] = q.BAD_INVALID_TIMESTAMP
    return times, faults


def time_ns(value: Any, unit_ns: int) -> int:
    """One time. Raises: DataError; OverflowError where it does not fit int64."""
    kind = type(value)
    if kind is int:
        return _bounded(value * unit_ns)
    if kind is float:
        return _from_float(value, unit_ns)
    if kind is str:
        text = value.strip()
        return _from_digits(text, unit_ns) if _DIGITS.fullmatch(text) else _from_text(text)
    raise DataError(f"{value!r} is no time")


def _from_float(value: float, unit_ns: int) -> int:
    whole = value // 1
    if not abs(whole) < 2.0**63:
        raise OverflowError
    fraction_us = round((value - whole) * (unit_ns / MICROSECOND_NS))
    return _bounded(int(whole) * unit_ns + fraction_us * MICROSECOND_NS)


def _from_digits(text: str, unit_ns: int) -> int:
    try:
        return _bounded(int(Decimal(text) * unit_ns))
    except InvalidOperation:
        raise DataError(f"'{text}' is no time") from None


def _from_text(text: str) -> int:
    dot = text.find(".")
    if dot < 0 or len(text) - dot <= 8:  # at most six digits and Z, which `datetime` holds
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise DataError(f"'{text[:40]}' is no RFC 3339 time") from None
        if moment.tzinfo is None:
            raise DataError(f"'{text[:40]}' has no UTC offset")
        return _bounded((moment - _EPOCH) // _MICROSECOND * MICROSECOND_NS)
    return _bounded(parse_time_ns(_LONG_FRACTION.sub(r"\1", text)))


def _bounded(moment_ns: int) -> int:
    if not -_INT64_MAX <= moment_ns <= _INT64_MAX:
        raise OverflowError
    return moment_ns
