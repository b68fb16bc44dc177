from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.tenants.hub import Hub, hub


@pytest.fixture
async def firms(tmp_path: Path) -> AsyncIterator[Hub]:
    async with hub(tmp_path) as one:
        yield one


@pytest.fixture
async def client(firms: Hub) -> AsyncIterator[httpx.AsyncClient]:
    """Anonymous."""
    transport = httpx.ASGITransport(firms.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
