"""`kill -9` with messages of QoS 1 in flight: what was acknowledged is there, and what was not is sent again."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.connect.gateway.bed import Raw
from tests.connect.gateway.killed import path_of

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.packets import Version
from headrace.history import open_history
from headrace.history.settings import HistorySettings
from headrace.sdk.clock import SystemClock

DEVICES, WINDOW = 4, 20
START_NS = 1_780_000_000_000_000_000
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def platform(home: Path, port: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.connect.gateway.killed", str(home), str(port), str(DEVICES),
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Counting:
    """A device that counts, each number as a message of QoS 1, and sends again what was not acknowledged."""

    def __init__(self, number: int) -> None:
        self.name, self.next = f"dev-{number}", 0
        self.unacknowledged: dict[int, int] = {}
        self.acknowledged: set[int] = set()

    async def count(self, port: int, version: Version, until: int | None) -> None:
        """Until the line breaks, or everything below `until` is acknowledged."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = Raw(reader, writer)
        try:
            await client.say(p.Connect(self.name, version, clean_start=False))
            if not isinstance(await client.hear(), p.Connack):
                return
            for packet_id, value in self.unacknowledged.items():
                await self._publish(client, packet_id, value, dup=True)
            while until is None or len(self.acknowledged) < until:
                while len(self.unacknowledged) < WINDOW and (until is None or self.next < until):
                    packet_id = self.next % 1000 + 1
                    self.unacknowledged[packet_id] = self.next
                    await self._publish(client, packet_id, self.next)
                    self.next += 1
                answer = await client.hear()
                if not isinstance(answer, p.Puback):
                    return
                self.acknowledged.add(self.unacknowledged.pop(answer.packet_id))
        except ConnectionError:
            return
        finally:
            client.cut()

    async def _publish(self, client: Raw, packet_id: int, value: int, *, dup: bool = False) -> None:
        payload = b'{"ts": %d, "n": %d}' % (START_NS + value * 1_000_000, value)
        await client.say(p.Publish("count", payload, 1, dup=dup, packet_id=packet_id))


async def stored(home: Path) -> list[list[int]]:
    store = await open_history(home / "history", HistorySettings(), SystemClock())
    try:
        numbers = await store.register([path_of(device) for device in range(DEVICES)])
        held = []
        for number in numbers:
            page = await store.raw(numbers[numbers == number], START_NS - 1, START_NS + 10**15, limit=1_000_000)
            held.append([value for batch in page.batches for value in batch.values.tolist()])
        return held
    finally:
        await store.close()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 11))])
async def test_nothing_that_was_acknowledged_is_lost_by_kill_9(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)  # the seed is in the test's name
    version = Version.V311 if seed % 2 else Version.V5
    devices = [Counting(number) for number in range(DEVICES)]
    port = 0
    async with asyncio.timeout(60):
        for _ in range(1 + seed % 3):
            enough = sum(len(device.acknowledged) for device in devices) + rng.randrange(200, 1500)
            async with platform(tmp_path, port) as (process, port):
                counting = [asyncio.create_task(device.count(port, version, None)) for device in devices]
                while sum(len(device.acknowledged) for device in devices) < enough:
                    await asyncio.sleep(0.001)
                process.kill()
                await asyncio.gather(*counting)
            held = await stored(tmp_path)
            for device, values in zip(devices, held, strict=True):
                assert device.acknowledged - set(values) == set(), f"{device.name} lost what was acknowledged"
                assert len(values) == len(set(values))
        async with platform(tmp_path, port) as (_, port):
            await asyncio.gather(*(device.count(port, version, device.next) for device in devices))
        for device, values in zip(devices, await stored(tmp_path), strict=True):
            assert sorted(values) == list(range(device.next)), f"{device.name}: 0 lost, 0 twice"
