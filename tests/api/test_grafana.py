"""What Grafana asks of a Prometheus, answered from the real historian; a real Prometheus says whether it is right."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.api.fakes import COUNTER, LINE, ORDER, RUNNING, T0, TEMPERATURE, World
from tests.services import require_service

from headrace.api import ApiSettings, create_app
from headrace.api.server import serving
from headrace.history import HistorySettings, open_store
from headrace.model import quality as q
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import SystemClock

BASE = "/api/v1/grafana/prometheus"
START_S = T0 // SECOND_NS
STEP_NS = 7 * SECOND_NS
OFFSET_NS = 500_000_000  # no sample lies on the edge of a window, where Prometheus counts it to the earlier one
COUNT = 400
VALUES = np.round(np.random.default_rng(5).normal(50, 10, COUNT), 3)
VIEWER = {"Authorization": "Bearer token-viewer"}


@pytest.fixture
async def past(world: World, tmp_path: Path) -> AsyncIterator[World]:
    """A temperature every seven seconds with a gap of ten minutes, a bad sample, and other kinds."""
    store = await open_store(tmp_path / "history", HistorySettings(), SystemClock())
    numbers = await store.register(sorted(world.registry.plant.points))
    world.handles = dict(zip(sorted(world.registry.plant.points), numbers.tolist(), strict=True))
    times = sample_times()
    batch = world.batch(TEMPERATURE, VALUES)
    batch = replace(batch, source_ns=times, received_ns=times)
    await store.append(
        [
            batch,
            world.batch(TEMPERATURE, [1e9], at_ns=T0 + 3 * SECOND_NS, quality=q.BAD),
            world.batch(COUNTER, np.arange(COUNT), at_ns=T0 + OFFSET_NS, step_ns=STEP_NS),
            world.batch(RUNNING, [True, False], at_ns=T0 + OFFSET_NS, step_ns=STEP_NS),
            world.batch(ORDER, ["a"]),
        ]
    )
    world.services = replace(world.services, store=store)
    yield world
    await store.close()


def sample_times() -> np.ndarray[Any, np.dtype[np.int64]]:
    times = T0 + OFFSET_NS + np.arange(COUNT, dtype=np.int64) * STEP_NS
    times[COUNT // 2 :] += 600 * SECOND_NS
    return times


@pytest.fixture
async def grafana(past: World, settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(past.services, settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://localhost{BASE}/api/v1/", headers=VIEWER
    ) as client:
        yield client


async def data(client: httpx.AsyncClient, route: str, method: str = "GET", **params: Any) -> Any:
    send = {"params": params} if method == "GET" else {"data": params}
    answer = await client.request(method, route, **send)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "success"
    return answer.json()["data"]


async def test_what_save_and_test_asks(grafana: httpx.AsyncClient) -> None:
    found = await data(grafana, "query", "POST", query="1+1", time=str(START_S))
    assert found == {"resultType": "scalar", "result": [START_S, "2"]}
    assert (await data(grafana, "status/buildinfo"))["version"].count(".") == 2
    assert list(await data(grafana, "metadata")) == ["point"]
    assert await data(grafana, "metadata", metric="up") == {}


async def test_labels_come_from_the_model(grafana: httpx.AsyncClient) -> None:
    assert await data(grafana, "labels") == [
        "__name__", "asset", "enterprise", "equipment", "line", "name", "path", "unit",
    ]  # fmt: skip
    assert await data(grafana, "label/equipment/values") == ["press-1", "press-2"]
    assert await data(grafana, "label/__name__/values") == ["point"]
    assert await data(grafana, "label/name/values", **{"match[]": f'point{{asset="{LINE}/press-2"}}'}) == ["running"]
    assert await data(grafana, "label/nothing/values") == []
    found = await data(grafana, "series", "POST", **{"match[]": ['{unit="Cel"}', '{name="running"}']})
    assert found[0] == {
        "__name__": "point", "path": TEMPERATURE, "asset": f"{LINE}/press-1", "name": "oil.temperature", "unit": "Cel",
        "enterprise": "acme", "line": "line-1", "equipment": "press-1",
    }  # fmt: skip
    assert [one["path"] for one in found] == [TEMPERATURE, RUNNING]
    assert ORDER not in await data(grafana, "label/path/values")


@pytest.mark.parametrize(
    ("matchers", "names"),
    [
        ('name="strokes"', {"strokes"}),
        ('name=~"stro.*|run.*"', {"strokes", "running"}),
        ('name=~"stro"', set()),
        ('name!~".*e.*",unit="1"', {"running"}),
        ('site=""', {"oil.temperature", "setpoint.pressure", "strokes", "running"}),
        ('nothing!=""', set()),
        ('unit!="1",__name__="point"', {"oil.temperature", "setpoint.pressure"}),
        ('__name__=~"up"', set()),
    ],
)
async def test_matchers(grafana: httpx.AsyncClient, matchers: str, names: set[str]) -> None:
    found = await data(grafana, "series", **{"match[]": f"{{{matchers}}}"})
    assert {one["name"] for one in found} == names


async def test_an_instant_is_the_newest_good_value_of_five_minutes(grafana: httpx.AsyncClient) -> None:
    query = f'point{{path="{TEMPERATURE}"}}'
    found = await data(grafana, "query", query=query, time=str(START_S + 20.25))
    assert found["resultType"] == "vector"
    ((one,),) = (found["result"],)
    assert one["metric"]["unit"] == "Cel" and one["value"] == [START_S + 20.25, repr(float(VALUES[2]))]
    assert (await data(grafana, "query", query=query, time=str(START_S + 3_000_000)))["result"] == []
    moment = await data(grafana, "query", query=f"max_over_time({query}[1m])", time="2026-11-22T08:01:00Z")
    assert moment["result"][0]["value"] == [START_S + 60, repr(float(VALUES[:9].max()))]
    assert "__name__" not in moment["result"][0]["metric"]


async def test_errors_have_the_form_of_prometheus(grafana: httpx.AsyncClient) -> None:
    span = {"start": str(START_S), "end": str(START_S + 60), "step": "15s"}
    for route, params, said in (
        ("query", {"query": "rate(point[5m])"}, "'rate(…)' is not part of the PromQL"),
        ("query", {}, "'query' is missing"),
        ("query", {"query": "point", "time": "soon"}, "is not a time"),
        ("query", {"query": "point", "time": "1e999999999"}, "is not a time"),
        ("query", {"query": 'point{name=~"("}'}, "is no regular expression"),
        ("query_range", {**span, "query": "point", "step": "0"}, "is not possible"),
        ("query_range", {**span, "query": "point", "step": "1ms"}, "more than 11000"),
        ("query_range", {**span, "query": "point", "end": "0"}, "must not be before"),
        ("query_range", {**span, "query": "point", "start": ""}, "'start' is missing"),
        ("query_range", {**span, "query": "avg_over_time(point[86399s])", "step": "7001ms"}, "no common measure"),
        ("series", {"match[]": "1"}, "is no selector"),
    ):  # fmt: skip
        answer = await grafana.get(route, params=params)
        body = answer.json()
        assert answer.status_code == 400 and body["status"] == "error" and body["errorType"] == "bad_data", answer.text
        assert said in body["error"], body
    assert (await grafana.get("query", headers={"Authorization": "Bearer nonsense"})).status_code == 401
    del grafana.headers["Authorization"]
    assert (await grafana.post("query", data={"query": "point"})).status_code == 401


def openmetrics() -> str:
    """The temperature's good samples, as Prometheus takes them in."""
    labels = f'path="{TEMPERATURE}"'
    lines = [
        f"point{{{labels}}} {value!r} {time_ns / 1e9:.3f}"
        for value, time_ns in zip(VALUES.tolist(), sample_times().tolist(), strict=True)
    ]
    return "\n".join(["# TYPE point gauge", *lines, "# EOF", ""])


@pytest.fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[str]:
    found = shutil.which("prometheus") is not None and shutil.which("promtool") is not None
    require_service("prometheus", found, "apt-get install prometheus (tools/setup.sh services does it)")
    (tmp_path / "in.txt").write_text(openmetrics())
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(tmp_path / "in.txt"), str(tmp_path / "tsdb")]
    made = await asyncio.to_thread(subprocess.run, blocks, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y", "--log.level=error",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            async with asyncio.timeout(30):
                while True:
                    try:
                        if (await client.get("/-/ready")).status_code == 200:
                            break
                    except httpx.TransportError:
                        pass
                    await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def test_prometheus_itself_gives_the_same_numbers(prometheus: str, grafana: httpx.AsyncClient) -> None:
    selector = f'point{{path="{TEMPERATURE}"}}'
    async with httpx.AsyncClient(base_url=f"{prometheus}/api/v1/", trust_env=False) as peer:
        for query, step in (
            (selector, "15s"),
            (selector, "60s"),
            (selector, "420s"),
            *((f"{name}_over_time({selector}[1m])", "60s") for name in ("avg", "min", "max", "sum", "count", "last")),
            *((f"{name}_over_time({selector}[5m])", "30s") for name in ("avg", "min", "max", "count", "last")),
            (f"avg_over_time({selector}[90s])", "60s"),
            (f"avg_over_time({selector}[20s])", "10m"),
        ):
            asked = {"query": query, "start": str(START_S), "end": str(START_S + 4_200), "step": step}
            ((ours,), (theirs,)) = [(await data(one, "query_range", **asked))["result"] for one in (grafana, peer)]
            ours_at, theirs_at = dict(ours["values"]), dict(theirs["values"])
            assert set(ours_at) == set(theirs_at), query
            for moment, value in theirs_at.items():
                assert float(ours_at[moment]) == pytest.approx(float(value), rel=1e-12), (query, moment)
            assert ours["metric"].get("__name__") == theirs["metric"].get("__name__"), query


async def test_promtool_reads_it(past: World) -> None:
    require_service("promtool", shutil.which("promtool") is not None, "apt-get install prometheus")
    async with serving(past.services, ApiSettings(port=0)) as address:

        async def promtool(*arguments: str, token: str = "token-viewer") -> subprocess.CompletedProcess[str]:
            command = [
                "promtool", "query", "range", f"--header=Authorization=Bearer {token}", f"--start={START_S}",
                f"--end={START_S + 120}", "--step=60s", f"{address.url}{BASE}", *arguments,
            ]  # fmt: skip
            return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)

        said = await promtool('avg_over_time(point{name="oil.temperature"}[1m])')
        assert said.returncode == 0, said.stderr
        found = [float(text) for text in re.findall(r"^([\d.]+) @\[", said.stdout, re.M)]
        assert found == pytest.approx([VALUES[:9].mean(), VALUES[9:18].mean()])
        said = await promtool("sum(point)")
        assert said.returncode != 0 and "not part of the PromQL that Headrace speaks" in said.stderr
        assert (await promtool("point", token="nonsense")).returncode != 0


async def test_infinity_reads_buckets_as_they_are(past: World, settings: ApiSettings) -> None:
    """The columns that docs/query.md tells a user of Grafana's Infinity data source to pick."""
    transport = httpx.ASGITransport(create_app(past.services, settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=VIEWER) as client:
        params = {
            "path": TEMPERATURE,
            "start": str(START_S * 1000),
            "end": str(START_S * 1000 + 120_000),
            "width": "1m",
        }
        answer = (await client.get("/api/v1/history/downsample", params=params)).json()
    means = answer["series"][0]["columns"]["mean"]
    assert answer["start_ms"] == START_S * 1000 and answer["width_ms"] == 60_000
    assert means == pytest.approx([VALUES[:9].mean(), VALUES[9:18].mean()])
