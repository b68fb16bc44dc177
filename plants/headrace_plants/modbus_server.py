"""A Modbus TCP server for a plant: a PLC's memory behind a socket.

    request ─► MBAP ─► function ─► Memory (coils, discrete inputs, holding registers) ─► answer
                                      ▲            └─ a write that touches a setpoint goes to `on_write` first
    plant ─► load_numbers / load_texts (whole columns at once)

Functions 1, 2, 3, 5, 6, 15, 16. Exceptions 1 (function), 2 (address), 3 (value). A register that no point owns is
refused, as a PLC does. Source: MODBUS Application Protocol V1.1b3 §6; Messaging on TCP/IP V1.0b §3.1.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import Value
from headrace.model.errors import HeadraceError

log = logging.getLogger(__name__)

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, UNIT_SILENT = 1, 2, 3, 11
READ_MAX_REGISTERS, READ_MAX_BITS = 125, 2000
WRITE_MAX_REGISTERS, WRITE_MAX_BITS = 123, 1968
#: numpy type, registers
NUMBERS = {"int16": (">i2", 1), "uint16": (">u2", 1), "int32": (">i4", 2), "uint32": (">u4", 2), "int64": (">i8", 4),
           "float32": (">f4", 2), "float64": (">f8", 4)}  # fmt: skip

OnWrite = Callable[[str, Value], None]
"""Takes a setpoint, or raises a HeadraceError: the writer gets exception 3."""


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


@dataclass(frozen=True, slots=True)
class Slot:
    """One point in the memory. `column` is its place in the columns that the plant loads."""

    path: str
    table: str
    address: int
    length: int
    encoding: str
    order: str
    scale: float
    column: int
    writable: bool


class Memory:
    """The registers and bits of one unit."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        def size(table: str) -> int:
            return max((slot.address + slot.length for slot in slots if slot.table == table), default=0)

        self.registers: NDArray[np.uint16] = np.zeros(size("holding"), dtype=">u2")
        self.bits = {name: np.zeros(size(name), dtype=np.uint8) for name in ("coil", "discrete")}
        self.owned = {name: np.zeros(size(name), dtype=bool) for name in ("holding", "coil", "discrete")}
        for slot in slots:
            span = self.owned[slot.table][slot.address : slot.address + slot.length]
            if span.any():
                raise ValueError(f"{slot.path} overlaps another point at {slot.table} {slot.address}")
            span[:] = True
        self.setpoints = [slot for slot in slots if slot.writable]
        self._texts = [slot for slot in slots if slot.encoding == "text"]
        self._shown: dict[str, str] = {}
        self._bit_groups = {
            name: _columns([slot for slot in slots if slot.table == name]) for name in ("coil", "discrete")
        }
        kinds = sorted({(s.encoding, s.order) for s in slots if s.encoding in NUMBERS})
        self._number_groups = []
        for encoding, order in kinds:
            group = [slot for slot in slots if (slot.encoding, slot.order) == (encoding, order)]
            columns, addresses = _columns(group)
            words = NUMBERS[encoding][1]
            spans = addresses[:, None] + np.arange(words)
            scales = np.array([slot.scale for slot in group])
            self._number_groups.append((encoding, order, columns, spans, scales))

    def load_numbers(self, numbers: NDArray[np.float64]) -> None:
        """Put every numeric point; one NumPy pass an encoding."""
        for name, (columns, addresses) in self._bit_groups.items():
            self.bits[name][addresses] = numbers[columns] != 0
        for encoding, order, columns, spans, scales in self._number_groups:
            self.registers[spans] = encode(numbers[columns], encoding, order, scales)

    def load_texts(self, texts: NDArray[np.object_]) -> None:
        for slot in self._texts:
            text = str(texts[slot.column])
            if self._shown.get(slot.path) != text:
                self._shown[slot.path] = text
                self.registers[slot.address : slot.address + slot.length] = encode_text(text, slot.length)


def _columns(slots: Sequence[Slot]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return (
        np.array([slot.column for slot in slots], dtype=np.intp),
        np.array([slot.address for slot in slots], dtype=np.intp),
    )


def encode(
    values: NDArray[np.float64], encoding: str, order: str = "ABCD", scales: NDArray[np.float64] | float = 1.0
) -> NDArray[np.uint16]:
    """Shape: (points, registers). `order` ABCD or CDAB: the words, high or low first."""
    dtype, words = NUMBERS[encoding]
    kind = np.dtype(dtype)
    raw = values if np.all(scales == 1.0) else values / scales
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        raw = np.clip(np.rint(raw), float(limits.min), float(limits.max))
    registers = raw.astype(kind).view(">u2").reshape(-1, words)
    return registers[:, ::-1] if order == "CDAB" else registers


def encode_text(text: str, registers: int) -> NDArray[np.uint16]:
    """UTF-8, cut between characters, padded with zeros."""
    raw = text.encode("utf-8")[: registers * 2].decode("utf-8", "ignore").encode("utf-8")
    return np.frombuffer(raw.ljust(registers * 2, b"\0"), dtype=">u2")


def decode(registers: NDArray[np.uint16], encoding: str, order: str, scale: float) -> float:
    """One number."""
    words = registers[::-1] if order == "CDAB" else registers
    raw = float(np.ascontiguousarray(words).astype(">u2").view(NUMBERS[encoding][0])[0])
    return raw * scale if scale != 1.0 else raw


class ModbusServer:
    """One unit on one port. `start`, `stop`, and the faults `cut`, `restore`, `delay_s`."""

    def __init__(
        self, memory: Memory, on_write: OnWrite, *, unit: int = 1, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.memory, self.on_write, self.unit, self.host, self.port = memory, on_write, unit, host, port
        self.delay_s = 0.0
        self.requests = 0
        self.on_read: Callable[[str, int, int], None] | None = None  # after an answer was made: table, start, count
        self.peers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Raises: OSError where the port is in use."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every connection, as a pulled cable and a dead PLC would."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for writer in list(self.peers):
                writer.transport.abort()
            await server.wait_closed()

    async def cut(self) -> None:
        """The same, for a while."""
        await self.stop()

    async def restore(self) -> None:
        """Listen again on the same port."""
        await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.add(writer)
        try:
            while True:
                head = await reader.readexactly(7)
                transaction, protocol, length, unit = struct.unpack(">HHHB", head)
                if protocol != 0 or not 2 <= length <= 254:
                    return  # not Modbus: hang up
                request = await reader.readexactly(length - 1)
                self.requests += 1
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                answer = self.answer(unit, request)
                writer.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # gone, or the loop is closing
        finally:
            self.peers.discard(writer)
            writer.close()

    def answer(self, unit: int, request: bytes) -> bytes:
        """The answer to one request, without its MBAP header; never raises."""
        function = request[0]
        try:
            if unit not in (self.unit, 0, 255):
                raise _Refused(UNIT_SILENT)
            handler = {1: self._read, 2: self._read, 3: self._read, 5: self._write_one, 6: self._write_one,
                       15: self._write_many, 16: self._write_many}.get(function)  # fmt: skip
            if handler is None:
                raise _Refused(ILLEGAL_FUNCTION)
            return bytes((function,)) + handler(function, request[1:])
        except _Refused as refused:
            return bytes((function | 0x80, refused.code))
        except struct.error:
            return bytes((function | 0x80, ILLEGAL_VALUE))

    def _read(self, function: int, body: bytes) -> bytes:
        start, count = struct.unpack(">HH", body)
        table = {1: "coil", 2: "discrete", 3: "holding"}[function]
        if not 1 <= count <= (READ_MAX_REGISTERS if table == "holding" else READ_MAX_BITS):
            raise _Refused(ILLEGAL_VALUE)
        self._check_owned(table, start, count)
        if table == "holding":
            data = self.memory.registers[start : start + count].tobytes()
        else:
            data = np.packbits(self.memory.bits[table][start : start + count], bitorder="little").tobytes()
        if self.on_read is not None:
            self.on_read(table, start, count)
        return bytes((len(data),)) + data

    def _write_one(self, function: int, body: bytes) -> bytes:
        start, value = struct.unpack(">HH", body)
        if function == 6:
            self._write_registers(start, np.array([value], dtype=">u2"))
        elif value in (0x0000, 0xFF00):
            self._write_bits(start, np.array([value == 0xFF00], dtype=np.uint8))
        else:
            raise _Refused(ILLEGAL_VALUE)
        return body

    def _write_many(self, function: int, body: bytes) -> bytes:
        start, count, size = struct.unpack(">HHB", body[:5])
        data = body[5:]
        if function == 16:
            if not 1 <= count <= WRITE_MAX_REGISTERS or size != 2 * count or len(data) != size:
                raise _Refused(ILLEGAL_VALUE)
            self._write_registers(start, np.frombuffer(data, dtype=">u2"))
        else:
            if not 1 <= count <= WRITE_MAX_BITS or size != (count + 7) // 8 or len(data) != size:
                raise _Refused(ILLEGAL_VALUE)
            bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[:count]
            self._write_bits(start, bits)
        return body[:4]

    def _write_registers(self, start: int, words: NDArray[np.uint16]) -> None:
        end = start + len(words)
        touched = self._touched("holding", start, end)
        image = self.memory.registers.copy()
        image[start:end] = words
        for slot in touched:
            number = decode(image[slot.address : slot.address + slot.length], slot.encoding, slot.order, slot.scale)
            self._take(slot.path, number)
        self.memory.registers[start:end] = words

    def _write_bits(self, start: int, bits: NDArray[np.uint8]) -> None:
        for slot in self._touched("coil", start, start + len(bits)):
            self._take(slot.path, bool(bits[slot.address - start]))
        self.memory.bits["coil"][start : start + len(bits)] = bits

    def _touched(self, table: str, start: int, end: int) -> list[Slot]:
        """The setpoints that a write covers, wholly or in part; every register of it must be of one."""
        found = [
            slot for slot in self.memory.setpoints
            if slot.table == table and slot.address < end and slot.address + slot.length > start
        ]  # fmt: skip
        covered = np.zeros(end - start, dtype=bool)
        for slot in found:
            covered[max(slot.address - start, 0) : slot.address + slot.length - start] = True
        if not covered.all():
            raise _Refused(ILLEGAL_ADDRESS)
        return found

    def _take(self, path: str, value: Value) -> None:
        try:
            self.on_write(path, value)
        except HeadraceError as error:
            log.info("refused a write: %s", error)
            raise _Refused(ILLEGAL_VALUE) from None

    def _check_owned(self, table: str, start: int, count: int) -> None:
        owned = self.memory.owned[table]
        if start + count > len(owned) or not owned[start : start + count].all():
            raise _Refused(ILLEGAL_ADDRESS)
