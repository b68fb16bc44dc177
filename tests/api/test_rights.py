"""Every route × every role × nobody: allowed or refused exactly as `rights.py` declares."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.api.described import described
from tests.api.fakes import ROLES, may

from headrace.api.app import bare_app
from headrace.api.guarded_route import api_router
from headrace.api.rights import RIGHTS, Gate
from headrace.sdk.access import Action

OPERATIONS = [
    (method.upper(), re.sub(r"\{\w+\}", "x", path), operation["operationId"])
    for path, methods in described()["paths"].items()
    for method, operation in methods.items()
]


async def call(client: httpx.AsyncClient, method: str, path: str, role: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer token-{role}"} if role else {}
    return await client.request(method, path, headers=headers)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=[one[2] for one in OPERATIONS])
@pytest.mark.clause(
    "62443-3-3 SR 1.1",
    "62443-3-3 SR 2.1",
    "62443-3-3 SR 2.1 RE 1",
    "62443-3-3 SR 4.1",
    "62443-3-3 SR 6.1",
    "GB/T 22239-2019 8.1.3.2",
    "GB/T 22239-2019 8.1.4.2",
)
async def test_only_those_who_may(client: httpx.AsyncClient, method: str, path: str, operation: str) -> None:
    need = RIGHTS[operation].need
    nobody = await call(client, method, path, None)
    if need is Gate.DEVICE:  # no token of a person or program counts there
        for answer in (nobody, *[await call(client, method, path, role) for role in ROLES]):
            assert answer.status_code in (401, 422), answer.text
        return
    assert (nobody.status_code == 401) == (need is not Gate.PUBLIC), nobody.text
    for role in ROLES:
        answer = await call(client, method, path, role)
        allowed = not isinstance(need, Action) or may(role, need)
        assert (answer.status_code in (401, 403)) != allowed, (role, answer.text)
        assert answer.status_code < 500, answer.text


@pytest.mark.clause("62443-3-3 SR 2.1", "62443-3-3 SR 3.5")
async def test_rights_come_before_the_body(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/writes", content=b"{not json", headers={"Content-Type": "application/json"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "sign-in-needed"


@pytest.mark.clause("62443-3-3 SR 1.2")
async def test_a_wrong_token_is_not_an_anonymous_caller(client: httpx.AsyncClient) -> None:
    for header in ("Bearer nonsense", "Bearer", "Basic YTpi", "Bearer  "):
        answer = await client.get("/api/v1/assets", headers={"Authorization": header})
        assert answer.status_code == 401, header


@pytest.mark.clause("62443-3-3 SR 2.1", "GB/T 22239-2019 8.1.3.2")
def test_a_route_without_a_right_cannot_be_built() -> None:
    router = api_router("Plant")

    async def forgotten() -> dict[str, Any]:
        return {}

    with pytest.raises(RuntimeError, match=r"declare in api/rights\.py"):
        router.get("/forgotten", operation_id="getForgotten")(forgotten)
    assert isinstance(bare_app(), FastAPI)
