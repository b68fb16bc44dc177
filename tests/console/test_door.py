"""Signing in, the one-time password, language and theme before and after."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed

pytestmark = pytest.mark.browser


def test_a_wrong_password_is_refused_in_words_and_a_right_one_leads_to_where_one_wanted(open_page: Signed) -> None:
    page = open_page("/alarms", user=None)
    page.get_by_label("User name").fill("anna")
    page.get_by_role("textbox", name="Password").fill("guess")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("the name or the password is wrong")
    page.get_by_role("textbox", name="Password").fill("anna-anna-anna")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Alarms", level=1)).to_be_visible()


@pytest.mark.clause("62443-3-3 SR 1.12")
@pytest.mark.parametrize("width", [1280, 360])
def test_a_notice_stands_before_the_password(open_page: Signed, width: int) -> None:
    page = open_page("/signin", user=None, width=width)
    notice = page.get_by_role("region", name="Notice of use")
    expect(notice).to_contain_text("What you do here is recorded.")
    assert notice.bounding_box()["y"] < page.get_by_label("User name").bounding_box()["y"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_first_owner_must_choose_a_password_before_anything_else(open_page: Signed) -> None:
    page = open_page("/", user=None)
    page.get_by_label("User name").fill("admin")
    page.get_by_role("textbox", name="Password").fill("one-time-password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("made for one use")).to_be_visible()

    page.goto("/system")
    expect(page.get_by_text("made for one use")).to_be_visible()
    page.get_by_role("textbox", name="Present password").fill("one-time-password")
    page.get_by_role("textbox", name="New password", exact=False).first.fill("short")
    page.get_by_role("textbox", name="New password again").fill("short")
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("alert")).to_contain_text("at least 12 characters")
    page.get_by_role("textbox", name="New password", exact=False).first.fill("the wheel turns slowly")
    page.get_by_role("textbox", name="New password again").fill("the wheel turns quickly")
    expect(page.get_by_text("The two are not the same.")).to_be_visible()
    page.get_by_role("textbox", name="New password again").fill("the wheel turns slowly")
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("heading", name="System", level=1)).to_be_visible()


def test_language_and_theme_are_chosen_before_signing_in_and_stay(open_page: Signed) -> None:
    page = open_page("/signin", user=None)
    page.get_by_text("中文", exact=True).click()
    expect(page.get_by_role("button", name="登录")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.get_by_text("深色", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    page.get_by_label("用户名").fill("anna")
    page.get_by_role("textbox", name="密码").fill("anna-anna-anna")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("heading", name="总览", level=1)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")


def test_language_changes_everywhere_at_once(open_page: Signed) -> None:
    page = open_page("/")
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    page.get_by_role("button", name="Signed in as lee").click()
    page.get_by_role("menuitem", name="中文").click()
    expect(page.get_by_role("heading", name="总览", level=1)).to_be_visible()
    expect(page.get_by_role("link", name="3号压机").first).to_be_visible()
    expect(page.get_by_text("油温偏高：检查冷却器和冷却水").first).to_be_visible()


def test_signing_out_closes_the_door(open_page: Signed) -> None:
    page = open_page("/")
    page.get_by_role("button", name="Signed in as lee").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto("/system")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_an_address_cannot_lead_to_another_site_after_signing_in(open_page: Signed) -> None:
    page: Any = open_page("/signin?next=//evil.example/", user=None)
    page.get_by_label("User name").fill("anna")
    page.get_by_role("textbox", name="Password").fill("anna-anna-anna")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
