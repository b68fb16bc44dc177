"""Properties of a metric: quality in data, unit and access in births. Source: Sparkplug 3.0.0 §6.4.10, §6.4.11.

| property `Quality` is | status                                                             |
|-----------------------|--------------------------------------------------------------------|
| 0                     | Bad                                                                |
| 192                   | Good                                                               |
| 500                   | UncertainLastUsableValue: STALE                                    |
| others below 256      | by the two top bits of an OPC DA quality: bad, uncertain, good     |
| others below 65,536   | Uncertain: a code of its maker                                     |
| larger                | that OPC UA StatusCode                                             |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError

from headrace.connect.sparkplug.schema import PropertySet
from headrace.model import quality as q
from headrace.model.errors import DataError

_REMEMBERED_MAX: Final = 4096
_QUALITY_NAMES: Final = frozenset({"quality"})
_STALE: Final = 500


def quality_status(code: int) -> int:
    """A quality property's number as a StatusCode."""
    if code == _STALE:
        return q.UNCERTAIN_LAST_USABLE_VALUE
    if 0 <= code < 256:
        return (q.BAD, q.UNCERTAIN, q.UNCERTAIN, q.GOOD)[code >> 6]
    return code if 0x1_0000 <= code <= 0xFFFF_FFFF else q.UNCERTAIN


def read_properties(serialized: bytes) -> dict[str, Any]:
    """Names and plain values; values of other kinds are None. Raises: DataError."""
    try:
        parsed = PropertySet.FromString(serialized)
    except DecodeError as error:
        raise DataError("the properties of a metric make no sense", detail=str(error)) from None
    found: dict[str, Any] = {}
    for name, value in zip(parsed.keys, parsed.values, strict=False):
        which = value.WhichOneof("value")
        plain = None if which is None or value.is_null else getattr(value, which)
        found[str(name)] = plain if isinstance(plain, str | int | float | bool) else None
    return found


def first_of(properties: Mapping[str, Any], names: frozenset[str]) -> Any:
    """The value of the first property of one of these names, whatever their case; None where there is none."""
    for name, value in properties.items():
        if name.lower() in names and value is not None:
            return value
    return None


class Qualities:
    """Statuses of serialized property sets; the same few come again and again, so they are remembered."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}

    def of(self, serialized: bytes) -> int:
        """Raises: DataError for properties that make no sense."""
        found = self._known.get(serialized)
        if found is None:
            code = first_of(read_properties(serialized), _QUALITY_NAMES)
            found = q.GOOD if code is None else quality_status(code) if type(code) is int else q.UNCERTAIN
            if len(self._known) >= _REMEMBERED_MAX:
                self._known.clear()
            self._known[serialized] = found
        return found
