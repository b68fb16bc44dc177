"""Versions of stream functions over the API: taken up, promoted, rolled back, retired, each in the audit trail."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.fakes import World


@pytest.fixture
async def engineer(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["Authorization"] = "Bearer token-engineer"
    return client


async def act(client: httpx.AsyncClient, route: str, **body: str) -> Any:
    answer = await client.post(f"/api/v1/streams{route}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def stages(client: httpx.AsyncClient) -> dict[str, str]:
    return {one["version"]: one["stage"] for one in (await client.get("/api/v1/streams")).json()}


async def test_the_life_of_versions(engineer: httpx.AsyncClient, world: World) -> None:
    made = await act(engineer, "", source="wear 1")
    assert (made["name"], made["version"], made["stage"], made["run"]) == ("wear", "1", "shadow", None)
    assert made["added_by"] == "engineer"
    assert (await act(engineer, "/wear/versions/1/promote", why="first"))["stage"] == "active"
    await act(engineer, "", source="wear 2")
    assert (await act(engineer, "/wear/versions/2/promote"))["before"] == "1"
    assert await stages(engineer) == {"1": "retired", "2": "active"}
    assert (await act(engineer, "/wear/rollback", why="too many alarms"))["version"] == "1"
    await act(engineer, "/wear/versions/1/retire")
    assert await stages(engineer) == {"1": "retired", "2": "retired"}
    assert (await engineer.get("/api/v1/streams/wear/versions/2/difference")).json() is None  # neither runs

    told = [
        (one.actor, one.action, one.subject, one.data["version"])
        for one in world.access.entries
        if "stream" in one.action
    ]
    assert told == [
        ("engineer", f"stream.{kind}", "wear", version)
        for kind, version in (
            ("add", "1"), ("promote", "1"), ("add", "2"), ("promote", "2"), ("roll-back", "1"), ("retire", "1"),
        )
    ]  # fmt: skip
    acts = (await engineer.get("/api/v1/streams/acts")).json()
    assert [(one["act"], one["why"]) for one in acts[-2:]] == [("roll back", "too many alarms"), ("retire", "")]


@pytest.mark.parametrize(
    ("route", "body", "status"),
    [
        ("", {"source": ""}, 422),
        ("", {"source": "x" * 262_145}, 422),
        ("", {"source": "../wear 1"}, 422),
        ("", {"source": "wear 1", "imports": ["os"]}, 422),
        ("/nobody/versions/1/promote", {}, 404),
        ("/nobody/versions/1/retire", {}, 404),
        ("/nobody/rollback", {}, 404),
        ("/nobody/rollback", {"why": 3}, 422),
    ],
)
async def test_what_makes_no_sense_is_refused(
    engineer: httpx.AsyncClient, world: World, route: str, body: object, status: int
) -> None:
    assert (await engineer.post(f"/api/v1/streams{route}", json=body)).status_code == status
    assert not [one for one in world.access.entries if "stream" in one.action]
    assert (await engineer.get("/api/v1/streams/nobody/versions/1/difference")).status_code == 404


async def test_not_for_those_who_only_look(client: httpx.AsyncClient) -> None:
    client.headers["Authorization"] = "Bearer token-operator"
    assert (await client.post("/api/v1/streams", json={"source": "wear 1"})).status_code == 403
    assert (await client.post("/api/v1/streams/wear/versions/1/promote", json={})).status_code == 403
    assert (await client.get("/api/v1/streams")).json() == []


async def test_no_more_than_may_run(engineer: httpx.AsyncClient) -> None:
    for number in range(16):
        await act(engineer, "", source=f"wear {number}")
    refused = await engineer.post("/api/v1/streams", json={"source": "wear 16"})
    assert refused.status_code == 429 and "retire some" in refused.text
    await act(engineer, "", source="wear 3")  # is there already
    await act(engineer, "/wear/versions/3/retire")
    await act(engineer, "", source="wear 16")
    refused = await engineer.post("/api/v1/streams/wear/versions/3/promote", json={})
    assert refused.status_code == 429
