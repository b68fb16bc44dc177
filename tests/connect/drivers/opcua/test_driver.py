"""The driver against our simulator: what the contract suite does not ask of every protocol."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from tests.connect.drivers.opcua.bench import Inbox, bind, connected, make, ours, subscribed

from headrace.connect.drivers.opcua.simulator import SimulatedServer
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError, Refused, Unreachable
from headrace.sdk.testing.relay import Relay

F64, I64, BOOL, TEXT = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT
MOMENT = datetime(2026, 3, 4, 5, 6, 7, 891000, tzinfo=UTC)
MOMENT_NS = 1_772_600_767_891_000_000


async def test_changes_arrive_with_the_time_and_status_of_the_source(tmp_path: Path) -> None:
    async with SimulatedServer() as server, subscribed(server.url, tmp_path, [ours(1, "Double", F64)]) as (_, inbox):
        await inbox.last_is(1, -0.1)
        await server.set("Double", 21.5, source_time=MOMENT, status=0x408F0000)
        await inbox.last_is(1, 21.5)
        assert inbox.last(1) == (21.5, 0x408F0000, MOMENT_NS)
        await server.set("Double", 22.5, server_time=MOMENT)
        await inbox.last_is(1, 22.5)
        assert inbox.last(1)[2] == MOMENT_NS


async def test_a_burst_is_queued_by_the_server_and_comes_in_order_in_one_batch(tmp_path: Path) -> None:
    async with SimulatedServer(counters=50) as server:
        points = [ours(number, f"Counter{number}", F64, interval_ns=200_000_000) for number in range(50)]
        async with subscribed(server.url, tmp_path, points) as (_, inbox):
            await inbox.until(lambda box: len(box.samples) == 50)
            inbox.deliveries.clear()
            for _ in range(5):
                await server.change(50)
            await inbox.until(lambda box: all(len(samples) >= 6 for samples in box.samples.values()))
            assert [value for value, _, _ in inbox.samples[7][-5:]] == [1.0, 2.0, 3.0, 4.0, 5.0]
            assert all(len(batches) == 1 for batches in inbox.deliveries)


async def test_points_are_spread_over_subscriptions_by_the_servers_limits(tmp_path: Path) -> None:
    async with SimulatedServer(counters=100, items_per_call=7, subscriptions=3) as server:
        points = [ours(number, f"Counter{number}", F64) for number in range(100)]
        async with subscribed(server.url, tmp_path, points, items_per_subscription=30) as (_, inbox):
            await inbox.until(lambda box: len(box.samples) == 100)
            assert server.subscription_sizes == [30, 30, 40]  # the fourth is refused; the last one takes its items
            await server.change(100)
            await inbox.until(lambda box: all(box.last(number)[0] == 1.0 for number in range(100)))


async def test_a_server_that_grants_no_subscription_is_polled(tmp_path: Path) -> None:
    async with SimulatedServer(subscriptions=0) as server, Relay("127.0.0.1", server.port) as relay:
        points = [ours(1, "Double", F64), ours(2, "NoSuchNode", F64), ours(3, "Int16", I64, interval_ns=30_000_000)]
        url = f"opc.tcp://127.0.0.1:{relay.port}/"
        async with subscribed(url, tmp_path, points, timeout="500ms") as (_, inbox):
            await inbox.until(lambda box: len(box.samples) == 3)
            assert inbox.last(2)[1] == q.BAD_NODE_ID_UNKNOWN
            await server.set("Double", 5.0)
            await inbox.last_is(1, 5.0)
            await relay.cut()
            assert isinstance(await inbox.lost, Unreachable)


async def test_points_can_be_polled_through_the_read_services(tmp_path: Path) -> None:
    points = [ours(1, "Double", F64), ours(2, "Doubles", F64, index=1), ours(3, "Doubles", F64, index=2)]
    points += [ours(4, "NoSuchNode", I64), bind(5, "nsu=urn:nobody;s=x", TEXT), ours(6, "Boolean", BOOL)]
    async with SimulatedServer() as server, connected(server.url, tmp_path, nodes_per_read=2) as driver:
        requests = driver.plan(points)
        assert sorted(handle for request in requests for handle in request.handles) == [1, 2, 3, 4, 5, 6]
        assert len(requests) == 3
        inbox = Inbox()
        for request in requests:
            inbox.deliver(await driver.read(request))
    assert {handle: inbox.last(handle)[:2] for handle in (1, 2, 3, 6)} == {
        1: (-0.1, q.GOOD),
        2: (2.5, q.GOOD),
        3: (-3.5, q.GOOD),
        6: (True, q.GOOD),
    }
    assert inbox.last(4)[1] == inbox.last(5)[1] == q.BAD_NODE_ID_UNKNOWN


async def test_a_server_that_lies_about_types_is_flagged_and_the_rest_goes_on(tmp_path: Path) -> None:
    points = [ours(1, "Double", F64), ours(2, "Int32", I64), ours(3, "UInt64", I64)]
    async with SimulatedServer() as server, subscribed(server.url, tmp_path, points) as (_, inbox):
        await inbox.until(lambda box: len(box.samples) == 3)
        await server.set("Double", "hot", variant_type=ua.VariantType.String)
        await inbox.until(lambda box: box.last(1)[1] == q.BAD_TYPE_MISMATCH)
        assert math.isnan(inbox.last(1)[0])
        await server.set("Double", 7, variant_type=ua.VariantType.Int32)
        await inbox.last_is(1, 7.0)
        await server.set("UInt64", 2**63)
        await inbox.until(lambda box: box.last(3)[1] == q.BAD_OUT_OF_RANGE)
        await server.set("Double", None)
        await inbox.until(lambda box: box.last(1)[1] == q.BAD_WAITING_FOR_INITIAL_DATA)
        await server.set("Int32", 42)
        await inbox.last_is(2, 42)
        assert not inbox.lost.done()


async def test_wild_clocks_and_strange_floats_are_kept_as_they_came(tmp_path: Path) -> None:
    async with SimulatedServer() as server, subscribed(server.url, tmp_path, [ours(1, "Double", F64)]) as (_, inbox):
        await server.set("Double", 1.0, source_time=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
        await inbox.last_is(1, 1.0)
        assert inbox.last(1)[2] == 1_000_000_000
        await server.set("Double", math.inf, source_time=datetime(2100, 1, 1, tzinfo=UTC))
        await inbox.last_is(1, math.inf)
        assert inbox.last(1)[1:] == (q.GOOD, 4_102_444_800_000_000_000)


@pytest.mark.parametrize(
    ("name", "kind", "value", "held"),
    [
        ("Setpoint", F64, 123.25, 123.25),
        ("SetpointFloat", F64, 0.1, 0.10000000149011612),
        ("SetpointInt16", F64, -5.0, -5),
        ("SetpointText", TEXT, "läuft 运行", "läuft 运行"),
        ("SetpointTime", I64, MOMENT_NS, MOMENT),
    ],
)
async def test_a_write_takes_the_type_of_the_node(
    tmp_path: Path, name: str, kind: ValueKind, value: Any, held: Any
) -> None:
    async with SimulatedServer() as server, connected(server.url, tmp_path) as driver:
        point = ours(1, name, kind)
        await driver.write(point, value)
        assert server.get(name) == held
        back = await driver.read_back(point)
        assert back.quality.tolist() == [q.GOOD]


async def test_what_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    async with SimulatedServer() as server, connected(server.url, tmp_path) as driver:
        with pytest.raises(
            Refused, match=r"writing cell/1: the server refused with BadUserAccessDenied|BadNotWritable"
        ):
            await driver.write(ours(1, "Double", F64), 1.0)
        with pytest.raises(Refused, match="BadNodeIdUnknown"):
            await driver.write(ours(1, "NoSuchNode", F64), 1.0)
        with pytest.raises(Refused, match="BadNodeIdUnknown"):
            await driver.write(bind(1, "nsu=urn:nobody;i=1", F64), 1.0)
        with pytest.raises(DataError, match="-32768 to 32767; 40000 is outside"):
            await driver.write(ours(1, "SetpointInt16", I64), 40_000)
        with pytest.raises(DataError, match="leave `index` out"):
            await driver.write(ours(1, "Setpoint", F64, index=0), 1.0)
        with pytest.raises(DataError, match="give `index`"):
            await driver.write(ours(1, "Doubles", F64), 1.0)
        assert server.get("Setpoint") == 100.0


async def test_browsing_gives_addresses_that_can_be_declared(tmp_path: Path) -> None:
    async with SimulatedServer() as server, connected(server.url, tmp_path) as driver:
        roots = {node.name: node async for node in driver.browse(None)}
        folder = roots["Types"]
        assert (folder.kind, folder.has_children) == (None, True)
        nodes = {node.name: node async for node in driver.browse(folder.address)}
        kinds = {name: node.kind for name, node in nodes.items()}
        assert kinds["Boolean"] is BOOL and kinds["DateTime"] is I64 and kinds["LocalizedText"] is TEXT
        assert (nodes["Double"].unit, nodes["Double"].writable) == ("Cel", False)
        assert nodes["Setpoint"].writable
        assert nodes["ByteString"].kind is None
        elements = [node async for node in driver.browse(nodes["Doubles"].address)]
        assert [(node.name, node.kind, node.address["index"]) for node in elements] == [
            ("[0]", F64, 0),
            ("[1]", F64, 1),
            ("[2]", F64, 2),
        ]
        point = bind(1, str(elements[2].address["node"]), F64, index=2)
        assert (await driver.read_back(point)).values.tolist() == [-3.5]
        with pytest.raises(Refused):
            _ = [node async for node in driver.browse({"node": "nsu=urn:nobody;i=1"})]
        with pytest.raises(Refused, match="the server refused with BadNodeId"):
            _ = [node async for node in driver.browse({"node": "ns=2;s=nothing"})]


async def test_a_dead_server_leaves_no_task_and_no_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = SimulatedServer()
    await server.start()
    async with Relay("127.0.0.1", server.port) as relay:
        url = f"opc.tcp://127.0.0.1:{relay.port}/"
        async with subscribed(url, tmp_path, [ours(1, "Double", F64)]) as (_, inbox):
            await inbox.last_is(1, -0.1)
        own = asyncio.all_tasks()
        with caplog.at_level(logging.DEBUG, "headrace"):
            caplog.clear()
            async with subscribed(url, tmp_path, [ours(1, "Double", F64)]) as (_, inbox):
                await inbox.last_is(1, -0.1)
                await relay.cut()
                assert isinstance(await inbox.lost, Unreachable)
            for _ in range(3):
                driver = make(url, tmp_path)
                with pytest.raises(Unreachable):
                    await driver.connect()
                await driver.close()
        left = [
            task for task in asyncio.all_tasks() - own if "opcua" in repr(task.get_coro()) and "client" in repr(task)
        ]
        assert left == []
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO] == []
    await server.stop()


async def test_the_secure_channel_is_renewed_while_values_flow(tmp_path: Path) -> None:
    """A lifetime of 4 s: an old token is good until 5 s, so a busy machine has 2 s for a renewal, not 500 ms."""
    async with SimulatedServer(state_dir=tmp_path / "server") as server:
        settings = {"security": "sign-and-encrypt", "trusted": server.fingerprint, "channel_lifetime": "4s"}
        async with subscribed(server.url, tmp_path, [ours(1, "Double", F64)], **settings) as (driver, inbox):
            client = driver._session._client
            tokens = {client.uaclient.protocol._connection.security_token.TokenId}
            value = 0.0
            while len(tokens) < 3:
                value += 1.0
                await server.set("Double", value)
                await inbox.last_is(1, value)
                tokens.add(client.uaclient.protocol._connection.security_token.TokenId)
            assert not inbox.lost.done()


async def test_a_subscription_that_the_server_forgets_ends_the_session(tmp_path: Path) -> None:
    async with SimulatedServer() as server, subscribed(server.url, tmp_path, [ours(1, "Double", F64)]) as (_, inbox):
        await inbox.last_is(1, -0.1)
        service = server._server.iserver.subscription_service
        (subscription,) = service.subscriptions.values()
        await subscription.enqueue_statuschange(ua.StatusCode(ua.StatusCodes.BadTimeout))
        await server.set("Double", 1.0)
        error = await inbox.lost
        assert isinstance(error, Unreachable) and "BadTimeout" in str(error)
