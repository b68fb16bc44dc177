"""The bus over a byte stream: frames, and what each of them says. No sockets here.

    frame   length u32 · kind u8 · number u32 · body            little-endian; `length` counts from `kind`

| kind       | from   | number       | body                                                                   |
|------------|--------|--------------|------------------------------------------------------------------------|
| HELLO      | both   | version      | client: its name, JSON                                                 |
| PUBLISH    | client | of the call  | packed batches; flag 1: stored already                                 |
| EVENTS     | client | of the call  | packed events                                                          |
| CANCEL     | client | of the call  |                                                                        |
| SUBSCRIBE  | client | of the queue | JSON: name, capacity, overflow, stored, events                         |
| READ       | client | of the queue |                                                                        |
| LEAVE      | client | of the queue |                                                                        |
| FINISH     | client | 0            | no more publishing; queues end when they are drained                   |
| DONE       | server | of the call  | JSON: error?, counters of the queues by number                         |
| DATA       | server | of the queue | packed batches, or packed events; more frames follow                   |
| END        | server | of the queue | JSON: counters; this was all that was queued                           |
| OVER       | server | of the queue | JSON: counters, error?; nothing will come any more                     |
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import orjson

from headrace.model.errors import DataError, LimitReached

VERSION: Final = 1
FRAME_BYTES_MAX: Final = 64 << 20
STORED: Final = 1
_HEAD = struct.Struct("<IBI")
_AFTER_LENGTH: Final = 5


class Kind(IntEnum):
    HELLO = 1
    PUBLISH = 2
    EVENTS = 3
    CANCEL = 4
    SUBSCRIBE = 5
    READ = 6
    LEAVE = 7
    FINISH = 8
    DONE = 9
    DATA = 10
    END = 11
    OVER = 12


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    number: int
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """Raises: LimitReached."""
        size = _AFTER_LENGTH + len(self.body)
        if size > FRAME_BYTES_MAX:
            raise LimitReached(f"{size} bytes at once; at most {FRAME_BYTES_MAX} go through: publish less at a time")
        return _HEAD.pack(size, self.kind, self.number) + self.body

    def json(self) -> Any:
        """The body as an object. Raises: DataError."""
        return _object(self.body)


def json_frame(kind: Kind, number: int, said: Any) -> Frame:
    return Frame(kind, number, orjson.dumps(said))


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next one, None at the end. Raises: DataError for what is no frame; the connection is then of no use."""
    try:
        size, code, number = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if not _AFTER_LENGTH <= size <= FRAME_BYTES_MAX:
            raise DataError(f"a frame claims {size} bytes")
        body = await reader.readexactly(size - _AFTER_LENGTH)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise DataError("the connection ends within a frame") from None
        return None
    try:
        return Frame(Kind(code), number, body)
    except ValueError:
        raise DataError(f"there is no frame of kind {code}") from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise DataError("a frame should hold a JSON object")
    return said
