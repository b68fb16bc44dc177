"""Times in query strings: `2026-11-22T08:00:00+08:00`, epoch milliseconds, `now`, `now-1h30m`; to ns, UTC."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS, MILLISECOND_NS, parse_duration_ns, parse_time_ns

TIME_NS_MIN: Final = -(2**63)
TIME_NS_MAX: Final = 2**63 - 1
_EPOCH_MS = re.compile(r"-?\d{1,16}(?:\.\d{1,6})?")
_RELATIVE = re.compile(r"now(?:([+-])(.+))?")
#: A `+` that was not escaped in a URL arrives as a space.
_LOST_PLUS = re.compile(r" (\d\d:?\d\d)$")


def time_ns_of(text: str, now_ns: int) -> int:
    """Raises: DataError that names the three ways to write a time."""
    text = text.strip()
    if _EPOCH_MS.fullmatch(text):
        return _bounded(round(Fraction(text) * MILLISECOND_NS), text)
    relative = _RELATIVE.fullmatch(text.replace(" ", "+"))
    if relative:
        sign, duration = relative.groups()
        offset = parse_duration_ns(duration) if duration else 0
        return _bounded(now_ns - offset if sign == "-" else now_ns + offset, text)
    try:
        return _bounded(parse_time_ns(_LOST_PLUS.sub(r"+\1", text)), text)
    except (DataError, OverflowError):
        raise DataError(
            f"'{text[:60]}' is not a time; write 2026-11-22T08:00:00Z, milliseconds since 1970, or now-1h"
        ) from None


def span_ns_of(start: str | None, end: str | None, now_ns: int, *, default_ns: int = HOUR_NS) -> tuple[int, int]:
    """`[start, end)`; the last hour where nothing is said. Raises: DataError for an empty or reversed span."""
    end_ns = now_ns if end is None else time_ns_of(end, now_ns)
    start_ns = max(end_ns - default_ns, TIME_NS_MIN) if start is None else time_ns_of(start, now_ns)
    if start_ns >= end_ns:
        raise DataError("'start' must be before 'end'")
    return start_ns, end_ns


def _bounded(time_ns: int, text: str) -> int:
    if not TIME_NS_MIN <= time_ns <= TIME_NS_MAX:
        raise DataError(f"'{text[:60]}' is outside 1677 to 2262, the years that 64 bits of nanoseconds can tell")
    return time_ns
