"""Frames on the wire, without a socket: what may come, how long it may be, and where it ends.

    frame   kind u8 · 0 u8 · 0 u16 · length u32 · payload            numbers are little-endian

        edge                                    hub
          │ HELLO ────────────────────────────► │ who it is, which numbers of points it uses
          │ ◄──────────────────────────── HELD  │ how far it has been taken, and in which epoch
          │ BEGIN ────────────────────────────► │ a new epoch: from here on no other connection of this edge counts
          │ ◄──────────────────────────── READY │ … durably
          │ NAMES, DATA, EVENTS ──────────────► │
          │ ◄────────────────────────────── ACK │ cumulative, a number a lane: durable
          │ HEARTBEAT ◄───────────────────────► │ STATUS ─► · ◄─ DESIRED · ACTUAL ─► · ◄─ COMMAND · RESULT ─► · RENEW ─►
          │ CLOSE ◄───────────────────────────► │ with a reason, for people
    once  │ AUTHORITY ◄───────────────────────► │ ENROL ─► · ◄─ CERTIFICATE

A length is checked against the bound of its kind before a byte of the payload is kept, and a kind that may not come
now is refused with its head. So a stranger costs what `Reader` holds for eight bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import Final

from headrace.model.errors import DataError

VERSION: Final = 1
HEAD: Final = struct.Struct("<BBHI")


class Kind(IntEnum):
    """The numbers are on the wire: never renumber them."""

    AUTHORITY = 1
    ENROL = 2
    CERTIFICATE = 3
    HELLO = 4
    HELD = 5
    BEGIN = 6
    READY = 7
    NAMES = 8
    DATA = 9
    EVENTS = 10
    ACK = 11
    HEARTBEAT = 12
    STATUS = 13
    COMMAND = 14
    RESULT = 15
    DESIRED = 16
    ACTUAL = 17
    RENEW = 18
    CLOSE = 19


_K, _M = 1024, 1024 * 1024
BYTES_MAX: Final[dict[Kind, int]] = {
    Kind.AUTHORITY: 64 * _K,
    Kind.ENROL: 16 * _K,
    Kind.CERTIFICATE: 64 * _K,
    Kind.HELLO: 16 * _K,
    Kind.HELD: 4 * _K,
    Kind.BEGIN: 4 * _K,
    Kind.READY: _K,
    Kind.NAMES: 2 * _M + 64 * _K,
    Kind.DATA: 4 * _M + 64 * _K,
    Kind.EVENTS: 256 * _K,
    Kind.ACK: 32,
    Kind.HEARTBEAT: 24,
    Kind.STATUS: 4 * _K,
    Kind.COMMAND: 512 * _K,
    Kind.RESULT: 512 * _K,
    Kind.DESIRED: 4 * _M,
    Kind.ACTUAL: 64 * _K,
    Kind.RENEW: 16 * _K,
    Kind.CLOSE: 4 * _K,
}
STRANGER: Final = frozenset({Kind.AUTHORITY, Kind.ENROL, Kind.CLOSE})
GREETING: Final = frozenset({Kind.HELLO, Kind.CLOSE})
FROM_EDGE: Final = frozenset(
    {
        Kind.HELLO, Kind.BEGIN, Kind.NAMES, Kind.DATA, Kind.EVENTS, Kind.HEARTBEAT, Kind.STATUS, Kind.RESULT,
        Kind.ACTUAL, Kind.RENEW, Kind.CLOSE,
    }
)  # fmt: skip
FROM_HUB: Final = frozenset(
    {
        Kind.AUTHORITY, Kind.CERTIFICATE, Kind.HELD, Kind.READY, Kind.ACK, Kind.HEARTBEAT, Kind.COMMAND, Kind.DESIRED,
        Kind.CLOSE,
    }
)  # fmt: skip


def frame(kind: Kind, payload: bytes = b"") -> bytes:
    """Raises: DataError for what the other end would refuse."""
    if len(payload) > BYTES_MAX[kind]:
        raise DataError(f"a frame {kind.name} has {BYTES_MAX[kind]} bytes at most; this one has {len(payload)}")
    return HEAD.pack(kind, 0, 0, len(payload)) + payload


class Reader:
    """Bytes in, frames out. `allowed` may change between frames."""

    def __init__(self, allowed: Collection[Kind]) -> None:
        self.allowed = allowed
        self._parts: list[bytes] = []
        self._held = 0
        self._needed = HEAD.size  # bytes until the next frame is whole, as far as is known

    def feed(self, data: bytes) -> Iterator[tuple[Kind, memoryview]]:
        """Each whole frame, in order. Raises: DataError, and then the stream cannot be read any further."""
        self._parts.append(data)
        self._held += len(data)
        if self._held < self._needed:
            return
        whole = memoryview(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
        self._parts, at = [], 0
        try:
            while len(whole) - at >= HEAD.size:
                kind, length = self._head(whole, at)
                end = at + HEAD.size + length
                if end > len(whole):
                    self._needed = HEAD.size + length
                    return
                at = end
                self._needed = HEAD.size
                yield kind, whole[end - length : end]
            self._needed = HEAD.size
        finally:
            self._held = len(whole) - at
            if self._held:
                self._parts = [bytes(whole[at:])]

    def _head(self, data: memoryview, at: int) -> tuple[Kind, int]:
        number, zero, zeros, length = HEAD.unpack_from(data, at)
        try:
            kind = Kind(number)
        except ValueError:
            raise DataError(f"a frame of the unknown kind {number} came") from None
        if zero or zeros:
            raise DataError(f"a frame {kind.name} has bits set that mean nothing here")
        if kind not in self.allowed:
            raise DataError(f"a frame {kind.name} may not come now")
        if length > BYTES_MAX[kind]:
            raise DataError(f"a frame {kind.name} claims {length} bytes; {BYTES_MAX[kind]} are allowed")
        return kind, length
