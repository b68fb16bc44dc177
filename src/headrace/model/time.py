"""Time: int64 nanoseconds since 1970-01-01T00:00:00Z (UTC, POSIX). Nothing here reads a clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

from headrace.model.errors import DataError

MICROSECOND_NS: Final = 1_000
MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS

#: A source time outside this span is kept, and its sample flagged: no plant of ours ran before 1990 …
SOURCE_TIME_MIN_NS: Final = 631_152_000 * SECOND_NS
#: … and a source more than this far ahead of us has a wild clock.
SOURCE_AHEAD_MAX_NS: Final = 10 * MINUTE_NS

_DURATION = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)(ns|us|ms|s|m|h|d)")
_DURATION_NS_MAX: Final = 2**63 - 1
_DURATION_NS: Final = {
    "ns": 1,
    "us": MICROSECOND_NS,
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "h": HOUR_NS,
    "d": DAY_NS,
}


def parse_time_ns(text: str) -> int:
    """ISO 8601 with an offset (`2026-11-22T08:00:00.123456789+08:00`) to ns. Raises: DataError."""
    head, fraction, tail = text, "", ""
    found = re.match(r"^(.*?\d\d:\d\d:\d\d)\.(\d{1,9})(.*)$", text)
    if found:
        head, fraction, tail = found.group(1), found.group(2), found.group(3)
    try:
        moment = datetime.fromisoformat(head + tail)
    except ValueError:
        raise DataError(f"'{text[:60]}' is not an ISO 8601 time, such as 2026-11-22T08:00:00Z") from None
    if moment.tzinfo is None:
        raise DataError(f"'{text}' has no UTC offset; add Z or, for example, +08:00")
    whole_s = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return whole_s * SECOND_NS + int(fraction.ljust(9, "0") or "0")


def format_time(time_ns: int) -> str:
    """Ns to ISO 8601 UTC with as many digits as needed: `2026-11-22T00:00:00.5Z`."""
    whole_s, rest_ns = divmod(int(time_ns), SECOND_NS)
    text = datetime.fromtimestamp(whole_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{rest_ns:09d}".rstrip("0") if rest_ns else ""
    return f"{text}{fraction}Z"


def parse_duration_ns(text: str) -> int:
    """`500ms`, `1.5s`, `2h30m` to ns. Raises: DataError for anything else, a bare number included."""
    position, total = 0, Fraction(0)
    while part := _DURATION.match(text, position):
        total += Fraction(part.group(1)) * _DURATION_NS[part.group(2)]
        position = part.end()
    if position == 0 or position != len(text):
        raise DataError(f"'{text[:60]}' is not a duration; write a number and a unit, such as 500ms, 10s, 5m or 1h30m")
    if total > _DURATION_NS_MAX:
        raise DataError(f"'{text[:60]}' is longer than 292 years, the longest duration there is")
    return round(total)


def format_duration(duration_ns: int) -> str:
    """The inverse of `parse_duration_ns`, largest units first: 5_400 s -> `1h30m`."""
    if duration_ns == 0:
        return "0s"
    rest, parts = int(duration_ns), []
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, rest = divmod(rest, _DURATION_NS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
