"""Modbus bytes: requests, answers and frames. No I/O. Source: MODBUS Application Protocol V1.1b3.

    TCP:  transaction u16 | protocol u16 = 0 | length u16 | unit u8 | PDU     (Messaging on TCP/IP V1.0b §3.1.3)
    RTU:  unit u8 | PDU | CRC-16, low byte first                              (Serial Line V1.02 §2.5.1)
    PDU:  function u8 | data, at most 253 bytes; an exception has the function's top bit set and one code

Whatever arrives, nothing here raises anything but `Garbled`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from headrace.model.errors import Garbled

PDU_BYTES_MAX: Final = 253
_HEADER = struct.Struct(">HHHB")
_REQUEST = struct.Struct(">BHH")
_MASK_REQUEST = struct.Struct(">BHHH")


class Function(IntEnum):
    READ_COILS = 1
    READ_DISCRETE_INPUTS = 2
    READ_HOLDING_REGISTERS = 3
    READ_INPUT_REGISTERS = 4
    WRITE_SINGLE_COIL = 5
    WRITE_SINGLE_REGISTER = 6
    WRITE_MULTIPLE_COILS = 15
    WRITE_MULTIPLE_REGISTERS = 16
    MASK_WRITE_REGISTER = 22


class ExceptionCode(IntEnum):
    """§7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_DATA_ADDRESS = 2
    ILLEGAL_DATA_VALUE = 3
    SERVER_DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    SERVER_DEVICE_BUSY = 6
    MEMORY_PARITY_ERROR = 8
    GATEWAY_PATH_UNAVAILABLE = 10
    GATEWAY_TARGET_FAILED = 11


class ModbusException(Exception):
    """The device answered with an exception; `code` may be one that the standard does not know."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        try:
            name = ExceptionCode(self.code).name.replace("_", " ").lower()
        except ValueError:
            name = "unknown"
        return f"exception {self.code}, {name}"


@dataclass(frozen=True, slots=True)
class Request:
    """A PDU and how to know its answer: `echo` is the whole answer of a write, `payload_bytes` the size of a read's."""

    pdu: bytes
    payload_bytes: int = 0
    echo: bytes = b""


def read_request(function: Function, address: int, count: int) -> Request:
    """§6.1 to §6.4. `count` in bits for functions 1 and 2, else in registers."""
    of_bits = function in (Function.READ_COILS, Function.READ_DISCRETE_INPUTS)
    return Request(_REQUEST.pack(function, address, count), (count + 7) // 8 if of_bits else 2 * count)


def write_coil(address: int, value: bool) -> Request:
    """§6.5."""
    pdu = _REQUEST.pack(Function.WRITE_SINGLE_COIL, address, 0xFF00 if value else 0)
    return Request(pdu, echo=pdu)


def write_register(address: int, register: bytes) -> Request:
    """§6.6. `register` is two bytes."""
    pdu = struct.pack(">BH", Function.WRITE_SINGLE_REGISTER, address) + register
    return Request(pdu, echo=pdu)


def write_coils(address: int, values: list[bool]) -> Request:
    """§6.11."""
    packed = sum(1 << at for at, value in enumerate(values) if value).to_bytes((len(values) + 7) // 8, "little")
    head = _REQUEST.pack(Function.WRITE_MULTIPLE_COILS, address, len(values))
    return Request(head + bytes([len(packed)]) + packed, echo=head)


def write_registers(address: int, registers: bytes) -> Request:
    """§6.12. `registers` is two bytes each."""
    head = _REQUEST.pack(Function.WRITE_MULTIPLE_REGISTERS, address, len(registers) // 2)
    return Request(head + bytes([len(registers)]) + registers, echo=head)


def mask_write(address: int, and_mask: int, or_mask: int) -> Request:
    """§6.16: result = (held AND and_mask) OR (or_mask AND NOT and_mask)."""
    pdu = _MASK_REQUEST.pack(Function.MASK_WRITE_REGISTER, address, and_mask, or_mask)
    return Request(pdu, echo=pdu)


def payload_of(request: Request, answer: bytes) -> bytes:
    """The data of a read's answer; b"" for a write that was confirmed. Raises: Garbled, ModbusException."""
    function = request.pdu[0]
    if not answer:
        raise Garbled("an answer without a function code")
    if answer[0] == function | 0x80:
        if len(answer) != 2:
            raise Garbled(f"an exception answer of {len(answer)} bytes instead of 2")
        raise ModbusException(answer[1])
    if answer[0] != function:
        raise Garbled(f"an answer to function {answer[0]} where {function} was asked")
    if request.echo:
        if answer != request.echo:
            raise Garbled(f"the confirmation of function {function} names another address or value")
        return b""
    if len(answer) != request.payload_bytes + 2 or answer[1] != request.payload_bytes:
        raise Garbled(f"{len(answer) - 2} bytes of data where {request.payload_bytes} were asked")
    return answer[2:]


# --- frames -------------------------------------------------------------------------------------------------------

#: (transaction, unit, PDU); RTU has no transactions and says 0.
Frame = tuple[int, int, bytes]


def tcp_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return _HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu


def rtu_frame(_transaction: int, unit: int, pdu: bytes) -> bytes:
    body = bytes([unit]) + pdu
    return body + crc16(body).to_bytes(2, "little")


class TcpFrames:
    """Takes bytes as they come, gives whole frames."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Raises: Garbled; the connection is of no use then."""
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        at, size = 0, len(data)
        while size - at >= 7:
            transaction, protocol, length, unit = _HEADER.unpack_from(data, at)
            if protocol or not 2 <= length <= PDU_BYTES_MAX + 1:
                raise Garbled(f"a frame header that is not Modbus TCP: {data[at : at + 7].hex(' ')}")
            end = at + 6 + length
            if end > size:
                break
            frames.append((transaction, unit, data[at + 7 : end]))
            at = end
        self._rest = data[at:]
        return frames


class RtuFrames:
    """As `TcpFrames`; where a frame ends follows from its function, since TCP keeps no silent intervals."""

    __slots__ = ("_length_of", "_rest")

    def __init__(self, length_of: Callable[[bytes], int | None]) -> None:
        """`length_of` says how long the PDU at the head of some bytes is: `answer_length` or `request_length`."""
        self._rest = b""
        self._length_of = length_of

    def feed(self, data: bytes) -> list[Frame]:
        """Raises: Garbled, for a wrong CRC too."""
        data = self._rest + data
        frames: list[Frame] = []
        while len(data) >= 2:
            length = self._length_of(data[1:])
            if length is None or len(data) < length + 3:
                break
            body, crc = data[: length + 1], int.from_bytes(data[length + 1 : length + 3], "little")
            if crc16(body) != crc:
                raise Garbled(f"a frame with a wrong check sum: {data[: length + 3].hex(' ')[:90]}")
            frames.append((0, body[0], body[1:]))
            data = data[length + 3 :]
        self._rest = data
        return frames


def answer_length(head: bytes) -> int | None:
    """Length of the answer PDU that begins with these bytes; None where that needs more. Raises: Garbled."""
    function = head[0]
    if function & 0x80:
        return 2
    if function in (1, 2, 3, 4):
        return 2 + head[1] if len(head) > 1 else None
    if function in (5, 6, 15, 16):
        return 5
    if function == Function.MASK_WRITE_REGISTER:
        return 7
    raise Garbled(f"an answer with the unknown function {function}")


def request_length(head: bytes) -> int | None:
    """As `answer_length`, for the server's side."""
    function = head[0]
    if function in (1, 2, 3, 4, 5, 6):
        return 5
    if function in (15, 16):
        return 6 + head[5] if len(head) > 5 else None
    if function == Function.MASK_WRITE_REGISTER:
        return 7
    raise Garbled(f"a request with the unknown function {function}")


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return table


_CRC_TABLE: Final = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS. Source: MODBUS over Serial Line V1.02 §6.2.2."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc
