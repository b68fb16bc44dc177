"""Edges as people see them: invited, told what to run, watched; and their links as points of the plant."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.fleet.edges.conftest import Surroundings, register_on
from tests.fleet.fakes import Audit
from tests.registry.fakes import DRIVERS, FixedClock

from headrace.fleet.edges import Edges
from headrace.fleet.edges.link import declaration
from headrace.model.errors import Conflict, DataError, NotFound
from headrace.model.plant import Connection, PlantModel
from headrace.registry import TenantRegistries
from headrace.sdk.edges import Actual, EdgeToken, LinkQuality, Share
from headrace.sdk.fleet import EdgeState
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.edges import EDGE, PEER, PREFIX, request_for

LINK = LinkQuality(
    measured_ns=5, connected=True, latency_ms=12.5, jitter_ms=1.0, loss=0.02, received_bytes_per_s=900.0,
    samples_per_s=300.0, backlog_samples=7, backlog_bytes=70, backlog_s=0.5, late_ms=40.0, last_contact_ns=5,
    spool_used=0.25, dropped_samples=3,
)  # fmt: skip


async def enrolled(edges: Edges, name: str = EDGE, prefix: str = PREFIX) -> str:
    _, token = await edges.invite("wang", name, prefix)
    edge, _ = await edges.door.enrol(token, request_for(name), PEER)
    return edge.certificate


async def test_an_edge_from_its_invitation_to_its_removal(edges: Edges, audit: Audit, engine: Engine) -> None:
    record, token = await edges.invite("wang", EDGE, PREFIX, valid_s=600)
    assert (record.state, record.prefix, record.created_by) == (EdgeState.INVITED, PREFIX, "wang")
    assert record.token_ends_ns == record.created_ns + 600 * 10**9
    with engine.connect() as connection:
        kept = str(connection.execute(text("select * from fleet_edge_tokens")).all())
    assert EdgeToken.parse(token).secret.hex() not in kept and token not in kept + str(audit.entries)
    await edges.door.enrol(token, request_for(EDGE), PEER)
    assert (edges.get(EDGE).state, edges.get(EDGE).token_ends_ns) == (EdgeState.ENROLLED, None)
    assert (await edges.revoke("wang", EDGE)).state is EdgeState.REVOKED
    await edges.remove("wang", EDGE)
    assert edges.edges() == []
    with pytest.raises(NotFound):
        edges.get(EDGE)
    assert audit.actions == ["edge.invite", "edge.enrol", "edge.revoke", "edge.remove"]


@pytest.mark.parametrize(
    ("name", "prefix", "valid_s"),
    [("a/b", PREFIX, 60), ("", PREFIX, 60), ("x" * 61, PREFIX, 60), (EDGE, "", 60), (EDGE, "a//b", 60),
     (EDGE, PREFIX, 1), (EDGE, PREFIX, 1e9), (EDGE, PREFIX, math.nan)],
)  # fmt: skip
async def test_an_invitation_that_cannot_be_says_so(edges: Edges, name: str, prefix: str, valid_s: float) -> None:
    with pytest.raises(DataError):
        await edges.invite("wang", name, prefix, valid_s=valid_s)
    assert edges.edges() == []


async def test_an_edge_that_connections_need_is_not_removed(edges: Edges) -> None:
    await enrolled(edges)
    await edges.refresh(PlantModel(connections={"plc": Connection("plc", "modbus", {}, edge=EDGE)}))
    with pytest.raises(Conflict, match="connection 'plc' is declared to run on 'suzhou'"):
        await edges.remove("wang", EDGE)
    await edges.refresh(PlantModel())
    await edges.remove("wang", EDGE)


# --- desired and actual state -----------------------------------------------------------------------------------------


async def test_a_revision_grows_when_an_edge_should_run_something_else(
    edges: Edges, around: Surroundings, engine: Engine, clock: FakeClock, tmp_path: Path
) -> None:
    await enrolled(edges)
    assert edges.desk.desired(EDGE) is None
    heard = edges.desk.changes()
    for files, revision in (({"a.yaml": "1"}, 1), ({"a.yaml": "1"}, 1), ({"a.yaml": "2"}, 2), ({}, 3), ({}, 3)):
        around.answers[EDGE] = Share(files, len(files))
        await edges.refresh(PlantModel())
        desired = edges.desk.desired(EDGE)
        assert desired is not None and (desired.revision, desired.files) == (revision, files)
    edges.desk.notices.close()
    assert [name async for name in heard] == [EDGE]
    again = register_on(engine, clock, Audit(), around, tmp_path)
    await again.start()
    await again.refresh(PlantModel())
    desired = again.desk.desired(EDGE)
    assert desired is not None and desired.revision == 3


async def test_an_edge_with_a_gateway_is_told_its_devices_and_another_is_not(
    edges: Edges, around: Surroundings, clock: FakeClock
) -> None:
    await enrolled(edges)
    await enrolled(edges, "plain", "acme/plain")
    around.answers[EDGE] = Share({"a.yaml": "1"}, 1, drivers=frozenset({"modbus", "gateway"}))
    around.answers["plain"] = Share({"a.yaml": "1"}, 1, drivers=frozenset({"modbus"}))
    around.guests.put(PREFIX, "some")
    around.guests.put("acme/plain", "others")
    await edges.refresh(PlantModel())
    told, plain = edges.desk.desired(EDGE), edges.desk.desired("plain")
    assert told is not None and (told.revision, told.devices) == (1, "some")
    assert plain is not None and plain.devices == ""
    heard = edges.desk.changes()
    running = asyncio.create_task(edges.run())
    for devices, revision in (("more", 2), ("more", 2), ("less", 3)):
        around.guests.put(PREFIX, devices)
        async with asyncio.timeout(30):
            while (told := edges.desk.desired(EDGE)) is not None and told.devices != devices:
                await clock.advance(1)
                await asyncio.sleep(0.01)
        assert told is not None and (told.revision, told.devices, told.files) == (revision, devices, {"a.yaml": "1"})
    assert edges.desk.desired("plain") == plain
    running.cancel()
    edges.desk.notices.close()
    assert [name async for name in heard] == [EDGE]


async def test_a_hub_from_an_old_backup_goes_on_above_what_its_edges_have_seen(
    edges: Edges, around: Surroundings
) -> None:
    await enrolled(edges)
    around.answers[EDGE] = Share({"a.yaml": "1"}, 1)
    await edges.refresh(PlantModel())
    edges.desk.reported(EDGE, Actual(17))
    desired = edges.desk.desired(EDGE)
    assert desired is not None and desired.revision == 18


async def test_what_an_edge_says_of_itself_is_kept_within_bounds(
    edges: Edges, engine: Engine, clock: FakeClock, around: Surroundings, tmp_path: Path
) -> None:
    await enrolled(edges)
    edges.desk.reported(EDGE, Actual(0, "x" * 100_000, "0.1.0", {"cpu": 4, "odd": [1, None]}))
    edges.desk.measured(EDGE, LINK)
    await edges.close()
    again = register_on(engine, clock, Audit(), around, tmp_path)
    await again.start()
    record = again.get(EDGE)
    assert record.actual is not None and record.actual.facts == {"cpu": 4, "odd": [1, None]}
    assert len(record.actual.error) == 4_000 and record.last_contact_ns == 5 and not record.connected
    edges.desk.reported(EDGE, Actual(0, "\ud800\0", "\udfff"))
    await edges.desk.save()
    for odd in ({"x": object()}, {"x": "\ud800"}, {"x": "y" * 100_000}, {"x": 2**70}):
        edges.desk.reported(EDGE, Actual(0, facts=odd))
        actual = edges.get(EDGE).actual
        assert actual is not None and actual.facts == {}
    edges.desk.reported("nobody", Actual(1))
    edges.desk.measured("nobody", LINK)


async def test_enrolling_tells_the_link_so_that_an_older_holder_is_closed(edges: Edges) -> None:
    await enrolled(edges)
    heard = edges.desk.changes()
    await enrolled(edges)
    assert await anext(heard) == EDGE
    await edges.revoke("wang", EDGE)
    assert await anext(heard) == EDGE


# --- links as points --------------------------------------------------------------------------------------------------


async def test_the_points_of_links_are_declared_as_any_others(
    engine: Engine, edges: Edges, around: Surroundings
) -> None:
    await edges.invite("wang", "wuxi", "acme/wuxi")
    await enrolled(edges)
    registry = TenantRegistries(engine, DRIVERS, FixedClock())
    await registry.provide(around.provided)
    model = await registry.model()
    assert {path.rpartition("/")[2] for path in model.points} >= {"connected", "latency", "loss", "dropped"}
    assert all(path.startswith("system/edges/suzhou/") for path in model.points)
    assert "system/edges/suzhou/connected:silent" in model.alarms
    await edges.remove("wang", EDGE)
    assert around.provided == []
    assert declaration([]) is None


async def test_a_measurement_becomes_samples_and_silence_a_gap(
    edges: Edges, around: Surroundings, clock: FakeClock
) -> None:
    await enrolled(edges)
    around.know(EDGE, "connected", "latency", "loss", "dropped")
    running = asyncio.create_task(edges.run())
    await clock.advance(0)
    edges.desk.measured(EDGE, replace(LINK, measured_ns=clock.now_ns()))
    edges.desk.measured(EDGE, replace(LINK, measured_ns=clock.now_ns(), loss=math.nan, backlog_samples=2**70))
    await clock.advance(1)
    assert around.values(EDGE, "latency") == [(12.5, True)] * 2
    assert around.values(EDGE, "loss") == [(2.0, True)]
    assert around.values(EDGE, "dropped") == [(3, True)] * 2
    assert around.values(EDGE, "connected") == [(1, True)] * 2
    assert edges.get(EDGE).connected
    await clock.advance(8)
    running.cancel()
    assert not edges.get(EDGE).connected
    assert around.values(EDGE, "connected") == [(1, True)] * 2 + [(0, True)]
    assert [good for _, good in around.values(EDGE, "latency")] == [True, True, False]


async def test_a_link_that_says_it_is_down_is_told_once_and_comes_back(
    edges: Edges, around: Surroundings, clock: FakeClock
) -> None:
    await enrolled(edges)
    around.know(EDGE, "connected", "latency")
    running = asyncio.create_task(edges.run())
    for up in (True, False, False, True):
        edges.desk.measured(EDGE, replace(LINK, connected=up))
        await clock.advance(1)
    running.cancel()
    assert [value for value, _ in around.values(EDGE, "connected")] == [1, 0, 1]
    assert [good for _, good in around.values(EDGE, "latency")] == [True, False, True]


async def test_an_edge_that_never_came_after_a_start_is_told_as_silent(
    edges: Edges, around: Surroundings, clock: FakeClock
) -> None:
    await enrolled(edges)
    running = asyncio.create_task(edges.run())
    await clock.advance(3)
    around.know(EDGE, "connected")  # declared only now
    await clock.advance(3)
    running.cancel()
    assert around.values(EDGE, "connected") == [(0, True)]
