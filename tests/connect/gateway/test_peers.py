"""Devices by other people: paho, gmqtt, MQTT.js, mosquitto_pub and _sub, amqtt. Each reports, and obeys a command."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.connect.gateway.bed import Bed, binding, gateway
from tests.connect.gateway.certificates import Authority
from tests.services import require_service

from headrace.model import quality as q

ROOT = Path(__file__).parents[3]
PEERS = ROOT / "tests/peers"
VERSIONS = pytest.mark.parametrize("level", [4, 5], ids=["3.1.1", "5"])


def point(device: str) -> Any:
    return binding(1, device=device, topic="state", value="/v", command="set", writable=True)


async def program(*command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=PEERS
    )


async def obeyed(bed: Bed, device: str) -> None:
    await bed.driver.write(point(device), 180.0)
    assert (await bed.driver.read_back(point(device))).values.tolist() == [180.0]


@VERSIONS
async def test_paho(tmp_path: Path, level: int) -> None:
    mqtt = pytest.importorskip("paho.mqtt.client")
    from paho.mqtt.enums import CallbackAPIVersion

    async with gateway(tmp_path, [point("paho")]) as bed:
        listening = threading.Event()

        def on_message(client: Any, _: Any, message: Any) -> None:
            client.publish("state", message.payload, qos=1)

        client = mqtt.Client(CallbackAPIVersion.VERSION2, "paho", protocol=level)
        client.on_message = on_message
        client.on_subscribe = lambda *_: listening.set()
        client.will_set("state", b'{"v": -1}', qos=1)
        await asyncio.to_thread(client.connect, "127.0.0.1", bed.port)
        client.loop_start()
        client.subscribe("set", qos=1)
        assert await asyncio.to_thread(listening.wait, 10)
        sent = [client.publish("state", json.dumps({"v": value}), qos=value % 3) for value in range(60)]
        for one in sent:
            await asyncio.to_thread(one.wait_for_publish, 10)
        await bed.until(lambda: len(bed.store.values(1)) == 60)
        assert sorted(bed.store.values(1)) == [float(value) for value in range(60)]  # paho lets QoS 0 overtake
        await obeyed(bed, "paho")
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
        assert -1.0 not in bed.store.values(1)


@VERSIONS
async def test_gmqtt(tmp_path: Path, level: int) -> None:
    gmqtt = pytest.importorskip("gmqtt")
    async with gateway(tmp_path, [point("gmqtt")]) as bed:
        listening = asyncio.Event()

        async def on_message(client: Any, topic: str, payload: bytes, qos: int, properties: Any) -> int:
            client.publish("state", payload, qos=1)
            return 0

        client = gmqtt.Client("gmqtt")
        client.on_message = on_message
        client.on_subscribe = lambda *_: listening.set()
        await client.connect("127.0.0.1", bed.port, version=level)
        client.subscribe("set", qos=1)
        await listening.wait()
        for value in range(60):
            client.publish("state", json.dumps({"v": value}), qos=value % 3)
        await bed.until(lambda: len(bed.store.values(1)) == 60)
        assert bed.store.values(1) == [float(value) for value in range(60)]
        await obeyed(bed, "gmqtt")
        await client.disconnect()


@pytest.mark.service("mqtt.js")
@VERSIONS
@pytest.mark.parametrize("scheme", ["mqtt", "ws"])
async def test_mqtt_js(tmp_path: Path, level: int, scheme: str) -> None:
    found = shutil.which("node") is not None and (PEERS / "node_modules/mqtt").exists()
    require_service("MQTT.js", found, "tools/setup.sh services")
    async with gateway(tmp_path, [point("mqtt-js")], websocket="127.0.0.1:0") as bed:
        port = bed.port if scheme == "mqtt" else bed.driver.ports[1]
        peer = await program("node", "mqtt.mjs", f"{scheme}://127.0.0.1:{port}", str(level))
        assert peer.stdout is not None and peer.stderr is not None
        ready = await peer.stdout.readline()
        assert ready, (await peer.stderr.read()).decode()
        assert json.loads(ready) == {"ready": True, "granted": [1]}
        assert bed.store.values(1) == [float(value) for value in range(50)]
        await obeyed(bed, "mqtt-js")
        assert json.loads(await peer.stdout.readline())["command"] == {"topic": "set", "payload": '{"v":180.0}'}
        assert await peer.wait() == 0
        assert bed.store.values(1)[-1] == 180.0


@pytest.mark.service("mosquitto-clients")
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_mosquitto_pub_and_sub(tmp_path: Path, version: str, secure: bool) -> None:
    require_service("mosquitto_pub", shutil.which("mosquitto_pub") is not None, "apt-get install mosquitto-clients")
    authority = Authority(tmp_path)
    own, device = authority.sign("gateway"), authority.sign("device")
    settings: dict[str, Any] = {}
    more = ["-V", version, "-h", "127.0.0.1"]
    if secure:
        settings["tls"] = {"certificate": own.certificate, "key": own.key, "client_ca": authority.file}
        more += ["--cafile", str(authority.file), "--cert", str(device.certificate), "--key", str(device.key)]
    async with gateway(tmp_path, [point("mosq")], **settings) as bed:
        if secure:
            bed.door.add("mosq", login=device.fingerprint)
        more += ["-p", str(bed.port)]
        listener = await program(
            "mosquitto_sub", *more, "-i", "mosq-sub", "-u", "mosq", "-t", "set", "-q", "1", "-C", "1"
        )
        await bed.until(lambda: len(bed.hub.subscriptions))
        for qos, value in enumerate((1.5, 2.5, 3.5)):
            sender = await program(
                "mosquitto_pub",
                *more,
                "-i",
                "mosq",
                "-u",
                "mosq",
                "-t",
                "state",
                "-q",
                str(qos),
                "-m",
                f'{{"v": {value}}}',
            )
            assert await sender.wait() == 0
        await bed.until(lambda: len(bed.store.values(1)) == 3)
        assert [(value, quality) for value, quality in bed.store.samples(1)] == [(v, q.GOOD) for v in (1.5, 2.5, 3.5)]
        await bed.driver.write(point("mosq"), 180.0)
        said, _ = await listener.communicate()
        assert json.loads(said) == {"v": 180.0}


@pytest.mark.service("amqtt")
async def test_amqtt(tmp_path: Path) -> None:
    amqtt = ROOT / ".venv-mqtt/bin"
    require_service("amqtt", (amqtt / "amqtt_pub").exists(), "tools/setup.sh services")
    async with gateway(tmp_path, [point("amqtt")]) as bed:
        url = f"mqtt://amqtt@127.0.0.1:{bed.port}"
        listener = await program(
            str(amqtt / "amqtt_sub"), "--url", url, "-i", "amqtt-sub", "-t", "set", "--qos", "1", "-n", "1"
        )
        await bed.until(lambda: len(bed.hub.subscriptions))
        for qos in range(3):
            sender = await program(
                str(amqtt / "amqtt_pub"), "--url", url, "-i", "amqtt", "-t", "state", "--qos", str(qos),
                "-m", f'{{"v": {qos}.5}}',
            )  # fmt: skip
            assert await sender.wait() == 0
        await bed.until(lambda: len(bed.store.values(1)) == 3)
        assert bed.store.values(1) == [0.5, 1.5, 2.5]
        await bed.driver.write(point("amqtt"), 180.0)
        said, _ = await listener.communicate()
        assert b'{"v":180.0}' in said
