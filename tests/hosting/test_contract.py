"""What every app can do and what it may not, in a process of its own behind fences."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.hosting.lending import asked, files_of, lent, runner_of, running

from headrace.sdk.apps import read_manifest
from headrace.sdk.testing.app_contract import SETTINGS, AppContract, Run
from headrace.sdk.testing.fake_plant import FakePlant


class TestInAProcess(AppContract):
    trusted = False

    @asynccontextmanager
    async def run(self, folder: Path, plant: FakePlant) -> AsyncIterator[Run]:
        files = files_of(folder)
        manifest = read_manifest(files["manifest.toml"].decode())
        async with lent(folder.parent / "home", plant) as house:
            runner = runner_of(house, files, manifest, settings=SETTINGS, trusted=self.trusted)
            async with running(runner):
                assert runner.health().fences is not self.trusted

                async def run(path: str) -> Any:
                    reply = await runner.request(asked("POST", path))
                    return json.loads(reply.body)

                yield run


class TestOneThatIsTrusted(TestInAProcess):
    trusted = True
