"""Calculated points over the API: seen with what they are made of, worked out anew by whoever configures."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from tests.api.fakes import COUNTER, LINE, TEMPERATURE, World

from headrace.model.batch import ValueKind
from headrace.model.calculations import Calculation
from headrace.model.expressions import Variable, compile
from headrace.model.points import Point

DOUBLE = f"{LINE}/press-1/double"


@pytest.fixture(autouse=True)
def calculated(world: World) -> None:
    model = world.registry.plant
    program = compile("2 * strokes", {"strokes": Variable(ValueKind.INT64)})
    points = {**model.points, DOUBLE: Point(DOUBLE, ValueKind.FLOAT64, expression="2 * strokes")}
    made = {DOUBLE: Calculation(program, {"strokes": COUNTER})}
    world.registry.plant = replace(model, revision=2, points=points, calculations=made)


async def test_a_point_tells_what_it_is_made_of(viewer: httpx.AsyncClient) -> None:
    point = (await viewer.get(f"/api/v1/points/{DOUBLE}")).json()
    assert (point["expression"], point["inputs"], point["connection"]) == ("2 * strokes", [COUNTER], None)
    point = (await viewer.get(f"/api/v1/points/{TEMPERATURE}")).json()
    assert (point["expression"], point["inputs"]) == (None, [])
    (one,) = (await viewer.get("/api/v1/calculations")).json()
    assert one == {
        "path": DOUBLE, "expression": "2 * strokes", "inputs": [COUNTER], "instances": 1, "counts": {"late": 2},
    }  # fmt: skip


@pytest.fixture
async def engineer(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["Authorization"] = "Bearer token-engineer"
    return client


async def test_a_stretch_is_worked_out_anew(engineer: httpx.AsyncClient) -> None:
    body = {"points": [DOUBLE], "start": "2026-11-22T00:00:00Z", "end": "2026-11-22T08:00:00Z"}
    viewer = {"Authorization": "Bearer token-viewer"}
    refused = await engineer.post("/api/v1/calculations/backfills", json=body, headers=viewer)
    assert refused.status_code == 403
    answer = await engineer.post("/api/v1/calculations/backfills", json=body)
    assert answer.status_code == 202
    job = answer.json()
    assert (job["points"], job["start"], job["end"], job["error"]) == (
        [DOUBLE], "2026-11-22T00:00:00Z", "2026-11-22T08:00:00Z", "",
    )  # fmt: skip
    assert (await engineer.get("/api/v1/calculations/backfills")).json() == [job]


async def test_a_backfill_is_cancelled_by_who_may_configure(engineer: httpx.AsyncClient, world: World) -> None:
    body = {"points": [DOUBLE], "start": "now-1h"}
    job = (await engineer.post("/api/v1/calculations/backfills", json=body)).json()
    where = f"/api/v1/calculations/backfills/{job['id']}"
    assert (await engineer.get(where)).json() == job
    assert (await engineer.post(f"{where}/cancel")).json() == job  # it had ended
    held = world.services.calculations.held  # type: ignore[attr-defined]
    held[0] = replace(held[0], finished_ns=None)
    refused = await engineer.post(f"{where}/cancel", headers={"Authorization": "Bearer token-viewer"})
    assert refused.status_code == 403
    told = (await engineer.post(f"{where}/cancel")).json()
    assert told["ended_at"] is not None and (told["cancelled_by"], told["error"]) == (
        "engineer",
        "cancelled by engineer",
    )
    said = [
        (one.actor, one.subject, one.outcome) for one in world.access.entries if one.action == "calculation.backfill"
    ]
    assert said == [("engineer", DOUBLE, "started"), ("engineer", DOUBLE, "cancelled")]
    assert (await engineer.get("/api/v1/calculations/backfills/99")).status_code == 404
    assert (await engineer.post("/api/v1/calculations/backfills/99/cancel")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"points": [], "start": "now-1h"}, 422),
        ({"points": ["acme/nothing"], "start": "now-1h"}, 404),
        ({"points": [TEMPERATURE], "start": "now-1h"}, 404),
        ({"points": [DOUBLE], "start": "yesterday"}, 422),
        ({"points": [DOUBLE], "start": "now-1h", "mode": "all"}, 422),
    ],
)
async def test_what_cannot_be_worked_out_is_refused(engineer: httpx.AsyncClient, body: object, status: int) -> None:
    assert (await engineer.post("/api/v1/calculations/backfills", json=body)).status_code == status
