"""Devices and edges of two tenants: each has its own, and what is another's is as if it never was."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.firms import Firms, two
from tests.fleet.fakes import Audit
from tests.registry.fakes import DRIVERS

from headrace.fleet.devices import Devices
from headrace.fleet.devices.authority import DeviceAuthority
from headrace.fleet.edges import Edges
from headrace.model.errors import AccessError, Conflict, DataError, NotFound
from headrace.registry import TenantRegistries
from headrace.sdk.devices import DeviceState, Preview
from headrace.sdk.fleet import DeviceChange, NewAsset, NewDevice
from headrace.sdk.services import SourceFile
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.device_door import CERTIFICATE, claim, enrolling, turned_away
from headrace.sdk.testing.edges import PEER, request_for

PARTED = pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 4.1")
PLANT = """\
types: {meter: {points: {energy: {address: {table: holding, address: 1}}}}}
connections: {acme.gate: {driver: modbus, settings: {host: a}, edge: acme.hall}}
assets: {acme: {level: site}}
"""


@pytest.fixture
def firms() -> Firms:
    return two()


@pytest.fixture
async def registry(engine: Engine, clock: FakeClock, firms: Firms) -> TenantRegistries:
    registry = TenantRegistries(engine, DRIVERS, clock, tenants=firms)
    await registry.apply([SourceFile("plant.yaml", PLANT)], actor="wang", tenant="acme")
    return registry


@pytest.fixture
def devices(engine: Engine, clock: FakeClock, audit: Audit, registry: TenantRegistries, firms: Firms) -> Devices:
    return Devices(engine, clock, audit, lambda: registry, firms)


@pytest.fixture
def edges(
    engine: Engine, clock: FakeClock, audit: Audit, registry: TenantRegistries, devices: Devices, firms: Firms,
    tmp_path: Path,
) -> Edges:  # fmt: skip
    async def publish(_: object) -> None: ...

    return Edges(
        engine, clock, audit, registry, tmp_path / "fleet", provide=registry.provide, handles=dict, publish=publish,
        guests=devices.guests, tenants=firms,
    )  # fmt: skip


# --- devices --------------------------------------------------------------------------------------------------------


@PARTED
async def test_each_tenant_sees_its_own_devices(
    devices: Devices, engine: Engine, clock: FakeClock, audit: Audit
) -> None:
    await devices.add("li", NewDevice("press"))
    record, _ = await devices.add("wang", NewDevice("acme.press"), tenant="acme")
    await devices.add("zhou", NewDevice("beta.press"), tenant="beta")
    assert (record.tenant, record.publish) == ("acme", ("acme/devices/{device}/#",))
    assert audit.tenants == ["default", "acme", "beta"]
    again = Devices(engine, clock, audit, lambda: None, two())  # type: ignore[arg-type, return-value]
    await again.start()
    for register in (devices, again):
        for tenant, name in (("default", "press"), ("acme", "acme.press"), ("beta", "beta.press")):
            page = register.page(tenant=tenant)
            assert ([one.name for one in page.devices], page.total) == ([name], 1)
            assert page.counts == {"quarantined": 0, "approved": 1, "blocked": 0, "online": 0}
        assert (register.page().total, register.page(query="press", tenant="beta").total) == (3, 1)


@PARTED
async def test_anothers_device_is_as_if_it_never_was(devices: Devices) -> None:
    await devices.add("zhou", NewDevice("beta.press", certificate=CERTIFICATE), tenant="beta")
    for act in (
        lambda name: devices.block("wang", name, tenant="acme"),
        lambda name: devices.change("wang", name, DeviceChange(note="x"), tenant="acme"),
        lambda name: devices.rename("wang", name, "acme.x", tenant="acme"),
        lambda name: devices.rotate("wang", name, tenant="acme"),
        lambda name: devices.remove("wang", name, tenant="acme"),
        lambda name: devices.approve("wang", name, change=DeviceChange(), tenant="acme"),
    ):
        said = []
        for name in ("beta.press", "beta.never"):
            with pytest.raises(NotFound) as caught:
                await act(name)
            said.append(caught.value.message.replace(name, "…"))
        assert said[0] == said[1]
    for look in (devices.get, devices.previews, devices.suggested):
        with pytest.raises(NotFound):
            look("beta.press", tenant="acme")
    assert devices.get("beta.press", tenant="beta").state is DeviceState.APPROVED
    with pytest.raises(Conflict, match="another device") as known:  # and not whose
        await devices.add("wang", NewDevice("acme.press", certificate=CERTIFICATE), tenant="acme")
    assert "beta" not in known.value.message


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 2.1")
@pytest.mark.parametrize(
    ("tenant", "device", "words"),
    [
        ("acme", NewDevice("press"), "is named 'acme.…'; write 'acme.press'"),
        ("acme", NewDevice("beta.press"), "is named 'acme.…'"),
        ("acme", NewDevice("acme.p", asset="betaworks/p"), "is not tenant 'acme''s"),
        ("acme", NewDevice("acme.p", publish=("beta/x",)), "below 'acme/'"),
        ("acme", NewDevice("acme.p", publish=("acme/x", "#")), "below 'acme/'"),
        ("acme", NewDevice("acme.p", subscribe=("+/x",)), "below 'acme/'"),
        ("acme", NewDevice("acme.p", publish=("{device}/x",)), "below 'acme/'"),
        ("default", NewDevice("acme.p"), "begin with 'acme.'"),
        ("default", NewDevice("p", asset="acme/p"), "belongs to a tenant"),
        ("default", NewDevice("p", publish=("acme/x",)), "are those of tenant 'acme'"),
        ("default", NewDevice("acme", publish=("{device}/x",)), "are those of tenant 'acme'"),
        ("default", NewDevice("p", subscribe=("#",)), "would take in topics of tenants"),
        ("acme", NewDevice("acme.p", publish=("spBv1.0/beta/DDATA/n/d",)), "of a group 'acme' or 'acme.…'"),
        ("acme", NewDevice("acme.p", publish=("spBv1.0/acmeworks/DDATA/n/d",)), "of a group 'acme' or 'acme.…'"),
        ("acme", NewDevice("acme.p", subscribe=("spBv1.0/+/NCMD/n",)), "of a group 'acme' or 'acme.…'"),
        ("acme", NewDevice("acme.p", subscribe=("spBv1.0/#",)), "of a group 'acme' or 'acme.…'"),
        ("acme", NewDevice("acme.p", subscribe=("spBv1.0/STATE/scada",)), "of a group 'acme' or 'acme.…'"),
        ("acme", NewDevice("acme.p", subscribe=("spBv1.0/STATE/+",)), "of a group 'acme' or 'acme.…'"),
        ("default", NewDevice("p", publish=("spBv1.0/acme.line-1/NDATA/n",)), "are those of tenant 'acme'"),
        ("default", NewDevice("p", subscribe=("spBv1.0/STATE/acme",)), "are those of tenant 'acme'"),
        ("default", NewDevice("p", subscribe=("spBv1.0/+/NDATA/n",)), "would take in topics of tenants"),
        ("default", NewDevice("p", subscribe=("spBv1.0/#",)), "would take in topics of tenants"),
    ],
)
async def test_a_device_keeps_to_its_tenant(devices: Devices, tenant: str, device: NewDevice, words: str) -> None:
    with pytest.raises(DataError, match=re.escape(words)):
        await devices.add("wang", device, tenant=tenant)
    rows = [(1, ["name", "publish"]), (2, [device.name, " ".join(device.publish or ())])]
    if not device.asset and not device.subscribe:
        read = await devices.import_rows("wang", rows, tenant=tenant)
        assert read.names == [] and words in read.errors[0].message
    assert devices.page().total == 0


async def test_what_is_changed_later_keeps_to_it_too(devices: Devices) -> None:
    await devices.add("wang", NewDevice("acme.p"), tenant="acme")
    for change in (DeviceChange(publish=("#",)), DeviceChange(asset="ours"), DeviceChange(subscribe=("beta/x",))):
        with pytest.raises(DataError):
            await devices.change("wang", "acme.p", change, tenant="acme")
        with pytest.raises(DataError):
            await devices.approve("wang", "acme.p", change=change, tenant="acme")
    with pytest.raises(DataError):
        await devices.rename("wang", "acme.p", "p", tenant="acme")


async def test_sparkplug_devices_are_told_apart_by_their_group(devices: Devices, firms: Firms) -> None:
    own = ("spBv1.0/acme/+/node/#", "spBv1.0/acme.line-1/+/node/#", "spBv1.0/STATE/acme.scada")
    await devices.add("wang", NewDevice("acme.p", publish=own), tenant="acme")
    ours = ("spBv1.0/plant/+/node/#", "spBv1.0/STATE/scada", "spBv1.0/gama.line/+/node")
    _, secret = await devices.add("li", NewDevice("p", publish=ours))
    await devices.door.admit(claim("p", secret))
    assert devices.in_the_way("gama", ["gama"]) == ["device 'p'"] and devices.in_the_way("plan", ["plan"]) == []
    firms.of["gama"] = ("gama",)
    await turned_away(devices.door, claim("p", secret))


@PARTED
@pytest.mark.clause("GB/T 22239-2019 8.2.3.2")
async def test_a_gateway_lets_in_devices_of_its_tenant_alone(devices: Devices) -> None:
    _, ours = await devices.add("li", NewDevice("press"))
    _, theirs = await devices.add("wang", NewDevice("acme.press"), tenant="acme")
    gate = "acme.gate"
    admission = await devices.door.admit(replace(claim("acme.press", theirs), gateway=gate))
    assert admission.publish == ("acme/devices/acme.press/#",)
    away = [
        await turned_away(devices.door, replace(claim("press", ours), gateway=gate)),
        await turned_away(devices.door, replace(claim("nobody", ours), gateway=gate)),
    ]
    assert away[0] == away[1]
    await turned_away(devices.door, claim("acme.press", theirs))
    unknown = {("press", "unknown"), ("nobody", "unknown")}
    assert {(one.login, one.reason) for one in devices.refusals(tenant="acme")} == unknown
    assert [(one.login, one.reason) for one in devices.refusals(tenant="default")] == [("acme.press", "unknown")]
    assert devices.refusals(tenant="beta") == [] and len(devices.refusals()) == 3


@PARTED
async def test_who_waits_in_quarantine_waits_with_its_tenant(devices: Devices, clock: FakeClock) -> None:
    at = "acme.gate"
    await devices.door.admit(replace(enrolling("acme.m-1", waiting_max=1), gateway=at))
    assert "not known" in await turned_away(devices.door, replace(enrolling("m-2"), gateway=at))
    assert "1 devices wait" in await turned_away(
        devices.door, replace(enrolling("acme.m-3", waiting_max=1), gateway=at)
    )
    await devices.door.admit(enrolling("m-1", waiting_max=1))
    assert devices.get("acme.m-1").tenant == "acme" and devices.page(tenant="acme").counts["quarantined"] == 1
    for topic in ("acme/devices/acme.m-1/up", "beta/secret"):
        devices.door.preview("acme.m-1", Preview(topic, b"1", 1, clock.now_ns()))
    assert devices.suggested("acme.m-1", tenant="acme") == ("acme/devices/{device}/up",)
    asset = NewAsset("acme/meter-1", "meter", "acme.gate")
    with pytest.raises(NotFound):
        await devices.approve("zhou", "acme.m-1", change=DeviceChange(), asset=asset, tenant="beta")
    await devices.approve("wang", "acme.m-1", change=DeviceChange(), asset=asset, tenant="acme")
    assert devices.get("acme.m-1", tenant="acme").asset == "acme/meter-1"


async def test_a_device_that_came_before_its_topics_were_anothers_is_kept_out(devices: Devices, firms: Firms) -> None:
    _, secret = await devices.add("li", NewDevice("p", publish=("gama/x",), subscribe=("gama/y",)))
    await devices.door.admit(claim("p", secret))
    assert devices.in_the_way("gama", ["gama"]) == ["device 'p'"] and devices.in_the_way("delta", ["delta"]) == []
    firms.of["gama"] = ("gama",)
    await turned_away(devices.door, claim("p", secret))
    assert [one.reason for one in devices.refusals()] == ["topics of another tenant"]


async def test_an_edge_is_told_of_its_tenants_devices(devices: Devices, firms: Firms) -> None:
    await devices.add("wang", NewDevice("acme.p", asset="acme/hall"), tenant="acme")
    await devices.add("zhou", NewDevice("beta.p", asset="betaworks/hall"), tenant="beta")
    assert "acme.p" in devices.guests.of("acme") and "beta.p" not in devices.guests.of("acme")
    assert devices.guests.of("hall") == "[]"
    await devices.add("li", NewDevice("p", asset="gama/hall"))
    assert '"p"' in devices.guests.of("gama")
    firms.of["gama"] = ("gama",)
    assert devices.guests.of("gama") == "[]"


# --- edges ----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 2.1")
async def test_an_edge_is_for_a_part_of_its_tenants_plant(edges: Edges, audit: Audit) -> None:
    for name, prefix, tenant in (
        ("hall", "acme/hall", "acme"), ("beta.hall", "acme", "acme"), ("acme.hall", "betaworks", "acme"),
        ("acme.hall", "ours", "default"), ("hall", "acme/hall", "default"),
    ):  # fmt: skip
        with pytest.raises(DataError):
            await edges.invite("wang", name, prefix, tenant=tenant)
    record, token = await edges.invite("wang", "acme.hall", "acme/hall", tenant="acme")
    edge, _ = await edges.door.enrol(token, request_for("acme.hall"), PEER)
    assert (record.tenant, edge.tenant, (await edges.door.admit(edge.certificate)).tenant) == ("acme",) * 3
    await edges.invite("li", "hall", "ours")
    assert set(zip((one[1] for one in audit.entries), audit.tenants, strict=True)) == {
        ("edge.invite", "acme"), ("edge.enrol", "acme"), ("edge.invite", "default"),
    }  # fmt: skip


@PARTED
async def test_anothers_edge_is_as_if_it_never_was(edges: Edges, engine: Engine) -> None:
    await edges.invite("wang", "acme.hall", "acme/hall", tenant="acme")
    await edges.invite("li", "hall", "ours")
    assert [one.name for one in edges.edges(tenant="acme")] == ["acme.hall"]
    assert ([one.name for one in edges.edges(tenant="default")], len(edges.edges())) == (["hall"], 2)
    said = []
    for name in ("acme.hall", "acme.never"):
        for act in (edges.revoke, edges.remove):
            with pytest.raises(NotFound):
                await act("zhou", name, tenant="beta")
        with pytest.raises(NotFound) as caught:
            edges.get(name, tenant="beta")
        said.append(caught.value.message.replace(name, "…"))
    assert said[0] == said[1]
    await edges.remove("wang", "acme.hall", tenant="acme")


async def test_an_edge_whose_part_became_anothers_is_kept_out(edges: Edges, firms: Firms) -> None:
    _, token = await edges.invite("li", "hall", "gama/hall")
    edge, _ = await edges.door.enrol(token, request_for("hall"), PEER)
    assert edges.in_the_way("x", ["gama"]) == ["edge 'hall'"] and edges.in_the_way("x", ["y"]) == []
    firms.of["gama"] = ("gama",)
    with pytest.raises(AccessError, match="another's now"):
        await edges.door.admit(edge.certificate)


@PARTED
async def test_certificates_of_anothers_device_are_as_if_they_never_were(
    engine: Engine, clock: FakeClock, audit: Audit, firms: Firms, tmp_path: Path
) -> None:
    devices = Devices(
        engine, clock, audit, lambda: None, firms, authority=DeviceAuthority(tmp_path / "fleet")  # type: ignore[arg-type, return-value]
    )  # fmt: skip
    await devices.add("zhou", NewDevice("beta.press"), tenant="beta")
    issued = await devices.certificates.issue("zhou", "beta.press", request_for("x"), at_once=True, tenant="beta")
    for act in (
        lambda: devices.certificates.issue("wang", "beta.press", request_for("x"), tenant="acme"),
        lambda: devices.certificates.revoke("wang", "beta.press", tenant="acme"),
    ):
        with pytest.raises(NotFound):
            await act()
    with pytest.raises(NotFound):
        devices.certificates.of("beta.press", tenant="acme")
    assert devices.certificates.counts(tenant="acme")["good"] == 0
    assert devices.certificates.counts(tenant="beta")["good"] == 1
    assert set(audit.tenants) == {"beta"}
    shown = replace(claim("any", certificate=issued.sha256), gateway="acme.gate", user=None)
    await turned_away(devices.door, shown)
    await devices.certificates.revoke("zhou", "beta.press", tenant="beta")
    await turned_away(devices.door, shown)
    assert all("beta" not in one.reason for one in devices.refusals(tenant="acme"))
    assert len(devices.refusals(tenant="acme")) == 1
