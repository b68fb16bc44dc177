"""The store of apps in the console: what is asked for in words, settings at their fields, versions, and what goes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import PRESS_3, Signed
from tests.console.test_everyone import AXE, axe
from tests.services import require_service

pytestmark = pytest.mark.browser
PAGE = "/apps"
AskMock = Callable[[str], None]


def one(page: Any, name: str) -> Any:
    return page.locator(f"[data-app='{name}']")


@pytest.mark.parametrize(("scheme", "language", "width"), [("light", "en", 1440), ("dark", "zh", 360)])
def test_the_list_tells_states_in_words_and_what_is_offered(
    open_page: Signed, scheme: str, language: str, width: int
) -> None:
    require_service("axe-core", AXE.exists(), "tools/setup.sh console")
    page = open_page(f"{PAGE}?app=acme.vision", scheme=scheme, language=language, width=width)
    words = (
        ("Running", "Not enabled", "Halted", "2.0.0") if language == "en" else ("运行中", "未启用", "已中止", "2.0.0")
    )
    running, available, halted, offered = words
    expect(one(page, "acme.energy")).to_contain_text(running)
    expect(one(page, "acme.energy")).to_contain_text(offered)
    expect(one(page, "acme.hours")).to_contain_text(available)
    expect(one(page, "acme.vision")).to_contain_text(halted)
    expect(page.get_by_role("alert").filter(has_text="MemoryError")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert axe(page, AXE) == []


def test_an_app_is_enabled_when_what_it_asks_for_was_agreed_to(open_page: Signed) -> None:
    page = open_page(f"{PAGE}?app=acme.hours")
    page.get_by_role("button", name="Enable").click()
    dialog = page.get_by_role("dialog", name="Enable Machine hours 1.0.0")
    asked = dialog.get_by_role("region", name="It asks for")
    for words in ("everything of the firm", "**/state", "hours.*", "Keeps tables of up to 50 MB", "256 MB of memory"):
        expect(asked).to_contain_text(words)
    weighty = asked.get_by_role("listitem").filter(has_text="Has the platform sign for it")
    expect(weighty).to_contain_text("Take care")
    expect(dialog.get_by_role("button", name="Accept and run")).to_be_disabled()
    dialog.get_by_label("I accept that Machine hours may do this").check()
    dialog.get_by_role("button", name="Accept and run").click()
    expect(page.get_by_role("status").get_by_text("Machine hours 1.0.0 is enabled.")).to_be_visible()
    expect(one(page, "acme.hours")).to_contain_text("Running")


def test_enabling_takes_a_fresh_proof(open_page: Signed, ask_mock: AskMock) -> None:
    page = open_page(f"{PAGE}?app=acme.hours")
    ask_mock("stale")
    page.get_by_role("button", name="Enable").click()
    dialog = page.get_by_role("dialog", name="Enable Machine hours 1.0.0")
    dialog.get_by_label("I accept").check()
    dialog.get_by_role("button", name="Accept and run").click()
    page.get_by_label("Password").last.fill("lee-lee-lee-lee")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").get_by_text("Machine hours 1.0.0 is enabled.")).to_be_visible()


def test_an_update_that_asks_for_more_says_what_and_waits(open_page: Signed) -> None:
    page = open_page(f"{PAGE}?app=acme.energy")
    expect(page.get_by_role("status").get_by_text("Energy stays on 1.0.0 until that is accepted")).to_be_visible()
    page.get_by_role("button", name="See what is new").click()
    dialog = page.get_by_role("dialog", name="Let Energy be updated to 2.0.0")
    new = dialog.locator("[data-added=true]")
    expect(new).to_have_count(3)
    expect(new.filter(has_text="Writes to machines")).to_contain_text("**/setpoint.pressure")
    expect(new.filter(has_text="Calls over the network")).to_contain_text("tariff.example:443")
    expect(new.filter(has_text="Keeps tables of up to 200 MB")).to_contain_text("New")
    dialog.get_by_label("I accept").check()
    dialog.get_by_role("button", name="Accept and run").click()
    expect(page.get_by_text("asks for more")).to_have_count(0)
    expect(one(page, "acme.energy")).to_contain_text("Version 2.0.0")


def test_settings_of_every_kind_are_kept_and_what_is_wrong_is_said_at_its_field(open_page: Signed) -> None:
    page = open_page(f"{PAGE}?app=operations")
    page.get_by_role("tab", name="Settings").click()
    save = page.get_by_role("button", name="Save settings")
    page.get_by_label("Target of availability").fill("1.5")
    page.get_by_label("Lines").fill("2.5")
    page.get_by_label("A shift is closed").fill("soon")
    page.get_by_role("button", name="Add a row").click()
    save.click()
    expect(page.get_by_role("alert").get_by_text("5 settings do not fit")).to_be_visible()
    for text in ("This is no whole number", "Write a span such as 30s, 2min or 1h"):
        expect(page.get_by_text(text)).to_be_visible()
    expect(page.get_by_text("This has to be filled in")).to_have_count(2)
    page.get_by_label("Target of availability").fill("0,9")
    page.get_by_label("Lines").fill("2")
    page.get_by_label("A shift is closed").fill("20min")
    page.get_by_label("Name, row 1").fill("early")
    page.get_by_label("From, row 1").fill("6 o'clock")
    page.get_by_role("button", name="Add one").click()
    page.get_by_label("Days without shifts, row 1").fill("2026-10-01")
    page.get_by_label("Machine that sets the pace").first.click()
    page.get_by_role("option", name=re.compile("Press 3")).click()
    page.get_by_role("textbox", name="Counter of pieces").fill("press-3/oil.temperature")
    page.get_by_role("option", name=f"{PRESS_3}/oil.temperature").click()
    page.get_by_label("Licence key").fill("open-sesame")
    page.get_by_label("Also a weekly report").check()
    save.click()
    expect(page.get_by_text("'6 o'clock' is no time of day")).to_be_visible()  # of the platform, at the cell
    page.get_by_label("From, row 1").fill("06:00")
    save.click()
    expect(page.get_by_role("status").get_by_text("Operations starts anew with them")).to_be_visible()
    page.reload()
    page.get_by_role("tab", name="Settings").click()
    expect(page.get_by_label("Target of availability")).to_have_value("0.9")
    expect(page.get_by_label("Lines")).to_have_value("2")
    expect(page.get_by_label("From, row 1")).to_have_value("06:00")
    expect(page.get_by_label("Hours, row 1")).to_have_value("8")
    expect(page.get_by_label("Days without shifts, row 1")).to_have_value("2026-10-01")
    expect(page.get_by_label("Machine that sets the pace").first).to_have_value("Press 3")
    expect(page.get_by_label("Also a weekly report")).to_be_checked()
    expect(page.get_by_label("Licence key")).to_have_value("")
    expect(page.get_by_text("Filled in. It is never shown")).to_be_visible()
    page.get_by_label("Lines").fill("3")
    save.click()  # a secret that is left empty stays
    expect(page.get_by_role("status").get_by_text("starts anew")).to_be_visible()
    expect(page.get_by_text("Filled in. It is never shown")).to_be_visible()
    page.get_by_label("Take it away").check()
    save.click()
    expect(page.get_by_text("Filled in. It is never shown")).to_have_count(0)


def test_health_and_log_tell_how_it_fares(open_page: Signed) -> None:
    page = open_page(f"{PAGE}?app=operations")
    page.get_by_role("tab", name="Health").click()
    for text in ("4812, 3.4 ms on average", "84.2 MB, 1024 MB", "there is no shift '41'", "close: due", "12.4 MB"):
        expect(page.get_by_role("tabpanel")).to_contain_text(text.replace(", 1024", " of 1024"))
    page.get_by_role("tab", name="Log").click()
    expect(page.get_by_role("log")).to_contain_text("shift 41 closed")


def test_data_goes_only_when_its_name_is_typed(open_page: Signed) -> None:
    page = open_page(f"{PAGE}?app=operations")
    export = page.get_by_role("link", name="Export data")
    expect(export).to_have_attribute("href", "/api/v1/apps/operations/export")
    page.get_by_role("button", name="Disable").click()
    dialog = page.get_by_role("dialog", name="Disable Operations")
    dialog.get_by_label("Delete tables, documents and settings").check()
    expect(dialog.get_by_role("button", name="Disable")).to_be_disabled()
    dialog.get_by_label("Type operations to delete its data").fill("operations")
    dialog.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("status").get_by_text("Operations is disabled.")).to_be_visible()
    expect(one(page, "operations")).to_contain_text("Disabled")
    expect(page.get_by_role("navigation").get_by_text("Operations")).to_have_count(0)


def test_a_package_is_installed_updated_rolled_back_and_taken_away(open_page: Signed) -> None:
    page = open_page(PAGE)
    page.get_by_role("button", name="Install a package").click()
    dialog = page.get_by_role("dialog", name="Install a package")
    package = {"name": "press.hrpkg", "mimeType": "application/octet-stream", "buffer": b"something else"}
    dialog.locator("input[type=file]").set_input_files(package)
    dialog.get_by_role("button", name="Install a package").click()
    refusal = dialog.get_by_role("alert")
    expect(refusal).to_contain_text("nobody it knows has signed it")
    expect(refusal).to_contain_text("headrace trust add-publisher")
    dialog.locator("input[type=file]").set_input_files({**package, "buffer": b"hrpkg and so on"})
    expect(refusal).to_have_count(0)
    dialog.get_by_role("button", name="Install a package").click()
    expect(page.get_by_role("status").get_by_text("Press view 1.0.0 is installed")).to_be_visible()
    expect(one(page, "acme.press")).to_contain_text("Not enabled")
    page.get_by_role("button", name="Roll back Energy").click()
    dialog = page.get_by_role("dialog", name="Roll back Energy")
    expect(dialog).to_contain_text("From 2.0.0 to 1.0.0, for all firms")
    dialog.get_by_label("Bring them back as they were").check()
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("status").get_by_text("Energy is back at 1.0.0")).to_be_visible()
    page.get_by_role("button", name="Update Press view").click()
    dialog = page.get_by_role("dialog", name="Update Press view")
    dialog.locator("input[type=file]").set_input_files({**package, "buffer": b"hrpkg 3"})
    dialog.get_by_role("button", name="Update").click()
    expect(page.get_by_role("status").get_by_text("Press view is updated to 3.0.0")).to_be_visible()
    page.get_by_role("button", name="Uninstall Press view").click()
    dialog = page.get_by_role("dialog", name="Uninstall Press view")
    expect(dialog).to_contain_text("It is taken from 0 firms")
    dialog.get_by_role("button", name="Uninstall").click()
    expect(page.get_by_role("status").get_by_text("Press view is uninstalled.")).to_be_visible()
    expect(one(page, "acme.press")).to_have_count(0)
    expect(page.get_by_role("button", name="Uninstall Operations")).to_have_count(0)  # it comes with the platform


def test_an_operator_sees_apps_and_acts_on_none(open_page: Signed) -> None:
    page = open_page(f"{PAGE}?app=acme.energy", user="anna")
    expect(page.get_by_role("region", name="Energy")).to_contain_text("It was granted")
    for act in ("Enable", "Disable", "Install a package", "See what is new"):
        expect(page.get_by_role("button", name=act, exact=True)).to_have_count(0)
    expect(page.get_by_role("tab", name="Settings")).to_have_count(0)
