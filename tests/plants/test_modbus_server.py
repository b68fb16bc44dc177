"""The plant's Modbus server: any bytes get an answer, no two points share a register."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.errors import Refused
from headrace_plants.modbus_server import Memory, ModbusServer, Slot


def _little_server() -> ModbusServer:
    def take(path: str, value: Any) -> None:
        if not 0 <= value <= 100:
            raise Refused(f"{path} takes 0 to 100")

    slots = [
        Slot("a", "holding", 0, 2, "float32", "CDAB", 1.0, 0, True),
        Slot("b", "holding", 2, 8, "text", "ABCD", 1.0, 0, False),
        Slot("c", "coil", 0, 1, "bool", "ABCD", 1.0, 1, True),
        Slot("d", "discrete", 0, 1, "bool", "ABCD", 1.0, 2, False),
    ]
    return ModbusServer(Memory(slots), take)


@given(st.binary(min_size=1, max_size=260), st.integers(0, 255))
def test_any_request_gets_an_answer(request: bytes, unit: int) -> None:
    answer = _little_server().answer(unit, request)
    assert answer[0] & 0x7F == request[0] & 0x7F
    assert len(answer) <= 253


async def test_a_peer_that_does_not_speak_modbus_is_hung_up_on() -> None:
    server = _little_server()
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
    finally:
        await server.stop()


def test_points_may_not_overlap() -> None:
    slot = Slot("a", "holding", 0, 2, "float32", "ABCD", 1.0, 0, True)
    with pytest.raises(ValueError, match="overlaps"):
        Memory([slot, Slot("b", "holding", 1, 1, "uint16", "ABCD", 1.0, 1, False)])
