"""Trends: from a year to a second, by wheel, drag, keys and buttons, with an address that can be shared."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import PRESS_3, Signed, trend_path

pytestmark = pytest.mark.browser
OIL = f"{PRESS_3}/oil.temperature"
POWER = f"{PRESS_3}/motor.power"


def span_s(page: Any) -> float:
    """Seconds from the left edge to the right edge."""
    box = page.get_by_test_id("trend-range")
    return float(box.get_attribute("data-to")) / 1000 - float(box.get_attribute("data-from")) / 1000


def wait_span(page: Any, holds: str) -> None:
    page.wait_for_function(
        f"() => {{ const d = document.querySelector('[data-testid=trend-range]').dataset;"
        f" const s = (d.to - d.from) / 1000; return {holds}; }}"
    )


def test_the_wheel_zooms_from_a_year_to_a_second(open_page: Signed) -> None:
    page = open_page(trend_path(OIL, POWER, last=31_536_000))
    expect(page.get_by_role("row").filter(has_text="Oil temperature")).to_contain_text("°C")
    assert span_s(page) == pytest.approx(31_536_000)
    page.locator(".u-over").hover(position={"x": 300, "y": 100})
    for _ in range(40):
        page.mouse.wheel(0, -240)
    wait_span(page, "s <= 1.01")
    page.wait_for_url("**from=**")
    expect(page.get_by_role("button", name="Go live")).to_be_visible()


def test_only_so_many_buckets_as_pixels_are_asked_for(open_page: Signed) -> None:
    page = open_page("/")
    counts: list[int] = []
    page.on(
        "request",
        lambda request: (
            counts.append(int(request.url.split("count=")[1].split("&")[0])) if "downsample" in request.url else None
        ),
    )
    page.goto(trend_path(OIL, last=31_536_000))
    expect(page.get_by_role("row").filter(has_text="Oil temperature")).to_be_visible()
    page.wait_for_function("() => document.querySelector('.u-over') !== null")
    page.get_by_role("button", name="Zoom out").click()
    page.wait_for_url("**from=**")
    assert counts
    assert max(counts) <= 2_001


def test_dragging_pans_keys_zoom_and_l_goes_live(open_page: Signed) -> None:
    now_ms = int(time.time() * 1000)
    page = open_page(trend_path(OIL, **{"from": now_ms - 8 * 3_600_000, "to": now_ms - 4 * 3_600_000}))
    area = page.locator(".u-over")
    box = area.bounding_box()
    start = float(page.get_by_test_id("trend-range").get_attribute("data-from"))
    page.mouse.move(box["x"] + 200, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 80, steps=4)
    page.mouse.up()
    assert float(page.get_by_test_id("trend-range").get_attribute("data-from")) < start
    assert span_s(page) == pytest.approx(4 * 3_600)
    page.get_by_test_id("trend-chart").focus()
    page.keyboard.press("+")
    wait_span(page, "Math.abs(s - 7200) < 1")
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Live", exact=True)).to_have_attribute("aria-pressed", "true")
    page.wait_for_url("**last=7200**")


def test_points_are_added_and_removed(open_page: Signed) -> None:
    page = open_page("/trend")
    expect(page.get_by_text("No points yet.")).to_be_visible()
    page.get_by_role("button", name="Add points").click()
    dialog = page.get_by_role("dialog", name="Add points")
    dialog.get_by_role("textbox").fill("press-3 oil.temperature")
    expect(dialog.get_by_role("checkbox")).to_have_count(1)  # while the list narrows, the first of it is another one
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row").filter(has_text="Oil temperature")).to_be_visible()
    expect(page.locator("canvas")).to_have_count(1)
    page.get_by_role("button", name="Remove Oil temperature").click()
    expect(page.get_by_text("No points yet.")).to_be_visible()


def test_the_cursor_reads_out_each_line(open_page: Signed) -> None:
    page = open_page(trend_path(OIL, last=3_600))
    row = page.get_by_role("row").filter(has_text="Oil temperature")
    expect(row.get_by_role("cell").nth(4)).not_to_have_text("—")
    page.locator(".u-over").hover(position={"x": 400, "y": 100})
    expect(row.get_by_role("cell").nth(3)).not_to_be_empty()


def test_export_asks_for_what_is_on_screen(open_page: Signed) -> None:
    page = open_page(trend_path(OIL, POWER, last=3_600))
    page.get_by_role("button", name="Export").click()
    address = page.get_by_role("menuitem", name="Export as Parquet").get_attribute("href")
    assert address.count("path=") == 2
    assert "format=parquet" in address
