"""The terminal of operations on a phone: two taps from a stop to its reason, with a network and without one.

tap, tap ──► kept on the device ──► sent when it can be, in order, once       nothing lost, nothing twice
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed

pytestmark = pytest.mark.browser
PAGE = "/apps/operations/terminal"
TARGET_PX = 48
AskMock = Callable[[str], None]


def taken(url: str) -> list[dict[str, Any]]:
    """What the app has, each as it came."""
    with urllib.request.urlopen(f"{url}/mock/facts", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def card(page: Any, name: str) -> Any:
    return page.frame_locator("iframe").locator(f"[data-stop$='{name}']")


def explain(page: Any, name: str, group: str, reason: str) -> None:
    card(page, name).get_by_role("button", name=group).tap()
    card(page, name).get_by_role("button", name=reason).tap()


def waits(page: Any, text: str) -> Any:
    return page.get_by_role("status").get_by_text(text)


@pytest.mark.parametrize(("width", "language"), [(360, "en"), (360, "zh"), (820, "en")])
def test_two_taps_lead_from_a_stop_to_its_reason(
    open_page: Signed, console_url: str, width: int, language: str
) -> None:
    page = open_page(PAGE, user="anna", width=width, language=language)
    groups = card(page, "press-3").get_by_role("button")
    expect(groups).to_have_count(3)
    frame = page.frame_locator("iframe")
    for button in frame.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= TARGET_PX
    assert frame.locator("html").evaluate("one => one.scrollWidth - innerWidth") <= 0
    group, reason = ("Breakdown", "Hydraulic") if language == "en" else ("故障", "液压")
    card(page, "press-3").get_by_role("button", name=group).click()
    card(page, "press-3").get_by_role("button", name=reason).click()
    expect(card(page, "press-3")).to_have_count(0)
    expect(frame.get_by_role("status")).to_contain_text(reason)
    expect(page.get_by_role("region", name="What waits")).to_have_count(0)
    [one] = taken(console_url)
    assert (one["reason"], one["user"]) == ("hydraulic", "anna")
    assert one["unit"].endswith("/press-3")
    assert len(one["client"]) == 32
    assert one["entered"].endswith("Z")


def test_a_reason_given_by_mistake_is_changed(open_page: Signed, console_url: str) -> None:
    page = open_page(PAGE, user="anna", width=360)
    explain(page, "press-1", "Setup", "Tool change")
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Change", exact=True).tap()
    explain(page, "press-1", "Supply", "No material")
    expect(frame.get_by_role("status")).to_contain_text("press-1")
    expect(page.get_by_text("waiting")).to_have_count(0)
    assert [one["reason"] for one in taken(console_url)] == ["tool", "material"], "what was said first stays on record"


def test_five_minutes_without_network_lose_nothing_and_say_nothing_twice(open_page: Signed, console_url: str) -> None:
    page = open_page("/", user="anna", width=360)
    page.clock.install()
    page.goto(PAGE)
    expect(card(page, "press-3")).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_text("No network")).to_be_visible()
    explain(page, "press-3", "Breakdown", "Mechanical")
    page.clock.fast_forward("02:00")
    explain(page, "press-1", "Setup", "First part")
    page.clock.fast_forward("03:00")
    expect(waits(page, "2 waiting")).to_be_visible()
    expect(waits(page, "the oldest for 5 min")).to_be_visible()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_text("the platform is not reached")).to_be_visible()
    explain(page, "press-2", "Supply", "No operator")
    expect(waits(page, "3 waiting")).to_be_visible()
    assert taken(console_url) == []
    page.context.set_offline(False)
    expect(page.get_by_text("waiting")).to_have_count(0)
    expect(page.get_by_text("No network")).to_have_count(0)
    found = taken(console_url)
    assert [(one["unit"][-7:], one["reason"]) for one in found] == [
        ("press-3", "mechanical"), ("press-1", "first-part"), ("press-2", "operator"),
    ]  # fmt: skip
    assert [one["entered"] for one in found] == sorted(one["entered"] for one in found)
    page.clock.fast_forward("02:00")
    expect(frame.get_by_text("Every stop has a reason")).to_be_visible()
    assert len(taken(console_url)) == 3


def test_an_answer_that_is_lost_makes_no_second_entry(open_page: Signed, console_url: str) -> None:
    page = open_page(PAGE, user="anna", width=360)
    sent: list[str] = []

    def lose(route: Any) -> None:
        sent.append(route.request.post_data)
        if len(sent) == 1:
            route.fetch()  # the platform has it, and nobody hears so
            route.abort()
        else:
            route.continue_()

    page.route("**/call/reasons", lambda route: lose(route) if route.request.method == "POST" else route.continue_())
    explain(page, "press-3", "Breakdown", "Electrical")
    expect(page.get_by_text("1 waiting")).to_be_visible()
    expect(page.get_by_text("1 waiting")).to_have_count(0)
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert len(taken(console_url)) == 1


def test_what_waits_outlives_a_reload_and_a_sign_out_and_is_sent_by_nobody_else(
    open_page: Signed, console_url: str, ask_mock: AskMock
) -> None:
    page = open_page(PAGE, user="anna", width=360)
    expect(card(page, "press-3")).to_be_visible()
    ask_mock("apps?away=1")
    explain(page, "press-3", "Breakdown", "Mechanical")
    expect(waits(page, "1 waiting")).to_be_visible()
    page.reload()
    expect(waits(page, "1 waiting")).to_be_visible()
    request = page.context.request
    assert request.delete("/api/v1/session", headers={"X-Headrace": "1"}).ok
    ask_mock("apps?away=")
    for user, seen in (("lee", 0), ("anna", 1)):
        password = "-".join([user] * (3 if user == "anna" else 4))
        signed = request.post("/api/v1/session", data={"user": user, "password": password}, headers={"X-Headrace": "1"})
        assert signed.ok
        page.goto("/apps/operations/day")  # any page sends
        expect(page.get_by_role("heading", name="Day")).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.goto(PAGE)
        expect(page.get_by_text("waiting")).to_have_count(0)
        assert len(taken(console_url)) == seen, user
    [one] = taken(console_url)
    assert (one["reason"], one["user"]) == ("mechanical", "anna")


def test_a_refused_reason_is_shown_and_sent_again_or_dropped_by_a_person(
    open_page: Signed, console_url: str, ask_mock: AskMock
) -> None:
    page = open_page(PAGE, user="anna", width=360)
    expect(card(page, "press-3")).to_be_visible()
    ask_mock("apps?refuse=press-3+did+not+stand+still+then")
    explain(page, "press-3", "Breakdown", "Mechanical")
    expect(waits(page, "1 refused")).to_be_visible()
    kept = page.get_by_role("region", name="What waits and what was refused").get_by_role("listitem")
    expect(kept).to_contain_text("press-3 did not stand still then. choose another reason")
    expect(card(page, "press-3")).to_contain_text("Refused: press-3 did not stand still then")
    kept.get_by_role("button", name="Send again").tap()
    expect(waits(page, "1 refused")).to_be_visible()
    kept.get_by_role("button", name="Drop").tap()
    kept.get_by_role("button", name="Really?").tap()
    expect(kept).to_have_count(0)
    ask_mock("apps?refuse=")
    explain(page, "press-3", "Breakdown", "Hydraulic")
    expect(card(page, "press-3")).to_have_count(0)
    expect(page.get_by_text("waiting")).to_have_count(0)
    assert [one["reason"] for one in taken(console_url)] == ["hydraulic"]


def test_pieces_are_entered_by_machine(open_page: Signed, console_url: str) -> None:
    page = open_page(PAGE, user="anna", width=360)
    frame = page.frame_locator("iframe")
    expect(card(page, "press-3")).to_be_visible()
    frame.get_by_role("button", name="Pieces").tap()
    frame.get_by_label("Scrap").fill("4.5")
    frame.get_by_role("button", name="Keep").tap()
    expect(page.get_by_role("alert").get_by_text("Enter a whole number of pieces")).to_be_visible()
    frame.get_by_label("Scrap").fill("4")
    frame.get_by_role("button", name="Keep").tap()
    expect(page.get_by_role("status").get_by_text("Kept for press-1: Scrap 4")).to_be_visible()
    expect(frame.get_by_label("Scrap")).to_have_value("")
    expect(page.get_by_text("waiting")).to_have_count(0)
    [one] = taken(console_url)
    assert one["scrap"] == 4
    assert "rework" not in one
