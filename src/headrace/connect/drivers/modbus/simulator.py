"""A Modbus server over NumPy register banks: a test fixture, and the outside of every simulated Modbus device.

ModbusServer ──frames──► answer(pdu, banks) ──reads──► Banks ◄──writes── a physical model
                              └──a client writes──► on_write(Write) may refuse ──► Banks

banks = Banks()
banks.put(Address(table="holding", address=4, encoding="float32"), 41.5)
async with ModbusServer({1: banks}) as server: …   # 127.0.0.1:server.port
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from headrace.connect.drivers.modbus.codec import (
    ExceptionCode,
    Function,
    ModbusException,
    RtuFrames,
    TcpFrames,
    request_length,
    rtu_frame,
    tcp_frame,
)
from headrace.connect.drivers.modbus.config import (
    BITS_PER_READ_MAX,
    REGISTERS_PER_READ_MAX,
    REGISTERS_PER_WRITE_MAX,
    Address,
    Framing,
    Table,
)
from headrace.connect.drivers.modbus.encoding import encode
from headrace.model.batch import Value
from headrace.model.errors import Garbled

_BITS_PER_WRITE_MAX: Final = 1968  # §6.11
_READ_TABLES: Final = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}
_FUNCTIONS: Final = frozenset(int(function) for function in Function)
_WORDS = struct.Struct(">HH")


class Banks:
    """The four tables of one unit. Shape: (size,); registers big-endian uint16, bits bool.

    A model writes into the arrays directly (`banks.holding[10] = 7`) or by address with `put`.
    """

    def __init__(self, size: int = 65_536) -> None:
        self.coil: NDArray[np.bool_] = np.zeros(size, np.bool_)
        self.discrete: NDArray[np.bool_] = np.zeros(size, np.bool_)
        self.input: NDArray[Any] = np.zeros(size, ">u2")
        self.holding: NDArray[Any] = np.zeros(size, ">u2")
        self._missing: dict[Table, NDArray[np.bool_]] = {}

    def table(self, table: Table) -> NDArray[Any]:
        found: NDArray[Any] = getattr(self, table.value)
        return found

    def put(self, address: Address, value: Value) -> None:
        """Hold a value as a device of that word order would; other bits of a register stay. Raises: DataError."""
        table, at = self.table(address.table), address.address
        if address.table.of_bits:
            table[at] = bool(value)
        elif address.bit is not None:
            mask = 1 << (address.bit ^ 8 if address.order.swaps_bytes else address.bit)
            table[at] = int(table[at]) | mask if value else int(table[at]) & ~mask
        else:
            table[at : at + address.width] = np.frombuffer(encode(address, value), ">u2")

    def hide(self, table: Table, first: int, count: int) -> None:
        """These addresses do not exist: exception 2."""
        missing = self._missing.setdefault(table, np.zeros(len(self.table(table)), np.bool_))
        missing[first : first + count] = True

    def span(self, table: Table, first: int, count: int) -> NDArray[Any]:
        """A view of existing addresses. Raises: ModbusException 2."""
        bank = self.table(table)
        missing = self._missing.get(table)
        if first + count > len(bank) or (missing is not None and missing[first : first + count].any()):
            raise ModbusException(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        return bank[first : first + count]


@dataclass(frozen=True, slots=True)
class Write:
    """What a client wants to write: `values` are bools or registers (uint16), from `address` on."""

    unit: int
    table: Table
    address: int
    values: NDArray[Any]


OnWrite = Callable[[Write], None]
"""Called before a write is carried out; raises `ModbusException` to refuse it."""


def answer(pdu: bytes, banks: Banks, unit: int = 1, on_write: OnWrite | None = None) -> bytes:
    """The answer PDU, an exception answer included; never raises."""
    try:
        return _answer(pdu, banks, unit, on_write)
    except ModbusException as refusal:
        return bytes([pdu[0] | 0x80, refusal.code & 0xFF])
    except (struct.error, IndexError, ValueError):
        return bytes([pdu[0] | 0x80, ExceptionCode.ILLEGAL_DATA_VALUE])


def _answer(pdu: bytes, banks: Banks, unit: int, on_write: OnWrite | None) -> bytes:
    function = pdu[0]
    if function in _READ_TABLES:
        _check(len(pdu) == 5)
        table = _READ_TABLES[function]
        first, count = _WORDS.unpack_from(pdu, 1)
        _check(1 <= count <= (BITS_PER_READ_MAX if table.of_bits else REGISTERS_PER_READ_MAX))
        held = banks.span(table, first, count)
        data = np.packbits(held, bitorder="little").tobytes() if table.of_bits else held.tobytes()
        return bytes((function, len(data))) + data
    if function not in _FUNCTIONS:
        raise ModbusException(ExceptionCode.ILLEGAL_FUNCTION)
    first, word = _WORDS.unpack_from(pdu, 1)
    table = Table.COIL if function in (Function.WRITE_SINGLE_COIL, Function.WRITE_MULTIPLE_COILS) else Table.HOLDING
    if function == Function.WRITE_SINGLE_COIL:
        _check(len(pdu) == 5 and word in (0, 0xFF00))
        values: NDArray[Any] = np.array([word != 0])
    elif function == Function.WRITE_SINGLE_REGISTER:
        _check(len(pdu) == 5)
        values = np.array([word], np.uint16)
    elif function == Function.MASK_WRITE_REGISTER:
        _check(len(pdu) == 7)
        or_mask = int.from_bytes(pdu[5:7], "big")
        held_now = int(banks.span(table, first, 1)[0])
        values = np.array([(held_now & word) | (or_mask & ~word & 0xFFFF)], np.uint16)
    else:
        size = pdu[5]
        _check(len(pdu) == 6 + size)
        if function == Function.WRITE_MULTIPLE_COILS:
            _check(1 <= word <= _BITS_PER_WRITE_MAX and size == (word + 7) // 8)
            values = np.unpackbits(np.frombuffer(pdu, np.uint8, size, 6), count=word, bitorder="little").astype(bool)
        else:
            _check(1 <= word <= REGISTERS_PER_WRITE_MAX and size == 2 * word)
            values = np.frombuffer(pdu, ">u2", word, 6).astype(np.uint16)
    target = banks.span(table, first, len(values))
    if on_write is not None:
        on_write(Write(unit, table, first, values))
    target[:] = values
    return pdu if len(pdu) <= 7 and function in (5, 6, 22) else pdu[:5]


def _check(holds: bool) -> None:
    if not holds:
        raise ModbusException(ExceptionCode.ILLEGAL_DATA_VALUE)


class ModbusServer:
    """Serves units; `async with` it, or `start` and `stop`. An unknown unit gets exception 11, with RTU silence."""

    def __init__(
        self,
        units: Mapping[int, Banks],
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        framing: Framing = Framing.TCP,
        on_write: OnWrite | None = None,
    ) -> None:
        self.units, self.port, self.host, self.framing, self.on_write = units, port, host, framing, on_write
        self.requests = 0
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Transport] = set()

    async def start(self) -> None:
        """Raises: OSError where the port is taken."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Client(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in list(self._clients):
            client.abort()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """The answer of a unit; None for silence."""
        self.requests += 1
        banks = self.units.get(unit)
        if banks is None:
            if self.framing is Framing.RTU:
                return None
            return bytes([pdu[0] | 0x80, ExceptionCode.GATEWAY_TARGET_FAILED])
        return answer(pdu, banks, unit, self.on_write)


class _Client(asyncio.Protocol):
    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        is_tcp = server.framing is Framing.TCP
        self._frames: TcpFrames | RtuFrames = TcpFrames() if is_tcp else RtuFrames(request_length)
        self._frame = tcp_frame if is_tcp else rtu_frame
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are none by class
        self._server._clients.add(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        del error
        if self._transport is not None:
            self._server._clients.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            frames = self._frames.feed(data)
        except Garbled:
            self._transport.abort()
            return
        out = []
        for transaction, unit, pdu in frames:
            said = self._server.answer(unit, pdu)
            if said is not None:
                out.append(self._frame(transaction, unit, said))
        if out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
