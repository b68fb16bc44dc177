"""A page of an app in a real browser: it runs in its frame, and neither it nor an answer of the app reaches out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.fakes import World
from tests.hosting.house import OWNER, write_app

from headrace.api import ApiSettings
from headrace.api.server import serving

PAGE = '[[pages]]\nname = "line"\nfile = "pages/line.js"\ntitle = "Line"\n'
MODULE = """
const main = document.querySelector("#app");
const tried = { app: main.dataset.app, language: main.dataset.language, origin: self.origin };
const attempt = async (name, act) => {
  try { await act(); tried[name] = "done"; } catch { tried[name] = "refused"; }
};
await attempt("fetch", () => fetch("/api/v1/session"));
await attempt("socket", () => new Promise((done, fail) => {
  const socket = new WebSocket(`ws://${location.host}/api/v1/live`);
  socket.onopen = done;
  socket.onerror = fail;
}));
await attempt("storage", () => localStorage.setItem("a", "b"));
await attempt("parent", () => parent.document.title);
await attempt("eval", () => eval("1"));
await attempt("top", () => { top.location = "/elsewhere"; });
parent.postMessage(tried, "*");
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The API in a thread of its own: the browser's calls do not share a loop with it."""
    ready: Any = threading.Event()
    address: list[str] = []
    ends: list[Any] = []

    async def serve() -> None:
        world = await World.make()
        files = {"pages/line.js": MODULE}
        await world.apps.desk.install(OWNER, world.apps.package(write_app(tmp_path, more=PAGE, files=files)))
        await world.apps.desk.enable(OWNER, "press-view", "1.0.0")
        end = asyncio.Event()
        ends.append((asyncio.get_running_loop(), end))
        (tmp_path / "console").mkdir()
        (tmp_path / "console" / "index.html").write_text("<!doctype html><title>ours</title>")
        async with serving(world.services, ApiSettings(console_dir=tmp_path / "console", port=0)) as where:
            address.append(f"http://127.0.0.1:{where.port}")
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield address[0]
    finally:
        loop, end = ends[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(30)


def test_a_page_runs_in_its_frame_and_reaches_nothing(browser: Any, served: str) -> None:
    context = browser.new_context(base_url=served, extra_http_headers={"Authorization": "Bearer token-owner"})
    try:
        page = context.new_page()
        page.goto("/")
        told = page.evaluate(
            """() => new Promise((done) => {
              addEventListener("message", ({ data, origin }) => data.headrace || done({ ...data, from: origin }));
              const frame = document.createElement("iframe");
              frame.sandbox = "allow-scripts";
              frame.src = "/api/v1/apps/press-view/frames/line?language=zh";
              document.body.append(frame);
            })"""
        )
        refused = dict.fromkeys(("fetch", "socket", "storage", "parent", "eval", "top"), "refused")
        assert told == {"app": "press-view", "language": "zh", "origin": "null", "from": "null", **refused}
        assert page.url == f"{served}/"
    finally:
        context.close()
