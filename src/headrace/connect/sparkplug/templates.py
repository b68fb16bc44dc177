"""The shape of one metric: which bytes steer a parser, and where the values are. See `shapes.py`.

    08…   tag                 compared in full
    …     a varint's bytes    their continuation bits compared, their other bits are the value
    …     a length            compared in full: what follows is as long
    …     text, fixed bytes   not compared: values

Metrics that agree with a template in what is compared would take the same path through any parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.sparkplug.metrics import HAS_ALIAS, HAS_TIME, HISTORICAL, NULL, TRANSIENT
from headrace.connect.sparkplug.schema import Field

Bytes = NDArray[np.uint8]
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRE: Final = {
    Field.NAME: _BYTES,
    Field.ALIAS: _VARINT,
    Field.TIMESTAMP: _VARINT,
    Field.DATATYPE: _VARINT,
    Field.IS_HISTORICAL: _VARINT,
    Field.IS_TRANSIENT: _VARINT,
    Field.IS_NULL: _VARINT,
    Field.METADATA: _BYTES,
    Field.PROPERTIES: _BYTES,
    Field.INT: _VARINT,
    Field.LONG: _VARINT,
    Field.FLOAT: _FIXED32,
    Field.DOUBLE: _FIXED64,
    Field.BOOLEAN: _VARINT,
    Field.STRING: _BYTES,
    Field.BYTES: _BYTES,
    Field.DATASET: _BYTES,
    Field.TEMPLATE: _BYTES,
    Field.EXTENSION: _BYTES,
}
_FLAGS: Final = {Field.IS_HISTORICAL: HISTORICAL, Field.IS_TRANSIENT: TRANSIENT, Field.IS_NULL: NULL}
_SIZE_MAX: Final = 1024
_PER_SIZE_MAX: Final = 8
_SIZES_MAX: Final = 256
_LEARN_MAX: Final = 4
_UINT32: Final = np.uint64(0xFFFF_FFFF)


def varint_column(matrix: Bytes, at: int, width: int) -> NDArray[np.uint64]:
    """The varints at one place of every row. Shape: (rows,). A tenth byte counts with its lowest bit."""
    value: NDArray[np.uint64] = (matrix[:, at] & np.uint8(0x7F)).astype(np.uint64)
    for step in range(1, width):
        value |= (matrix[:, at + step] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * step)
    return value


@dataclass(slots=True, eq=False)
class Template:
    """Parts are (place, width) within the metric."""

    mask: Bytes
    pattern: Bytes
    varints: dict[Field, tuple[int, int]] = field(default_factory=dict)
    value: tuple[Field, int, int] | None = None
    name: tuple[int, int] | None = None
    text: tuple[int, int] | None = None
    properties: tuple[int, int] | None = None

    @property
    def has_texts(self) -> bool:
        return self.name is not None or self.text is not None or self.properties is not None

    def fill(self, matrix: Bytes, rows: NDArray[np.int64], columns: dict[str, NDArray[Any]]) -> None:
        """Columns of metrics that have this shape. Shape: `matrix` (count, size), `rows` (count,)."""
        flags: Any = np.uint8(0)
        for number, part in self.varints.items():
            numbers = varint_column(matrix, *part)
            if number in _FLAGS:
                flags = flags | np.where(numbers != 0, np.uint8(_FLAGS[number]), np.uint8(0))
            elif number is Field.ALIAS:
                columns["alias"][rows] = numbers
                flags = flags | np.uint8(HAS_ALIAS)
            elif number is Field.TIMESTAMP:
                columns["time_ms"][rows] = numbers
                flags = flags | np.uint8(HAS_TIME)
            else:
                columns["datatype"][rows] = numbers & _UINT32
        columns["flags"][rows] = flags
        if self.value is not None:
            number, at, width = self.value
            columns["field"][rows] = number
            bits = _bits(number, matrix, at, width)
            if bits is not None:
                columns["bits"][rows] = bits


def _bits(number: Field, matrix: Bytes, at: int, width: int) -> NDArray[Any] | None:
    if number is Field.DOUBLE:
        doubles: NDArray[np.uint64] = np.ascontiguousarray(matrix[:, at : at + 8]).view("<u8")[:, 0]
        return doubles
    if number is Field.FLOAT:
        bits: NDArray[np.uint32] = matrix[:, at : at + 4].copy().view("<u4")[:, 0]
        is_nan = (bits & np.uint32(0x7FFF_FFFF)) > np.uint32(0x7F80_0000)
        # A signalling NaN becomes a quiet one, as it does wherever a float is widened.
        bits[is_nan] |= np.uint32(0x0040_0000)
        return bits
    if number is Field.INT:
        return varint_column(matrix, at, width) & _UINT32
    if number is Field.LONG:
        return varint_column(matrix, at, width)
    if number is Field.BOOLEAN:
        return varint_column(matrix, at, width).astype(np.bool_)
    return None


def template_of(metric: bytes) -> Template | None:
    """None for a metric that is not plain: a field unknown, twice, of another wire type, or two values."""
    mask = bytearray(b"\xff" * len(metric))
    template = Template(np.empty(0, np.uint8), np.empty(0, np.uint8))
    seen: set[int] = set()
    at = 0
    try:
        while at < len(metric):
            tag = metric[at]
            at += 1
            if tag & 0x80:  # fields 16 to 19 have tags of two bytes
                if metric[at] != 1:
                    return None
                tag = tag & 0x7F | 0x80
                at += 1
            number, wire = tag >> 3, tag & 7
            if number in seen or _WIRE.get(number) != wire:  # type: ignore[call-overload]
                return None
            seen.add(number)
            which = Field(number)
            place, width = at, {_FIXED64: 8, _FIXED32: 4}.get(wire, 0)
            if wire in (_VARINT, _BYTES):
                width = _varint_width(metric, at)
                if not width or (wire == _BYTES and width > 2):
                    return None
                if wire == _VARINT:
                    mask[at : at + width] = b"\x80" * width
                    if width == 10:
                        if metric[at + 9] != 1:
                            return None
                        mask[at + 9] = 0xFF
                else:
                    size = metric[at] & 0x7F | (metric[at + 1] << 7 if width == 2 else 0)
                    place, width = at + width, size
            if wire != _VARINT:
                if place + width > len(metric):
                    return None
                mask[place : place + width] = bytes(width)
            at = place + width
            if not _note(template, which, place, width):
                return None
    except IndexError:
        return None
    template.mask = np.frombuffer(bytes(mask), np.uint8)
    template.pattern = np.frombuffer(metric, np.uint8) & template.mask
    return template


def _note(template: Template, which: Field, place: int, width: int) -> bool:
    """False for a second value."""
    if which is Field.NAME:
        template.name = place, width
    elif which is Field.PROPERTIES:
        template.properties = place, width
    elif which >= Field.INT:
        if template.value is not None:
            return False
        template.value = which, place, width
        if which is Field.STRING:
            template.text = place, width
    elif which is not Field.METADATA:
        template.varints[which] = place, width
    return True


def _varint_width(data: bytes, at: int) -> int:
    """0 for one that is longer than a varint can be. Raises: IndexError for one that is cut off."""
    for width in range(1, 11):
        if not data[at + width - 1] & 0x80:
            return width
    return 0


class Templates:
    """What has been learnt, by size; the busiest stay."""

    def __init__(self) -> None:
        self._known: dict[int, list[Template]] = {}

    def sort(self, matrix: Bytes) -> Iterator[tuple[Template, NDArray[np.bool_]]]:
        """Templates and which of the rows have them; after each the caller goes on with the others alone."""
        size = matrix.shape[1]
        if size > _SIZE_MAX:
            return
        known = self._known.get(size)
        if known is None:
            if len(self._known) >= _SIZES_MAX:
                self._known.clear()
            known = self._known[size] = []
        for template in list(known):
            members = ((matrix & template.mask) == template.pattern).all(axis=1)
            if members.any():
                if known and known[0] is not template:
                    known.remove(template)
                    known.insert(0, template)
                yield template, members
                matrix = matrix[~members]
                if not len(matrix):
                    return
        for _ in range(_LEARN_MAX):
            learnt = template_of(matrix[0].tobytes())
            if learnt is None:
                return
            known.insert(0, learnt)
            del known[_PER_SIZE_MAX:]
            members = ((matrix & learnt.mask) == learnt.pattern).all(axis=1)
            yield learnt, members
            matrix = matrix[~members]
            if not len(matrix):
                return
