"""For everyone: no serious finding by axe, nothing wider than a phone, keyboard all the way, calm motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from playwright.sync_api import expect
from tests.console.conftest import CONSOLE, PRESS_3, Signed, quiet, trend_path
from tests.services import require_service

pytestmark = pytest.mark.browser
AXE = CONSOLE / "node_modules" / "axe-core" / "axe.min.js"
COMPRESSOR = "acme/suzhou/utilities/compressor-1"
PAGES = {
    "overview": "/",
    "explore": "/explore/",
    "asset": f"/explore/{PRESS_3}",
    "point": f"/explore/{PRESS_3}?point={PRESS_3}/setpoint.pressure",
    "trend": trend_path(f"{PRESS_3}/oil.temperature", f"{PRESS_3}/motor.power", last=3_600),
    "alarms": "/alarms",
    "alarm history": "/alarms?tab=history",
    "back-tests": "/alarms?tab=backtests",
    "figures of alarms": "/alarms?tab=figures",
    "notifications": "/alarms?tab=notifications",
    "notifications of an alarm": f"/alarms?tab=notifications&of={PRESS_3}/oil.temperature:hot",
    "quiet alarms": "/alarms?tab=quiet",
    "the record of an alarm": f"/alarms?alarm={PRESS_3}/oil.temperature:hot",
    "writes": "/writes",
    "devices": "/devices",
    "a device that waits": "/devices?device=esp-3fa2",
    "edges": "/edges",
    "connections": "/system",
    "calculated points": "/system?tab=calculations",
    "documents": "/docs",
    "a document": "/docs/expressions",
    "stream functions": "/system?tab=streams",
    "a calculated point": f"/explore/{COMPRESSOR}?point={COMPRESSOR}/specific.power",
    "runtime": "/system?tab=runtime",
    "access": "/system?tab=access",
    "audit": "/system?tab=audit",
    "security": "/system?tab=security",
    "engineering": "/engineering",
    "apps": "/apps?app=acme.energy",
    "an app's page of widgets": "/apps/operations/day",
    "an app's page in a frame": "/apps/operations/terminal",
    "account": "/account",
}


def each_look(*quick: tuple[str, str]) -> list[ParameterSet]:
    """Themes and languages: these in `make test`, each theme and each language once; all in `make soak`."""
    every = [(scheme, language) for scheme in ("light", "dark") for language in ("en", "zh")]
    return [pytest.param(*look, marks=() if look in quick else pytest.mark.soak) for look in every]


LANGUAGES = ["en", pytest.param("zh", marks=pytest.mark.soak)]


def settle(page: Any) -> None:
    """Everything asked for has come, and the page has something to say."""
    expect(page.locator("main h1, main [role=treeitem], [role=dialog]").first).to_be_visible()
    quiet(page)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("scheme", "language"), each_look(("light", "en"), ("dark", "zh")))
def test_axe_has_no_serious_finding(open_page: Signed, scheme: str, language: str) -> None:
    require_service("axe-core", AXE.exists(), "tools/setup.sh console")
    found: list[str] = []
    page = open_page("/", scheme=scheme, language=language)
    for name, path in PAGES.items():
        page.goto(path)
        settle(page)
        found += [f"{name}: {line}" for line in axe(page, AXE)]
    page.context.clear_cookies()
    page.goto("/signin")
    expect(page.locator("form")).to_be_visible()
    found += [f"sign in: {line}" for line in axe(page, AXE)]
    assert not found, "\n".join(found)


def axe(page: Any, script: Path) -> list[str]:
    # The page's own policy refuses inline scripts, as it should; axe is evaluated, not injected.
    page.evaluate(script.read_text())
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['impact']}) {one['help']}: {[(n['target'], n['failureSummary']) for n in one['nodes'][:3]]}"
        for one in result["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_wider_than_a_phone(open_page: Signed, language: str) -> None:
    page = open_page("/", width=360, height=740, language=language)
    for name, path in PAGES.items():
        page.goto(path)
        settle(page)
        wide = page.evaluate(
            "Math.max(document.documentElement.scrollWidth,"
            " document.querySelector('main')?.scrollWidth ?? 0) - innerWidth"
        )
        assert wide <= 0, f"{name} is {wide} px too wide"


def test_a_phone_walks_from_the_tree_to_an_asset_and_back(open_page: Signed) -> None:
    page = open_page("/", width=360, height=740)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Explore").click()
    page.get_by_role("treeitem", name="Press 3").click()
    expect(page.get_by_role("heading", name="Press 3", level=1)).to_be_visible()
    expect(page.get_by_role("tree")).to_have_count(0)
    page.get_by_role("navigation", name="Where this asset stands").get_by_role("link", name="Explore").click()
    expect(page.get_by_role("tree")).to_be_visible()
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="System").click()
    expect(page.get_by_role("heading", name="System", level=1)).to_be_visible()


def test_the_keyboard_skips_to_the_content_and_finds_its_shortcuts(open_page: Signed) -> None:
    page = open_page("/")
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("g a")
    page.keyboard.press("Escape")
    for letter, heading in (("t", "Trends"), ("s", "System"), ("d", "Engineering"), ("h", "Overview")):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()


def test_alarms_blink_only_for_those_who_bear_motion(open_page: Signed) -> None:
    calm = "getComputedStyle(document.querySelector('tbody svg[data-priority] path')).animationIterationCount"
    moving, still = open_page("/alarms", motion="no-preference"), open_page("/alarms", motion="reduce")
    for page, expected in ((moving, "infinite"), (still, "1")):
        expect(page.locator("tbody svg[data-priority]").first).to_be_visible()
        assert page.evaluate(calm) == expected


def test_no_script_and_no_font_comes_from_elsewhere(open_page: Signed, console_url: str) -> None:
    page = open_page("/signin", user=None)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/signin")
    settle_door = page.get_by_role("button", name="Sign in")
    expect(settle_door).to_be_visible()
    assert asked
    assert all(url.startswith((console_url, "data:")) for url in asked), asked
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "script-src 'self';" in policy
    assert page.locator("script:not([src])").count() == 0
