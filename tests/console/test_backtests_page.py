"""Back-tests of alarm rules in the console: asked for, followed, cancelled; what would have been beside what was."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed
from tests.console.test_everyone import AXE, axe
from tests.services import require_service

pytestmark = pytest.mark.browser
PAGE = "/alarms?tab=backtests"
CLOGGING = "acme/suzhou/press-shop/line-1/press-1/filter.pressure.drop:clogging"


@pytest.mark.parametrize("width", [1440, 360])
def test_declared_rules_are_tested_and_told_beside_what_was(open_page: Signed, width: int) -> None:
    require_service("axe-core", AXE.exists(), "tools/setup.sh console")
    page = open_page(PAGE, width=width)
    page.get_by_role("button", name="Start").click()
    row = page.locator(f"tr[data-result='{CLOGGING}']")
    expect(row).to_contain_text("−12", timeout=30_000)
    expect(page.get_by_text("480 000 samples read, 5 rules, 11 would have been raised")).to_be_visible()
    expect(page.get_by_role("img", name=f"{CLOGGING}: 9 times")).to_be_visible()
    expect(page.get_by_text("anna").first).to_be_visible()
    row.get_by_role("button").click()
    expect(page.get_by_role("img", name=re.compile("bearing.vibration:warning: 2 times"))).to_have_count(0)
    into_trend = page.get_by_role("link", name=re.compile(r"\d\d:\d\d$")).first
    expect(into_trend).to_have_attribute("href", re.compile(r"/trend\?p=.*filter\.pressure\.drop.*from=\d+&to=\d+"))
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert axe(page, AXE) == []


def test_a_long_one_shows_how_far_it_is_and_is_cancelled(open_page: Signed) -> None:
    page = open_page(PAGE)
    page.get_by_text("30 d", exact=True).click()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("progressbar", name="Back-test 1").first).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("cancelled by lee")
    expect(page.locator("tr[data-backtest='1']")).to_contain_text("cancelled by lee")


def test_only_some_rules_are_tested(open_page: Signed) -> None:
    page = open_page(PAGE)
    page.get_by_label("Only rules of these points").fill("press-3 oil temperature")
    page.get_by_role("button", name="press-3/oil.temperature:hot").click()
    expect(page.get_by_text("1 rule", exact=True)).to_be_visible()
    with page.expect_request(lambda sent: sent.method == "POST" and sent.url.endswith("/backtests")) as sent:
        page.get_by_role("button", name="Start").click()
    assert sent.value.post_data_json["rules"] == ["acme/suzhou/press-shop/line-1/press-3/oil.temperature:hot"]


def test_a_changed_declaration_is_tested_and_its_errors_are_told(open_page: Signed) -> None:
    page = open_page(PAGE)
    page.get_by_text("A changed declaration").click()
    editor = page.get_by_role("textbox", name="press-shop.yaml")
    editor.locator(".cm-line").last.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("      unitt: bar")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile(r"press-shop\.yaml:\d+"))).to_be_visible()
    expect(page.get_by_text("'unitt' is not known here; the nearest is 'unit'").first).to_be_visible()
    for _ in range(len("      unitt: bar")):
        page.keyboard.press("Backspace")
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("types: {}")
    page.get_by_role("button", name="Start").click()
    expect(page).to_have_url(re.compile("test=1"))


def test_who_may_not_configure_is_not_shown_back_tests(open_page: Signed) -> None:
    page = open_page("/alarms", user="anna")
    expect(page.get_by_role("tab", name="Figures")).to_be_visible()
    expect(page.get_by_role("tab", name="Back-tests")).to_have_count(0)
