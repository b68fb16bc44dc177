"""History that comes in over HTTP: by whom, how fast, what is refused; and bytes that are no Arrow at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.fakes import COUNTER, ORDER, RUNNING, T0, TEMPERATURE, World
from tests.properties import examples

from headrace.api import ApiSettings, create_app
from headrace.model.batch import Batch

ROUTE = "/api/v1/history/import"
STAMP = pa.timestamp("ns", tz="UTC")


def stream(**columns: Any) -> bytes:
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def times(count: int) -> pa.Array:
    return pa.array(T0 + np.arange(count)).view(STAMP)


@pytest.fixture
async def engineer(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["Authorization"] = "Bearer token-engineer"
    return client


async def stored(world: World) -> list[Batch]:
    return [batch async for batch in world.store.scan()]


async def test_each_kind_is_stored_as_it_is(engineer: httpx.AsyncClient, world: World) -> None:
    body = stream(
        path=[TEMPERATURE, COUNTER, RUNNING, ORDER, TEMPERATURE],
        source_time=times(5),
        received_time=pa.array(T0 + 9 + np.arange(5)).view(STAMP),
        float64=pa.array([-0.0, None, None, None, float("nan")]),
        int64=pa.array([None, 2**63 - 1, None, None, None], pa.int64()),
        bool=pa.array([None, None, True, None, None], pa.bool_()),
        text=pa.array([None, None, None, "油温", None], pa.string()),
        quality=pa.array([0, 1, 2, 3, 0x80000000], pa.uint32()),
    )
    answer = await engineer.post(ROUTE, content=body, params={"label": "by hand"})
    assert answer.json() == {"rows": 5, "points": 4, "refused": []}
    floats, counts, flags, texts = await stored(world)
    assert floats.values.view(np.int64).tolist() == np.array([-0.0, np.nan]).view(np.int64).tolist()
    assert floats.source_ns.tolist() == [T0, T0 + 4] and floats.received_ns.tolist() == [T0 + 9, T0 + 13]
    assert floats.quality.tolist() == [0, 0x80000000]
    assert (counts.values.tolist(), flags.values.tolist(), texts.values.tolist()) == ([2**63 - 1], [True], ["油温"])
    entry = world.access.entries[-1]
    assert (entry.actor, entry.action, entry.subject, entry.outcome) == (
        "engineer",
        "history.import",
        "by hand",
        "done",
    )
    assert entry.data == {"rows": 5, "points": 4, "refused": 0}


async def test_what_does_not_fit_is_refused_and_the_rest_goes_on(engineer: httpx.AsyncClient, world: World) -> None:
    body = stream(
        path=[TEMPERATURE, "no/such", COUNTER, TEMPERATURE, ORDER, ORDER, TEMPERATURE],
        source_time=times(7),
        float64=pa.array([1.0, 2.0, 3.0, None, None, None, 4.0]),
        text=pa.array([None, None, None, None, "x" * 70_000, "fine", "both"], pa.string()),
    )
    answer = await engineer.post(ROUTE, content=body)
    refused = {(one["path"].rpartition("/")[2], one["reason"]): one["rows"] for one in answer.json()["refused"]}
    assert refused == {
        ("such", "is not declared"): 1,
        ("strokes", "is declared int64, not float64"): 1,
        ("oil.temperature", "a row needs exactly one value"): 2,
        ("order", "text longer than 65536 bytes"): 1,
    }
    assert answer.json()["rows"] == 2


async def test_without_a_received_time_the_source_time_stands_for_it(engineer: httpx.AsyncClient, world: World) -> None:
    some = pa.array([T0 + 5, None], pa.int64()).view(STAMP)
    body = stream(path=[TEMPERATURE] * 2, source_time=times(2), received_time=some, float64=[1.0, 2.0])
    assert (await engineer.post(ROUTE, content=body)).json()["rows"] == 2
    assert (await stored(world))[0].received_ns.tolist() == [T0 + 5, T0 + 1]


async def test_a_dry_run_stores_nothing(engineer: httpx.AsyncClient, world: World) -> None:
    body = stream(path=[TEMPERATURE], source_time=times(1), float64=[1.0])
    answer = await engineer.post(ROUTE, content=body, params={"dry_run": "true"})
    assert answer.json()["rows"] == 1 and await stored(world) == [] and world.access.entries == []


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"path": ["a"]}, "lacks the column 'source_time'"),
        ({"path": [1], "source_time": times(1)}, "'path' should hold text"),
        ({"path": pa.array([None], pa.string()), "source_time": times(1)}, "'path' should hold text"),
        ({"path": ["a"], "source_time": ["now"]}, "should hold a timestamp"),
        ({"path": ["a"], "source_time": pa.array([1], pa.timestamp("ns"))}, "has no time zone"),
        ({"path": ["a"], "source_time": pa.array([None], STAMP)}, "should hold a timestamp"),
        ({"path": ["a"], "source_time": times(1), "float64": ["1"]}, "'float64' holds string"),
        ({"path": ["a"], "source_time": pa.array([2**62], pa.timestamp("s", tz="UTC"))}, "not an Arrow stream"),
        ({"path": ["a"], "source_time": times(1), "quality": [-1]}, "not an Arrow stream"),
    ],
)
async def test_a_stream_of_another_shape_is_told(
    engineer: httpx.AsyncClient, world: World, columns: dict[str, Any], expected: str
) -> None:
    answer = await engineer.post(ROUTE, content=stream(**columns))
    assert answer.status_code == 422 and expected in answer.json()["error"]["message"], answer.text
    assert world.access.entries[-1].outcome == "interrupted"


async def test_only_an_engineer_and_one_at_a_time(client: httpx.AsyncClient, world: World) -> None:
    client.headers["Authorization"] = "Bearer token-operator"
    assert (await client.post(ROUTE, content=b"")).status_code == 403
    client.headers["Authorization"] = "Bearer token-engineer"
    async with client._transport.app.state.context.imports:  # type: ignore[attr-defined]
        assert (await client.post(ROUTE, content=b"")).status_code == 429


async def test_rows_are_paced_and_bytes_are_limited(world: World, tmp_path: Path) -> None:
    slept: list[float] = []

    class PacedClock(type(world.services.clock)):  # type: ignore[misc]
        def monotonic_s(self) -> float:
            return sum(slept)

        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    from dataclasses import replace

    services = replace(world.services, clock=PacedClock())
    limits = ApiSettings(console_dir=tmp_path, import_rows_per_s=1_000, import_bytes_max=8_000_000)
    transport = httpx.ASGITransport(create_app(services, limits), raise_app_exceptions=False)
    headers = {"Authorization": "Bearer token-engineer"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        body = stream(path=[TEMPERATURE] * 50_000, source_time=times(50_000), float64=np.zeros(50_000))
        assert (await client.post(ROUTE, content=body)).json()["rows"] == 50_000
        assert slept == [20.0, 20.0, 10.0]
        assert (await client.post(ROUTE, content=bytes(8_000_001))).status_code == 413

        async def endless() -> AsyncIterator[bytes]:
            yield body
            for _ in range(10):
                yield bytes(1_000_000)

        answer = await client.post(ROUTE, content=endless())
        assert answer.status_code in (200, 413)  # what follows the end of the stream is not even read


VALID = stream(
    path=pa.array([TEMPERATURE, COUNTER, "x", TEMPERATURE]).dictionary_encode(),
    source_time=times(4),
    float64=pa.array([1.0, None, 2.0, 3.0]),
    int64=pa.array([None, 7, None, None], pa.int64()),
    text=pa.array([None, None, None, None], pa.string()),
)


@settings(max_examples=examples(120), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(VALID)))
def test_any_bytes_are_taken_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(VALID)
    for at, byte in changes:
        content[at] = byte
    asyncio.run(taken_or_refused([bytes(content[:length])]))


def test_a_length_that_no_memory_holds_is_refused() -> None:
    """Every aligned number of the stream in turn claims some 2^62."""
    claims = [VALID[: at + 7] + b"\x40" + VALID[at + 8 :] for at in range(0, len(VALID) - 8, 8)]
    asyncio.run(taken_or_refused(claims))


async def taken_or_refused(bodies: list[bytes]) -> None:
    world = await World.make()
    transport = httpx.ASGITransport(create_app(world.services, ApiSettings()), raise_app_exceptions=False)
    headers = {"Authorization": "Bearer token-engineer"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        for body in bodies:
            answer = await client.post(ROUTE, content=body)
            assert answer.status_code in (200, 422), answer.text
