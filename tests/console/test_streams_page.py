"""Stream functions in the console: how versions fare, and what people do with them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed, trend_path
from tests.console.test_everyone import AXE, axe
from tests.services import require_service

pytestmark = pytest.mark.browser
PAGE = "/system?tab=streams"
NEXT = '@stream(version="4", window="10s")\ndef wear(columns):\n    return {}\n'


def version(page: Any, which: str) -> Any:
    return page.locator(f"tr[data-version='{which}']")


@pytest.mark.parametrize(("scheme", "language", "width"), [("light", "en", 1440), ("dark", "zh", 360)])
def test_versions_tell_how_they_fare_and_how_a_shadow_differs(
    open_page: Signed, scheme: str, language: str, width: int
) -> None:
    require_service("axe-core", AXE.exists(), "tools/setup.sh console")
    page = open_page(PAGE, scheme=scheme, language=language, width=width)
    words = (
        ("Halted", "41 windows failed", "Runs, with errors", "Compare", "4290", "Retired")
        if language == "en"
        else ("已中止", "41 个时间窗失败", "运行中，有错误", "比较", "4290", "停用")
    )
    halted, failed, errors, compare, same, retired = words
    expect(version(page, "energy.baseline 1")).to_contain_text(halted)
    expect(version(page, "energy.baseline 1")).to_contain_text(failed)
    expect(version(page, "wear 1")).to_contain_text(retired)
    shadow = version(page, "wear 3")
    expect(shadow).to_contain_text(errors)
    expect(shadow).to_contain_text("ZeroDivisionError")
    shadow.get_by_role("button", name=re.compile(compare if language == "en" else "启用版本比较")).click()
    difference = page.locator("[data-difference='wear 3']")
    expect(difference).to_contain_text(same)
    worst = difference.get_by_role("link", name="press-3/oil.temperature")
    expect(worst).to_have_attribute("href", re.compile(r"/trend\?p=.*oil\.temperature.*from=\d+&to=\d+"))
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert axe(page, AXE) == []


def test_a_shadow_is_promoted_with_a_reason_and_rolled_back(open_page: Signed) -> None:
    page = open_page(PAGE)
    page.get_by_role("button", name="Promote wear 3").click()
    dialog = page.get_by_role("dialog", name="Promote wear 3")
    expect(dialog).to_contain_text("2 is retired; you can roll back to it")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("No difference for a week")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status").get_by_text("wear 3 is active.")).to_be_visible()
    expect(version(page, "wear 3")).to_contain_text("Active")
    expect(version(page, "wear 2")).to_contain_text("Retired")
    expect(page.get_by_role("row").filter(has_text="No difference for a week")).to_contain_text("Promoted")
    page.get_by_role("button", name="Roll back to 2").click()
    dialog = page.get_by_role("dialog", name="Roll wear back to 2")
    expect(dialog).to_contain_text("it writes over what 3 gave since")
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("status").get_by_text("wear is back at 2.")).to_be_visible()
    expect(version(page, "wear 2")).to_contain_text("Active")
    expect(page.get_by_role("row").filter(has_text="Rolled back to")).to_contain_text("wear 2")


def test_retiring_the_active_version_says_that_its_points_end(open_page: Signed) -> None:
    page = open_page(PAGE)
    page.get_by_role("button", name="Retire wear 2").click()
    dialog = page.get_by_role("dialog", name="Retire wear 2")
    expect(dialog).to_contain_text("its points get no more samples")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(version(page, "wear 2")).to_contain_text("Active")
    page.get_by_role("button", name="Retire wear 2").click()
    dialog.get_by_role("button", name="Retire").click()
    expect(version(page, "wear 2")).to_contain_text("Does not run")
    expect(page.get_by_role("button", name="Compare wear 3 with the active version")).to_have_count(0)


def test_what_does_not_load_says_so_at_its_line_and_a_file_is_taken_up(open_page: Signed) -> None:
    page = open_page(PAGE)
    page.get_by_role("button", name="Add a version").click()
    dialog = page.get_by_role("dialog", name="Add a version of a stream function")
    source = dialog.get_by_role("textbox", name="Source in Python")
    expect(source).to_contain_text("@stream(")
    source.press("Control+End")
    page.keyboard.type("def open(:")
    dialog.get_by_role("button", name="Load and add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("SyntaxError: '(' was never closed (<source>, line 15)")
    expect(dialog.locator(".cm-lint-marker-error")).to_be_visible()
    page.keyboard.press("Escape")  # what was begun stays
    page.get_by_role("button", name="Add a version").click()
    expect(source).to_contain_text("def open(:")
    taken = {"name": "wear.py", "mimeType": "text/x-python", "buffer": NEXT.replace('"4"', '"3"').encode()}
    dialog.locator("input[type=file]").set_input_files(taken)
    expect(source).to_contain_text("def wear")
    dialog.get_by_role("button", name="Load and add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("wear has a version 3 with another source")
    dialog.locator("input[type=file]").set_input_files({**taken, "buffer": NEXT.encode()})
    expect(source).to_contain_text('version="4"')
    dialog.get_by_role("button", name="Load and add").click()
    expect(page.get_by_role("status").get_by_text("wear 4 runs as a shadow")).to_be_visible()
    expect(version(page, "wear 4")).to_contain_text("Shadow")


def test_an_operator_sees_and_compares_but_does_not_act(open_page: Signed) -> None:
    page = open_page(PAGE, user="anna")
    expect(version(page, "wear 2")).to_contain_text("Runs")
    page.get_by_role("button", name="Compare wear 3 with the active version").click()
    expect(page.locator("[data-difference='wear 3']")).to_contain_text("4318")
    for act in ("Add a version", "Promote", "Retire", "Roll back"):
        expect(page.get_by_role("button", name=act)).to_have_count(0)


def test_where_there_is_none_it_says_how_to_begin(open_page: Signed) -> None:
    page = open_page("/", user="lee")
    for answered in ("streams", "streams/acts"):
        page.route(f"**/api/v1/{answered}", lambda route: route.fulfill(json=[]))
    page.goto(PAGE)
    said = page.get_by_text("There is none yet.")
    expect(said.get_by_role("link", name="How this works")).to_have_attribute("href", "/docs/streams")
    expect(page.get_by_text("Nothing so far.")).to_be_visible()
    expect(page.get_by_role("button", name="Add a version")).to_be_visible()


def test_one_that_does_not_run_is_not_compared(open_page: Signed) -> None:
    page = open_page("/")
    page.route("**/difference", lambda route: route.fulfill(content_type="application/json", body="null"))
    page.goto(PAGE)
    page.get_by_role("button", name="Compare wear 3 with the active version").click()
    expect(page.get_by_text("One of the two does not run")).to_be_visible()


def test_a_point_that_only_history_knows_is_drawn(open_page: Signed) -> None:
    page = open_page(trend_path("system/edges/wuxi/delay", "acme/nowhere/at.all", last=3_600))
    expect(page.get_by_role("img", name="Line 1")).to_be_visible()
    expect(page.get_by_role("link", name="delay")).to_be_visible()
    expect(page.get_by_role("link", name="at.all")).to_have_count(0)
