"""Somebody else's edge node (npm sparkplug-client) on Mosquitto against our host; somebody else's decoder on ours."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.connect.gateway.bed import gateway
from tests.connect.mqtt.mosquitto import mosquitto
from tests.services import require_service

from headrace.connect.drivers.mqtt.config import Address, Settings
from headrace.connect.drivers.mqtt.driver import MqttDriver
from headrace.connect.sparkplug.edge import EdgeMetric, EdgeNode, EdgeSettings
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.clock import SystemClock
from headrace.sdk.driver import BrowseNode, DriverContext, PointBinding

PEERS = Path(__file__).parents[2] / "peers"
PATIENCE_S = 40.0


def node() -> str:
    found = shutil.which("node") or shutil.which("node", path=str(PEERS.parents[1] / ".cache" / "node-bin"))
    there = found is not None and (PEERS / "node_modules" / "sparkplug-client").is_dir()
    require_service("sparkplug-client (npm)", there, "run tools/setup.sh services, which installs tests/peers")
    assert found is not None
    return found


@asynccontextmanager
async def peer(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        node(),
        str(PEERS / "sparkplug.mjs"),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def tell(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()


async def hear(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    """The next line of that event."""
    assert process.stdout is not None
    while True:
        line = await process.stdout.readline()
        assert line, "the peer ended"
        said: dict[str, Any] = json.loads(line)
        if said["event"] == event:
            return said


class Collected:
    """Samples as the platform would have them: durable when `stored` returns."""

    def __init__(self) -> None:
        self.latest: dict[int, tuple[Any, int]] = {}
        self.qualities: set[tuple[int, int]] = set()
        self._news = asyncio.Event()

    async def stored(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            for handle, value, quality in zip(
                batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
            ):
                self.latest[handle] = value, quality
                self.qualities.add((handle, quality))
        self._news.set()

    async def until(self, holds: Callable[[dict[int, tuple[Any, int]]], bool]) -> None:
        while not holds(self.latest):
            self._news.clear()
            await self._news.wait()


async def offered(driver: MqttDriver) -> list[BrowseNode]:
    return [one async for one in driver.browse({"group": "plant", "node": "line-1"})]


NODE_POINTS = {
    1: ("Temperature", ValueKind.FLOAT64, 20.25),
    2: ("Int8", ValueKind.INT64, -5),
    3: ("Int16", ValueKind.INT64, -300),
    4: ("Int32", ValueKind.INT64, -70_000),
    5: ("Int64", ValueKind.INT64, -(2**40)),
    6: ("UInt32", ValueKind.INT64, 4_000_000_000),
    7: ("Float", ValueKind.FLOAT64, 0.5),
    8: ("Text", ValueKind.TEXT, "油温"),
    9: ("When", ValueKind.INT64, 1_767_225_600_000_000_000),
}
PRESSURE = PointBinding(
    20,
    "acme/press-3/setpoint",
    ValueKind.FLOAT64,
    Address(group="plant", node="line-1", device="press-3", metric="Setpoint/Pressure"),
    10**9,
    writable=True,
)


def points() -> list[PointBinding]:
    return [
        PRESSURE,
        *(
            PointBinding(handle, f"acme/{name}", kind, Address(group="plant", node="line-1", metric=name), 10**9)
            for handle, (name, kind, _) in NODE_POINTS.items()
        ),
    ]


@pytest.mark.service("mosquitto")
async def test_an_edge_node_of_others_is_born_tells_is_born_again_obeys_and_dies(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, peer("edge", str(broker.port)) as edge:
        await hear(edge, "born")  # before we came: its births are lost to us
        settings = Settings.model_validate(
            {
                "host": "127.0.0.1",
                "port": broker.port,
                "payload": {"kind": "sparkplug", "sparkplug": {"reorder_timeout": "200ms", "rebirth_interval": "1s"}},
            }
        )
        driver = MqttDriver(settings, DriverContext("scada", SystemClock(), tmp_path))
        got = Collected()
        try:
            await driver.connect()
            await driver.serve(points(), got.stored, lambda error: pytest.fail(str(error)))
            await tell(edge, "data 1")
            await hear(edge, "rebirth")  # data without a birth: we have asked
            await got.until(lambda latest: len(latest) == len(NODE_POINTS) + 1)
            round_ = 1
            for handle, (name, _, value) in NODE_POINTS.items():
                wanted = value + round_ if name == "Temperature" else value - round_ if name == "Int32" else value
                assert got.latest[handle] == (wanted, q.GOOD), name

            await tell(edge, "data 30")
            await got.until(lambda latest: latest[1][0] == 20.25 + 31 and latest[4][0] == -70_000 - 31)
            await tell(edge, "compressed")
            await got.until(lambda latest: latest[1][0] == 20.25 + 32)

            await tell(edge, "skip")
            await tell(edge, "data 1")
            await hear(edge, "rebirth")  # a number was missing, and did not come
            await got.until(lambda latest: latest[1][0] == 20.25 + 33)

            while not any(one.name == "press-3" and one.description == "born" for one in await offered(driver)):
                await asyncio.sleep(0.01)  # the device is born again after its node
            await driver.write(PRESSURE, 123.5)
            assert (await hear(edge, "dcmd"))["metrics"][0]["value"] == 123.5
            while (await driver.read_back(PRESSURE)).values.tolist() != [123.5]:
                await asyncio.sleep(0.01)  # as control does: a birth on its way may still tell the old value

            nodes = {one.name: one for one in await offered(driver)}
            assert nodes["Temperature"].unit == "Cel" and nodes["Temperature"].kind is ValueKind.FLOAT64
            assert nodes["Blob"].kind is None and nodes["press-3"].has_children

            await tell(edge, "device-death")
            await got.until(lambda _: (20, q.BAD_NO_COMMUNICATION) in got.qualities)
            assert (1, q.BAD_NO_COMMUNICATION) not in got.qualities
            await tell(edge, "stop")
            await got.until(lambda latest: all(quality == q.BAD_NO_COMMUNICATION for _, quality in latest.values()))
        finally:
            await driver.close()


@pytest.mark.service("sparkplug-client")
async def test_an_edge_node_of_others_on_our_own_gateway(tmp_path: Path) -> None:
    sparkplug = {"reorder_timeout": "200ms", "rebirth_interval": "1s"}
    payload = {"kind": "sparkplug", "sparkplug": sparkplug}
    async with gateway(tmp_path, points(), payload=payload) as bed, peer("edge", str(bed.port)) as edge:
        await hear(edge, "born")
        await bed.until(lambda: bed.store.samples(20) and bed.store.samples(9))
        for handle, (name, _, value) in NODE_POINTS.items():
            assert bed.store.samples(handle) == [(value, q.GOOD)], name
        await tell(edge, "data 3")
        await bed.until(lambda: bed.store.values(1)[-1] == 20.25 + 3)
        await tell(edge, "skip")
        await tell(edge, "data 1")
        await hear(edge, "rebirth")
        await bed.until(lambda: bed.store.samples(1)[-1] == (20.25 + 4, q.GOOD))
        while not any(
            [one.description == "born" async for one in bed.driver.browse({"group": "plant", "node": "line-1"})]
        ):
            await asyncio.sleep(0.01)
        await bed.driver.write(PRESSURE, 77.5)
        assert (await hear(edge, "dcmd"))["metrics"][0]["value"] == 77.5
        await bed.until(lambda: bed.store.values(20)[-1] == 77.5)
        edge.kill()
        await bed.until(lambda: bed.store.samples(1)[-1][1] == bed.store.samples(20)[-1][1] == q.BAD_NO_COMMUNICATION)


@pytest.mark.service("sparkplug-payload")
async def test_what_our_edge_node_says_is_understood_by_a_decoder_of_others() -> None:
    metrics = [
        EdgeMetric(1, "oil/temperature", ValueKind.FLOAT64, "press-3", "Cel", (0, 120)),
        EdgeMetric(2, "strokes", ValueKind.INT64, "press-3"),
        EdgeMetric(3, "running", ValueKind.BOOL),
        EdgeMetric(4, "recipe", ValueKind.TEXT),
    ]
    edge = EdgeNode(EdgeSettings("suzhou", "headrace"), metrics)
    now_ns = 1_767_225_600_000_000_000
    edge.know(
        [
            Batch.of(ValueKind.FLOAT64, [1], now_ns, [-0.1]),
            Batch.of(ValueKind.INT64, [2], now_ns, [-(2**62) - 1]),
            Batch.of(ValueKind.BOOL, [3], now_ns, [True]),
            Batch.of(ValueKind.TEXT, [4], now_ns, np.array(["油温"], np.dtypes.StringDType())),
        ]
    )
    said = [edge.will(now_ns), *edge.opened(now_ns)]
    said += edge.data([Batch.bad(ValueKind.FLOAT64, [1], now_ns + 1, q.BAD_SENSOR_FAILURE)], now_ns + 1)
    async with peer("decode") as decoder:
        assert decoder.stdout is not None
        heard = []
        for publish in said:
            await tell(decoder, publish.payload.hex())
            heard.append(json.loads(await decoder.stdout.readline()))
    death, nbirth, dbirth, data = heard
    assert [one["name"] for one in death["metrics"]] == ["bdSeq"] and "seq" not in death
    own = {one["name"]: one for one in nbirth["metrics"]}
    assert own["bdSeq"]["value"] == death["metrics"][0]["value"]
    assert (own["Node Control/Rebirth"]["value"], own["running"]["value"], own["recipe"]["value"]) == (
        False,
        True,
        "油温",
    )
    device = {one["name"]: one for one in dbirth["metrics"]}
    assert device["oil/temperature"]["value"] == -0.1
    assert device["oil/temperature"]["properties"]["engUnit"]["value"] == "Cel"
    assert int(device["strokes"]["value"]) % 2**64 == (-(2**62) - 1) % 2**64
    assert data["metrics"][0]["alias"] and data["metrics"][0]["properties"]["Quality"]["value"] == 0
