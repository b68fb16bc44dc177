"""Another vendor's server and client: what we read it meant, what we write it holds, our certificate convinces it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connect.drivers.opcua.bench import bind, connected, make, subscribed
from tests.peers.opcua import peer

from headrace.connect.drivers.opcua.simulator import SimulatedServer
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import Refused, Unreachable

F64, I64, BOOL, TEXT = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT
VALUES: list[tuple[str, ValueKind, Any]] = [
    ("Boolean", BOOL, True),
    ("SByte", I64, -5),
    ("Byte", I64, 250),
    ("Int16", I64, -32768),
    ("UInt16", I64, 65535),
    ("Int32", I64, -(2**31)),
    ("UInt32", I64, 2**32 - 1),
    ("Int64", I64, -(2**63)),
    ("UInt64", I64, 2**63 - 1),
    ("Float", F64, 0.10000000149011612),
    ("Double", F64, -0.1),
    ("String", TEXT, "油温 °C"),
    ("LocalizedText", TEXT, "Pump running"),
    ("DateTime", I64, 1_767_323_045_678_000_000),
]
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all: making certificates takes the peer seconds."""
    yield tmp_path_factory.mktemp("node-opcua")


def theirs(handle: int, name: str, kind: ValueKind, index: int | None = None) -> Any:
    return bind(handle, f"nsu=urn:headrace:peer;s={name}", kind, index=index)


async def test_its_values_changes_and_structure_are_understood(state: Path, tmp_path: Path) -> None:
    points = [theirs(at, name, kind) for at, (name, kind, _) in enumerate(VALUES)]
    points += [theirs(50, "Doubles", F64, 2), theirs(51, "NoSuchNode", F64), theirs(52, "Doubles", F64, 7)]
    async with (
        peer("opcua_server.js", state=state) as server,
        subscribed(server.url, tmp_path, points) as (driver, inbox),
    ):
        await inbox.until(lambda box: len(box.samples) == len(points))
        got = {name: inbox.last(at) for at, (name, _, _) in enumerate(VALUES)}
        assert {name: value for name, (value, _, _) in got.items()} == {name: value for name, _, value in VALUES}
        assert {quality for _, quality, _ in got.values()} == {q.GOOD}
        assert inbox.last(50)[0] == -3.5
        assert inbox.last(51)[1] == q.BAD_NODE_ID_UNKNOWN

        moment = {"sourceTime": "2026-03-04T05:06:07.891Z"}
        await server.order(set="Double", value=21.5, status="UncertainSensorNotAccurate", **moment)
        await inbox.last_is(10, 21.5)
        assert inbox.last(10)[1:] == (0x40930000, 1_772_600_767_891_000_000)
        await server.order(set="Double", value=22.5, picoseconds=1230, **moment)
        await inbox.last_is(10, 22.5)
        assert inbox.last(10)[1:] == (q.GOOD, 1_772_600_767_891_000_000)

        nodes = {node.name: node async for node in driver.browse({"node": "nsu=urn:headrace:peer;s=Peer"})}
        assert nodes["Temperature"].unit == "Cel" and nodes["Temperature"].kind is F64
        assert nodes["Setpoint"].writable and not nodes["Double"].writable
        assert nodes["Double"].address == {"node": "nsu=urn:headrace:peer;s=Double"}


async def test_writes_are_held_by_it_or_refused_in_its_words(state: Path, tmp_path: Path) -> None:
    async with peer("opcua_server.js", state=state) as server, connected(server.url, tmp_path) as driver:
        await driver.write(theirs(1, "Setpoint", F64), 7.25)
        await driver.write(theirs(2, "SetpointInt16", F64), -4.0)
        await driver.write(theirs(3, "Doubles", F64, 1), 99.5)
        assert (await server.order(get="Setpoint"))["value"] == 7.25
        assert (await server.order(get="SetpointInt16"))["value"] == -4
        assert (await server.order(get="Doubles"))["value"] == [1.5, 99.5, -3.5]
        assert (await driver.read_back(theirs(3, "Doubles", F64, 1))).values.tolist() == [99.5]
        with pytest.raises(Refused, match=r"BadNotWritable|BadUserAccessDenied"):
            await driver.write(theirs(1, "Double", F64), 1.0)


async def test_it_is_trusted_once_and_then_speaks_in_cipher(state: Path, tmp_path: Path) -> None:
    async with peer("opcua_server.js", "--secure", state=state) as server:
        driver = make(server.url, tmp_path, security="sign-and-encrypt")
        with pytest.raises(Refused) as caught:
            await driver.connect()
        await driver.close()
        assert server.ready["fingerprint"] in str(caught.value)
        asking = make(server.url, tmp_path, security="sign-and-encrypt")
        shown = await asking.fingerprint()
        await asking.close()
        assert shown == server.ready["fingerprint"]
        for policy in ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"):
            settings = {"security": "sign-and-encrypt", "policy": policy, "trusted": shown}
            async with subscribed(server.url, tmp_path, [theirs(1, "Double", F64)], **settings) as (secure, inbox):
                await inbox.until(lambda box: 1 in box.samples)
                await secure.write(theirs(2, "Setpoint", F64), 1.5)
        assert (await server.order(get="Setpoint"))["value"] == 1.5


async def test_its_restart_is_noticed_and_nothing_of_ours_stays_behind(state: Path, tmp_path: Path) -> None:
    async with peer("opcua_server.js", state=state) as server:
        port = server.url.split(":")[-1].strip("/")
        for _ in range(3):
            async with subscribed(server.url, tmp_path, [theirs(1, "Double", F64)]) as (_, inbox):
                await inbox.last_is(1, -0.1)
        assert await server.order(sessions=True) == {"sessions": 0, "subscriptions": 0}
        async with subscribed(server.url, tmp_path, [theirs(1, "Double", F64)]) as (_, inbox):
            await inbox.last_is(1, -0.1)
            server._process.kill()
            assert isinstance(await inbox.lost, Unreachable)
    async with (
        peer("opcua_server.js", "--port", port, state=state) as server,
        subscribed(server.url, tmp_path, [theirs(1, "Double", F64)]) as (_, inbox),
    ):
        await inbox.last_is(1, -0.1)


async def test_its_client_reads_writes_and_subscribes_at_our_simulator(state: Path, tmp_path: Path) -> None:
    async with SimulatedServer(state_dir=tmp_path / "server") as server:
        for security in ("none", "sign-and-encrypt"):
            arguments = ("--url", server.url, "--security", security)
            async with peer("opcua_client.js", *arguments, state=state) as client:
                assert "urn:headrace:simulator" in client.ready["namespaces"]
                read = await client.order(read=[server.node("Double"), server.node("UInt64"), server.node("String")])
                assert [one["value"] for one in read["values"]] == [server.get("Double"), str(2**63 - 1), "油温 °C"]
                written = await client.order(write=server.node("Setpoint"), type="Double", value=12.5)
                assert (written["status"], server.get("Setpoint")) == ("Good", 12.5)
                await client.order(subscribe=[server.node("Double")], interval=50)
                assert (await client.next_change())["change"] == server.node("Double")
                value = server.get("Double") + 1.0
                await server.set("Double", value)
                assert (await client.next_change())["value"] == value
