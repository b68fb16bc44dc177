"""The page of notifications: who is on call, what was told and what came of it, and a test that says what happened."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from tests.console.conftest import PRESS_3, Signed

pytestmark = pytest.mark.browser
PAGE = "/alarms?tab=notifications"
HOT = f"{PRESS_3}/oil.temperature:hot"


def test_who_is_on_call_now_and_at_another_time(open_page: Signed) -> None:
    page = open_page(PAGE)
    leaders = page.locator("[data-roster=shift-leaders]")
    expect(leaders).to_contain_text("Shift leaders")
    expect(leaders).to_contain_text("Shift day, begun on")
    expect(leaders).to_contain_text("li@acme.example")
    nobody = page.locator("[data-roster=electricians]")
    expect(nobody).to_contain_text("Nobody is on call")
    expect(nobody.locator("svg")).to_have_count(1)  # a symbol and words, never colour alone
    page.get_by_text("Another time", exact=True).click()
    page.get_by_label("At", exact=True).fill("2027-02-15T12:00")
    expect(leaders).to_contain_text("wang@acme.example")
    page.get_by_label("At", exact=True).fill("")
    expect(page.get_by_text("Choose a day and a time")).to_be_visible()


def test_what_was_told_says_what_came_of_it_and_opens_to_the_message_and_its_alarm(open_page: Signed) -> None:
    page = open_page(PAGE)
    words = ["Not sent yet", "Nobody to tell", "Failed", "Passed on", "Sent", "Withdrawn"]
    for at, word in enumerate(words):
        mark = page.locator("[data-notice] [data-state]").nth(at)
        expect(mark).to_have_text(re.compile(word))
        expect(mark.locator("svg")).to_have_count(1)
    failed = page.locator("[data-notice]").filter(has=page.locator("[data-state=failed]"))
    expect(failed).to_contain_text("王芳 by pager")
    expect(failed).to_contain_text("answers 401: the key is not known there")
    escalated = page.locator("[data-notice]").first
    expect(escalated).to_contain_text("next try")
    expect(escalated.get_by_text("Open the cooling water")).to_be_hidden()
    escalated.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(escalated.get_by_text("Open the cooling water")).to_be_visible()
    expect(escalated.get_by_text("works, step 2")).to_be_visible()
    escalated.get_by_role("link", name=HOT, exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text(HOT)


def test_it_is_paged_and_a_flood_lists_its_first_alarms(open_page: Signed) -> None:
    page = open_page(PAGE)
    expect(page.locator("[data-notice]")).to_have_count(50)
    flood = page.locator("[data-notice]").filter(has_text="Alarm flood: 31 alarms")
    flood.locator("summary").click()
    expect(flood.get_by_role("heading", name="Of 31 alarms")).to_be_visible()
    expect(flood.get_by_role("link", name=re.compile("^acme.suzhou"))).to_have_count(20)
    page.get_by_role("button", name="More").click()
    expect(page.locator("[data-notice]")).to_have_count(67)


def test_an_alarm_leads_to_who_was_told_of_it_and_the_filter_goes_again(open_page: Signed) -> None:
    page = open_page(f"/alarms?alarm={HOT}")
    page.get_by_role("dialog").get_by_role("link", name="Who was told").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("[data-notice]")).to_have_count(3)
    expect(page.get_by_role("group", name="Of one alarm")).to_contain_text(HOT)
    page.get_by_role("button", name=f"Leave out {HOT}").click()
    expect(page.locator("[data-notice]")).to_have_count(50)
    page.get_by_label("Only of an alarm of this point").fill("press-3 oil.temperature")
    page.get_by_role("button", name=HOT).click()
    expect(page.locator("[data-notice]")).to_have_count(3)
    page.goto(f"{PAGE}&of=works/air/pressure:low")
    expect(page.get_by_text("Nobody was told of this alarm.")).to_be_visible()


def test_a_test_message_is_sent_and_what_the_channel_said_is_shown(open_page: Signed) -> None:
    page = open_page(PAGE)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Which channel?")).to_be_visible()
    expect(page.get_by_text("To whom?")).to_be_visible()
    page.get_by_label("Channel").select_option("mail")
    page.get_by_label("Contact").select_option("li")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status").filter(has_text="mail has taken it for 李明.")).to_be_visible()
    expect(page.locator("[data-notice]").first).to_contain_text("Test message from Headrace")
    page.get_by_label("Channel").select_option("pager")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status").filter(has_text="pager did not take it: https://pager")).to_be_visible()


def test_names_that_no_declaration_shows_are_typed_and_a_wrong_one_is_refused_in_words(
    open_page: Signed, ask_mock: Callable[[str], None]
) -> None:
    ask_mock("untold")
    page = open_page(PAGE)
    page.get_by_label("Channel").fill("fax")
    page.get_by_label("Contact").fill("li")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("there is no channel 'fax'")


def test_where_nothing_was_told_it_says_how_to_declare(open_page: Signed, ask_mock: Callable[[str], None]) -> None:
    ask_mock("untold")
    page = open_page(PAGE, language="zh")
    said = page.get_by_text("还没有为报警通知过任何人")
    expect(said.get_by_role("link", name="使用说明")).to_have_attribute("href", "/docs/notifications")
    expect(page.get_by_text("没有声明值班表")).to_be_visible()
    page.get_by_role("link", name="前往组态").click()
    expect(page).to_have_url(re.compile("/engineering$"))


def test_who_may_not_configure_sends_no_test_and_sees_addresses_masked(open_page: Signed) -> None:
    page = open_page(PAGE, user="anna")
    expect(page.locator("[data-roster=shift-leaders]")).to_contain_text("l***@acme.example")
    expect(page.locator("[data-notice]")).to_have_count(50)
    expect(page.get_by_text("Send a test message")).to_have_count(0)
