"""Samples in by HTTP, out by an outlet: the whole platform, with curl and a real Telegraf as the senders."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.connect.outlets.test_webhook import http_taker
from tests.services import require_service

from headrace.api.server import serving
from headrace.cli.compose import api_settings, services
from headrace.exchange.numbering import PathBook
from headrace.exchange.unix import UnixBus
from headrace.platform.platform import Platform, running
from headrace.platform.runfile import LOCAL
from headrace.platform.settings import Settings
from headrace.sdk.bus import Overflow
from headrace.sdk.services import SourceFile

TELEGRAF = Path(__file__).parents[2] / ".cache" / "go-bin" / "telegraf"

PLANT = """
assets:
  acme: {{level: enterprise}}
  acme/p3: {{level: equipment}}
points:
  acme/p3/oil: {{type: float64, unit: Cel, range: [0, 120]}}
  acme/p3/strokes: {{type: int64}}
  acme/p3/note: {{type: text}}
alarms:
  acme/p3/oil:hot: {{condition: high, limit: 75, priority: high, message: Oil too hot}}
ingest:
  collectors: {{bucket: telegraf, rules: [{{point: "acme/{{machine}}/{{field}}", measurement: press}}]}}
outlets:
  erp: {{protocol: webhook, waiting: disk, settings: {{url: "http://127.0.0.1:{port}/hook", events: [alarm.*]}}}}
"""


@asynccontextmanager
async def platform(folder: Path, hook_port: int) -> AsyncIterator[tuple[Platform, str, str]]:
    """A platform that listens, its URL, and a token of the role `source`."""
    settings = Settings(folder / "home", port=0, share_bus=True)
    async with (
        running(settings) as made,
        serving(services(made), api_settings(settings).model_copy(update={"port": 0})) as address,
    ):
        await made.registry.apply([SourceFile("plant.yaml", PLANT.format(port=hook_port))], actor="test")
        _, token = await made.access.create_token(LOCAL, "collector", "source")
        yield made, address.url, token


async def stored(made: Platform) -> dict[str, list[object]]:
    paths = made.store.paths()
    found: dict[str, list[object]] = {}
    page = await made.store.raw(np.array(list(paths), np.uint32), 0, 2**62)
    for batch in page.batches:
        for handle, value in zip(batch.handles.tolist(), batch.values.tolist(), strict=True):
            found.setdefault(paths[handle], []).append(value)
    return found


async def test_sent_by_curl_stored_judged_and_told(tmp_path: Path) -> None:
    require_service("curl", shutil.which("curl") is not None, "apt-get install curl")
    async with http_taker() as hook, platform(tmp_path, hook.port) as (made, url, token):
        async with UnixBus.connect(made.settings.run_dir / "bus.sock", PathBook(), name="watcher") as bus:
            watching = bus.subscribe("watch", capacity=1000, overflow=Overflow.DROP_OLDEST)
            await bus.settled()
            curl = await asyncio.create_subprocess_exec(
                "curl", "-sS", "--fail-with-body", f"{url}/api/v2/write?org=o&bucket=b&precision=ms",
                "-H", f"Authorization: Token {token}", "--data-binary", "acme/p3 oil=80.5,strokes=7i,note=\"a b\"",
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, _ = await curl.communicate()
            assert (curl.returncode, out) == (0, b"")
            assert await stored(made) == {"acme/p3/oil": [80.5], "acme/p3/strokes": [7], "acme/p3/note": ["a b"]}
            assert sum(map(len, await anext(watching))) >= 1
        while not any(one["type"] == "org.headrace.alarm.raised" for one in hook.events()):
            await asyncio.sleep(0.01)
        told = next(one for one in hook.events() if one["type"] == "org.headrace.alarm.raised")
        assert told["subject"] == "acme/p3/oil"
        assert told["data"]["value"] == 80.5
        async with httpx.AsyncClient(base_url=url) as client:
            local = {"Authorization": f"Bearer {(await made.access.create_token(LOCAL, 'looker', 'viewer'))[1]}"}
            outlets = (await client.get("/api/v1/outlets", headers=local)).json()
            assert [(one["name"], one["protocol"], one["state"]) for one in outlets] == [
                ("erp", "webhook", "connected")
            ]
            metrics = (await client.get("/metrics", headers=local)).text
            assert 'headrace_outlet_state{outlet="erp",protocol="webhook",state="connected"} 1' in metrics
            assert "headrace_ingest_samples_total 3" in metrics
            system = (await client.get("/api/v1/system", headers=local)).json()
            assert system["ingest"] == {"requests": 1, "samples": 3, "refused": 0, "ignored": 0}
        exported = await made.registry.export()
        assert not (await made.registry.plan(exported)).changes


CONFIG = """
[agent]
  interval = "100ms"
  flush_interval = "100ms"
  omit_hostname = true
[[inputs.file]]
  files = ["{file}"]
  data_format = "influx"
[[outputs.influxdb_v2]]
  urls = ["{url}"]
  token = "{token}"
  organization = "acme"
  bucket = "telegraf"
[[outputs.influxdb]]
  urls = ["{url}"]
  database = "telegraf"
  skip_database_creation = true
  username = "telegraf"
  password = "{token}"
"""


@pytest.mark.service("Telegraf")
async def test_telegraf_writes_with_both_of_its_outputs(tmp_path: Path) -> None:
    require_service("Telegraf", TELEGRAF.exists(), "tools/setup.sh services builds it where Go 1.25 is installed")
    lines = [f"press,machine=p3 oil={value},strokes={value}i {1_790_000_000 + value}000000000" for value in range(20)]
    await asyncio.to_thread((tmp_path / "in.lp").write_text, "\n".join(lines) + "\n")
    async with http_taker() as hook, platform(tmp_path, hook.port) as (made, url, token):
        config = CONFIG.format(file=tmp_path / "in.lp", url=url, token=token)
        await asyncio.to_thread((tmp_path / "telegraf.conf").write_text, config)
        telegraf = await asyncio.create_subprocess_exec(
            str(TELEGRAF), "--config", str(tmp_path / "telegraf.conf"), "--once",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await telegraf.communicate()
        assert telegraf.returncode == 0, said.decode()
        assert b"E!" not in said, said.decode()
        found = await stored(made)
        assert found == {
            "acme/p3/oil": [float(value) for value in range(20)],
            "acme/p3/strokes": list(range(20)),
        }  # each came twice, and counts once
        assert made.ingest.counters.requests >= 2
        assert made.ingest.counters.refused == 0


async def test_a_map_that_leads_nowhere_is_told_with_its_line(tmp_path: Path) -> None:
    async with http_taker() as hook, platform(tmp_path, hook.port) as (made, _, _):
        text = PLANT.format(port=hook.port).replace('"acme/{machine}/{field}"', "acme/p3/oli")
        text = text.replace("protocol: webhook", "protocol: webhok")
        errors = [str(one) for one in (await made.registry.plan([SourceFile("plant.yaml", text)])).errors]
        assert len(errors) == 2
        assert "plant.yaml:12" in errors[0] and "did you mean 'acme/p3/oil'?" in errors[0]
        assert "there is no outlet protocol 'webhok'; did you mean 'webhook'?" in errors[1]
        assert json.dumps(errors)
