"""The app as the platform runs it: in a process of its own behind fences, with the platform's tables and signatures."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.apps.outcomes.test_app import DEFINITION, FACTOR_ROWS, FOLDER, rows_of
from tests.apps.outcomes.works import FIRST, Works
from tests.hosting.lending import asked, files_of, lent, runner_of, running

from headrace.sdk.access import Action
from headrace.sdk.apps import read_manifest
from headrace.sdk.testing.fake_plant import FakePlant

DAYS = 56
SHORT = {
    **DEFINITION,
    "baseline": {"first": FIRST.isoformat(), "end": (FIRST + timedelta(DAYS)).isoformat()},
    "report": {"first": (FIRST + timedelta(364)).isoformat(), "end": (FIRST + timedelta(364 + DAYS)).isoformat()},
}


async def anything(action: Action, path: str) -> bool:
    return True


async def test_from_rows_to_verdicts_behind_fences(tmp_path: Path) -> None:
    files = files_of(FOLDER)
    manifest = read_manifest(files["manifest.toml"].decode())
    async with lent(tmp_path, FakePlant()) as house:
        runner = runner_of(house, files, manifest, package="headrace.apps.outcomes")
        async with running(runner):
            assert runner.health().fences

            async def go(method: str, path: str, body: Any = None) -> Any:
                data = b"" if body is None else json.dumps(body).encode()
                return json.loads((await runner.request(asked(method, path, body=data, may=anything))).body)

            await go("PUT", "/factors", {"factors": FACTOR_ROWS})
            rows = rows_of(Works(seed=4, days=DAYS))
            assert (await go("POST", "/rows", {"rows": rows}))["new"] == len(rows)
            frozen = await go("POST", "/baselines", SHORT)
            assert frozen["signature"]["key"] == house.abilities.key.public
            assert (await go("GET", "/baselines/press-shop/verify"))["matches"]
            answer = await go("GET", "/baselines/press-shop/outcomes")
            labour = answer["outcomes"][0]
            assert labour["verdict"] == "gain" and labour["simultaneous"]["low"] < 0.2 < labour["simultaneous"]["high"]
