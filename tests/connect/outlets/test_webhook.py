"""The webhook against a plain HTTP server of the standard library, which knows nothing of us."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.connect.outlets.here import OutletsHere

from headrace.connect.outlets.webhook.config import Settings, check, wants
from headrace.model.batch import Value
from headrace.model.errors import ConfigError
from headrace.model.events import Event
from headrace.model.outlets import Outlet
from headrace.sdk.field import LinkState
from headrace.sdk.testing.outlet import T0, OutletContract, Taker, sample


class HttpTaker:
    """Keeps each request; answers `status`, or waits while it hangs."""

    def __init__(self) -> None:
        self.requests: list[tuple[Mapping[str, str], bytes]] = []
        self.status = 204
        self.answers: list[int] = []  # before `status`, one a request
        self.more_headers: dict[str, str] = {}
        self.port = 0
        self.samples = True
        self._go = threading.Event()
        self._go.set()
        self._server: ThreadingHTTPServer | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"url": f"http://127.0.0.1:{self.port}/hook", "samples": self.samples, "timeout": "1s"}

    async def start(self) -> None:
        taker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                taker._go.wait()
                status = taker.answers.pop(0) if taker.answers else taker.status
                if status < 300:
                    taker.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(status)
                for name, value in taker.more_headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = await asyncio.to_thread(Server, ("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    async def stop(self) -> None:
        self._go.set()
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.to_thread(server.shutdown)
            server.server_close()

    async def hang(self) -> None:
        self._go.clear()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]

    async def values(self) -> Mapping[str, Sequence[Value]]:
        seen: dict[str, list[Value]] = {}
        for event in self.events():
            for row in event["data"].get("samples", ()):
                seen.setdefault(row["path"], []).append(row["value"] if not _is_big(row) else int(row["value"]))
        return seen


def _is_big(row: Mapping[str, Any]) -> bool:
    return row["path"].endswith("strokes") and isinstance(row["value"], str)


@asynccontextmanager
async def http_taker() -> AsyncIterator[HttpTaker]:
    taker = HttpTaker()
    await taker.start()
    try:
        yield taker
    finally:
        await taker.stop()


class TestWebhook(OutletsHere, OutletContract):
    protocol = "webhook"

    @asynccontextmanager
    async def taker(self, folder: Path) -> AsyncIterator[Taker]:
        async with http_taker() as taker:
            yield taker

    async def test_an_event_is_a_signed_cloud_event(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOOK_SECRET", "s3cret")
        async with http_taker() as taker:
            outlet = Outlet("erp", "webhook", {**taker.settings, "secret": "env:HOOK_SECRET", "events": ["alarm.*"]})
            async with self.running(outlet, tmp_path) as run:
                await run.bus.publish_events(
                    [
                        Event("1", "connect", "connection.lost", "plc", T0),
                        Event("2", "alarm", "alarm.raised", "acme/p3/oil", T0, {"value": float("nan"), "n": 2**60}),
                    ]
                )
                await self.until(lambda: taker.requests, "an event has come")
            headers, body = taker.requests[0]
            assert json.loads(body) == {
                "specversion": "1.0",
                "id": "2",
                "source": "/headrace/alarm",
                "type": "org.headrace.alarm.raised",
                "subject": "acme/p3/oil",
                "time": "2026-05-28T20:26:40Z",
                "datacontenttype": "application/json",
                "data": {"value": None, "n": str(2**60)},
            }
            signed = f"2.{headers['webhook-timestamp']}.".encode() + body
            expected = base64.b64encode(hmac.new(b"s3cret", signed, hashlib.sha256).digest()).decode()
            assert headers["webhook-signature"] == f"v1,{expected}"
            assert headers["content-type"] == "application/cloudevents+json"
            assert len(taker.requests) == 1

    async def test_a_busy_side_is_asked_again_and_nothing_is_missing(self, tmp_path: Path) -> None:
        async with http_taker() as taker:
            taker.answers = [503, 429, 500]
            async with self.running(self.declared(taker), tmp_path) as run:
                await run.publish([sample("acme/p3/oil", 7.0)])
                await self.until_seen(taker, "acme/p3/oil", 7.0)
                assert run.status.counters.failures == 3

    async def test_what_is_refused_for_good_is_a_dead_letter_and_the_next_goes_on(self, tmp_path: Path) -> None:
        async with http_taker() as taker:
            taker.answers = [422]
            async with self.running(self.declared(taker), tmp_path) as run:
                await run.publish([sample("acme/p3/oil", 7.0)])
                await self.until(lambda: run.status.counters.given_up == 1, "one is given up")
                await run.publish([sample("acme/p3/oil", 8.0)])
                await self.until_seen(taker, "acme/p3/oil", 8.0)
                assert run.status.counters.losses == 0

    async def test_a_redirect_is_not_followed(self, tmp_path: Path) -> None:
        async with http_taker() as taker, http_taker() as elsewhere:
            taker.status, taker.more_headers = 307, {"location": f"http://127.0.0.1:{elsewhere.port}/"}
            async with self.running(self.declared(taker), tmp_path) as run:
                await run.publish([sample("acme/p3/oil", 7.0)])
                await self.until_state(run, LinkState.REFUSED)
                assert "redirects are not followed" in run.status.error
                assert run.status.counters.waiting == 1
            assert elsewhere.requests == []

    async def test_a_secret_that_is_not_there_is_named_never_shown(self, tmp_path: Path) -> None:
        async with http_taker() as taker:
            outlet = Outlet("erp", "webhook", {**taker.settings, "secret": "env:NOBODY_SET_THIS"})
            async with self.running(outlet, tmp_path) as run:
                await self.until_state(run, LinkState.REFUSED)
                assert "env:NOBODY_SET_THIS" in run.status.error

    async def test_an_outage_is_two_lines(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        async with http_taker() as taker:
            taker.answers = [503] * 5
            async with self.running(self.declared(taker), tmp_path) as run:
                await run.publish([sample("acme/p3/oil", 7.0)])
                await self.until_seen(taker, "acme/p3/oil", 7.0)
                await self.until(lambda: "back after" in caplog.text, "it says that it is back")
            told = [one.message for one in caplog.records if "outlet out" in one.message and "open" not in one.message]
            assert len(told) == 2, told


@pytest.mark.parametrize(
    "url",
    [
        "ftp://erp.example/x",
        "http://erp.example/x",
        "https://user:pw@erp.example/x",
        "https://erp.example/x#y",
        "https://",
        "https://[::1",
        "https://erp.example:99999/",
    ],
)
def test_addresses_that_cannot_be_meant(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"url": url})


def test_what_is_sent_is_declared() -> None:
    settings = Settings.model_validate({"url": "https://erp.example/x", "events": ["alarm.*", "connection.lost"]})
    kinds = {"alarm.raised": True, "alarms.x": False, "connection.lost": True, "connection.up": False}
    assert {kind: wants(settings, Event("1", "x", kind, "", 0)) for kind in kinds} == kinds
    with pytest.raises(ConfigError, match="sends nothing"):
        check(Settings.model_validate({"url": "https://erp.example/x", "events": []}), Outlet("a", "webhook", {}))
    with pytest.raises(ConfigError, match="'points' mean nothing"):
        check(settings, Outlet("a", "webhook", {}, points=("acme",)))
    with pytest.raises(ValidationError):
        Settings.model_validate({"url": "https://erp.example/x", "secret": "plain"})
