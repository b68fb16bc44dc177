"""The API with rooms that are stand-ins, as its own tests have it."""

from __future__ import annotations

import pytest
from tests.api.fakes import World


@pytest.fixture
async def world() -> World:
    return await World.make()
