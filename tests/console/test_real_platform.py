"""The console before the real platform and the reference plant: from the one-time password to a setpoint read back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import ROOT, trend_path

pytestmark = pytest.mark.browser
PRESS_2 = "acme/suzhou/press-shop/line-1/press-2"
OWN = "the wheel turns slowly"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """(address, one-time password) of `headrace demo` in a process group of its own."""
    command = [sys.executable, "-m", "headrace", "demo", "--home", str(tmp_path / "home"), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'plants'}", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--no-browser"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            said, password, address = "", None, None
            for line in process.stdout:
                said += line
                password = password or re.search(r"one-time password\s+(\S+)", line)
                address = re.search(r"is running\. Open (http://\S+)", line)
                if address:
                    break
            assert password and address, said
            yield address[1], password[1]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def test_from_the_first_sign_in_to_a_setpoint_read_back(browser: Any, platform: tuple[str, str]) -> None:
    address, password = platform
    context = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(20_000)
    context.add_init_script("localStorage.setItem('headrace.language', 'en')")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None)

    page.goto("/")
    page.get_by_label("User name").fill("admin")
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("textbox", name="New password").first.fill(OWN)
    page.get_by_role("textbox", name="New password again").fill(OWN)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_text("6 of 6 connected")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("link", name="Press 2").first).to_contain_text("Oil temperature")

    page.goto(f"/explore/{PRESS_2}")
    moving = page.locator('[data-point="cylinder.position"]').get_by_role("cell").nth(1)
    expect(moving).to_contain_text("mm")
    before = moving.inner_text()
    expect(moving).not_to_have_text(before, timeout=30_000)

    page.get_by_role("button", name="Change Pressure setpoint").click()
    dialog = page.get_by_role("dialog", name="Change Pressure setpoint")
    dialog.get_by_label("New value").fill("185")
    dialog.get_by_label("Reason").fill("trial run")
    dialog.get_by_role("button", name="Review").click()
    dialog.get_by_role("button", name="Send to the device").click()
    expect(dialog.get_by_role("status")).to_contain_text("185.0 bar", timeout=30_000)
    dialog.get_by_role("button", name="Close").last.click()

    page.goto(trend_path(f"{PRESS_2}/oil.temperature", last=300))
    expect(page.get_by_role("row").filter(has_text="Oil temperature").get_by_role("cell").nth(5)).not_to_have_text("—")
    page.goto("/engineering")
    page.get_by_role("button", name="Show plan").click()
    expect(page.get_by_text("Nothing would change.")).to_be_visible()
    page.goto("/system?tab=audit")
    expect(page.get_by_role("row").filter(has_text="trial run").first).to_be_visible()
    context.close()
    assert not wrong, wrong
