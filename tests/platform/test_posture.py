"""What a running platform says of its own security settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.platform.platform import running
from headrace.platform.posture import posture
from headrace.platform.settings import Settings
from headrace.sdk.access import Principal
from headrace.sdk.accounts import TenantPolicy
from headrace.sdk.posture import Judged
from headrace.sdk.services import SourceFile

LOCAL = Principal("local", "owner", "local")
PLANT = """\
connections:
  plc: {driver: modbus, settings: {host: 192.0.2.1}}
  scada: {driver: opcua, settings: {url: "opc.tcp://192.0.2.2:4840", security: none}}
  scada-here: {driver: opcua, settings: {url: "opc.tcp://127.0.0.1:4840", security: none}}
  scada-sealed: {driver: opcua, settings: {url: "opc.tcp://192.0.2.2:4840"}}
  broker: {driver: mqtt, settings: {host: broker.acme.example}}
  broker-here: {driver: mqtt, settings: {host: localhost}}
  broker-off: {driver: mqtt, enabled: false, settings: {host: broker.acme.example}}
  gate: {driver: gateway, settings: {listen: "0.0.0.0:0", allow_plain: true, payload: {kind: raw}}}
  gate-here: {driver: gateway, settings: {listen: "127.0.0.1:0", payload: {kind: raw}}}
outlets:
  uns: {protocol: mqtt, settings: {host: broker.acme.example}}
  lake: {protocol: kafka, settings: {brokers: ["k1.acme.example:9092"]}}
  lake-sealed: {protocol: kafka, settings: {brokers: ["k1.acme.example:9093"], tls: true}}
assets: {acme: {level: site}}
"""


@pytest.mark.clause("62443-3-3 SR 7.6", "62443-3-3 SR 7.6 RE 1")
async def test_every_way_that_can_be_listened_to_is_named(tmp_path: Path) -> None:
    async with running(Settings(home=tmp_path / "home")) as platform:
        before = {one.name: one for one in await posture(platform)}
        assert [one.name for one in before.values() if one.judged is Judged.DIFFERS] == ["second-factor"]
        assert "console-certificate" not in before, "there is no TLS on loopback"
        await platform.registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang")
        policy = replace(TenantPolicy(), second_factor="administrators", notice="For work alone.")
        await platform.access.set_policy(LOCAL, policy)
        _, _ = await platform.access.create_token(LOCAL, "grafana", "viewer", None)
        after = {one.name: one for one in await posture(platform)}
    assert after["plain-links"].value == "broker, lake, scada, uns"
    assert after["plain-gateways"].value == "gate"
    assert after["machines-without-identity"].value == "plc"
    assert after["endless-tokens"].value == "grafana"
    assert {name for name, one in after.items() if one.judged is Judged.DIFFERS} == {"plain-links", "plain-gateways"}
    assert after["second-factor"].judged is after["notice"].judged is Judged.ADVISED


async def test_where_other_machines_reach_it_the_certificate_is_looked_at(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", host="0.0.0.0", port=0, reach=("10.1.0.0/16",))
    async with running(settings) as platform:
        found = {one.name: one for one in await posture(platform)}
    assert found["listening"].judged is found["console-certificate"].judged is Judged.ADVISED
    assert found["reach"].value == "10.1.0.0/16" and found["reach"].judged is Judged.ADVISED
