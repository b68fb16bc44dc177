"""Bytes of a Publish or Read response to columns, without an object per sample. Sans-I/O; imports NumPy only.

    body ──header──► result ──► item item item …                 a DataValue each, after a client handle in Publish
                                  │ first bytes say its shape
                 fixed size ◄─────┴─────► anything else
     offsets by shape, one gather         read one by one: text, arrays, null, structures (skipped, type kept)
                      └──────► Items ◄──────┘

asyncua decodes a sample into about eight objects and stops at a structure that it does not know; it also reads the
picoseconds of a DataValue from where no server writes them. So the two responses that carry samples are decoded here,
and all others by asyncua. Source: OPC 10000-6 §5.2 (binary encoding), OPC 10000-4 §5.14.5 (Publish), §5.11.2 (Read).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from headrace.model.errors import Garbled

# Built-in type ids. Source: OPC 10000-6 §5.1.2.
NULL, BOOLEAN, SBYTE, BYTE, INT16, UINT16, INT32, UINT32, INT64, UINT64, FLOAT, DOUBLE = range(12)
STRING, DATETIME, GUID, BYTE_STRING, XML_ELEMENT, NODE_ID, EXPANDED_NODE_ID, STATUS_CODE = range(12, 20)
QUALIFIED_NAME, LOCALIZED_TEXT, EXTENSION_OBJECT, DATA_VALUE, VARIANT, DIAGNOSTIC_INFO = range(20, 26)

WIRE_DTYPES: Final[dict[int, str]] = {
    BOOLEAN: "u1",
    SBYTE: "i1",
    BYTE: "u1",
    INT16: "<i2",
    UINT16: "<u2",
    INT32: "<i4",
    UINT32: "<u4",
    INT64: "<i8",
    UINT64: "<u8",
    FLOAT: "<f4",
    DOUBLE: "<f8",
    DATETIME: "<i8",
    STATUS_CODE: "<u4",
}
_SIZES: Final = {type_id: np.dtype(code).itemsize for type_id, code in WIRE_DTYPES.items()}
_TEXT: Final = frozenset({STRING, XML_ELEMENT, LOCALIZED_TEXT})

# Bits of a DataValue's mask. Source: OPC 10000-6 §5.2.2.17; note where the picoseconds stand.
_VALUE, _STATUS, _SOURCE, _SERVER, _SOURCE_PICO, _SERVER_PICO = 1, 2, 4, 8, 16, 32
_MASK_KNOWN: Final = 0x3F
_ARRAY, _DIMENSIONS, _TYPE_BITS = 0x80, 0x40, 0x3F

PUBLISH_RESPONSE: Final = 829
READ_RESPONSE: Final = 634
DATA_CHANGE: Final = 811
STATUS_CHANGE: Final = 820
_DEPTH_MAX: Final = 32

_T = TypeVar("_T")
_U16, _U32, _I32, _I64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i"), struct.Struct("<q")


@dataclass(slots=True)
class Block:
    """Scalars of one fixed-size type. `key` is the client handle, or what the Read was given.

    Shape: (count,) each. Ticks are 100 ns since 1601, 0 where the server sent none.
    """

    type_id: int
    order: NDArray[np.int64]
    key: NDArray[np.uint32]
    values: NDArray[Any]
    status: NDArray[np.uint32]
    source_ticks: NDArray[np.int64]
    server_ticks: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Odd:
    """One sample that is no fixed-size scalar. `value` is None for null and for types that make no sample.

    `value` of an array is an ndarray or a list of texts; of a text a str, or None where its bytes are not UTF-8.
    """

    order: int
    key: int
    type_id: int
    is_array: bool
    value: Any
    status: int
    source_ticks: int
    server_ticks: int


@dataclass(slots=True)
class Items:
    """The samples of one response; `order` in blocks and odds is their place in it."""

    count: int = 0
    blocks: list[Block] = field(default_factory=list)
    odds: list[Odd] = field(default_factory=list)


@dataclass(slots=True)
class Published:
    """A Publish response. `sequence` is 0 for a keep-alive; `status` is that of a StatusChangeNotification."""

    subscription: int
    sequence: int
    more: bool
    items: list[Items]
    status: int | None = None


def decode_publish(body: bytes) -> Published:
    """Raises: Garbled."""
    return _guard(_Reader(body).publish)


def decode_read(body: bytes, keys: NDArray[np.uint32]) -> Items:
    """The results of a Read, one for each of `keys`, in their order. Raises: Garbled."""

    def read() -> Items:
        reader = _Reader(body)
        reader.response_header(READ_RESPONSE)
        count = reader.count(1)
        if count != len(keys):
            raise Garbled(f"the server answered {count} values where {len(keys)} were asked")
        return reader.items(count, keys)

    return _guard(read)


def _guard(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except (struct.error, IndexError, ValueError, OverflowError, RecursionError) as error:
        raise Garbled("the server's answer breaks OPC UA binary encoding", detail=repr(error)) from None


@lru_cache(maxsize=1024)
def _layout(mask: int, type_id: int, keyed: bool) -> np.dtype[Any] | None:
    """The record of a fixed-size scalar DataValue, or None where the value is of no fixed size."""
    if mask & ~_MASK_KNOWN or not mask & _VALUE or type_id not in WIRE_DTYPES:
        return None
    fields: list[tuple[str, str]] = [("key", "<u4")] if keyed else []
    fields += [("mask", "u1"), ("type", "u1"), ("value", WIRE_DTYPES[type_id])]
    for bit, name, code in (
        (_STATUS, "status", "<u4"),
        (_SOURCE, "source", "<i8"),
        (_SOURCE_PICO, "source_pico", "<u2"),
        (_SERVER, "server", "<i8"),
        (_SERVER_PICO, "server_pico", "<u2"),
    ):
        if mask & bit:
            fields.append((name, code))
    return np.dtype(fields)


class _Reader:
    """A cursor over one message body. Every length is checked against what is left before it is believed."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.end = data, 0, len(data)

    # --- responses ------------------------------------------------------------------------------------------------

    def publish(self) -> Published:
        self.response_header(PUBLISH_RESPONSE)
        subscription = self.u32()
        self.skip(4 * self.count(4))  # AvailableSequenceNumbers
        more = self.u8() != 0
        sequence = self.u32()
        self.skip(8)  # PublishTime
        result = Published(subscription, 0, more, [])
        for _ in range(self.count(3)):
            result.sequence = sequence
            type_id, start, end = self.extension_object()
            if type_id == DATA_CHANGE:
                part = _Reader(self.data)
                part.at, part.end = start, end
                result.items.append(part.items(part.count(5), None))
            elif type_id == STATUS_CHANGE and end - start >= 4:
                result.status = int(_U32.unpack_from(self.data, start)[0])
        return result

    def response_header(self, expected: int) -> None:
        """Source: OPC 10000-4 §7.34. A ServiceFault never comes here: the session turns it into an error."""
        type_id = self.node_id()
        if type_id != expected:
            raise Garbled(f"the server answered with message {type_id} where {expected} was due")
        self.skip(16)  # Timestamp, RequestHandle, ServiceResult
        self.diagnostic_info(0)
        for _ in range(self.count(4)):
            self.skip_bytes()
        self.extension_object()

    # --- samples --------------------------------------------------------------------------------------------------

    def items(self, count: int, keys: NDArray[np.uint32] | None) -> Items:
        """`count` DataValues: of the given keys, or each after its client handle where there are none."""
        keyed = keys is None
        data, end, at = self.data, self.end, self.at
        prefix = 4 if keyed else 0
        found = Items(count)
        shapes: dict[tuple[int, int], tuple[int, list[int], list[int]] | None] = {}
        for order in range(count):
            shape = (data[at + prefix], data[at + prefix + 1] if at + prefix + 1 < end else 0)
            try:
                known = shapes[shape]
            except KeyError:
                layout = _layout(*shape, keyed)
                known = shapes[shape] = None if layout is None else (layout.itemsize, [], [])
            if known is None:
                self.at = at
                found.odds.append(self.odd(order, keys))
                at = self.at
            else:
                known[1].append(at)
                known[2].append(order)
                at += known[0]
        self.at = at
        if at > end:
            raise ValueError("samples end beyond their message")
        octets = np.frombuffer(data, np.uint8)
        for (mask, type_id), known in shapes.items():
            if known is not None:
                found.blocks.append(_gather(octets, mask, type_id, keys, known[1], known[2]))
        return found

    def odd(self, order: int, keys: NDArray[np.uint32] | None) -> Odd:
        key = self.u32() if keys is None else int(keys[order])
        mask = self.u8()
        if mask & ~_MASK_KNOWN:
            raise ValueError(f"a DataValue has unknown parts (mask 0x{mask:02X})")
        type_id, is_array, value = self.variant(0) if mask & _VALUE else (NULL, False, None)
        status = self.u32() if mask & _STATUS else 0
        source = self.i64() if mask & _SOURCE else 0
        self.skip(2 if mask & _SOURCE_PICO else 0)
        server = self.i64() if mask & _SERVER else 0
        self.skip(2 if mask & _SERVER_PICO else 0)
        return Odd(order, key, type_id, is_array, value, status, max(source, 0), max(server, 0))

    def variant(self, depth: int) -> tuple[int, bool, Any]:
        """(type id, whether it is an array, value); the value is None where no sample can be made of it."""
        encoding = self.u8()
        type_id = encoding & _TYPE_BITS
        if not encoding & _ARRAY:
            return type_id, False, self.scalar(type_id, depth)
        size = _SIZES.get(type_id)
        length = self.count(size or 1)
        value: Any
        if size is not None:
            value = np.frombuffer(self.data, WIRE_DTYPES[type_id], length, self.at)
            self.skip(length * size)
        elif type_id in _TEXT:
            value = [self.scalar(type_id, depth) for _ in range(length)]
        else:
            value = None
            for _ in range(length):
                self.scalar(type_id, depth)
        if encoding & _DIMENSIONS:
            self.skip(4 * self.count(4))
        return type_id, True, value

    def scalar(self, type_id: int, depth: int) -> Any:
        """One value without its encoding byte. Types 26 to 31 are read as ByteString, as the standard asks."""
        if depth > _DEPTH_MAX:
            raise ValueError("values nest too deeply")
        if type_id == NULL:
            return None
        if type_id in WIRE_DTYPES:
            value = np.frombuffer(self.data, WIRE_DTYPES[type_id], 1, self.at)[0]
            self.skip(_SIZES[type_id])
            return value
        if type_id in (STRING, XML_ELEMENT):
            return self.text()
        if type_id == LOCALIZED_TEXT:
            return self.localized_text()
        if type_id == GUID:
            self.skip(16)
        elif type_id in (NODE_ID, EXPANDED_NODE_ID):
            self.node_id()
        elif type_id == QUALIFIED_NAME:
            self.skip(2)
            self.skip_bytes()
        elif type_id == EXTENSION_OBJECT:
            self.extension_object()
        elif type_id == DATA_VALUE:
            self.nested_data_value(depth + 1)
        elif type_id == VARIANT:
            self.variant(depth + 1)
        elif type_id == DIAGNOSTIC_INFO:
            self.diagnostic_info(depth + 1)
        elif type_id == BYTE_STRING or type_id <= 31:
            self.skip_bytes()
        else:
            raise ValueError(f"{type_id} is no built-in type")
        return None

    def nested_data_value(self, depth: int) -> None:
        mask = self.u8()
        if mask & _VALUE:
            self.variant(depth)
        for bit, size in ((_STATUS, 4), (_SOURCE, 8), (_SOURCE_PICO, 2), (_SERVER, 8), (_SERVER_PICO, 2)):
            self.skip(size if mask & bit else 0)

    # --- parts ----------------------------------------------------------------------------------------------------

    def u8(self) -> int:
        self.skip(1)
        return self.data[self.at - 1]

    def u32(self) -> int:
        self.skip(4)
        return int(_U32.unpack_from(self.data, self.at - 4)[0])

    def i64(self) -> int:
        self.skip(8)
        return int(_I64.unpack_from(self.data, self.at - 8)[0])

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > self.end:
            raise ValueError("a part ends beyond its message")

    def count(self, size_min: int) -> int:
        """The length of an array whose elements take at least `size_min` bytes; −1 (null) counts as 0."""
        self.skip(4)
        length = int(_I32.unpack_from(self.data, self.at - 4)[0])
        if length * size_min > self.end - self.at:
            raise ValueError(f"an array claims {length} elements, more than its message can hold")
        return max(length, 0)

    def skip_bytes(self) -> None:
        self.skip(self.count(1))

    def text(self) -> str | None:
        length = self.count(1)
        self.skip(length)
        try:
            return self.data[self.at - length : self.at].decode()
        except UnicodeDecodeError:
            return None

    def localized_text(self) -> str | None:
        mask = self.u8()
        if mask & 1:
            self.skip_bytes()
        return self.text() if mask & 2 else ""

    def node_id(self) -> int:
        """A NodeId or ExpandedNodeId; its number where it is numeric, in namespace 0, else −1."""
        encoding = self.u8()
        form, number = encoding & 0x3F, -1
        if form == 0:
            number = self.u8()
        elif form == 1:
            self.skip(3)
            namespace, number = self.data[self.at - 3], _U16.unpack_from(self.data, self.at - 2)[0]
            number = number if namespace == 0 else -1
        elif form == 2:
            self.skip(6)
            namespace, number = _U16.unpack_from(self.data, self.at - 6)[0], _U32.unpack_from(self.data, self.at - 4)[0]
            number = number if namespace == 0 else -1
        elif form in (3, 5):
            self.skip(2)
            self.skip_bytes()
        elif form == 4:
            self.skip(18)
        else:
            raise ValueError(f"{form} is no form of a node id")
        if encoding & 0x80:
            self.skip_bytes()
        if encoding & 0x40:
            self.skip(4)
        return int(number)

    def extension_object(self) -> tuple[int, int, int]:
        """(type id, start, end) of its body, and steps over it."""
        type_id = self.node_id()
        encoding = self.u8()
        if encoding == 0:
            return type_id, self.at, self.at
        if encoding > 2:
            raise ValueError(f"{encoding} is no encoding of an ExtensionObject")
        length = self.count(1)
        start = self.at
        self.skip(length)
        return type_id, start, self.at

    def diagnostic_info(self, depth: int) -> None:
        """Source: OPC 10000-6 §5.2.2.12."""
        if depth > _DEPTH_MAX:
            raise ValueError("diagnostics nest too deeply")
        mask = self.u8()
        self.skip(4 * (mask & 0x0F).bit_count())  # SymbolicId, NamespaceUri, LocalizedText, Locale
        if mask & 0x10:
            self.skip_bytes()
        if mask & 0x20:
            self.skip(4)
        if mask & 0x40:
            self.diagnostic_info(depth + 1)


def _gather(
    octets: NDArray[np.uint8],
    mask: int,
    type_id: int,
    keys: NDArray[np.uint32] | None,
    offsets: list[int],
    order: list[int],
) -> Block:
    """Records of one shape, wherever they stand in the message, as columns."""
    layout = _layout(mask, type_id, keys is None)
    assert layout is not None
    starts = np.array(offsets, np.int64)
    if starts[-1] + layout.itemsize > len(octets):
        raise ValueError("samples end beyond their message")
    rows = octets[starts[:, None] + np.arange(layout.itemsize)]
    records = rows.reshape(-1).view(layout)
    place = np.array(order, np.int64)
    count = len(records)
    return Block(
        type_id,
        place,
        records["key"].astype(np.uint32) if keys is None else keys[place],
        records["value"].astype(layout["value"].newbyteorder("=")),
        records["status"].astype(np.uint32) if mask & _STATUS else np.zeros(count, np.uint32),
        np.maximum(records["source"], 0).astype(np.int64) if mask & _SOURCE else np.zeros(count, np.int64),
        np.maximum(records["server"], 0).astype(np.int64) if mask & _SERVER else np.zeros(count, np.int64),
    )
