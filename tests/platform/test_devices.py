"""The register behind a real gateway, another vendor's client at its door: from a stranger to a point of the plant."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.services import require_service

from headrace.platform.platform import Platform, running
from headrace.platform.settings import Settings
from headrace.sdk.fleet import DeviceChange, NewAsset, NewDevice
from headrace.sdk.services import SourceFile

KEY = "0f9b2c4d-enrolment-key"
PLANT = """\
types:
  meter:
    parameters: {{device: none}}
    points: {{power: {{unit: kW, address: {{device: "{{device}}", topic: "meters/{{device}}/power"}}}}}}
connections:
  gate:
    driver: gateway
    settings: {{listen: "127.0.0.1:0", enrolment: {{key: "file:enrolment"}}, payload: {{kind: raw}}}}
assets: {{acme: {{level: site}}}}
"""

pytestmark = pytest.mark.service("mosquitto_pub")


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    program = shutil.which("mosquitto_pub")
    require_service("mosquitto_pub", program is not None, "apt-get install mosquitto-clients")
    secrets = tmp_path / "home" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "enrolment").write_text(KEY)
    async with running(Settings(home=tmp_path / "home", commit_interval_s=0.01)) as platform:
        await platform.registry.apply([SourceFile("a.yaml", PLANT.format())], actor="wang")
        await until(lambda: bool(listening()))
        yield platform


def listening() -> list[int]:
    connections = psutil.Process().net_connections("tcp")
    return [one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


async def publish(login: str, password: str, topic: str, message: str, qos: int = 1) -> bool:
    """Whether it was let in; a message of QoS 1 is then on disk, or was refused for itself."""
    arguments = ["-p", listening()[0], "-i", f"client-{login}", "-u", login, "-P", password, "-t", topic, "-m", message]
    process = await asyncio.create_subprocess_exec(
        "mosquitto_pub", *map(str, arguments), "-q", str(qos), "-V", "5",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await process.wait() == 0


@pytest.mark.clause("62443-3-3 SR 1.13", "62443-3-3 SR 1.13 RE 1", "GB/T 22239-2019 8.4.2.1")
async def test_a_stranger_waits_is_looked_at_and_becomes_a_point(platform: Platform) -> None:
    password = f"{KEY}:serial 4711"
    assert not await publish("m-1", "no key", "meters/m-1/power", "1.5")
    assert [one.login for one in platform.devices.refusals()] == ["m-1"]
    assert await publish("m-1", password, "meters/m-1/power", "1.5", qos=0)
    await until(lambda: bool(platform.devices.previews("m-1")))
    assert platform.devices.previews("m-1")[0].payload == b"1.5"
    change = DeviceChange(publish=platform.devices.suggested("m-1"))
    assert change.publish == ("meters/{device}/power",)
    asset = NewAsset("acme/m-1", "meter", "gate", {"device": "m-1"})
    await platform.devices.approve("wang", "m-1", rename="Hall-2", change=change, asset=asset)
    assert not await publish("m-1", f"{KEY}:another", "meters/m-1/power", "9")
    assert await publish("m-1", password, "meters/m-1/power", "2.5")
    handle = np.array([platform.reconciler.directory.handles["acme/m-1/power"]], np.uint32)
    assert [batch.values.tolist() for batch in await platform.store.latest(handle)] == [[2.5]]
    await until(lambda: platform.devices.get("Hall-2").messages > 0)


@pytest.mark.clause("62443-3-3 SR 2.1 RE 1", "GB/T 22239-2019 8.4.2.1")
async def test_a_device_does_what_it_may_until_it_is_blocked(platform: Platform) -> None:
    _, secret = await platform.devices.add("wang", NewDevice("press-7", publish=("press/{device}/#",)))
    assert secret is not None
    assert await publish("press-7", secret, "press/press-7/x", "1")
    await publish("press-7", secret, "press/press-8/x", "1")
    await until(lambda: platform.devices.get("press-7").refused == 1)
    assert not await publish("press-8", secret, "press/press-7/x", "1")
    await platform.devices.block("wang", "press-7")
    assert not await publish("press-7", secret, "press/press-7/x", "1")
