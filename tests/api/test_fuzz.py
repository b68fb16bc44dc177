"""Any parameters and bodies: an answer in the one shape, and never a failure of ours."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.described import described
from tests.api.fakes import COUNTER, ORDER, RULE, SETPOINT, TEMPERATURE, World
from tests.properties import examples

from headrace.api import ApiSettings, create_app
from headrace.api.context import Context

OPERATIONS = [
    (method.upper(), path, [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"])
    for path, methods in described()["paths"].items()
    for method, operation in methods.items()
]
PATHS = [TEMPERATURE, SETPOINT, COUNTER, ORDER, RULE, "acme", "press-plc-1", "viewer", ""]
TEXTS = st.one_of(
    st.sampled_from(
        [*PATHS, "now", "now-1h", "0", "1", "-1", "5000", "1e9", "1s", "NaN", "parquet", "csv", "mean", "{}"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(-(2**70), 2**70).map(str),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
INGEST_PATHS = [path for _, path, _ in OPERATIONS if path.endswith(("/write", "/ingest/json"))]
FIELDS = [
    "user",
    "password",
    "old",
    "new",
    "name",
    "role",
    "disabled",
    "expires_at",
    "rules",
    "comment",
    "path",
    "value",
    "publish",
    "subscribe",
    "messages_per_s",
    "certificate",
    "secret",
    "declare",
    "prefix",
    "valid_s",
    "at_once",
]
BODIES = st.dictionaries(st.sampled_from([*FIELDS, "reason", "files", "prune", "revision", "fingerprint"]), JSON)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]], Any]:
    method, path, names = draw(st.sampled_from(OPERATIONS))
    while "{" in path:
        head, _, tail = path.partition("{")
        path = head + draw(TEXTS).replace("/", "%2F").replace("?", "%3F").replace("#", "%23") + tail.partition("}")[2]
    query = draw(st.lists(st.tuples(st.sampled_from(names), TEXTS), max_size=4)) if names else []
    return method, path, query, draw(st.none() | BODIES | JSON)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(requests(), min_size=1, max_size=4))
@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 3.7", "GB/T 22239-2019 8.1.4.4")
def test_no_request_makes_the_server_fail(made: list[tuple[str, str, list[tuple[str, str]], Any]]) -> None:
    asyncio.run(send(made))


APPS: list[FastAPI] = []


def the_app(world: World) -> FastAPI:
    if not APPS:
        APPS.append(create_app(world.services, ApiSettings()))
    return APPS[0]


async def send(made: list[tuple[str, str, list[tuple[str, str]], Any]]) -> None:
    world = await World.make()
    await world.store.append([world.batch(TEMPERATURE, [1.0, 2.0]), world.batch(ORDER, ["a"])])
    app = the_app(world)
    app.state.context = Context.of(world.services, ApiSettings())  # a new plant each time, the routes once
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": "Bearer token-owner", "Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        for method, path, query, body in made:
            try:
                content = None if body is None else json.dumps(body)
                request = client.build_request(method, path, params=query, content=content)
            except (httpx.InvalidURL, UnicodeEncodeError):
                continue
            answer = await client.send(request)
            assert answer.status_code < 500, (method, path, query, body, answer.text)
            if answer.status_code >= 400:
                said = answer.json()
                if set(said) == {"status", "errorType", "error"}:
                    assert "/grafana/prometheus/" in path and said["error"]
                else:
                    more = {"code", "message"} if path in INGEST_PATHS else set()  # for clients of InfluxDB
                    assert {"error"} <= set(said) <= {"error"} | more and said["error"]["message"]
