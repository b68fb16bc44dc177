"""The documents in the console: from where something is used to how it works, in the reader's language, offline."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed

pytestmark = pytest.mark.browser


def test_from_the_alarms_to_how_they_work_and_on_by_keyboard(open_page: Signed) -> None:
    page = open_page("/alarms", user="anna")
    page.get_by_role("link", name="How this works").press("Enter")
    expect(page).to_have_url(re.compile("/docs/alarms$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Alarms")
    expect(page.get_by_role("article").get_by_role("link", name="中文")).to_have_count(0)
    page.get_by_role("article").get_by_role("link", name="back-tests").press("Enter")
    expect(page).to_have_url(re.compile("/docs/backtests$"))
    page.get_by_role("link", name="All documents").click()
    listed = page.get_by_role("main").get_by_role("listitem")
    expect(listed.filter(has_text="xpressions").first).to_be_visible()


def test_a_place_of_a_page_in_chinese_on_a_phone(open_page: Signed) -> None:
    page = open_page("/system?tab=calculations", language="zh", width=360, scheme="dark")
    page.get_by_role("link", name="使用说明").click()
    expect(page.get_by_role("heading", name="计算点", exact=True)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(
    ("where", "link"),
    [
        ("/alarms?tab=notifications", "/docs/notifications"),
        ("/alarms?tab=backtests", "/docs/backtests"),
        ("/system?tab=streams", "/docs/streams"),
        ("/system?tab=calculations", "/docs/expressions#calculated-points"),
    ],
)
def test_each_page_leads_to_its_document(open_page: Signed, where: str, link: str) -> None:
    page = open_page(where)
    expect(page.get_by_role("link", name="How this works").first).to_have_attribute("href", link)


def test_what_is_not_there_is_told(open_page: Signed) -> None:
    page = open_page("/docs/nothing")
    expect(page.get_by_text("There is no document 'nothing'.")).to_be_visible()
