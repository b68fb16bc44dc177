"""What a gateway is for: samples in, durable, and only then acknowledged."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.connect.gateway.bed import binding, gateway

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.packets import Version

BOTH = pytest.mark.parametrize("version", Version, ids=["3.1.1", "5"])
OIL = binding(1, device="d1", topic="t", value="/oil")


@BOTH
async def test_samples_reach_the_store(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path, [OIL]) as bed, bed.client("d1", version=version) as device:
        await device.say(p.Publish("t", b'{"oil": 62.4}'))
        await device.say(p.Publish("t", b'{"oil": 63}', qos=1, packet_id=7))
        assert await device.expect(p.Puback) == p.Puback(7)
        assert bed.store.values(1) == [62.4, 63.0]


@BOTH
async def test_nothing_is_acknowledged_before_it_is_durable(tmp_path: Path, version: Version) -> None:
    async with gateway(tmp_path, [OIL]) as bed, bed.client("d1", version=version) as device:
        bed.store.gate.clear()
        await device.say(p.Publish("t", b'{"oil": 1}', qos=1, packet_id=1))
        await device.say(p.Publish("t", b'{"oil": 2}', qos=2, packet_id=2))
        await bed.until(lambda: bed.store.calls)
        await device.ping()  # the gateway is alive, and has said nothing of the messages
        bed.store.gate.set()
        assert await device.expect(p.Puback) == p.Puback(1)
        assert await device.expect(p.Pubrec) == p.Pubrec(2)
        await device.say(p.Pubrel(2))
        assert await device.expect(p.Pubcomp) == p.Pubcomp(2)
        assert bed.store.values(1) == [1.0, 2.0]
