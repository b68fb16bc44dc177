"""People, tokens, roles, partners and firms: what is given is what is sent, by keyboard and on a phone too."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed
from tests.console.test_everyone import AXE, LANGUAGES, axe, each_look, settle
from tests.services import require_service

pytestmark = pytest.mark.browser
LINE_1 = "acme/suzhou/press-shop/line-1"
PAGES = {tab: f"/system?tab={tab}" for tab in ("access", "roles", "partners", "firms")}
#: By page: the button that opens its dialog, in both languages.
DIALOGS = {
    "access": ("Add a user", "添加用户"),
    "roles": ("Make a role", "新建角色"),
    "partners": ("Share with a partner", "向伙伴共享"),
    "firms": ("Take in a firm", "企业入驻"),
}


def watch(page: Any, ending: str) -> list[Any]:
    """Bodies that are sent to addresses with that ending."""
    sent: list[Any] = []

    def note(request: Any) -> None:
        if request.method != "GET" and request.url.endswith(ending):
            sent.append(request.post_data_json)

    page.on("request", note)
    return sent


def choose(page: Any, box: Any, option: str) -> None:
    box.click()
    page.get_by_role("option", name=option).first.click()


@pytest.mark.clause("62443-3-3 SR 2.1")
def test_a_person_gets_a_role_on_a_part_of_the_plant_until_a_time(open_page: Signed) -> None:
    page = open_page(PAGES["access"])
    row = page.get_by_role("table", name="Users").get_by_role("row").filter(has_text="chen.hua")
    expect(row).to_contain_text("Member")
    expect(row).to_contain_text("Operator on Press line 1 until")
    expect(row).to_contain_text("Maintainer on Assembly, ended")
    expect(page.get_by_role("row").filter(has_text="qian.li")).to_contain_text("Energy reader")
    row.get_by_role("button", name="Change chen.hua").click()
    dialog = page.get_by_role("dialog", name="chen.hua")
    expect(dialog).to_contain_text("Nothing on the whole plant")
    expect(dialog.get_by_role("group", name=re.compile(r"^Part \d$"))).to_have_count(2)
    dialog.get_by_role("button", name="Remove part 2").click()
    dialog.get_by_role("button", name="Add a part").click()
    part = dialog.get_by_role("group", name="Part 2")
    choose(page, part.get_by_role("textbox", name="Role"), "Energy reader")
    part.get_by_role("textbox", name="On", exact=True).fill("moulding-shop")
    page.get_by_role("option", name="acme/suzhou/moulding-shop").first.click()
    part.get_by_label("Until").fill("2099-01-02T18:00")
    sent = watch(page, "/users/chen.hua")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    assert sent[0]["role"] == "member"
    kept, added = sent[0]["parts"]
    assert (kept["role"], kept["path"]) == ("operator", LINE_1)
    assert kept["expires_at"].endswith("Z")
    assert (added["role"], added["path"]) == ("energy-reader", "acme/suzhou/moulding-shop")
    assert added["expires_at"].startswith("2099-01-0")
    expect(row).to_contain_text("Energy reader on Moulding shop until 2099-01-02 18:00")


def test_an_account_is_disabled_given_a_new_password_and_deleted(open_page: Signed) -> None:
    page = open_page(PAGES["access"])
    row = page.get_by_role("row").filter(has_text="anna")
    row.get_by_role("button", name="Change anna").click()
    dialog = page.get_by_role("dialog", name="anna")
    dialog.get_by_role("button", name="Disable").click()
    expect(dialog.get_by_role("button", name="Enable")).to_be_visible()
    dialog.get_by_role("button", name="New one-time password").click()
    dialog.get_by_role("button", name="Really?").click()
    expect(dialog.get_by_role("status")).to_have_text("r3Set-Once-Only")
    dialog.get_by_role("button", name="Close").last.click()
    expect(row).to_contain_text("Disabled")
    expect(row.locator("svg")).to_be_visible()
    row.get_by_role("button", name="Change anna").click()
    expect(dialog).not_to_contain_text("r3Set-Once-Only")
    dialog.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Really?").click()
    expect(row).to_have_count(0)


@pytest.mark.clause("62443-3-3 SR 2.1")
def test_a_token_gets_no_more_than_it_needs(open_page: Signed) -> None:
    page = open_page(PAGES["access"])
    table = page.get_by_role("table", name="Tokens for programs")
    known = table.get_by_role("row").filter(has_text="mes-bridge")
    expect(known).to_contain_text("Press line 1")
    expect(known).to_contain_text("See, Send")
    old = table.get_by_role("row").filter(has_text="old-report")
    expect(old).to_contain_text("Expired")
    expect(old).to_contain_text("Never used")
    page.get_by_role("button", name="Make a token").click()
    dialog = page.get_by_role("dialog", name="Make a token")
    dialog.get_by_label("Name").fill("dashboard")
    choose(page, dialog.get_by_role("textbox", name="Role"), "Operator")
    for scope in ("Write", "Acknowledge", "See"):
        dialog.get_by_role("checkbox", name=scope).uncheck()
    expect(dialog.get_by_role("button", name="Create")).to_be_disabled()
    dialog.get_by_role("checkbox", name="See").check()
    dialog.get_by_role("textbox", name="Assets").fill("press-3")
    page.get_by_role("option", name="Press 3").click()
    choose(page, dialog.get_by_role("textbox", name="Good for"), "30 days")
    sent = watch(page, "/tokens")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("status")).to_have_text("hr_5Zt0aXk2mP9vRc1LdY8sQeUh")
    assert {**sent[0], "expires_at": ""} == {
        "name": "dashboard",
        "role": "operator",
        "paths": [f"{LINE_1}/press-3"],
        "actions": ["view"],
        "expires_at": "",
    }
    dialog.get_by_role("button", name="Close").last.click()
    made = table.get_by_role("row").filter(has_text="dashboard")
    made.get_by_role("button", name="Withdraw").click()
    made.get_by_role("button", name="Really?").click()
    expect(made).to_have_count(0)


def test_a_role_of_ones_own_is_made_by_keyboard_and_stays_while_somebody_has_it(open_page: Signed) -> None:
    page = open_page(PAGES["roles"])
    matrix = page.get_by_role("table", name="Roles")
    auditor = matrix.get_by_role("row").filter(has_text="Auditor")
    expect(auditor.get_by_role("cell", name="yes")).to_have_count(2)
    sent = watch(page, "/roles/night-watch")
    page.get_by_role("button", name="Make a role").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Make a role")
    expect(dialog.get_by_label("Name")).to_be_focused()
    page.keyboard.type("night-watch")
    page.keyboard.press("Tab")
    page.keyboard.type("Night watch")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # Acknowledge, beside See
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    assert sent == [{"title": "Night watch", "actions": ["view", "acknowledge"]}]
    expect(matrix.get_by_role("row").filter(has_text="Night watch").get_by_role("cell", name="yes")).to_have_count(2)
    reader = matrix.get_by_role("row").filter(has_text="Energy reader")
    reader.get_by_role("button", name="Delete").click()
    reader.get_by_role("button", name="Really?").click()
    expect(page.get_by_role("alert")).to_contain_text("'qian.li' has the role 'energy-reader'")


def test_duties_that_cannot_be_separated_yet_are_explained(open_page: Signed) -> None:
    page = open_page(PAGES["roles"])
    separate = page.get_by_role("checkbox", name="Separate duties")
    expect(separate).not_to_be_checked()
    separate.click()
    expect(page.get_by_role("alert")).to_contain_text("would be administrator and security officer in one")
    expect(separate).not_to_be_checked()


def test_what_a_pattern_takes_is_seen_before_it_is_shared(open_page: Signed) -> None:
    page = open_page(PAGES["partners"])
    given = page.get_by_role("table", name="What we share")
    expect(given.get_by_role("row")).to_have_count(3)
    expect(given).to_contain_text("Ningbo Plast")
    page.get_by_role("button", name="Share with a partner").click()
    dialog = page.get_by_role("dialog", name="Share with a partner")
    choose(page, dialog.get_by_role("textbox", name="Partner"), "Taihu Heavy Press")
    dialog.get_by_role("textbox", name="Asset").fill("line-1")
    page.get_by_role("option", name="Press line 1").first.click()
    preview = dialog.get_by_role("status")
    expect(preview).to_contain_text("72 of 72 points match")
    patterns = dialog.get_by_role("textbox", name="Points")
    patterns.fill("press-[1-2]/oil.*")
    expect(preview).to_contain_text("4 of 72 points match")
    expect(preview).to_contain_text("press-2/oil.level")
    patterns.fill("oil.*")
    expect(preview).to_contain_text("Nothing would be shared")
    patterns.fill("*/oil.*\n*/bearing.*")
    expect(preview).to_contain_text("12 of 72 points match")
    dialog.get_by_label("Samples from").fill("2026-01-01T00:00")
    dialog.get_by_label("Purpose").fill("Remote diagnosis")
    sent = watch(page, "/grants")
    dialog.get_by_role("button", name="Share", exact=True).click()
    expect(dialog).to_have_count(0)
    assert sent[0]["partner"] == "taihu"
    assert sent[0]["asset"] == LINE_1
    assert sent[0]["points"] == ["*/oil.*", "*/bearing.*"]
    assert sent[0]["purpose"] == "Remote diagnosis"
    assert sent[0]["start"].endswith("Z")
    assert "end" not in sent[0] and "expires_at" not in sent[0]
    row = given.get_by_role("row").filter(has_text="Remote diagnosis")
    row.get_by_role("button", name="End it").click()
    row.get_by_role("button", name="Really?").click()
    expect(row).to_have_count(0)
    page.get_by_role("checkbox", name="Show 2 that ended").check()
    expect(row).to_contain_text("by lee")


def test_what_a_partner_shares_is_told_from_what_is_ours(open_page: Signed, ask_mock: Callable[[str], None]) -> None:
    page = open_page("/system", user="anna")
    expect(page.get_by_role("tab", name="Platform")).to_be_visible()
    expect(page.get_by_role("tab", name="Partners")).to_have_count(0)
    ask_mock("receive")
    page.goto(PAGES["partners"])
    expect(page.get_by_role("table", name="Shared with us")).to_contain_text("Acceptance of press 5 before delivery")
    expect(page.get_by_role("button", name="Share with a partner")).to_have_count(0)
    expect(page.get_by_role("button", name="End it")).to_have_count(0)
    page.get_by_role("link", name="Stand 1").click()
    expect(page.get_by_role("heading", name="Stand 1", level=1)).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Shared by Taihu Heavy Press, to read only")
    expect(page.get_by_role("treeitem", name="Taihu Heavy Press")).to_contain_text("Shared by Taihu Heavy Press")
    expect(page.get_by_role("treeitem", name="Acme Components")).not_to_contain_text("Shared")
    mine = open_page(PAGES["access"])
    mine.get_by_role("button", name="Add a user").click()
    mine.get_by_role("dialog").get_by_role("button", name="Add a part").click()
    mine.get_by_role("dialog").get_by_role("textbox", name="On", exact=True).click()
    expect(mine.get_by_role("option", name="Press 3")).to_be_visible()
    expect(mine.get_by_role("option", name="taihu/test-hall")).to_have_count(0)


def test_a_firm_is_taken_in_closed_and_reopened(open_page: Signed) -> None:
    page = open_page(PAGES["firms"])
    expect(page.get_by_role("row").filter(has_text="Kunlun Air")).to_contain_text("Closed")
    expect(page.get_by_role("row").filter(has_text="This platform’s own").get_by_role("button")).to_have_count(0)
    page.get_by_role("button", name="Take in a firm").click()
    dialog = page.get_by_role("dialog", name="Take in a firm")
    dialog.get_by_label("Firm").fill("Yangtze Castings")
    dialog.get_by_label("Name").fill("yangtze")
    dialog.get_by_label("Roots").fill("yangtze, yangtze-2")
    sent = watch(page, "/tenants")
    dialog.get_by_role("button", name="Take it in").click()
    for user in ("admin", "security", "audit"):
        expect(dialog.get_by_role("status", name=f"yangtze.{user}")).to_contain_text("x7Kq-93fm")
    expect(dialog.get_by_role("button", name="Copy")).to_have_count(3)
    assert sent[0]["roots"] == ["yangtze", "yangtze-2"]
    assert sent[0]["separate_duties"] is True
    page.keyboard.press("Escape")  # passwords that are shown once are not lost by a slip
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close").last.click()
    row = page.get_by_role("row").filter(has_text="Yangtze Castings")
    expect(row).to_contain_text("Open")
    row.get_by_role("button", name="Close").click()
    row.get_by_role("button", name="Really?").click()
    expect(row).to_contain_text("Closed")
    row.get_by_role("button", name="Reopen").click()
    expect(row).to_contain_text("Open")


def test_who_has_a_role_of_the_firms_own_sees_its_title(open_page: Signed) -> None:
    page = open_page(PAGES["access"])
    page.get_by_role("button", name="Change anna").click()
    dialog = page.get_by_role("dialog", name="anna")
    choose(page, dialog.get_by_role("textbox", name="Role on everything"), "Energy reader")
    expect(dialog).to_contain_text("Allows: Acknowledge, See.")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    theirs = open_page("/", user="anna")
    theirs.get_by_role("button", name="Signed in as anna").click()
    expect(theirs.get_by_role("menu")).to_contain_text("anna · Energy reader")


@pytest.mark.parametrize("language", LANGUAGES)
def test_on_a_phone_nothing_is_wider_than_the_screen(open_page: Signed, language: str) -> None:
    page = open_page("/", width=360, height=740, language=language)
    for name, path in PAGES.items():
        page.goto(path)
        settle(page)
        for opened in (False, True):
            if opened:
                page.get_by_role("button", name=DIALOGS[name][language == "zh"]).click()
                expect(page.get_by_role("dialog")).to_be_visible()
            wide = page.evaluate(
                "Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth,"
                " ...[...document.querySelectorAll('main table, [role=dialog]')].map(e => e.scrollWidth)) - innerWidth"
            )
            assert wide <= 0, f"{name} is {wide} px too wide"


def test_on_a_phone_a_part_is_read_and_changed(open_page: Signed) -> None:
    page = open_page(PAGES["access"], width=360, height=740)
    page.get_by_role("button", name="Change chen.hua").click()
    part = page.get_by_role("dialog", name="chen.hua").get_by_role("group", name="Part 1")
    for box in (part.get_by_role("textbox", name="Role"), part.get_by_role("textbox", name="On", exact=True)):
        assert box.bounding_box()["width"] > 200
    assert part.get_by_label("Until").bounding_box()["width"] > 150


@pytest.mark.parametrize(("scheme", "language"), each_look(("light", "zh"), ("dark", "en")))
def test_axe_has_no_serious_finding(
    open_page: Signed, ask_mock: Callable[[str], None], scheme: str, language: str
) -> None:
    require_service("axe-core", AXE.exists(), "tools/setup.sh console")
    ask_mock("receive")
    found: list[str] = []
    page = open_page("/", scheme=scheme, language=language)
    for name, path in PAGES.items():
        page.goto(path)
        settle(page)
        found += [f"{name}: {line}" for line in axe(page, AXE)]
        page.get_by_role("button", name=DIALOGS[name][language == "zh"]).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        found += [f"{name}, dialog: {line}" for line in axe(page, AXE)]
    assert not found, "\n".join(found)
