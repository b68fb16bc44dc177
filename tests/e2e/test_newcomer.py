"""The newcomer's first ten minutes, for real: the demo, its console in Chromium, a password, an alarm dealt with."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.platform_process import ROOT, environment, wait_for
from tests.services import require_service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OWN = "the wheel turns slowly"
pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address and one-time password, as the terminal shows them; the plant has a worn bearing."""
    require_service("Chromium", CHROMIUM is not None, "apt-get install chromium")
    built = (ROOT / "src/headrace/api/console/index.html").exists()
    require_service("the built console", built, "tools/setup.sh console")
    log = tmp_path / "terminal"
    options = ["--home", str(tmp_path / "demo"), "--port", "0", "--no-browser"]
    worn = ["--fault", "press-2:bearing-wear@1s,severity=0.9"]
    command = [sys.executable, "-m", "headrace", "demo", *options, *worn]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment())
    try:
        said = wait_for(lambda: "Open http" in log.read_text() and log.read_text(), 60, "the demo", log.read_text)
        address = re.search(r"Open (http\S+)", said)
        password = re.search(r"one-time password\s+(\S+)", said)
        assert address and password
        yield address.group(1), password.group(1)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert "Traceback" not in log.read_text()


def test_from_the_terminal_to_an_acknowledged_alarm(demo: tuple[str, str]) -> None:
    from playwright.sync_api import expect, sync_playwright

    address, password = demo
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"],
        )
        page = browser.new_context(base_url=address, locale="en-GB", reduced_motion="reduce").new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto("/")
        sign_in(page, password)

        expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
        expect(page.get_by_role("link", name="Press 2").first).to_be_visible()

        page.goto("/alarms")
        worn = page.get_by_role("row").filter(has_text="Bearing vibration").first
        expect(worn).to_contain_text("Unacknowledged", timeout=120_000)
        worn.get_by_role("checkbox").check()
        page.get_by_role("button", name="Acknowledge 1").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Comment").fill("bearing ordered")
        dialog.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_role("row").filter(has_text="bearing ordered")).to_contain_text("admin")
        browser.close()
    assert wrong == []


def sign_in(page: Any, password: str) -> None:
    page.get_by_label("User name").fill("admin")
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("textbox", name="New password", exact=False).first.fill(OWN)
    page.get_by_role("textbox", name="New password again").fill(OWN)
    page.get_by_role("button", name="Set password").click()
