"""Figures of alarms: beside what is advised, honest where little is known, each leading to its alarm."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed

pytestmark = pytest.mark.browser


def test_a_bad_week_is_told_beside_what_is_advised_and_leads_to_its_alarms(open_page: Signed) -> None:
    page = open_page("/alarms?tab=figures")
    page.get_by_text("1 w", exact=True).click()
    rate = page.locator("[data-figure=rate]")
    expect(rate).to_contain_text("26")
    expect(rate).to_contain_text("Too much")
    expect(rate.locator("svg")).to_have_count(1)  # a symbol and a word, never colour alone
    expect(page.locator("[data-figure=stale]")).to_contain_text("Within")
    expect(page.get_by_role("status").filter(has_text="All rates are of 3 d 12 h, not of 7 d 0 h")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="Critical")).to_contain_text("with high")
    expect(page.get_by_role("row").filter(has_text="Goes on")).to_contain_text("17")
    worst = page.get_by_role("link", name=re.compile(r"filter\.pressure\.drop:clogging$")).first
    worst.click()
    expect(page.get_by_role("dialog", name="Change the filter element")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"tab=figures$"))


def test_a_quiet_day_says_nothing_loud_and_too_few_are_not_judged(open_page: Signed) -> None:
    page = open_page("/alarms?tab=figures", user="anna")
    expect(page.locator("[data-figure=rate]")).to_contain_text("Within")
    expect(page.locator("[data-figure=top]")).to_contain_text("Too few to judge")
    expect(page.get_by_text("Nobody acknowledged any")).to_be_visible()


def test_the_first_minute_is_no_rate_to_judge(open_page: Signed) -> None:
    page = open_page("/alarms?tab=figures")
    page.get_by_text("8 h", exact=True).click()
    for name in ("rate", "rate10", "excess", "flood"):
        expect(page.locator(f"[data-figure={name}]")).to_contain_text("Too short a time to judge")
    expect(page.locator("[data-figure=peak]")).to_contain_text("Within")


def test_where_the_journal_knows_nothing_no_figure_is_shown(open_page: Signed) -> None:
    page = open_page("/alarms?tab=figures", language="zh")
    page.get_by_text("30 天", exact=True).click()
    expect(page.get_by_text("报警日志中没有此时间段的记录")).to_be_visible()
    expect(page.locator("[data-figure]")).to_have_count(0)


def test_figures_are_of_an_area_and_of_so_many_operators(open_page: Signed) -> None:
    page = open_page("/alarms?tab=figures")
    with page.expect_request(lambda sent: "operators=3" in sent.url and "area=acme%2Fsuzhou%2Fpress-shop" in sent.url):
        page.get_by_label("Area").select_option("Press shop")
        page.get_by_label("Operators on shift").fill("3")
