"""Samples that others send, over HTTP: who may, what is answered, and that nothing is answered before it is stored."""

from __future__ import annotations

import asyncio
import base64
import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.api.fakes import COUNTER, ORDER, T0, TEMPERATURE, World

from headrace.api import ApiSettings, create_app

LINE = TEMPERATURE.rpartition("/")[0]
SOURCE = {"Authorization": "Token token-source"}


def stored(world: World) -> list[tuple[str, int, object]]:
    path_of = world.store.paths()
    return [
        (path_of[handle], time_ns, value)
        for batch in world.store._samples
        for handle, time_ns, value in zip(
            batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(), strict=True
        )
    ]


async def test_line_protocol_is_stored_and_answered_with_nothing(client: httpx.AsyncClient, world: World) -> None:
    body = f"{LINE} oil.temperature=62.4,strokes=9007199254740993i {T0 // 10**6}\n"
    answer = await client.post("/api/v2/write?org=o&bucket=b&precision=ms", content=body, headers=SOURCE)
    assert (answer.status_code, answer.content) == (204, b"")
    assert sorted(stored(world)) == [(TEMPERATURE, T0, 62.4), (COUNTER, T0, 9007199254740993)]


@pytest.mark.parametrize(
    "header",
    [
        "Token token-source",
        "Bearer token-engineer",
        "Basic " + base64.b64encode(b"anyone:token-source").decode(),
    ],
)
async def test_the_ways_to_show_a_token(client: httpx.AsyncClient, world: World, header: str) -> None:
    body = f"{LINE} strokes=1i {T0}"
    answer = await client.post("/write?db=x&rp=y&precision=n", content=body, headers={"Authorization": header})
    assert answer.status_code == 204, answer.text
    assert len(stored(world)) == 1


@pytest.mark.clause("62443-3-3 SR 2.1 RE 1")
async def test_a_source_can_do_nothing_else(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/points", headers=SOURCE)
    assert answer.status_code == 403


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_lookers_cannot_send(client: httpx.AsyncClient, world: World, role: str) -> None:
    headers = {"Authorization": f"Token token-{role}"}
    for path in ("/api/v1/ingest/json", "/api/v2/write", "/write"):
        assert (await client.post(path, content="x", headers=headers)).status_code == 403
    assert stored(world) == []


async def test_a_partial_write_names_its_lines_and_keeps_the_rest(client: httpx.AsyncClient, world: World) -> None:
    body = f"{LINE} strokes=1i {T0}\nno/such strokes=1i {T0}\n{LINE} strokes=x {T0}\n{LINE} strokes=2i {T0 + 1}"
    answer = await client.post("/api/v2/write", content=body, headers=SOURCE)
    assert answer.status_code == 400
    said = answer.json()
    assert said["code"] == "invalid"
    assert said["message"].startswith("partial write: 2 samples are stored, 2 were refused; line 2: ")
    assert [one["line"] for one in said["error"]["lines"]] == [2, 3]
    assert [value for _, _, value in stored(world)] == [1, 2]


async def test_json_lines_and_a_json_document(client: httpx.AsyncClient, world: World) -> None:
    one = f'{{"path": "{ORDER}", "time": "2026-11-22T08:00:00Z", "value": "A7"}}'
    answer = await client.post("/api/v1/ingest/json", content=f"{one}\n\n{one}", headers=SOURCE)
    assert answer.json() == {"lines": 3, "samples": 2}
    headers = {**SOURCE, "Content-Type": "application/json; charset=utf-8"}
    answer = await client.post("/api/v1/ingest/json", content=f"[\n{one},\n{one}\n]", headers=headers)
    assert answer.json() == {"lines": 1, "samples": 2}
    assert set(stored(world)) == {(ORDER, T0, "A7")}
    answer = await client.post("/api/v1/ingest/json", content=f"[\n{one},\n", headers=headers)
    assert answer.status_code == 400


@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 7.1")
async def test_gzip_is_unpacked_within_bounds(world: World) -> None:
    settings = ApiSettings(ingest_bytes_max=100_000)
    transport = httpx.ASGITransport(create_app(world.services, settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = {**SOURCE, "Content-Encoding": "gzip"}

        async def send(body: bytes) -> httpx.Response:
            return await client.post("/api/v2/write", content=body, headers=headers)

        body = f"{LINE} strokes=1i {T0}\n".encode()
        assert (await send(gzip.compress(body))).status_code == 204
        assert (await send(gzip.compress(body * 10_000))).status_code == 413  # small as sent, large as unpacked
        assert (await send(body)).status_code == 422
        assert (await send(zlib.compress(body))).status_code == 422
        assert (await send(gzip.compress(body)[:-4])).status_code == 422
        assert (await send(gzip.compress(body) + b"x")).status_code == 422
        headers["Content-Encoding"] = "br"
        assert (await send(body)).status_code == 422


async def test_a_full_disk_is_told_and_nothing_claimed(client: httpx.AsyncClient, world: World) -> None:
    world.intake.full = True
    answer = await client.post("/api/v2/write", content=f"{LINE} strokes=1i {T0}", headers=SOURCE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert stored(world) == []


@pytest.mark.parametrize("query", ["precision=fortnight", "presision=ns", "u=a&p=b"])
async def test_parameters_that_mean_nothing_are_refused(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.post(f"/write?{query}", content="x", headers=SOURCE)
    assert answer.status_code == 422


@pytest.mark.clause("62443-3-3 SR 7.1", "62443-3-3 SR 7.1 RE 1")
async def test_senders_are_bounded_in_number(world: World) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield f"{LINE} strokes=1i {T0}\n".encode()
        begun.set()
        await release.wait()

    async with _sender(world, ApiSettings(ingests_max=1)) as client:
        first = asyncio.ensure_future(client.post("/api/v2/write", content=slow()))
        await begun.wait()
        second = await client.post("/api/v2/write", content=b"")
        release.set()
        assert (second.status_code, second.headers["Retry-After"]) == (429, "5")
        assert (await first).status_code == 204


async def test_a_silent_sender_is_given_up(world: World) -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield f"{LINE} strokes=1i {T0}\n".encode()
        await asyncio.Event().wait()

    async with _sender(world, ApiSettings(ingest_silence_s=0.01)) as client:
        assert (await client.post("/api/v2/write", content=silent())).status_code == 503


def _sender(world: World, settings: ApiSettings) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(world.services, settings), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=SOURCE)
