"""Looking at the plant: the tree, live values, their source, the feed that is lost and comes back, a setpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from tests.console.conftest import PRESS_3, Signed

pytestmark = pytest.mark.browser


def test_home_shows_what_needs_somebody_then_the_machines(open_page: Signed) -> None:
    page = open_page("/")
    expect(page.get_by_role("link", name="Oil is hot: check cooler and water").first).to_be_visible()
    expect(page.get_by_text("nobody answers at 127.0.0.1:15023")).to_be_visible()
    tile = page.get_by_role("link", name="Press 3").filter(has_text="Fault")
    expect(tile).to_contain_text("Oil temperature")
    expect(tile).to_contain_text("°C")


def test_the_tree_is_searched_as_one_types_in_either_language(open_page: Signed) -> None:
    page = open_page("/explore/")
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("treeitem", name="Suzhou works")).to_be_visible()
    field = page.get_by_role("searchbox", name="Search by name or path")
    field.fill("moulder-3")
    expect(tree.get_by_role("treeitem", name="Moulder 3")).to_be_visible()
    expect(tree.get_by_role("treeitem", name="Press 3")).to_have_count(0)
    field.fill("3号压机")
    expect(tree.get_by_role("treeitem", name="Press 3")).to_be_visible()
    field.fill("oil.temperature")
    expect(page.get_by_role("region", name="Points").get_by_role("button").first).to_contain_text("Oil temperature")


def test_the_tree_obeys_the_arrow_keys(open_page: Signed) -> None:
    page = open_page("/explore/")
    page.get_by_role("treeitem", name="Acme Components").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("treeitem")).to_have_count(1)
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.get_by_role("treeitem", name="Press shop")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Press shop", level=1)).to_be_visible()


def test_search_everywhere_by_the_slash_key(open_page: Signed) -> None:
    page = open_page("/")
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    page.keyboard.press("/")
    page.get_by_role("combobox").fill("melt pressure")
    expect(page.get_by_role("option").first).to_contain_text("Melt pressure")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Melt pressure")).to_be_visible()


def test_values_move_and_say_unit_quality_and_age(open_page: Signed) -> None:
    page = open_page(f"/explore/{PRESS_3}")
    row = page.locator('[data-point="cylinder.position"]')
    cell = row.get_by_role("cell").nth(1)
    expect(cell).to_contain_text("mm")
    expect(cell).to_contain_text(".")
    before = cell.inner_text()
    expect(cell).not_to_have_text(before)
    expect(row).to_contain_text("Good")


def test_bad_quality_is_told_by_sign_and_word_not_by_colour(open_page: Signed) -> None:
    page = open_page("/explore/acme/suzhou/press-shop/line-1/press-4")
    row = page.locator('[data-point="tool.temperature"]')
    expect(row.get_by_role("cell").nth(3)).to_have_text("Bad")
    expect(row.locator('[data-quality="bad"]').first).to_be_visible()


def test_every_number_opens_to_its_source(open_page: Signed) -> None:
    page = open_page(f"/explore/{PRESS_3}")
    page.get_by_role("button", name="Oil temperature", exact=True).click()
    details = page.get_by_role("dialog", name="Oil temperature")
    for words in ("Press 3 PLC", "table: holding", "float32", f"{PRESS_3}/oil.temperature", "> 65 °C"):
        expect(details).to_contain_text(words)
    page.keyboard.press("Escape")
    expect(details).to_have_count(0)


def test_a_lost_feed_is_announced_values_go_stale_and_it_comes_back(
    open_page: Signed, ask_mock: Callable[[str], None]
) -> None:
    page = open_page(f"/explore/{PRESS_3}")
    row = page.locator('[data-point="oil.temperature"]')
    expect(row).to_contain_text("Good")
    ask_mock("drop-feed?for=ever")
    expect(page.get_by_role("alert")).to_contain_text("Live feed lost")
    expect(row.locator('[data-quality="stale"]').first).to_be_visible()
    expect(row).to_contain_text("Stale")
    ask_mock("feed-back")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(row).to_contain_text("Good")


def test_a_setpoint_is_written_in_two_steps_and_read_back(open_page: Signed) -> None:
    page = open_page(f"/explore/{PRESS_3}", user="anna")
    page.get_by_role("button", name="Change Pressure setpoint").click()
    dialog = page.get_by_role("dialog", name="Change Pressure setpoint")
    expect(dialog).to_contain_text("Allowed: 80 … 280 bar")
    review = dialog.get_by_role("button", name="Review")
    dialog.get_by_label("New value").fill("300")
    dialog.get_by_label("Reason").fill("warm-up after tool change")
    expect(dialog).to_contain_text("Outside of what is allowed")
    expect(review).to_be_disabled()
    dialog.get_by_label("New value").fill("165,5")
    review.click()
    expect(dialog).to_contain_text("165.5 bar will be sent to press-3-plc")
    dialog.get_by_role("button", name="Send to the device").click()
    expect(dialog.get_by_role("status")).to_contain_text("Confirmed")
    expect(dialog.get_by_role("status")).to_contain_text("165.5 bar")
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.locator('[data-point="setpoint.pressure"]')).to_contain_text("165.5")


def test_a_refused_write_says_why(open_page: Signed) -> None:
    page = open_page(f"/explore/{PRESS_3}")
    page.get_by_role("button", name="Change Pressure setpoint").click()
    dialog = page.get_by_role("dialog", name="Change Pressure setpoint")
    dialog.get_by_label("New value").fill("120")
    dialog.get_by_label("Reason").fill("refuse this")
    dialog.get_by_role("button", name="Review").click()
    dialog.get_by_role("button", name="Send to the device").click()
    expect(dialog.get_by_role("status")).to_contain_text("stop the cycle before its pressure is changed")
    expect(dialog.get_by_role("button", name="Change and try again")).to_be_visible()
