"""MQTT over WebSocket, with the client of `websockets`; MQTT.js is in `test_peers.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.connect.gateway.bed import Bed, binding, gateway
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode, encode_publish
from headrace.connect.mqtt.packets import Version
from headrace.connect.mqtt.parser import Parser, Side

OIL = binding(1, device="d1", topic="t", value="")


@asynccontextmanager
async def opened(folder: Path, protocols: list[str] | None = None) -> AsyncIterator[tuple[Bed, ClientConnection]]:
    async with gateway(folder, [OIL], websocket="127.0.0.1:0") as bed:
        url = f"ws://127.0.0.1:{bed.driver.ports[1]}/mqtt"
        wanted: Any = ["mqtt"] if protocols is None else protocols or None
        async with connect(url, subprotocols=wanted, proxy=None) as socket:
            yield bed, socket


async def hear(socket: ClientConnection, parser: Parser) -> p.Packet:
    while True:
        data = await socket.recv()
        assert isinstance(data, bytes)
        for packet in parser.feed(data):
            return packet


async def test_packets_may_lie_across_frames(tmp_path: Path) -> None:
    async with opened(tmp_path) as (bed, socket):
        assert socket.subprotocol == "mqtt"
        stream = encode(p.Connect("d1"), Version.V5) + encode_publish("t", b"42", Version.V5, qos=1, packet_id=1)
        for first in range(0, len(stream), 5):
            await socket.send(stream[first : first + 5])
        parser = Parser(Side.CLIENT, Version.V5)
        assert isinstance(await hear(socket, parser), p.Connack)
        assert await hear(socket, parser) == p.Puback(1)
        assert bed.store.values(1) == [42.0]
        assert bed.door.claims[0].peer == "127.0.0.1"


async def test_a_text_frame_ends_the_connection(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, socket):
        await socket.send("MQTT")
        with pytest.raises(ConnectionClosed):
            await socket.recv()


@pytest.mark.parametrize("protocols", [[], ["chat"]])
async def test_who_does_not_offer_mqtt_is_refused(tmp_path: Path, protocols: list[str]) -> None:
    with pytest.raises(InvalidHandshake):
        async with opened(tmp_path, protocols):
            pass


async def test_goodbye_closes_the_web_socket_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as (bed, socket):
        await socket.send(encode(p.Connect("d1"), Version.V5))
        await hear(socket, Parser(Side.CLIENT, Version.V5))
        await socket.send(encode(p.Disconnect(), Version.V5))
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        await bed.until(lambda: not bed.hub.devices)


async def test_what_is_no_web_socket_is_closed(tmp_path: Path) -> None:
    async with gateway(tmp_path, websocket="127.0.0.1:0") as bed:
        for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\1\2\3" * 50, encode(p.Connect("d1"), Version.V5)):
            reader, writer = await asyncio.open_connection("127.0.0.1", bed.driver.ports[1])
            writer.write(said)
            writer.write_eof()
            await reader.read()
            writer.close()
        assert bed.hub.counters.connects == 0
