"""The console in a real Chromium, before a server that is started for each test.

console_url ──► context (language, theme, width) ──► page, signed in
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.services import require_service

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "console"
BUILT = ROOT / "src" / "headrace" / "api" / "console"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Silent (no updates, no probes), and able to run in a container that gives it no sandbox and little shared memory.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Counts what a page has asked for and not yet been answered, and when the last answer came.
ASKED = """(() => {
    const asked = (window.asked = { open: 0, at: performance.now() });
    const real = window.fetch;
    window.fetch = (...given) => {
        asked.open += 1;
        return real(...given).finally(() => { asked.open -= 1; asked.at = performance.now(); });
    };
})()"""
QUIET = """() => new Promise((done, fail) => {
    const look = (left) => {
        if (asked.open === 0 && performance.now() - asked.at > 150) done();
        else if (left === 0) fail(new Error(`${asked.open} requests are not answered`));
        else setTimeout(look, 20, left - 1);
    };
    look(1_000);
})"""
PRESS_3 = "acme/suzhou/press-shop/line-1/press-3"

Signed = Callable[..., Any]


def node() -> str | None:
    local = ROOT / ".cache" / "node-bin" / "node"
    return str(local) if local.exists() else shutil.which("node")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Ends with its module: while Playwright's synchronous API is open, no other test can run an event loop."""
    require_service("Chromium", CHROMIUM is not None, "apt-get install chromium")
    require_service("the built console", (BUILT / "index.html").exists(), "tools/setup.sh console")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def console_url(browser: Any) -> Iterator[str]:
    """A stand-in platform (console/mock/server.mjs) of this test's own; its state ends with the test."""
    program = node()
    require_service("Node", program is not None, "tools/setup.sh console")
    require_service("the console's node_modules", (CONSOLE / "node_modules" / "ws").exists(), "tools/setup.sh console")
    command = [str(program), "mock/server.mjs", "--port", "0", "--console", str(BUILT)]
    environment = {**os.environ, "NODE_ENV": "test"}
    with subprocess.Popen(command, cwd=CONSOLE, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture
def open_page(browser: Any, console_url: str) -> Iterator[Signed]:
    """`open_page("/alarms", user="anna", width=360)`: a signed-in page; any error in its console fails the test."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def start(
        path: str = "/",
        *,
        user: str | None = "lee",
        language: str = "en",
        scheme: str = "light",
        width: int = 1440,
        height: int = 900,
        motion: str = "reduce",
    ) -> Any:
        context = browser.new_context(
            base_url=console_url,
            viewport={"width": width, "height": height},
            reduced_motion=motion,
            has_touch=width < 700,
            service_workers="block",
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.add_init_script(
            # A frame in a sandbox has no storage.
            "if (window.origin !== 'null') {"
            f"localStorage.setItem('headrace.language', {json.dumps(language)});"
            f"localStorage.setItem('headrace.scheme', {json.dumps(scheme)})}}"
        )
        context.add_init_script(ASKED)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if _ours(said) else None)
        if user is not None:
            password = "-".join([user] * (3 if user == "anna" else 4))
            answer = context.request.post(
                "/api/v1/session", data={"user": user, "password": password}, headers={"X-Headrace": "1"}
            )
            assert answer.ok, answer.text()
        page.goto(path)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not wrong, wrong


def _ours(said: Any) -> bool:
    """An error of the page itself; a refused sign-in or a dropped socket is what some tests ask for."""
    return said.type == "error" and not said.text.startswith(("Failed to load resource", "WebSocket connection"))


@pytest.fixture
def ask_mock(console_url: str) -> Callable[[str], None]:
    def ask(path: str) -> None:
        with urllib.request.urlopen(f"{console_url}/mock/{path}", timeout=10) as answer:
            assert answer.status == 200

    return ask


def quiet(page: Any) -> None:
    """Everything asked for has come, and what came has asked for nothing more."""
    page.evaluate(QUIET)


def trend_path(*points: str, **search: int) -> str:
    rest = "".join(f"&{key}={value}" for key, value in search.items())
    return f"/trend?p={quote(json.dumps(points))}{rest}"
