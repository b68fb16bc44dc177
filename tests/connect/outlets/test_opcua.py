"""The OPC UA server: read by asyncua's client for the contract, and by node-opcua as the independent peer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from pydantic import ValidationError
from tests.connect.outlets.here import OutletsHere
from tests.connect.outlets.ports import free_port
from tests.peers.opcua import Peer, peer

from headrace.connect.drivers.opcua.units import unit_id_of
from headrace.connect.outlets.opcua.address_space import NAMESPACE
from headrace.connect.outlets.opcua.config import Settings
from headrace.connect.outlets.opcua.gate import status_of
from headrace.model import quality as q
from headrace.model.batch import Value
from headrace.model.commands import Command, CommandState
from headrace.model.outlets import Outlet
from headrace.model.points import Access, Point, Range
from headrace.sdk.field import LinkState
from headrace.sdk.testing.outlet import POINTS, T0, OutletContract, Running, Taker, plant, sample


class ClientTaker:
    """Subscribes to every variable below Objects, again and again until it has all."""

    def __init__(self) -> None:
        self.port = free_port()
        self._client: Client | None = None
        self._seen: dict[str, list[Value]] = {}
        self._known: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"port": self.port, "anonymous": True, "unencrypted": True}

    async def start(self) -> None:
        self._known = set()
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            with suppress(Exception):
                await self._client.disconnect()
            self._client = None

    async def hang(self) -> None:
        """Its socket is read no more."""
        while self._client is None:
            await asyncio.sleep(0.01)
        self._client.uaclient.protocol.transport.pause_reading()

    async def values(self) -> Mapping[str, Sequence[Value]]:
        return self._seen

    async def _watch(self) -> None:
        while True:
            try:
                client = Client(f"opc.tcp://127.0.0.1:{self.port}/headrace")
                await client.connect()
                self._client = client
                break
            except (TimeoutError, OSError):
                await asyncio.sleep(0.01)
        subscription = await client.create_subscription(20, self)
        namespace = await client.get_namespace_index(NAMESPACE)
        while True:
            for path in (one.path for one in POINTS):
                if path in self._known:
                    continue
                with suppress(ua.UaError):
                    await subscription.subscribe_data_change(client.get_node(ua.NodeId(path, namespace)))
                    self._known.add(path)
            await asyncio.sleep(0.02)

    def datachange_notification(self, node: Any, value: Value, _data: Any) -> None:
        if value is not None:
            self._seen.setdefault(node.nodeid.Identifier, []).append(value)


class TestOpcUaServer(OutletsHere, OutletContract):
    protocol = "opcua"
    newest_only = True
    dials = False

    @asynccontextmanager
    async def taker(self, folder: Path) -> AsyncIterator[Taker]:
        taker = ClientTaker()
        await taker.start()
        try:
            yield taker
        finally:
            await taker.stop()

    @asynccontextmanager
    async def served(self, folder: Path, **settings: Any) -> AsyncIterator[tuple[Running, str]]:
        port = free_port()
        outlet = Outlet("scada", "opcua", {"port": port, **settings})
        async with self.running(outlet, folder) as run:
            await self.until_state(run, LinkState.CONNECTED)
            yield run, f"opc.tcp://127.0.0.1:{port}/headrace"

    @pytest.mark.service("node-opcua")
    async def test_another_vendors_client_reads_browses_subscribes_and_writes(self, tmp_path: Path) -> None:
        async with (
            self.served(tmp_path, writes=True) as (run, url),
            peer(
                "opcua_client.js", "--url", url, "--security", "sign-and-encrypt", "--user", "scada",
                "--password", "token-operator", state=tmp_path / "peer",
            ) as client,
        ):  # fmt: skip
            namespace = client.ready["namespaces"].index(NAMESPACE)
            node = f"ns={namespace};s=acme/p3/oil"
            await run.publish(
                [sample("acme/p3/oil", 62.5), sample("acme/p3/strokes", -(2**63)), sample("acme/p3/order", "油")]
            )
            await run.publish([sample("acme/p3/running", True, 1.0, q.BAD_TIMEOUT)])
            await self.until(lambda: run.status.counters.samples >= 4, "four samples")
            answer = await client.order(
                read=[f"ns={namespace};s=acme/p3/{name}" for name in ("oil", "strokes", "order", "running")]
            )
            assert [(one["value"], one["type"], one["status"]) for one in answer["values"]] == [
                (62.5, "Double", "Good"),
                (str(-(2**63)), "Int64", "Good"),
                ("油", "String", "Good"),
                (None, "Null", "BadTimeout"),  # what is bad has no value for a client
            ]
            assert answer["values"][0]["sourceTime"] == "2026-05-28T20:26:40.000Z"
            await self._check_the_model(client, namespace)
            await client.order(subscribe=[node], interval=50)
            await run.publish([sample("acme/p3/oil", 70.0, 5)])
            while (change := await client.next_change())["value"] != 70.0:
                continue
            assert change["status"] == "Good"
            setpoint = f"ns={namespace};s=acme/p3/setpoint"
            assert await client.order(write=setpoint, type="Double", value=180.5) == {"status": "Good"}
            assert run.doors.writes == [
                ("acme/p3/setpoint", 180.5, "token:operator", "written by an OPC UA client through 'scada'")
            ]
            assert await client.order(write=node, type="Double", value=1.0) == {"status": "BadNotWritable"}

    async def _check_the_model(self, client: Peer, namespace: int) -> None:
        objects = (await client.order(browse="ObjectsFolder"))["children"]
        assert {"name": "acme", "node": f"ns={namespace};s=acme", "class": "Object"} in objects
        press = (await client.order(browse=f"ns={namespace};s=acme/p3"))["children"]
        assert [one["name"] for one in press if one["class"] == "Variable"] == [
            "oil", "strokes", "running", "order", "setpoint",
        ]  # fmt: skip
        shown = await client.order(
            read=[f"ns={namespace};s=acme/p3/oil#{name}" for name in ("EURange", "EngineeringUnits")]
        )
        span, unit = (one["value"] for one in shown["values"])
        assert (span["low"], span["high"]) == (0, 120)
        assert (unit["unitId"], unit["displayName"]["text"]) == (unit_id_of("Cel"), "°C")

    @pytest.mark.soak
    @pytest.mark.service("node-opcua")
    async def test_a_client_that_stops_slows_nobody(self, tmp_path: Path) -> None:
        async with (
            self.served(tmp_path, anonymous=True, unencrypted=True) as (run, url),
            peer("opcua_client.js", "--url", url, state=tmp_path / "peer") as client,
        ):
            namespace = client.ready["namespaces"].index(NAMESPACE)
            await client.order(subscribe=[f"ns={namespace};s=acme/p3/oil"], interval=20)
            os.kill(client._process.pid, signal.SIGSTOP)
            for at in range(2000):
                await run.publish([sample("acme/p3/oil", float(at), at)])
                if at % 50 == 0:
                    await asyncio.sleep(0)
            await self.until(lambda: run.status.counters.waiting == 0, "all is in the address space")
            os.kill(client._process.pid, signal.SIGCONT)
            while (await client.next_change())["value"] != 1999.0:
                continue

    @pytest.mark.parametrize("password", ["token-nobody", "", "token-source"])
    async def test_nobody_gets_in_without_a_token_that_may_view(self, tmp_path: Path, password: str) -> None:
        async with self.served(tmp_path, unencrypted=True) as (_, url):
            client = Client(url)
            client.set_user("admin")
            client.set_password(password)
            with pytest.raises(ua.UaError):
                await client.connect()
            anonymous = Client(url)
            with pytest.raises(ua.UaError):
                await anonymous.connect()

    async def test_a_viewer_reads_and_does_not_write(self, tmp_path: Path) -> None:
        async with self.served(tmp_path, unencrypted=True, writes=True) as (run, url):
            client = Client(url)
            client.set_user("viewer")
            client.set_password("token-viewer")
            async with client:
                node = client.get_node(ua.NodeId("acme/p3/setpoint", await client.get_namespace_index(NAMESPACE)))
                with pytest.raises(ua.UaStatusCodeError) as refused:
                    await node.write_value(5.0)
                assert refused.value.code == ua.StatusCodes.BadUserAccessDenied
                with pytest.raises(ua.UaError):
                    await client.nodes.objects.add_folder(5, "mine")
            assert run.doors.writes == []

    async def test_read_only_unless_declared(self, tmp_path: Path) -> None:
        async with self.served(tmp_path, unencrypted=True) as (run, url):
            client = Client(url)
            client.set_user("operator")
            client.set_password("token-operator")
            async with client:
                node = client.get_node(ua.NodeId("acme/p3/setpoint", await client.get_namespace_index(NAMESPACE)))
                with pytest.raises(ua.UaStatusCodeError) as refused:
                    await node.write_value(5.0)
                assert refused.value.code == ua.StatusCodes.BadNotWritable
            assert run.doors.writes == []

    async def test_the_model_changes_while_a_client_looks(self, tmp_path: Path) -> None:
        async with self.served(tmp_path, anonymous=True, unencrypted=True) as (run, url):
            outlet = Outlet(
                "scada", "opcua", {"port": int(url.split(":")[2].split("/")[0]), "anonymous": True, "unencrypted": True}
            )
            async with Client(url) as client:
                namespace = await client.get_namespace_index(NAMESPACE)

                async def names() -> set[str]:
                    children = await client.get_node(ua.NodeId("acme/p3", namespace)).get_children()
                    return {one.nodeid.Identifier for one in children}

                changed = [
                    *POINTS[1:4],
                    Point("acme/p3/fresh", POINTS[0].kind),
                    Point(POINTS[4].path, POINTS[4].kind, "bar", Range(0, 5), Access.READ),
                ]
                model, _ = plant(outlet, changed)
                handles = {one.path: at for at, one in enumerate((*POINTS, changed[3]))}
                await run.supervisor.reconcile(model, handles)
                await self.until(lambda: run.status.points == 5, "five points")

                async def is_there() -> bool:
                    return await names() == {one.path for one in changed}

                await self.until(is_there, "the new children")
                span = await client.get_node(ua.NodeId("acme/p3/setpoint#EURange", namespace)).read_value()
                assert (span.Low, span.High) == (0, 5)
                assert run.status.counters.connects == 1  # nobody was thrown out

    async def test_only_known_clients_where_they_are_named(self, tmp_path: Path) -> None:
        async with self.served(tmp_path, clients=["00:" * 31 + "00"]) as (_, url):
            client = Client(url)
            client.set_user("x")
            client.set_password("token-viewer")
            from headrace.connect.drivers.opcua.trust import moment, own_certificate

            own = own_certificate(tmp_path / "client", moment(T0 + 10**16))
            client.application_uri = own.application_uri
            with pytest.raises((ua.UaError, OSError, asyncio.TimeoutError)):
                from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

                (tmp_path / "key.pem").write_bytes((tmp_path / "client/own/instance.pem").read_bytes())
                await client.set_security(
                    SecurityPolicyBasic256Sha256,
                    str(own.path),
                    str(tmp_path / "key.pem"),
                )
                await client.connect()

    async def test_too_many_points_are_refused_in_words(self, tmp_path: Path) -> None:
        outlet = Outlet("scada", "opcua", {"port": free_port(), "points_max": 3})
        async with self.running(outlet, tmp_path) as run:
            await self.until_state(run, LinkState.REFUSED)
            assert "6 points are more than this server shows (3)" in run.status.error


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "0.0.0.0", "anonymous": True},
        {"host": "plant.example", "unencrypted": True},
        {"port": 0},
        {"clients": ["zz"]},
    ],
)
def test_what_would_be_unsafe_cannot_be_declared(settings: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(settings)


def test_a_write_that_waits_for_a_second_person_is_not_called_done() -> None:
    waiting = Command("1", "a/set", 1.0, "wang", "test", 0, 1, CommandState.AWAITING)
    assert status_of(waiting) == ua.StatusCodes.BadRequestNotComplete
