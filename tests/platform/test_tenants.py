"""Two firms on one running hub: each declares, sends and is written to within its own plant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.model.errors import ConfigErrors, Conflict
from headrace.platform.offline import open_registry
from headrace.platform.platform import Platform, running
from headrace.platform.settings import Settings
from headrace.sdk.access import Principal
from headrace.sdk.fleet import NewDevice
from headrace.sdk.services import IngestDialect, SourceFile
from headrace.sdk.testing.edges import PEER, request_for

LOCAL = Principal("local", "owner", "local")


def plant(root: str, tenant: str, unit: str = "Cel") -> list[SourceFile]:
    return [SourceFile("plant.yaml", f"""\
types: {{press: {{points: {{oil: {{unit: {unit}, access: read-write, address: {{table: holding, address: 1}}}}}}}}}}
connections: {{{tenant}.plc: {{driver: modbus, settings: {{host: 192.0.2.1}}, edge: {tenant}.hall}}}}
assets: {{{root}: {{level: enterprise}}, {root}/press: {{type: press, connection: {tenant}.plc}}}}
points: {{{root}/press/sent: {{}}}}
""")]  # fmt: skip


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running(Settings(home=tmp_path / "home", commit_interval_s=0.01)) as platform:
        for name, root in (("acme", "acme"), ("beta", "betaworks")):
            await platform.access.create_tenant(LOCAL, name, name, [root])
            await platform.registry.tenants_changed()
        yield platform


async def enrol(platform: Platform, name: str, prefix: str, tenant: str) -> None:
    _, token = await platform.edges.invite("x", name, prefix, tenant=tenant)
    edge, _ = await platform.edges.door.enrol(token, request_for(name), PEER)
    await platform.edges.door.admit(edge.certificate)


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 4.1")
async def test_two_firms_run_side_by_side(platform: Platform) -> None:
    await enrol(platform, "acme.hall", "acme", "acme")
    await enrol(platform, "beta.hall", "betaworks", "beta")
    await platform.registry.apply(plant("acme", "acme"), actor="wang", tenant="acme")
    await platform.registry.apply(plant("betaworks", "beta", "bar"), actor="zhou", tenant="beta")
    whole = await platform.registry.model()
    assert {path: point.unit for path, point in whole.points.items() if path.endswith("oil")} == {
        "acme/press/oil": "Cel",
        "betaworks/press/oil": "bar",
    }
    desired = {name: platform.edges.desk.desired(name) for name in ("acme.hall", "beta.hall")}
    assert "beta" not in str(desired["acme.hall"]) and "acme" not in str(desired["beta.hall"])
    assert platform.links.status() == [], "what is a tenant's runs on its edges"
    command = await platform.commands.write("acme/press/oil", 5.0, LOCAL, "a test of where it goes")
    assert command.state.value in ("failed", "refused")


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 2.1")
async def test_a_firm_sends_samples_for_its_own_points(platform: Platform) -> None:
    await platform.registry.apply(plant("acme", "acme"), actor="wang", tenant="acme")
    await platform.registry.apply(plant("betaworks", "beta"), actor="zhou", tenant="beta")

    async def body() -> AsyncIterator[bytes]:
        yield b"acme/press sent=1\nbetaworks/press sent=2\n"

    for tenant in ("acme", "beta"):
        receipt = await platform.ingest.receive(body(), IngestDialect.LINE_PROTOCOL, tenant=tenant)
        assert (receipt.samples, receipt.refused) == (1, 1)
    assert (await platform.ingest.receive(body(), IngestDialect.LINE_PROTOCOL)).samples == 0


async def test_one_firms_mistake_stops_nobody(platform: Platform, tmp_path: Path) -> None:
    await platform.registry.apply(plant("acme", "acme"), actor="wang", tenant="acme")
    with pytest.raises(ConfigErrors, match="is not tenant 'beta''s"):
        await platform.registry.apply(plant("acme", "beta"), actor="zhou", tenant="beta")
    assert (await platform.registry.model_of("acme")).revision == 1
    await platform.devices.add("wang", NewDevice("acme.p", asset="acme/press"), tenant="acme")
    assert platform.devices.page(tenant="beta").total == 0


async def test_what_became_a_firms_is_declared_by_it_alone(platform: Platform) -> None:
    await platform.registry.apply([SourceFile("a.yaml", "assets: {gama: {}, ours: {}}")], actor="li")
    with pytest.raises(Conflict, match=r"asset 'gama' \(a\.yaml:1\)"):
        await platform.access.create_tenant(LOCAL, "gama", "Gama", ["gama"])
    await platform.registry.apply([SourceFile("a.yaml", "assets: {ours: {}}")], actor="li")
    await platform.access.create_tenant(LOCAL, "gama", "Gama", ["gama"])
    assert sorted((await platform.registry.model_of("default")).assets) == ["ours"]
    with pytest.raises(ConfigErrors, match="belongs to a tenant"):
        await platform.registry.apply([SourceFile("a.yaml", "assets: {gama: {}}")], actor="li")
    await platform.registry.apply([SourceFile("a.yaml", "assets: {gama: {}}")], actor="wu", tenant="gama")
    assert sorted((await platform.registry.model()).assets) == ["gama", "ours"]


async def test_without_a_running_platform_the_same_rules_hold(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(Settings(home=home)) as platform:
        await platform.access.create_tenant(LOCAL, "acme", "Acme", ["acme"])
    async with open_registry(home) as registry:
        assert (await registry.plan(plant("acme", "acme"), tenant="acme")).errors == ()
        assert "belongs to a tenant" in str((await registry.plan(plant("acme", "acme"))).errors)


async def test_the_plant_of_a_firm_is_there_after_a_restart(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    async with running(settings) as platform:
        await platform.access.create_tenant(LOCAL, "acme", "Acme", ["acme"])
        await platform.registry.apply(plant("acme", "acme"), actor="wang", tenant="acme")
        assert list(await platform.registry.in_the_way("gama", ["gama"])) == []
    async with running(settings) as platform:
        assert sorted((await platform.registry.model()).points) == ["acme/press/oil", "acme/press/sent"]
        assert (await platform.registry.model()).revision == 1
