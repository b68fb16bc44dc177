"""Pages of apps in the console: widgets that it draws, and modules in a frame that reaches nothing but its app."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect
from tests.console.conftest import PRESS_3, Signed
from tests.console.test_everyone import AXE, axe
from tests.services import require_service

pytestmark = pytest.mark.browser
DAY = "/apps/operations/day"
FRAME = "/apps/operations/terminal"
AskMock = Callable[[str], None]


def panel(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=name, exact=True).first


@pytest.mark.parametrize(("scheme", "language", "width"), [("light", "en", 1440), ("dark", "zh", 360)])
def test_a_page_of_widgets_is_drawn_and_leads_to_its_sources(
    open_page: Signed, scheme: str, language: str, width: int
) -> None:
    require_service("axe-core", AXE.exists(), "tools/setup.sh console")
    page = open_page(DAY, scheme=scheme, language=language, width=width)
    names = (
        ("Running", "Rejected", "Not there", "Machines", "Orders", "Broken", "No data", "Nothing to show", "12 min")
        if language == "en"
        else ("运行时间", "不合格", "不存在", "设备", "工单", "出错", "无数据", "没有内容", "12 分")
    )
    running, rejected, absent, machines, orders, broken, no_data, no_rows, stop = names
    number = panel(page, running).get_by_role("link", name="41.3 h")
    expect(number).to_have_attribute("href", "/api/v1/apps/operations/call/hours?shift=early")
    expect(panel(page, rejected)).to_contain_text(no_data)
    expect(panel(page, absent)).to_contain_text("total.none")
    expect(panel(page, orders)).to_contain_text(no_rows)
    expect(panel(page, broken).get_by_role("alert")).to_contain_text("operations has no route GET /broken")
    row = panel(page, machines).get_by_role("row").nth(1)
    expect(row).to_contain_text("6.5 h")
    expect(row).to_contain_text("31.0 %")
    expect(row).to_contain_text(stop)
    expect(row.get_by_role("link")).to_have_attribute("href", "/explore/acme/suzhou/press-shop/line-1/press-1")
    trend = page.locator("[data-widget=trend]").get_by_role("link")
    point = f"{PRESS_3}/oil.temperature"
    expect(trend).to_have_attribute("href", f"/trend?p={quote(json.dumps([point]), safe='')}&last=28800")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert axe(page, AXE) == []


def test_what_is_chosen_is_in_the_address_and_in_every_query(open_page: Signed) -> None:
    page = open_page(f"{DAY}?shift=late")
    expect(panel(page, "Note")).to_contain_text("Shift: late")
    page.get_by_role("textbox", name="Shift").click()
    page.get_by_role("option", name="early").click()
    expect(panel(page, "Note")).to_contain_text("Shift: early")
    page.get_by_label("Day", exact=True).fill("2026-11-26")
    expect(page).to_have_url(f"{page.url.split('/apps')[0]}{DAY}?shift=early&day=2026-11-26")
    link = panel(page, "Running").get_by_role("link", name="41.3 h")
    expect(link).to_have_attribute("href", "/api/v1/apps/operations/call/hours?day=2026-11-26&shift=early")


def test_an_app_that_is_away_leaves_what_was_known_marked_as_old(open_page: Signed, ask_mock: AskMock) -> None:
    page = open_page(DAY)
    expect(panel(page, "Running")).to_contain_text("As of")
    ask_mock("apps?away=1")
    expect(panel(page, "Running")).to_contain_text("Old: from")
    expect(panel(page, "Running")).to_contain_text("41.3")
    ask_mock("apps?away=")
    page.get_by_role("button", name="Ask again").click()
    expect(panel(page, "Running")).to_contain_text("As of")


def test_a_form_is_checked_at_its_field_and_a_button_is_asked_about(open_page: Signed) -> None:
    page = open_page(DAY)
    form = panel(page, "Target")
    form.get_by_role("button", name="Keep").click()
    expect(form).to_contain_text("This has to be filled in")
    form.get_by_label("Hours a day").fill("25")
    form.get_by_role("button", name="Keep").click()
    expect(form.get_by_text("From 0 to 24").last).to_be_visible()
    form.get_by_label("Hours a day").fill("7.5")
    form.get_by_label("Hours a day").press("Enter")
    expect(page.get_by_role("status").get_by_text("Done: Target")).to_be_visible()
    expect(panel(page, "Running")).to_contain_text("42.3")  # what hangs on it is asked anew
    close = panel(page, "Close the day")
    close.get_by_role("button", name="Close it").click()
    expect(close.get_by_role("alert")).to_contain_text("Figures of the day are told then")
    close.get_by_role("button", name="Cancel").click()
    expect(close.get_by_role("alert")).to_have_count(0)
    close.get_by_role("button", name="Close it").click()
    close.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("status").get_by_text("Done: Close the day")).to_be_visible()


def test_pages_stand_in_the_navigation_under_their_app(open_page: Signed) -> None:
    page = open_page("/")
    page.get_by_role("button", name="Pages of Operations").click()
    page.get_by_role("menuitem", name="Day").click()
    expect(page.get_by_role("heading", name="Day", level=1)).to_be_visible()
    phone = open_page("/", width=360)
    phone.get_by_role("button", name="More").tap()
    phone.get_by_role("menuitem", name="Terminal").tap()
    expect(phone.frame_locator("iframe").get_by_role("heading", name="Stops without a reason")).to_be_visible()


def test_a_page_that_is_not_there_says_so(open_page: Signed) -> None:
    expect(open_page("/apps/operations/none").get_by_role("alert")).to_contain_text("not there, or not for you")


STRANGER = """
const said = {};
const tried = async (name, act) => {
  try { said[name] = await act(); } catch (e) { said[name] = `no: ${e.code ?? e.name}`; }
};
await headrace.ready;
await tried("storage", () => String(localStorage.length));
await tried("cookie", () => document.cookie);
await tried("parent", () => parent.document.title);
await tried("network", async () => (await fetch("/api/v1/session")).status);
await tried("popup", () => String(open("/")));
await tried("up", () => headrace.get("/../../../users"));
await tried("encoded", () => headrace.get("/%2e%2e/%2e%2e/users"));
await tried("query", () => headrace.get("/echo?x=1"));
await tried("other", () => headrace.get("//evil.example/"));
await tried("later", () => headrace.later("GET", "/echo", {}));
await tried("large", () => headrace.post("/targets", { a: "x".repeat(1100000) }));
await tried("many", async () => {
  const all = await Promise.allSettled(Array.from({ length: 40 }, () => headrace.get("/echo")));
  return all.filter((one) => one.reason?.code === "too-many").length > 0 ? "bounded" : "unbounded";
});
try { top.location = "/signin"; said.navigate = "went"; } catch (e) { said.navigate = `no: ${e.name}`; }
await tried("own", () => headrace.get("/echo", { a: 1, b: "ü&c", none: null }));
document.getElementById("app").textContent = JSON.stringify({
  ...said, user: headrace.user, language: headrace.language, app: headrace.app, theme: headrace.theme });
headrace.onTheme((theme) => { document.title = theme; document.body.dataset.told = theme; });
headrace.onLanguage((language) => { document.body.dataset.language = language; });
headrace.notify("Hello <b>there</b>", "done");
document.body.append(Object.assign(document.createElement("button"), { textContent: "Save",
  onclick: async () => { const file = await headrace.get("/report", {}, { bytes: true });
    await headrace.download("../a/" + file.name, file.data, "text/html"); } }));
const tall = document.createElement("div"); tall.style.height = "3000px"; document.body.append(tall);
"""


@pytest.fixture
def stranger(browser: Any, console_url: str, ask_mock: AskMock) -> Any:
    """A module that tries what it must not; browsers tell of each refusal in their console, which is no error here."""
    ask_mock(f"apps?module={quote(STRANGER)}")
    context = browser.new_context(base_url=console_url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    signed = {"user": "lee", "password": "lee-lee-lee-lee"}
    assert context.request.post("/api/v1/session", data=signed, headers={"X-Headrace": "1"}).ok
    page = context.new_page()
    page.add_init_script("if (window.origin !== 'null') localStorage.setItem('headrace.language', 'en')")
    page.goto(FRAME)
    yield page
    context.close()


@pytest.mark.clause("62443-3-3 SR 2.4", "62443-3-3 SR 3.5")
def test_a_page_in_a_frame_reaches_the_routes_of_its_app_and_nothing_else(stranger: Any) -> None:
    body = stranger.frame_locator("iframe").locator("#app")
    expect(body).to_contain_text('"own"')
    said = json.loads(body.inner_text())
    assert stranger.url.endswith(FRAME)
    for name in ("storage", "cookie", "parent", "network"):
        assert str(said[name]).startswith("no: "), (name, said[name])
    assert said["popup"] == "null"
    for name in ("up", "query", "later"):
        assert said[name] == "no: no-route", (name, said[name])
    assert said["encoded"] == "no: not-found", "the text %2e%2e is a name like any other"
    assert said["other"] in ("no: not-found", "no: no-route")
    assert said["large"] == "no: too-large"
    assert said["many"] == "bounded"
    assert said["navigate"].startswith("no: ")
    assert said["own"] == {"query": {"a": "1", "b": "ü&c"}, "user": "lee", "language": "en"}
    assert (said["user"], said["app"], said["language"], said["theme"]) == ("lee", "operations", "en", "light")
    attributes = stranger.locator("iframe").evaluate("one => [one.getAttribute('sandbox'), one.title]")
    assert attributes == ["allow-scripts", "Terminal"]


def test_a_frame_follows_the_console_and_is_as_tall_as_its_page(stranger: Any) -> None:
    frame = stranger.frame_locator("iframe")
    expect(frame.locator("#app")).to_contain_text('"own"')
    expect(stranger.get_by_role("status").get_by_text("Hello <b>there</b>")).to_be_visible()
    ground = frame.locator("html").evaluate("one => getComputedStyle(one).backgroundColor")
    assert ground == stranger.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert stranger.locator("iframe").evaluate("one => one.clientHeight") >= 3000
    stranger.get_by_role("button", name="Signed in as lee").click()
    stranger.get_by_role("menuitemradio", name="Dark").or_(stranger.get_by_role("menuitem", name="Dark")).click()
    expect(frame.locator("body")).to_have_attribute("data-told", "dark")
    dark = frame.locator("html").evaluate("one => getComputedStyle(one).backgroundColor")
    assert dark == stranger.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark != ground
    with stranger.expect_download() as saved:
        frame.get_by_role("button", name="Save").click()
    assert saved.value.suggested_filename == "_a_shift.pdf"


def test_a_frame_that_never_begins_is_told(open_page: Signed, ask_mock: AskMock) -> None:
    page = open_page("/")
    page.route("**/frames/terminal**", lambda route: route.fulfill(body="<p>nothing</p>", content_type="text/html"))
    page.clock.install()
    page.goto(FRAME)
    expect(page.locator("iframe")).to_be_visible()
    page.clock.fast_forward("00:20")
    expect(page.get_by_role("alert").get_by_text("The page does not begin")).to_be_visible()
    page.unroute("**/frames/terminal**")
    page.get_by_role("button", name="Try again").click()
    expect(page.frame_locator("iframe").get_by_role("heading", name="Stops without a reason")).to_be_visible()
    expect(page.get_by_text("The page does not begin")).to_have_count(0)
