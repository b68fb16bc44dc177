"""A client of the application without a socket; `live.py` has the one with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.api.fakes import World

from headrace.api import ApiSettings, create_app


@pytest.fixture
async def world() -> World:
    return await World.make()


@pytest.fixture
def settings(tmp_path: Path) -> ApiSettings:
    return ApiSettings(console_dir=tmp_path / "console")


@pytest.fixture
async def client(world: World, settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:
    """Anonymous."""
    transport = httpx.ASGITransport(create_app(world.services, settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def viewer(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["Authorization"] = "Bearer token-viewer"
    return client


@pytest.fixture
async def owner(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["Authorization"] = "Bearer token-owner"
    return client
