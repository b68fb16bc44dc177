"""What people do about alarms: acknowledge, reset, shelve, remove; one outage is one line; each opens to its record."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from tests.console.conftest import PRESS_3, Signed
from tests.console.test_everyone import AXE, axe
from tests.services import require_service

pytestmark = pytest.mark.browser
HOT = "Oil is hot: check cooler and water"
TRIP = "Oil close to the trip temperature"
RECORD = f"/alarms?alarm={PRESS_3}/oil.temperature:hot"

Ask = Callable[[str], None]


def test_an_alarm_is_shelved_for_a_time_with_a_reason_and_comes_back(open_page: Signed) -> None:
    page = open_page("/alarms", user="anna")
    row = page.get_by_role("row").filter(has_text=HOT)
    row.get_by_role("checkbox").check()
    page.keyboard.press("s")
    dialog = page.get_by_role("dialog", name="Shelve 1 alarm")
    shelve = dialog.get_by_role("button", name="Shelve")
    expect(shelve).to_be_disabled()
    dialog.get_by_label("For").select_option("30 min")
    dialog.get_by_label(re.compile("until it next clears")).check()
    dialog.get_by_label("Reason").fill("sensor is being changed")
    shelve.click()
    expect(row).to_have_count(0)
    page.get_by_role("tab", name="Quiet 1").click()
    expect(row).to_contain_text("Shelved")
    expect(row).to_contain_text("anna: sensor is being changed")
    expect(row).to_contain_text("Holds now")
    expect(row).to_contain_text(re.compile(r"in (29|30) min · or when it clears"))
    page.keyboard.press("u")
    back = page.get_by_role("dialog", name="End the shelving of 1 alarm")
    back.get_by_role("button", name="Unshelve").click()
    expect(page.get_by_text("No alarm is shelved, suppressed or out of service.")).to_be_visible()
    page.get_by_role("tab", name="Current").click()
    expect(row).to_contain_text("Unacknowledged")


def test_the_longest_shelf_is_what_the_strictest_class_allows(open_page: Signed) -> None:
    page = open_page(RECORD, user="anna")
    page.get_by_role("dialog", name=HOT).get_by_role("button", name="Shelve").click()
    longest = page.get_by_role("dialog", name="Shelve 1 alarm").get_by_label("For").locator("option").last
    expect(longest).to_have_text("8 h (the longest allowed)")


@pytest.mark.clause("62443-3-3 SR 2.1")
def test_out_of_service_takes_a_right_a_reason_and_a_fresh_proof(open_page: Signed, ask_mock: Ask) -> None:
    page = open_page("/alarms")
    row = page.get_by_role("row").filter(has_text=HOT)
    row.get_by_role("checkbox").check()
    ask_mock("stale")
    page.get_by_role("button", name="Out of service 1").click()
    dialog = page.get_by_role("dialog", name="Take 1 alarm out of service")
    expect(dialog).to_contain_text("prove once more that it is you")
    dialog.get_by_label("Reason").fill("overhaul until May")
    dialog.get_by_role("button", name="Take out of service").click()
    proof = page.get_by_role("dialog", name="Is it still you?")
    proof.get_by_label("Password").fill("lee-lee-lee-lee")
    proof.get_by_role("button", name="Continue").click()
    page.get_by_role("tab", name="Quiet 1").click()
    expect(row).to_contain_text("lee: overhaul until May")
    expect(row).to_contain_text("Somebody returns it")
    row.get_by_role("checkbox").check()
    page.get_by_role("button", name="Return 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Return to service").click()
    expect(row).to_have_count(0)


@pytest.mark.clause("62443-3-3 SR 2.1")
def test_a_class_may_ask_for_a_comment_and_a_proof_and_a_latch_for_a_reset(open_page: Signed, ask_mock: Ask) -> None:
    ask_mock("scene?name=latched")
    ask_mock("stale")
    page = open_page("/alarms")
    row = page.get_by_role("row").filter(has_text=TRIP)
    expect(row).to_contain_text("Latched, unacknowledged")
    expect(page.get_by_role("status", name="Most urgent alarm").get_by_role("link", name="Open")).to_be_visible()
    page.keyboard.press("a")
    dialog = page.get_by_role("dialog", name="Acknowledge 1 alarm")
    expect(dialog.get_by_role("button", name="Acknowledge")).to_be_disabled()
    dialog.get_by_label("Comment (its class asks for one)").fill("water is open")
    dialog.get_by_role("button", name="Acknowledge").click()
    proof = page.get_by_role("dialog", name="Is it still you?")
    proof.get_by_label("Password").fill("lee-lee-lee-lee")
    proof.get_by_role("button", name="Continue").click()
    expect(row).to_contain_text("water is open")
    expect(row).not_to_contain_text("unacknowledged")
    row.click()
    page.keyboard.press("s")
    expect(page.get_by_role("dialog")).to_have_count(0)  # its class does not let it be shelved
    page.keyboard.press("r")
    reset = page.get_by_role("dialog", name="Reset 1 latched alarm")
    reset.get_by_role("button", name="Reset").click()
    expect(row).to_have_count(0)


def test_an_alarm_opens_to_why_it_is_one_and_what_to_do(open_page: Signed) -> None:
    page = open_page("/alarms", user="anna")
    page.get_by_role("link", name=HOT).last.click()
    record = page.get_by_role("dialog", name=HOT)
    for text in (
        "Open the cooling water",
        "Cooling water is shut",
        "The press trips",
        "13 K below the trip",
        "2026-05-01 · Li",
        "May be shelved for at most 8 h",
        "Raised",
    ):
        expect(record).to_contain_text(text)
    expect(record).to_contain_text(re.compile("left to respond|late"))
    trend = record.get_by_role("link", name="Trend")
    expect(trend).to_have_attribute("href", re.compile(r"/trend\?p=.*oil\.temperature"))
    record.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("dialog", name="Acknowledge 1 alarm").get_by_role("button", name="Acknowledge").click()
    expect(record).to_contain_text("High · Acknowledged")
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/alarms$"))


def test_the_record_of_a_normal_alarm_says_so(open_page: Signed) -> None:
    page = open_page("/alarms?alarm=acme/suzhou/press-shop/line-1/press-2/oil.temperature:hot")
    expect(page.get_by_role("dialog")).to_contain_text("It is normal now")


def test_why_an_alarm_is_one_can_be_read_while_it_is_normal_from_its_point(open_page: Signed) -> None:
    press = "acme/suzhou/press-shop/line-1/press-2"
    page = open_page(f"/explore/{press}?point={press}/oil.temperature", user="anna", width=360)
    drawer = page.get_by_role("dialog", name="Oil temperature")
    drawer.get_by_role("link", name=f"Why {press}/oil.temperature:hot is an alarm").press("Enter")
    record = page.get_by_role("dialog").filter(has_text="It is normal now")
    for said in ("High · Normal", "> 65", "Open the cooling water", "Within ", "Reviewed", "Handling"):
        expect(record).to_contain_text(said)
    page.goto(f"/alarms?alarm={press}/oil.temperature:gone")
    expect(page.get_by_role("dialog")).to_contain_text("no longer declared")


def test_a_flood_is_told_and_what_follows_from_one_cause_is_one_line(open_page: Signed, ask_mock: Ask) -> None:
    ask_mock("scene?name=flood")
    page = open_page("/alarms", user="anna")
    expect(page.get_by_role("status").filter(has_text="Alarm flood: 42 alarms since")).to_be_visible()
    rows = page.locator("tbody tr[data-rule]")
    expect(rows).to_have_count(7)  # 5, the root, and the one that is more urgent than it
    expect(page.get_by_role("row").filter(has_text="Clamp opens under load")).to_be_visible()
    page.get_by_role("button", name="Select all").click()
    expect(page.get_by_role("button", name="Acknowledge 5")).to_be_visible()  # two are acknowledged, none is hidden
    page.get_by_role("button", name="Select all").click()
    fold = page.get_by_role("button", name="40 consequences of it")
    expect(fold).to_have_attribute("aria-expanded", "false")
    page.get_by_role("row").filter(has=fold).click()
    page.keyboard.press("ArrowRight")
    expect(fold).to_have_attribute("aria-expanded", "true")
    expect(page.locator("tr[data-inside=true]").first).to_contain_text("Valve 1: air pressure low")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Acknowledge 1")).to_be_enabled()
    page.keyboard.press("ArrowLeft")
    expect(fold).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_role("button", name="Acknowledge 0")).to_be_disabled()  # what was chosen is folded away


def test_the_keyboard_moves_selects_and_opens(open_page: Signed) -> None:
    page = open_page("/alarms", user="anna")
    first = page.locator("tbody tr[data-rule]").first
    expect(first).to_have_attribute("aria-current", "true")
    page.keyboard.press("Space")
    expect(first.get_by_role("checkbox")).to_be_checked()
    page.keyboard.press("ArrowDown")
    second = page.locator("tbody tr[data-rule]").nth(1)
    expect(second).to_have_attribute("aria-current", "true")
    expect(second.get_by_role("link").first).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Acknowledge 2")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("acknowledge, shelve")


def test_ten_thousand_alarms_are_a_few_rows_and_the_last_is_reached(open_page: Signed, ask_mock: Ask) -> None:
    ask_mock("scene?name=many")
    page = open_page("/alarms", user="anna")
    rows = page.locator("tbody tr[data-rule]")
    expect(page.get_by_role("tab", name="Current 10000")).to_be_visible(timeout=30_000)
    expect(rows.first).to_be_visible()
    assert rows.count() < 60
    page.keyboard.press("End")
    expect(
        page.locator(f"tr[aria-rowindex='{page.get_by_role('table').get_attribute('aria-rowcount')}']")
    ).to_be_visible()
    assert rows.count() < 60
    page.get_by_role("textbox", name="Filter").fill("number 4711")
    expect(rows).to_have_count(1)


def test_quiet_alarms_say_why_by_whom_and_until_when(open_page: Signed, ask_mock: Ask) -> None:
    ask_mock("scene?name=quiet")
    page = open_page("/alarms?tab=quiet", language="zh")
    rows = page.locator("tbody tr[data-rule]")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="按设计抑制").get_by_role("link", name="guard.closed")).to_be_visible()
    page.get_by_text("已停用 1").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("lee: Overhaul until May")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 360)])
def test_every_state_passes_axe_and_fits_a_phone(open_page: Signed, ask_mock: Ask, scheme: str, width: int) -> None:
    require_service("axe-core", AXE.exists(), "tools/setup.sh console")
    for scene in ("quiet", "latched", "flood"):
        ask_mock(f"scene?name={scene}")
    page = open_page("/alarms", scheme=scheme, width=width, height=740, language="zh" if width < 700 else "en")
    page.locator("tbody button[aria-expanded=false]").click()
    for place in (None, "/alarms?tab=quiet"):
        if place:
            page.goto(place)
        expect(page.locator("tbody tr[data-rule]").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert axe(page, AXE) == []
