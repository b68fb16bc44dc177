"""What every app can do and what it may not, in the kit that its author tests it with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headrace.model.time import format_time
from headrace.sdk.testing.app_contract import SETTINGS, START_NS, AppContract, Run
from headrace.sdk.testing.apps import AppUnderTest
from headrace.sdk.testing.fake_plant import FakePlant


class TestInTheKit(AppContract):
    @asynccontextmanager
    async def run(self, folder: Path, plant: FakePlant) -> AsyncIterator[Run]:
        async with AppUnderTest.of(folder, plant, settings=SETTINGS, start=format_time(START_NS)) as app:
            yield app.post
