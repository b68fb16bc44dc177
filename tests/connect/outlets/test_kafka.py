"""The Kafka outlet against a real Apache Kafka of one node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from pydantic import ValidationError
from tests.connect.outlets.here import OutletsHere
from tests.kafka_broker import Kafka, kafka

from headrace.connect.outlets.kafka.config import Settings
from headrace.model.batch import Value
from headrace.model.events import Event
from headrace.model.outlets import Outlet
from headrace.sdk.field import LinkState
from headrace.sdk.testing.outlet import T0, OutletContract, Taker, sample


class KafkaTaker:
    """Reads the topics from their beginning, each time it is asked."""

    def __init__(self, broker: Kafka) -> None:
        self.broker = broker
        self.records: list[tuple[str, str, Any, int]] = []
        self._consumer: Consumer | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"brokers": [f"127.0.0.1:{self.broker.port}"], "timeout": "3s", "event_topic": "headrace.events"}

    async def start(self) -> None:
        await self.broker.start()

    async def stop(self) -> None:
        await self.broker.stop()

    async def hang(self) -> None:
        await self.broker.hang()

    async def read(self) -> None:
        await asyncio.to_thread(self._read)

    def _read(self) -> None:
        if self._consumer is None:
            self._consumer = Consumer(
                {
                    "bootstrap.servers": f"127.0.0.1:{self.broker.port}",
                    "group.id": "test",
                    "auto.offset.reset": "earliest",
                    "topic.metadata.refresh.interval.ms": 200,
                    "log_level": 0,
                }
            )
            self._consumer.subscribe(["headrace.samples", "headrace.events"])
        for message in self._consumer.consume(500, timeout=0.2):
            if message.error() is None:
                key, value = message.key().decode(), json.loads(message.value())
                self.records.append((message.topic(), key, value, message.timestamp()[1]))

    async def values(self) -> Mapping[str, Sequence[Value]]:
        await self.read()
        seen: dict[str, list[Value]] = {}
        for topic, key, value, _ in self.records:
            if topic == "headrace.samples":
                seen.setdefault(key, []).append(int(value["value"]) if key.endswith("strokes") else value["value"])
        return seen

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()


class KafkaHere(OutletsHere):
    protocol = "kafka"

    @asynccontextmanager
    async def taker(self, folder: Path) -> AsyncIterator[Taker]:
        async with kafka(folder / "kafka") as broker:
            taker = KafkaTaker(broker)
            try:
                yield taker
            finally:
                await asyncio.to_thread(taker.close)


@pytest.mark.soak
class TestKafkaContract(KafkaHere, OutletContract):
    """Each case starts and stops a Java process: too long for every day."""


class Bench(KafkaHere, OutletContract):
    """The tools of the contract without its cases, which pytest finds by the name of the class."""


class TestKafka:
    """One broker for what every day needs."""

    @pytest.mark.service("Apache Kafka")
    async def test_samples_and_events_are_records(self, tmp_path: Path) -> None:
        async with kafka(tmp_path / "kafka") as broker:
            taker = KafkaTaker(broker)
            outlet = Outlet("lake", "kafka", taker.settings)
            async with Bench().running(outlet, tmp_path) as run:
                await Bench().until_state(run, LinkState.CONNECTED)
                await run.publish([sample("acme/p3/oil", 62.5, 0.25), sample("acme/p3/strokes", 2**53 + 1)])
                await run.bus.publish_events([Event("7", "alarms", "alarm.raised", "acme/p3/oil", T0, {"value": 1})])
                await Bench().until_seen(taker, "acme/p3/strokes", 2**53 + 1)
                await Bench().until_seen(taker, "acme/p3/oil", 62.5)

                async def told() -> bool:
                    await taker.read()
                    return any(one[0] == "headrace.events" and one[2]["id"] == "7" for one in taker.records)

                await Bench().until(told, "the event is there")
            await asyncio.to_thread(taker.close)
            record = next(one for one in taker.records if one[1] == "acme/p3/oil" and one[0] == "headrace.samples")
            assert record[2] == {
                "path": "acme/p3/oil",
                "time": "2026-05-28T20:26:40.25Z",
                "value": 62.5,
                "quality": "Good",
                "unit": "Cel",
            }
            assert record[3] == T0 // 10**6 + 250

    async def test_nobody_there(self, tmp_path: Path) -> None:
        outlet = Outlet("lake", "kafka", {"brokers": ["127.0.0.1:1"], "timeout": "1s"})
        async with Bench().running(outlet, tmp_path) as run:
            await Bench().until(lambda: run.status.error, "it says so")
            assert run.status.state is not LinkState.CONNECTED


@pytest.mark.parametrize(
    "wrong",
    [
        {"brokers": []},
        {"brokers": ["kafka"]},
        {"user": "a"},
        {"ca": "x.pem"},
        {"topic": "a b"},
        {"user": "a", "password": "env:X", "mechanism": "PLAIN"},
    ],
)
def test_settings_that_do_not_fit(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"brokers": ["kafka:9092"], **wrong})
