"""Calculated points on the whole platform: from samples that are sent to an alarm, through a restart, on request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from headrace.api.server import serving
from headrace.cli.compose import api_settings, services
from headrace.platform.platform import Platform, running
from headrace.platform.runfile import LOCAL
from headrace.platform.settings import Settings
from headrace.sdk.services import SourceFile

PLANT = """
types:
  pump:
    points:
      suction: {unit: bar}
      discharge: {unit: bar}
      flow: {unit: m3/h}
      head: {unit: bar, expression: discharge - suction}
      power: {unit: kW, expression: head * flow}
      silent: {type: bool, expression: "age(flow) > 1[s]"}
    alarms:
      head:low: {condition: low, limit: 2, priority: high}
assets:
  acme: {level: enterprise}
  acme/p1: {type: pump}
  acme/p2: {type: pump}
points:
  acme/power: {unit: kW, expression: "`p1/power` + `p2/power`"}
"""


@asynccontextmanager
async def platform(folder: Path, plant: str | None) -> AsyncIterator[tuple[Platform, httpx.AsyncClient]]:
    async with (
        running(Settings(folder / "home", port=0)) as made,
        serving(services(made), api_settings(made.settings).model_copy(update={"port": 0})) as address,
    ):
        if plant is not None:
            await made.registry.apply([SourceFile("plant.yaml", plant)], actor="test")
        _, token = await made.access.create_token(LOCAL, "all", "owner")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"{address.url}/api/v1", headers=headers) as client:
            yield made, client


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


async def send(client: httpx.AsyncClient, at_ns: int, **values: float) -> None:
    rows = [{"path": f"acme/{name.replace('_', '/')}", "time": at_ns, "value": value} for name, value in values.items()]
    (await client.post("/ingest/json", json=rows)).raise_for_status()


async def kept(made: Platform, path: str) -> list[Any]:
    await made.pipeline.settled()
    handle = made.reconciler.directory.handles[path]
    page = await made.store.raw(np.array([handle], np.uint32), 0, 2**62)
    return [
        value
        for batch in page.batches
        for value, quality in zip(batch.values.tolist(), batch.quality.tolist(), strict=True)
        if not quality
    ]


async def test_from_samples_to_an_alarm_through_a_restart(tmp_path: Path) -> None:
    now_ns = time.time_ns() - 60 * 10**9
    async with platform(tmp_path, PLANT) as (made, client):
        await send(client, now_ns, p1_suction=1.0, p1_discharge=5.0, p1_flow=9.0)
        await send(client, now_ns, p2_suction=1.0, p2_discharge=4.0, p2_flow=9.0)
        assert await kept(made, "acme/p1/head") == [4.0]
        assert await kept(made, "acme/power") == [(4 + 3) * 9 / 36]
        live = (await client.get("/latest", params={"path": "acme/power"})).json()
        assert live["values"] == [1.75]
        await send(client, now_ns + 10**9, p1_discharge=2.5)
        await until(lambda: [one.rule.name for one in made.alarms.current()] == ["acme/p1/head:low"])
        await until(
            lambda: bool(made.live.get(np.array([made.reconciler.directory.handles["acme/p1/silent"]])).values[0])
        )
        assert len((await client.get("/calculations")).json()) == 7
    async with platform(tmp_path, None) as (made, client):
        await send(client, now_ns + 2 * 10**9, p1_suction=0.5)
        assert await kept(made, "acme/p1/head") == [4.0, 1.5, 2.0]
        assert await kept(made, "acme/power") == [1.75, (1.5 + 3) * 9 / 36, (2 + 3) * 9 / 36]


async def test_a_point_that_is_declared_later_is_worked_out_from_history(tmp_path: Path) -> None:
    now_ns = time.time_ns() - 3600 * 10**9
    before = "\n".join(line for line in PLANT.splitlines() if "expression" not in line and "head:low" not in line)
    before = before.replace("    alarms:\n", "").removesuffix("points:")
    async with platform(tmp_path, before) as (made, client):
        for second in range(20):
            values = {"p1_suction": 1.0, "p1_discharge": 3.0 + second, "p1_flow": 10.0}
            await send(client, now_ns + second * 10**9, **values)
        await made.registry.apply([SourceFile("plant.yaml", PLANT)], actor="test")
        assert await kept(made, "acme/p1/head") == [21.0]
        body = {"points": ["acme/p1/power", "acme/p1/head"], "start": "now-2h"}
        answer = await client.post("/calculations/backfills", json=body)
        assert answer.status_code == 202, answer.text
        async with asyncio.timeout(30):
            while (job := (await client.get("/calculations/backfills")).json()[0])["ended_at"] is None:
                await asyncio.sleep(0.02)
        assert (job["error"], job["results"]) == ("", 40)
        assert await kept(made, "acme/p1/head") == [2.0 + second for second in range(20)]
        assert len(await kept(made, "acme/p1/power")) == 20
        await send(client, now_ns + int(4.5e9), p1_suction=0.0)  # late
        await until(lambda: made.calculations.again > 0 and not made.calculations.waiting)
        heads = await kept(made, "acme/p1/head")
        assert heads[:8] == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.0, 8.0], heads


async def test_rules_are_tested_on_history_before_they_are_declared(tmp_path: Path) -> None:
    start_ns = time.time_ns() - 3600 * 10**9
    async with platform(tmp_path, PLANT) as (made, client):
        for second in range(60):
            await send(client, start_ns + second * 10**9, p1_suction=1.0, p1_discharge=3.5 if second % 20 < 15 else 2.0)
        await until(lambda: made.alarms.current() != [])
        await client.post("/alarms/acknowledge", json={"rules": ["acme/p1/head:low"], "comment": "seen"})
        candidate = "alarms:\n  acme/p1/head:low: {limit: 2, on_delay: 3s}\n"
        body = {"start": "now-2h", "files": [{"name": "new.yaml", "text": candidate}]}
        tested = (await client.post("/backtests", json=body)).json()
        async with asyncio.timeout(30):
            while (job := (await client.get(f"/backtests/{tested['id']}")).json())["ended_at"] is None:
                await asyncio.sleep(0.02)
        assert job["error"] == ""
        assert job["samples"] >= 120
        (rule,) = [one for one in job["rules"] if one["rule"] == "acme/p1/head:low"]
        assert (rule["raised"], rule["really_acknowledged"]) == (3, 1)
        assert rule["really_raised"] == 3
        assert {one["acknowledged_by"] for one in job["episodes"]} >= {"all"} or rule[
            "median_acknowledge_s"
        ] is not None
        wrong = {
            **body,
            "files": [{"name": "new.yaml", "text": "alarms: {acme/p1/hed:low: {condition: low, limit: 2}}"}],
        }
        answer = await client.post("/backtests", json=wrong)
        assert answer.status_code == 422 and "did you mean" in answer.text
        assert (await made.registry.model()).alarms["acme/p1/head:low"].on_delay_ns == 0
