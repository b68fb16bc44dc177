"""Alarms, the system and engineering."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed

pytestmark = pytest.mark.browser
HOT = "Oil is hot: check cooler and water"


def test_alarms_are_acknowledged_by_keyboard_with_a_comment(open_page: Signed) -> None:
    page = open_page("/alarms", user="anna")
    row = page.get_by_role("row").filter(has_text=HOT)
    expect(row).to_contain_text("Unacknowledged")
    page.keyboard.press("a")
    dialog = page.get_by_role("dialog", name="Acknowledge 1 alarm")
    dialog.get_by_label("Comment").fill("cooling water was shut")
    page.keyboard.press("Control+Enter")
    expect(dialog).to_have_count(0)
    expect(row).to_contain_text("Acknowledged")
    expect(row).to_contain_text("anna")
    expect(row).to_contain_text("cooling water was shut")
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_role("row").filter(has_text="cooling water was shut")).to_contain_text("anna")


def test_another_screen_sees_the_acknowledgement_at_once(open_page: Signed) -> None:
    mine, theirs = open_page("/alarms"), open_page("/alarms", user="anna")
    expect(mine.get_by_role("row").filter(has_text=HOT)).to_contain_text("Unacknowledged")
    theirs.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(mine.get_by_role("row").filter(has_text=HOT)).to_contain_text("anna")


def test_going_to_the_alarms_by_g_a_does_not_acknowledge(open_page: Signed) -> None:
    page = open_page("/")
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Alarms", level=1)).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_alarms_are_filtered_by_priority_and_by_words(open_page: Signed) -> None:
    page = open_page("/alarms")
    body = page.locator("tbody")
    expect(body.get_by_role("row")).to_have_count(5)
    page.get_by_role("link", name="Medium").first.click()
    expect(body.get_by_role("row")).to_have_count(2)
    page.get_by_role("textbox", name="Filter").fill("moulder")
    expect(body.get_by_role("row")).to_have_count(1)


def test_a_sick_connection_says_the_next_step_and_a_server_is_trusted_by_fingerprint(open_page: Signed) -> None:
    page = open_page("/system")
    expect(page.locator('[data-connection="press-4-plc"]')).to_contain_text("Next try in 12 s")
    cell = page.locator('[data-connection="moulding-cell"]')
    expect(cell).to_contain_text("Needs attention")
    cell.get_by_role("button", name="Trust").click()
    dialog = page.get_by_role("dialog", name="Trust Moulding cell controller")
    expect(dialog).to_contain_text("3F:0A:91")
    trust = dialog.get_by_role("button", name="Trust this server")
    expect(trust).to_be_disabled()
    dialog.get_by_role("checkbox").check()
    trust.click()
    expect(cell).to_contain_text("Connected")


def test_a_device_is_browsed(open_page: Signed) -> None:
    page = open_page("/system")
    page.locator('[data-connection="assembly-cell"]').get_by_role("button", name="Browse").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Station1").click()
    expect(dialog).to_contain_text("node: ns=2;s=station-1.torque")


def test_outlets_show_what_waits_and_what_is_wrong(open_page: Signed) -> None:
    page = open_page("/system")
    erp = page.locator("[data-outlet='erp']")
    expect(erp).to_contain_text("Maintenance desk")
    expect(erp).to_contain_text("Lost, will retry")
    expect(erp).to_contain_text("answers 503")
    expect(erp.locator("[data-odd='true']", has_text="Failures")).to_contain_text("7")
    expect(page.locator("[data-outlet='scada']")).to_contain_text(re.compile(r"1\s204\s331"))
    expect(open_page("/system", language="zh").get_by_role("heading", name="向外发布")).to_be_visible()


@pytest.mark.clause("62443-3-3 SR 7.6")
def test_what_differs_from_the_advised_stands_first_with_symbol_and_words(open_page: Signed) -> None:
    page = open_page("/system?tab=security")
    rows = page.get_by_role("row")
    expect(rows.nth(1)).to_contain_text("Who needs a second factor")
    expect(rows.nth(1)).to_contain_text("Differs")
    expect(rows.nth(1).locator("svg")).to_have_count(1)
    expect(rows.nth(3)).to_contain_text("Look at it")
    expect(rows.nth(3)).to_contain_text("In the home folder, beside what it seals")
    expect(rows.nth(5)).to_contain_text("200 d")
    expect(rows.nth(5).locator("svg")).to_have_count(0)
    chinese = open_page("/system?tab=security", language="zh")
    expect(chinese.get_by_role("row").nth(1)).to_contain_text("谁需要双因素")
    assert "posture." not in chinese.locator("main").inner_text()


def test_runtime_counters_users_and_the_audit_trail(open_page: Signed) -> None:
    page = open_page("/system?tab=runtime")
    expect(page.get_by_role("row").filter(has_text="history")).to_contain_text("262")
    page.get_by_role("tab", name="Users and tokens").click()
    page.get_by_role("button", name="Add a user").click()
    dialog = page.get_by_role("dialog", name="Add a user")
    dialog.get_by_label("Name").fill("wang.fang")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog).to_contain_text("x7Kq-93fm-Trew")
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.get_by_role("row").filter(has_text="wang.fang")).to_contain_text("Has not signed in yet")
    page.get_by_role("tab", name="Audit trail").click()
    expect(page.get_by_role("row").filter(has_text="platform.started")).to_be_visible()


@pytest.mark.clause("62443-3-3 SR 6.1", "GB/T 22239-2019 8.1.5.2")
def test_the_audit_trail_is_filtered_checked_and_taken_along(open_page: Signed) -> None:
    page = open_page("/system?tab=audit", user="lee")
    started = page.get_by_role("row").filter(has_text="platform.started")
    expect(started).to_be_visible()
    page.get_by_label("Action begins with").fill("user.")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No entry fits.")).to_be_visible()
    page.get_by_role("button", name="Export").click()
    signed = page.get_by_role("menuitem", name="Signed file (NDJSON)")
    expect(signed).to_have_attribute("href", "/api/v1/audit/export?action=user.&format=ndjson")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear").click()
    expect(started).to_be_visible()
    page.get_by_role("button", name="Check all of it").click()
    expect(page.get_by_text("Whole: 1 entries, 0 of them in archives")).to_be_visible()
    expect(page.get_by_text("Newest signed")).to_be_visible()
    chinese = open_page("/system?tab=audit", language="zh")
    expect(chinese.get_by_role("button", name="校验全部")).to_be_visible()


def test_an_operator_is_not_shown_what_only_others_may_do(open_page: Signed) -> None:
    page = open_page("/system", user="anna")
    shown = ["Connections", "Calculated points", "Stream functions", "Platform"]
    expect(page.get_by_role("tab")).to_have_text([re.compile(name) for name in shown])
    page.goto("/engineering")
    expect(page.get_by_text("Engineers may plan and apply.")).to_be_visible()
    expect(page.get_by_role("button", name="Show plan")).to_be_disabled()


def test_declarations_are_planned_then_applied_and_errors_lead_to_their_line(open_page: Signed) -> None:
    page = open_page("/engineering")
    page.get_by_role("button", name="press-shop.yaml").click()
    editor = page.get_by_role("textbox", name="press-shop.yaml")
    editor.locator(".cm-line").last.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("      unitt: bar")
    page.get_by_role("button", name="Show plan").click()
    error = page.get_by_role("button", name="'unitt' is not known here; the nearest is 'unit'")
    expect(error).to_contain_text("press-shop.yaml:")
    error.click()
    expect(editor).to_be_focused()
    page.get_by_role("button", name="Discard changes").click()
    editor.locator(".cm-line").last.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("# reviewed")
    page.get_by_role("button", name="Show plan").click()
    expect(page.get_by_text("0 to create, 1 to change, 0 to remove")).to_be_visible()
    page.get_by_role("button", name="Apply 1 change").click()
    expect(page.get_by_text("Applied. This is revision 8.")).to_be_visible()
