"""Alarms before the real platform: raised by a sample, opened, acknowledged, reset, shelved, counted, tested.

sample ─► `headrace serve` ─► the list ─► record ─► acts ─► quiet ─► figures ─► back-test, in Chromium
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.e2e.platform_process import platform_process, wait_for
from tests.security.entering import signed_in

from headrace.cli.client import Client

pytestmark = pytest.mark.browser
PLANT = """
alarm_classes:
  trip: {title: {en: Trips, zh: 停机}, latched: true, comment: true, proof: true, shelve: false, priority: critical}
assets:
  acme: {level: site}
  acme/air: {level: equipment, title: {en: Compressor}}
  acme/press: {level: equipment, title: {en: Press}}
points:
  acme/air/pressure: {type: float64, unit: bar}
  acme/press/oil: {type: float64, unit: Cel}
alarms:
  acme/air/pressure:low:
    condition: low
    limit: 6
    class: trip
    message: {en: Air pressure low}
    cause: {en: A leak or an open valve}
    response: {en: Start the second compressor}
    time_to_respond: 10h
  acme/press/oil:hot: {condition: high, limit: 60, priority: high, message: {en: Oil is hot}}
"""


@pytest.fixture
def platform(tmp_path: Any) -> Iterator[tuple[Client, str]]:
    """(client, an owner's session)."""
    (tmp_path / "plant.yaml").write_text(PLANT, "utf-8")
    with platform_process(tmp_path / "home", "-f", str(tmp_path / "plant.yaml")) as process:
        client = process.start()
        once = re.search(r"one-time password\s+(\S+)", process.log.read_text())
        assert once is not None
        yield client, signed_in(client.url, "admin", once[1]).cookies["headrace_session"]


@pytest.mark.timeout(300)
def test_an_alarm_from_its_sample_to_its_figures(browser: Any, platform: tuple[Client, str]) -> None:
    client, session = platform
    client.post("/ingest/json", {"path": "acme/air/pressure", "value": 4.0})
    client.post("/ingest/json", {"path": "acme/press/oil", "value": 70.0})
    wait_for(lambda: len(client.get("/alarms")["alarms"]) == 2, 30, "two alarms")
    context = browser.new_context(base_url=client.url, viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(30_000)
    context.add_init_script("localStorage.setItem('headrace.language', 'en')")
    context.add_cookies([{"name": "headrace_session", "value": session, "url": client.url}])
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None)

    page.goto("/alarms")
    low, hot = (page.locator(f"tr[data-rule='{rule}']") for rule in ("acme/air/pressure:low", "acme/press/oil:hot"))
    expect(hot).to_contain_text("Unacknowledged", timeout=30_000)
    low.get_by_role("link").click()
    record = page.get_by_role("dialog", name="Air pressure low")
    for text in (
        "Start the second compressor",
        "A leak or an open valve",
        "left to respond",
        "Trips",
        "May not be shelved",
    ):
        expect(record).to_contain_text(text, timeout=30_000)
    expect(record.get_by_role("button", name="Shelve")).to_have_count(0)
    record.get_by_role("button", name="Acknowledge").click()
    asked = page.get_by_role("dialog", name="Acknowledge 1 alarm")
    asked.get_by_label(re.compile("Comment")).fill("second one started")
    asked.get_by_role("button", name="Acknowledge").click()
    expect(record).to_contain_text("Critical · Acknowledged", timeout=30_000)
    client.post("/ingest/json", {"path": "acme/air/pressure", "value": 7.0})
    record.get_by_role("button", name="Reset").click(timeout=60_000)
    page.get_by_role("dialog", name="Reset 1 latched alarm").get_by_role("button", name="Reset").click()
    expect(record).to_contain_text("It is normal now", timeout=30_000)
    expect(record).to_contain_text("second one started")
    page.keyboard.press("Escape")

    hot.get_by_role("checkbox").check()
    page.keyboard.press("s")
    shelve = page.get_by_role("dialog", name="Shelve 1 alarm")
    shelve.get_by_label("For").select_option("15 min")
    shelve.get_by_label("Reason").fill("sensor is being changed")
    shelve.get_by_role("button", name="Shelve").click()
    page.get_by_role("tab", name="Quiet 1").click()
    expect(hot).to_contain_text("admin: sensor is being changed", timeout=30_000)
    expect(hot).to_contain_text("Holds now")
    hot.get_by_role("checkbox").check()
    page.get_by_role("button", name="Unshelve 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Unshelve").click()
    page.get_by_role("tab", name="Current 1").click()
    expect(hot).to_contain_text("Unacknowledged", timeout=30_000)

    page.get_by_role("tab", name="Figures").click()
    expect(page.locator("[data-figure=rate]")).to_be_visible(timeout=30_000)
    page.get_by_role("tab", name="Back-tests").click()
    page.get_by_role("button", name="Start").click()
    tested = page.locator("tr[data-result='acme/air/pressure:low']")
    expect(tested).to_contain_text("same", timeout=60_000)  # it would have been raised once, as it was
    context.close()
    assert not wrong, wrong
