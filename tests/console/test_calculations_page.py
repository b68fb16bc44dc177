"""Calculated points in the console: how they fare, and working a stretch out anew."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed

pytestmark = pytest.mark.browser
COMPRESSOR = "acme/suzhou/utilities/compressor-1"
POINT = f"{COMPRESSOR}/specific.power"


def test_a_stretch_is_worked_out_anew_from_the_drawer_with_its_progress(open_page: Signed) -> None:
    page = open_page(f"/explore/{COMPRESSOR}?point={POINT}")
    drawer = page.get_by_role("dialog", name="Specific power")
    expect(drawer).to_contain_text("motor.power / air.flow")
    expect(drawer).to_contain_text("12 failed: division by zero")
    expect(drawer).to_contain_text("3 samples came too late")
    drawer.get_by_label("Work out anew from").select_option("7 days ago")
    drawer.get_by_role("button", name="Work out").click()
    expect(drawer.locator("[data-backfill='1']")).to_contain_text("lee")
    expect(drawer.get_by_text("Done: 3600 samples")).to_be_visible(timeout=30_000)
    page.goto("/system?tab=calculations")
    expect(page.get_by_role("row").filter(has_text="Done")).to_contain_text("specific.power")


def test_a_stretch_that_takes_long_is_cancelled_where_it_was_started_and_in_the_list(open_page: Signed) -> None:
    page = open_page(f"/explore/{COMPRESSOR}?point={POINT}", width=360)
    drawer = page.get_by_role("dialog", name="Specific power")
    drawer.get_by_label("Work out anew from").select_option("30 days ago")
    drawer.get_by_role("button", name="Work out").click()
    drawer.get_by_role("button", name="Cancel back-fill 1").click()
    expect(drawer.locator("[data-backfill='1']")).to_contain_text("Cancelled by lee; worked out up to")
    expect(drawer.get_by_role("button", name="Work out")).to_be_enabled()
    drawer.get_by_role("button", name="Work out").click()
    expect(drawer.locator("[data-backfill='2']").get_by_role("progressbar")).to_be_visible()
    page.goto("/system?tab=calculations")
    row = page.locator("tr[data-backfill='2']")
    row.get_by_role("button", name="Cancel back-fill 2").press("Enter")
    expect(row).to_contain_text("Cancelled by lee")


def test_calculations_are_listed_with_what_failed_and_lead_to_their_point(open_page: Signed) -> None:
    page = open_page("/system?tab=calculations", user="anna", language="zh")
    row = page.locator(f"tr[data-calculation='{POINT}']")
    expect(row).to_contain_text("12 次失败：division by zero")
    page.get_by_label("筛选").fill("nothing like it")
    expect(row).to_have_count(0)
    page.get_by_label("筛选").fill("air.flow")
    row.get_by_role("link").click()
    drawer = page.get_by_role("dialog", name="比功率")
    expect(drawer.get_by_role("button", name="开始计算")).to_have_count(0)  # an operator does not configure
