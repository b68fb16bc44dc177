"""What waits for a client is bounded, whatever happens while it does not take anything."""

from __future__ import annotations

import asyncio
import json

import numpy as np
from tests.api.fakes import T0, TEMPERATURE, World

from headrace.api.live_client import ALARMS_WAITING_MAX, Client, Watch
from headrace.api.live_frames import Channels
from headrace.sdk.clock import SystemClock
from headrace.sdk.services import FeedCounters


class Gate:
    """A socket that takes a frame when told to."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.open = asyncio.Event()

    async def send(self, text: str) -> None:
        await self.open.wait()
        self.frames.append(text)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_frame_on_its_way_and_the_rest_merged(world: World) -> None:
    counters, gate = FeedCounters(), Gate()
    client = Client(SystemClock(), counters)
    channels = Channels(world.live, SystemClock())
    handles = np.array([world.handles[TEMPERATURE]], np.uint32)
    sending = asyncio.create_task(client.send_forever(gate.send))
    answering = asyncio.create_task(client.answer("{}", Watch(channels.of(handles), True, 0.05)))
    await settle()
    for i in range(1, 101):
        world.live.update([world.batch(TEMPERATURE, [float(i)], at_ns=T0 + i)])
        client.tick(world.live.version, float(i))
        client.push_alarms([{"n": i}] * 20)
    await settle()
    assert len(client._alarms) <= ALARMS_WAITING_MAX and client.stuck_s(SystemClock().monotonic_s() + 5) > 4.9
    gate.open.set()
    await settle()
    await answering
    answer, alarms, changes = gate.frames
    assert answer == "{}" and json.loads(alarms)["reload"] is True
    assert json.loads(changes)["v"] == [100.0], "the newest value, once"
    assert counters.frames == 3
    sending.cancel()


async def test_ticks_while_sending_are_counted(world: World) -> None:
    counters, gate = FeedCounters(), Gate()
    client = Client(SystemClock(), counters)
    channel = Channels(world.live, SystemClock()).of(np.array([world.handles[TEMPERATURE]], np.uint32))
    gate.open.set()
    sending = asyncio.create_task(client.send_forever(gate.send))
    await client.answer("{}", Watch(channel, False, 1.0))
    await settle()
    gate.open.clear()
    for i in range(1, 5):
        world.live.update([world.batch(TEMPERATURE, [float(i)], at_ns=T0 + i)])
        client.tick(world.live.version, 2.0 * i)
        client.tick(world.live.version, 2.0 * i + 0.1)  # not due yet
        await settle()
    assert counters.coalesced == 3, "the first is on its way, three were merged"
    gate.open.set()
    await settle()
    client.tick(world.live.version, 100.0)
    await settle()
    assert json.loads(gate.frames[-1])["v"] == [4.0]
    sending.cancel()


async def test_a_frame_is_made_once_for_clients_alike(world: World) -> None:
    channels = Channels(world.live, SystemClock())
    handles = np.array([3, 1, 2], np.uint32)
    first, second = channels.of(handles), channels.of(handles.copy())
    assert first is second and len(channels) == 1
    world.live.update([world.batch(TEMPERATURE, [1.0])])
    assert first.frame(0) is second.frame(0)
    assert channels.of(handles[::-1].copy()) is not first
    del first, second
    assert len(channels) == 0
