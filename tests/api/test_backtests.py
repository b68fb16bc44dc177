"""Back-tests over the API: asked for by whoever configures, answered whole, refused where they make no sense."""

from __future__ import annotations

import httpx
import pytest
from tests.api.fakes import RULE


@pytest.fixture
async def engineer(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["Authorization"] = "Bearer token-engineer"
    return client


async def test_asked_for_and_answered(engineer: httpx.AsyncClient) -> None:
    answer = await engineer.post("/api/v1/backtests", json={"start": "now-1d", "rules": [RULE]})
    assert answer.status_code == 202
    job = answer.json()
    assert "rules" not in job and job["tested"] == 1
    (listed,) = (await engineer.get("/api/v1/backtests")).json()
    assert listed == job
    result = (await engineer.get(f"/api/v1/backtests/{job['id']}")).json()
    assert (result["rules"][0]["rule"], result["rules"][0]["raised"], result["rules"][0]["really_raised"]) == (
        RULE,
        2,
        1,
    )
    assert result["episodes"][0]["acknowledged_by"] == "li"
    ended = await engineer.post(f"/api/v1/backtests/{job['id']}/cancel")
    assert (ended.status_code, ended.json()) == (200, job)  # it had ended
    assert (await engineer.post("/api/v1/backtests/99/cancel")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"start": "now-1d", "rules": ["nobody:knows"]}, 404),
        ({"start": "some day"}, 422),
        ({"start": "now-1d", "files": [{"name": "x.yaml"}]}, 422),
        ({"start": "now-1d", "speed": 9}, 422),
    ],
)
async def test_what_makes_no_sense_is_refused(engineer: httpx.AsyncClient, body: object, status: int) -> None:
    assert (await engineer.post("/api/v1/backtests", json=body)).status_code == status


async def test_not_for_those_who_only_look(client: httpx.AsyncClient) -> None:
    client.headers["Authorization"] = "Bearer token-operator"
    assert (await client.post("/api/v1/backtests", json={"start": "now-1d"})).status_code == 403
    assert (await client.get("/api/v1/backtests")).status_code == 403
    assert (await client.get("/api/v1/backtests/1")).status_code == 403
    assert (await client.post("/api/v1/backtests/1/cancel")).status_code == 403
