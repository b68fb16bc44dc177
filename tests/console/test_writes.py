"""Critical writes and locks: what a write must pass is seen before, a second person decides, a lock is everywhere."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed

pytestmark = pytest.mark.browser
PRESS_2 = "acme/suzhou/press-shop/line-1/press-2"
SPEED = f"/explore/{PRESS_2}?point={PRESS_2}/setpoint.speed"


@pytest.mark.clause("62443-3-3 SR 2.1 RE 4")
def test_one_asks_and_another_approves(open_page: Signed) -> None:
    anna, lee = open_page(SPEED, user="anna"), open_page("/writes")
    anna.get_by_role("button", name="Change", exact=True).click()
    dialog = anna.get_by_role("dialog", name=re.compile("Change"))
    conditions = dialog.get_by_role("list", name="What a write must pass")
    expect(conditions).to_contain_text("Needs a second person")
    expect(conditions).to_contain_text("The guard must be closed")
    expect(conditions).to_contain_text("at most 50 mm/s at once")
    dialog.get_by_label("New value").fill("190")
    dialog.get_by_label("Reason").fill("new tool")
    dialog.get_by_role("button", name="Review").click()
    expect(dialog).to_contain_text("will wait for a second person")
    dialog.get_by_role("button", name="Ask for approval").click()
    expect(dialog).to_contain_text("Waiting for somebody else to approve it")
    card = lee.locator("li[data-command]").filter(has_text="press-2")
    expect(card).to_contain_text("190")
    card.get_by_role("button", name="Approve").click()
    asked = lee.get_by_role("dialog", name="Approve")
    asked.get_by_label("Reason").fill("looked at it")
    asked.get_by_role("button", name="Approve").click()
    expect(card).to_have_count(0)
    expect(lee.locator("tr[data-write]").first).to_contain_text("anna + lee")
    expect(dialog).to_contain_text("Second person: lee")
    expect(dialog).to_contain_text("Confirmed")


def test_who_asked_can_only_withdraw_and_a_rejection_takes_a_reason(open_page: Signed) -> None:
    anna = open_page("/writes", user="anna")
    card = anna.locator("li[data-command]")
    expect(card).to_contain_text("You asked for this")
    expect(card.get_by_role("button", name="Approve")).to_have_count(0)
    lee = open_page("/writes")
    expect(lee.get_by_role("navigation")).to_contain_text("1 write waits for approval")
    lee.get_by_role("button", name="Reject").click()
    dialog = lee.get_by_role("dialog", name="Reject")
    expect(dialog.get_by_role("button", name="Reject")).to_be_disabled()
    dialog.get_by_label("Reason").fill("too slow")
    dialog.get_by_label("Reason").press("Tab")
    dialog.get_by_role("button", name="Reject").press("Enter")
    expect(lee.get_by_text("Nothing waits.")).to_be_visible()
    expect(lee.locator("tr[data-write]").first).to_contain_text("rejected by lee: too slow")


@pytest.mark.clause("62443-3-3 SR 2.1")
def test_a_lock_is_on_every_page_and_bars_writes_until_it_is_released(open_page: Signed) -> None:
    anna = open_page("/", user="anna")
    anna.get_by_role("button", name="Signed in as anna").click()
    anna.get_by_role("menuitem", name="Stop all writes").click()
    dialog = anna.get_by_role("dialog", name="Stop all writes")
    dialog.get_by_label("Reason").fill("hand in the die")
    dialog.get_by_role("button", name="Stop writes now").click()
    banner = anna.get_by_role("alert", name="Writes are locked")
    expect(banner).to_contain_text("All writes are locked")
    expect(banner).to_contain_text("hand in the die · anna")
    expect(banner.get_by_role("button")).to_have_count(0)
    anna.goto(SPEED)
    anna.get_by_role("button", name="Change", exact=True).click()
    barred = anna.get_by_role("dialog", name=re.compile("Change"))
    barred.get_by_label("New value").fill("190")
    barred.get_by_label("Reason").fill("x")
    expect(barred.get_by_role("button", name="Review")).to_be_disabled()
    lee = open_page("/alarms", language="zh")
    banner = lee.get_by_role("alert", name="写入已锁定")
    banner.get_by_role("button", name="解除锁定").click()
    release = lee.get_by_role("dialog", name="恢复写入")
    release.get_by_label("原因").fill("人已撤离")
    release.get_by_role("button", name="解除锁定").click()
    expect(banner).to_have_count(0)
