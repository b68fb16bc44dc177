"""The MQTT driver on Mosquitto, with paho as the machines: nothing is lost, secrets, TLS, shares, a host's death."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import paho.mqtt.client as paho
import pytest
from tests.connect.drivers.mqtt import floor
from tests.connect.drivers.mqtt.floor import binding
from tests.connect.mqtt.mosquitto import mosquitto
from tests.services import require_service

from headrace.connect.drivers.mqtt.driver import MqttDriver
from headrace.connect.mqtt.client import ClientOptions, MqttClient
from headrace.connect.mqtt.packets import Subscription
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Refused
from headrace.sdk.clock import SystemClock

COUNTER = binding(1, ValueKind.INT64, topic="line/counter", value="/n")
PATIENCE_S = 30.0


@asynccontextmanager
async def machine(port: int, version: int = paho.MQTTv5) -> AsyncIterator[paho.Client]:
    """Somebody else's client; connected, its loop in a thread."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=version)
    connected = asyncio.Event()
    loop = asyncio.get_running_loop()
    client.on_connect = lambda *_: loop.call_soon_threadsafe(connected.set)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await connected.wait()
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


async def publish(client: paho.Client, numbers: Sequence[int], topic: str = "line/counter") -> None:
    """QoS 1, and the broker has them all on return."""
    sent = [client.publish(topic, orjson.dumps({"n": number}), qos=1) for number in numbers]
    await asyncio.to_thread(lambda: [info.wait_for_publish(PATIENCE_S) for info in sent])


class Store:
    """`stuck` keeps samples from becoming durable."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.stuck = False
        self.waiting = asyncio.Event()
        self._news = asyncio.Event()

    async def stored(self, batches: Sequence[Batch]) -> None:
        if self.stuck:
            self.waiting.set()
            await asyncio.Event().wait()
        for batch in batches:
            self.values += batch.values.tolist()
        self._news.set()

    async def until(self, wanted: set[int]) -> None:
        while not wanted <= set(self.values):
            self._news.clear()
            await self._news.wait()


async def serve(driver: MqttDriver, store: Store) -> None:
    await driver.connect()
    await driver.serve([COUNTER], store.stored, lambda error: None)


def kill(driver: MqttDriver) -> None:
    """As `kill -9` would: the socket is gone, and no goodbye was said."""
    for task in driver._tasks:
        task.cancel()
    assert driver._client is not None and driver._client._line._transport is not None
    driver._client._line._transport.abort()


@pytest.mark.service("mosquitto")
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_what_comes_while_we_are_dead_or_was_not_durable_comes_afterwards(tmp_path: Path, version: str) -> None:
    store = Store()

    def driver() -> MqttDriver:
        made = floor.driver(broker.port, SystemClock(), tmp_path, version=version, timeout="5s")
        drivers.append(made)
        return made

    drivers: list[MqttDriver] = []
    async with (
        asyncio.timeout(PATIENCE_S),
        mosquitto(tmp_path, "allow_anonymous true", "max_queued_messages 0") as broker,
    ):
        try:
            async with machine(broker.port) as plc:
                await serve(driver(), store)
                await publish(plc, range(100))
                await store.until(set(range(100)))

                store.stuck = True
                await publish(plc, range(100, 200))
                await store.waiting.wait()  # received, not durable, so not acknowledged
                kill(drivers[-1])
                await publish(plc, range(200, 700))

                store.stuck = False
                await serve(driver(), store)
                await store.until(set(range(700)))
        finally:
            for made in drivers:
                await made.close()
    assert sorted(set(store.values)) == list(range(700))


@pytest.mark.service("mosquitto")
async def test_members_of_a_share_divide_the_messages(tmp_path: Path) -> None:
    stores = [Store(), Store()]
    async with asyncio.timeout(PATIENCE_S), mosquitto(tmp_path) as broker:
        drivers = [
            floor.driver(broker.port, SystemClock(), tmp_path, share="works", client_id=f"h{at}", timeout="5s")
            for at in range(2)
        ]
        try:
            for made, store in zip(drivers, stores, strict=True):
                await serve(made, store)
            async with machine(broker.port) as plc:
                await publish(plc, range(200))
                while len(stores[0].values) + len(stores[1].values) < 200:
                    await asyncio.sleep(0.01)
        finally:
            for made in drivers:
                await made.close()
    assert sorted(stores[0].values + stores[1].values) == list(range(200))
    assert stores[0].values and stores[1].values


@pytest.mark.service("mosquitto")
async def test_a_password_is_a_reference_and_a_wrong_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("mosquitto_passwd")
    require_service("mosquitto_passwd", program is not None, "apt-get install mosquitto")
    assert program is not None
    secrets = tmp_path / "passwords"
    await asyncio.to_thread(subprocess.run, [program, "-b", "-c", str(secrets), "headrace", "right"], check=True)
    async with mosquitto(tmp_path, f"password_file {secrets}", "allow_anonymous false") as broker:
        for password, is_right in (("right", True), ("wrong", False)):
            monkeypatch.setenv("BROKER_PASSWORD", password)
            made = floor.driver(
                broker.port, SystemClock(), tmp_path, user="headrace", password="env:BROKER_PASSWORD", timeout="5s"
            )
            try:
                if is_right:
                    await made.connect()
                else:
                    with pytest.raises(Refused, match="check user, password"):
                        await made.connect()
            finally:
                await made.close()


def certificates(folder: Path) -> None:
    """An authority of its own and a server certificate for localhost."""
    openssl = shutil.which("openssl")
    require_service("openssl", openssl is not None, "apt-get install openssl")
    assert openssl is not None

    (folder / "san").write_text("subjectAltName=DNS:localhost")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile san",
    ):
        subprocess.run([openssl, *command.split()], check=True, capture_output=True, cwd=folder)


@pytest.mark.service("mosquitto")
async def test_tls_checks_who_the_broker_is(tmp_path: Path) -> None:
    certificates(tmp_path)
    lines = [f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key"]
    async with mosquitto(tmp_path, *lines, "allow_anonymous true") as broker:
        known: dict[str, Any] = {
            "tls": True,
            "ca": str(tmp_path / "ca.pem"),
            "server_name": "localhost",
            "timeout": "5s",
        }
        for settings, is_right in (
            (known, True),
            (known | {"server_name": "somebody.else"}, False),
            ({"tls": True, "server_name": "localhost", "timeout": "5s"}, False),  # vouched for by nobody we know
        ):
            made = floor.driver(broker.port, SystemClock(), tmp_path, **settings)
            try:
                if is_right:
                    await made.connect()
                else:
                    with pytest.raises(Refused, match="not trusted"):
                        await made.connect()
            finally:
                await made.close()


@pytest.mark.service("mosquitto")
async def test_when_a_host_is_killed_the_broker_says_so_for_it(tmp_path: Path) -> None:
    payload = {"kind": "sparkplug", "sparkplug": {"host": "scada-1"}}
    async with asyncio.timeout(PATIENCE_S), mosquitto(tmp_path) as broker:
        host = floor.driver(broker.port, SystemClock(), tmp_path, payload=payload, timeout="5s")
        watcher = MqttClient(ClientOptions("127.0.0.1", broker.port), SystemClock())
        states: list[tuple[bool, int]] = []
        try:
            await watcher.connect()
            await watcher.subscribe([Subscription("spBv1.0/STATE/scada-1", 1, retain_as_published=True)])
            await host.connect()
            await host.serve((), Store().stored, lambda error: None)
            kill(host)
            while len(states) < 2:
                for message in await watcher.receive():
                    said = orjson.loads(message.payload)
                    assert message.retain
                    states.append((said["online"], said["timestamp"]))
        finally:
            await host.close()
            await watcher.close()
    (is_online, born_ms), (is_still_online, died_ms) = states
    assert (is_online, is_still_online) == (True, False) and born_ms == died_ms
