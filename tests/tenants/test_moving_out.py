"""A firm that leaves the hub takes everything of its own with it: what it declared and what was measured."""

from __future__ import annotations

import io

import httpx
import pyarrow as pa
import pytest
from tests.tenants.hub import OURS, Hub


@pytest.mark.clause("GB/T 22239-2019 8.2.4.6")
async def test_a_firm_takes_its_plant_and_its_history_along(client: httpx.AsyncClient, firms: Hub) -> None:
    owner = {**OURS, **firms.as_("acme.owner")}
    assert (await client.get("/api/v1/declarations", headers=owner)).json()
    span = {"start": "2000-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
    whole = {"asset": "", "format": "arrow", **span}
    answer = await client.get("/api/v1/history/export", params=whole, headers=owner)
    assert answer.status_code == 200, answer.text
    taken = set(pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()["path"].to_pylist())
    latest = (await client.get("/api/v1/latest", params={"asset": "acme"}, headers=owner)).json()
    assert latest["paths"] and taken == set(latest["paths"])
