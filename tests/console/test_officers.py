"""Fresh proofs, the policy, and what an officer sees and does: by keyboard, and on a phone too."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed, quiet
from tests.console.test_everyone import AXE, LANGUAGES, axe, each_look, settle
from tests.console.test_people import choose, watch
from tests.services import require_service

pytestmark = pytest.mark.browser
ACCESS, ROLES = "/system?tab=access", "/system?tab=roles"
Mock = Callable[[str], None]


def sure(place: Any, button: str) -> None:
    place.get_by_role("button", name=button, exact=True).click()
    place.get_by_role("button", name="Really?").click()


def opened(page: Any, name: str) -> Any:
    page.get_by_role("button", name=name, exact=True).click()
    return page.get_by_role("dialog")


# --- what takes a fresh proof: from each page, asked for once, and then done ------------------------------------------


def add_person(page: Any) -> None:
    dialog = opened(page, "Add a user")
    dialog.get_by_label("Name").fill("zhou")
    dialog.get_by_role("button", name="Create").click()


def change_person(page: Any) -> None:
    opened(page, "Change anna").get_by_role("button", name="Save").click()


def disable_person(page: Any) -> None:
    opened(page, "Change anna").get_by_role("button", name="Disable").click()


def new_password(page: Any) -> None:
    sure(opened(page, "Change anna"), "New one-time password")


def delete_person(page: Any) -> None:
    sure(opened(page, "Change anna"), "Delete")


def make_token(page: Any) -> None:
    dialog = opened(page, "Make a token")
    dialog.get_by_label("Name").fill("dashboard")
    dialog.get_by_role("button", name="Create").click()


def make_role(page: Any) -> None:
    dialog = opened(page, "Make a role")
    dialog.get_by_label("Name").fill("night-watch")
    dialog.get_by_role("button", name="Save").click()


def set_policy(page: Any) -> None:
    form = page.get_by_role("form", name="Sessions")
    form.get_by_label("Places at a time").fill("3")
    form.get_by_role("button", name="Save").click()


def share(page: Any) -> None:
    dialog = opened(page, "Share with a partner")
    choose(page, dialog.get_by_role("textbox", name="Partner"), "Taihu Heavy Press")
    dialog.get_by_role("textbox", name="Asset").fill("line-1")
    page.get_by_role("option", name="Press line 1").first.click()
    dialog.get_by_label("Purpose").fill("Remote diagnosis")
    dialog.get_by_role("button", name="Share", exact=True).click()


def take_in_firm(page: Any) -> None:
    dialog = opened(page, "Take in a firm")
    for label, text in (("Firm", "Yangtze Castings"), ("Name", "yangtze"), ("Roots", "yangtze")):
        dialog.get_by_label(label).fill(text)
    dialog.get_by_role("button", name="Take it in").click()


def reopen_firm(page: Any) -> None:
    page.get_by_role("button", name="Reopen").click()


def end_session(page: Any) -> None:
    sure(opened(page, "Security of anna").get_by_role("row", name="10.0.4.17"), "Sign out")


def end_sessions(page: Any) -> None:
    sure(opened(page, "Security of anna"), "Sign out everywhere")


def reset_factors(page: Any) -> None:
    sure(opened(page, "Security of li.na"), "Reset second factors")


def unlock(page: Any) -> None:
    sure(opened(page, "Security of ma.lin"), "Let them try again")


def release_lock(page: Any) -> None:
    page.get_by_role("main").get_by_role("button", name="Release").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("gate repaired")
    dialog.get_by_role("button", name="Release").click()


#: Where it is, what is done, and the request that it comes to.
WORKS: dict[str, tuple[str, Callable[[Any], None], str]] = {
    "createUser": (ACCESS, add_person, "POST /users"),
    "updateUser": (ACCESS, change_person, "PATCH /users/anna"),
    "updateUser, disabled": (ACCESS, disable_person, "PATCH /users/anna"),
    "resetPassword": (ACCESS, new_password, "POST /users/anna/password"),
    "deleteUser": (ACCESS, delete_person, "DELETE /users/anna"),
    "createToken": (ACCESS, make_token, "POST /tokens"),
    "endUserSession": (ACCESS, end_session, "DELETE /users/anna/sessions/s-1"),
    "endUserSessions": (ACCESS, end_sessions, "DELETE /users/anna/sessions"),
    "resetUserFactors": (ACCESS, reset_factors, "DELETE /users/li.na/factors"),
    "unlockUser": (ACCESS, unlock, "DELETE /users/ma.lin/lockout"),
    "setRole": (ROLES, make_role, "PUT /roles/night-watch"),
    "setPolicy": (ROLES, set_policy, "PATCH /tenant/policy"),
    "createGrant": ("/system?tab=partners", share, "POST /grants"),
    "createTenant": ("/system?tab=firms", take_in_firm, "POST /tenants"),
    "updateTenant": ("/system?tab=firms", reopen_firm, "PATCH /tenants/kunlun-air"),
    "releaseLock": ("/writes", release_lock, "POST /locks"),
}


@pytest.mark.clause("62443-3-3 SR 1.1", "62443-3-3 SR 2.1")
@pytest.mark.parametrize("work", WORKS)
def test_what_weighs_a_lot_asks_once_who_it_is_and_goes_on(open_page: Signed, ask_mock: Mock, work: str) -> None:
    where, do, request = WORKS[work]
    page = open_page(where)
    settle(page)
    if work == "releaseLock":
        body = {"path": "", "reason": "gate open"}
        page.context.request.post("/api/v1/locks", data=body, headers={"X-Headrace": "1"})
        page.reload()
        settle(page)
    ask_mock("stale")
    answers: list[tuple[str, int]] = []

    def note(answer: Any) -> None:
        address = answer.url.partition("/api/v1")[2]
        if answer.request.method != "GET" and not address.startswith("/session"):
            answers.append((f"{answer.request.method} {address}", answer.status))

    page.on("response", note)
    do(page)
    proof = page.get_by_role("dialog", name="Is it still you?")
    password = proof.get_by_role("textbox", name="Password")
    expect(password).to_be_focused()
    password.fill("lee-lee-lee-lee")
    with page.expect_response(lambda answer: answer.request.method != "GET" and "/session/proof" not in answer.url):
        page.keyboard.press("Enter")
    expect(proof).to_have_count(0)
    quiet(page)
    assert [status >= 400 for _, status in answers] == [True, False], answers
    assert {asked.startswith(request) for asked, _ in answers} == {True}, answers


def test_whoever_would_rather_not_loses_nothing_that_was_typed(open_page: Signed, ask_mock: Mock) -> None:
    page = open_page(ACCESS)
    settle(page)
    ask_mock("stale")
    dialog = opened(page, "Make a token")
    dialog.get_by_label("Name").fill("dashboard")
    sent = watch(page, "/tokens")
    page.keyboard.press("Enter")
    proof = page.get_by_role("dialog", name="Is it still you?")
    proof.get_by_role("textbox", name="Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(proof.get_by_role("alert")).to_contain_text("wrong")
    page.keyboard.press("Escape")
    expect(proof).to_have_count(0)
    expect(page.get_by_role("dialog", name="Make a token").get_by_label("Name")).to_have_value("dashboard")
    expect(page.get_by_role("alert").filter(has_text="prove again")).to_have_count(0)
    assert len(sent) == 1
    page.get_by_role("button", name="Create").click()
    proof.get_by_role("textbox", name="Password").fill("lee-lee-lee-lee")
    proof.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("The token is shown only now")).to_be_visible()
    page.get_by_role("button", name="Close").last.click()
    made = page.get_by_role("row").filter(has_text="mes-bridge")
    sure(made, "Withdraw")  # five minutes have not passed, and this asks for nothing
    expect(made).to_have_count(0)


def test_who_comes_in_through_a_provider_proves_it_there_and_the_work_goes_on(
    open_page: Signed, ask_mock: Mock
) -> None:
    page = open_page(ACCESS, user="sun.jie")
    settle(page)
    ask_mock("stale")
    end_sessions(page)
    proof = page.get_by_role("dialog", name="Is it still you?")
    with page.expect_popup() as tab:
        proof.get_by_role("link", name="Prove it at Works account").click()
    tab.value.wait_for_load_state()
    assert tab.value.url.endswith("/api/v1/session/oidc/works?again=true")
    tab.value.close()
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # which a browser sends to the tab that one comes back to
    expect(proof).to_have_count(0)
    expect(page.get_by_role("dialog", name="Security of anna")).to_contain_text("Nowhere.")


# --- the policy -------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 1.1 RE 3")
def test_whom_a_second_factor_is_asked_of_is_named_before_it_is_saved(open_page: Signed) -> None:
    page = open_page(ROLES)
    form = page.get_by_role("form", name="Second factor")
    expect(form.get_by_role("radio", name="Who wants one")).to_be_checked()
    expect(form.get_by_role("button", name="Save")).to_be_disabled()
    form.get_by_role("radio", name="Whoever others rely on").check()
    named = form.get_by_role("status")
    expect(named).to_contain_text("3 have none")
    expect(named).to_contain_text("admin, lee, ma.lin")
    expect(named).to_contain_text("You have none yourself")
    form.get_by_role("radio", name="Everybody").check()
    expect(named).to_contain_text("admin, anna, lee, ma.lin, chen.hua")
    for spared in ("li.na", "sun.jie", "qian.li"):  # they have one, or are disabled
        expect(named).not_to_contain_text(spared)
    form.get_by_role("radio", name="Whoever others rely on").check()
    sent = watch(page, "/tenant/policy")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("Saved")).to_be_visible()
    assert sent == [{"second_factor": "administrators"}]
    expect(named.first).to_contain_text("3 still have to add one")
    page.goto(ACCESS)
    row = page.get_by_role("table", name="Users").get_by_role("row")
    expect(row.filter(has_text="ma.lin")).to_contain_text("Missing")
    expect(row.filter(has_text="anna")).not_to_contain_text("Missing")


@pytest.mark.clause("62443-3-3 SR 2.5", "62443-3-3 SR 2.7")
@pytest.mark.clause("62443-3-3 SR 1.12")
def test_a_notice_is_written_and_shown_at_the_door(open_page: Signed) -> None:
    page = open_page(ROLES)
    form = page.get_by_role("form", name="Notice of use")
    text = form.get_by_role("textbox", name="Notice of use")
    expect(form.get_by_role("button", name="Save")).to_be_disabled()
    text.fill("For work alone.\n仅供工作使用。")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("status")).to_have_text("Saved")
    page.reload()
    expect(text).to_have_value("For work alone.\n仅供工作使用。")


def test_limits_of_sessions_say_their_bounds_and_whose_would_end(open_page: Signed) -> None:
    page = open_page(ROLES)
    form = page.get_by_role("form", name="Sessions")
    idle = form.get_by_role("textbox", name="End when unused for")
    expect(idle).to_have_attribute("placeholder", "12 h")
    expect(form).to_contain_text("1 min to 1 d. Empty: 12 h, as the platform says.")
    idle.fill("0")
    expect(form).to_contain_text("From 1 min to 1 d")
    expect(form.get_by_role("button", name="Save")).to_be_disabled()
    idle.fill("90")
    expect(form.get_by_role("status")).to_contain_text("Sessions that would end at once: of anna.")
    form.get_by_label("Unit of “End when unused for”").select_option("h")
    expect(form).to_contain_text("From 1 min to 1 d")
    idle.fill("8")
    expect(form.get_by_role("status")).to_contain_text("No session that is open now would end.")
    form.get_by_label("Places at a time").fill("1")
    expect(form.get_by_role("status")).to_contain_text("Signed in at more places than that: anna.")
    sent = watch(page, "/tenant/policy")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("Saved")).to_be_visible()
    idle.fill("")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("button", name="Save")).to_be_disabled()
    kept = {"session_life_s": None, "sessions_max": 1}
    assert sent == [{"session_idle_s": 28_800, **kept}, {"session_idle_s": None, **kept}]


# --- officers ---------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 2.1", "GB/T 22239-2019 8.1.5.1")
def test_an_officer_sees_how_people_are_guarded_and_nothing_that_others_administer(open_page: Signed) -> None:
    page = open_page("/system", user="sun.jie")
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 403 else None)
    page.get_by_role("tab", name="Users and tokens").click()
    table = page.get_by_role("table", name="Users")
    expect(table.get_by_role("row").filter(has_text="li.na")).to_contain_text("Authenticator app, 1 blocked passkey")
    expect(table.get_by_role("row").filter(has_text="ma.lin")).to_contain_text("Locked out until")
    expect(page.get_by_role("button", name="Add a user")).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("^Change"))).to_have_count(0)
    expect(page.get_by_role("table", name="Tokens for programs")).to_have_count(0)
    expect(page.get_by_role("button", name="Security of sun.jie")).to_have_count(0)
    page.get_by_role("tab", name="Roles").click()
    expect(page.get_by_role("form", name="Second factor")).to_be_visible()
    settle(page)
    assert refused == []


def test_an_administrator_is_not_offered_what_an_officer_does(open_page: Signed) -> None:
    page = open_page("/")
    made = {"user": "li.na", "password": "-".join(["li.na"] * 4)}
    page.context.clear_cookies()
    needed = page.context.request.post("/api/v1/session", data=made, headers={"X-Headrace": "1"}).json()
    body = {"pending": needed["second_factor"]["pending"], "code": "123456"}
    assert page.context.request.post("/api/v1/session/second-factor", data=body, headers={"X-Headrace": "1"}).ok
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 403 else None)
    page.goto(ACCESS)
    expect(page.get_by_role("table", name="Users").get_by_role("row").filter(has_text="anna")).to_be_visible()
    expect(page.get_by_role("button", name="Change anna")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Security"))).to_have_count(0)
    expect(page.get_by_role("columnheader", name="Second factor")).to_have_count(0)
    settle(page)
    assert refused == []


@pytest.mark.parametrize("width", [1440, 360])
def test_an_officer_ends_sessions_one_by_one_and_all(open_page: Signed, width: int) -> None:
    page = open_page(ACCESS, user="sun.jie", width=width)
    dialog = opened(page, "Security of anna")
    table = dialog.get_by_role("table", name="Where they are signed in")
    row = table.get_by_role("row").filter(has_text="10.0.4.17")
    expect(row).to_contain_text("Android 16")
    expect(row).to_contain_text("Password")
    expect(row).to_contain_text("2 min")
    sure(row, "Sign out")
    expect(row).to_have_count(0)
    expect(table.get_by_role("row").filter(has_text="10.0.4.3")).to_be_visible()
    sure(dialog, "Sign out everywhere")
    expect(dialog).to_contain_text("Nowhere.")
    expect(dialog.get_by_role("button", name="Sign out everywhere")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("row").filter(has_text="anna")).not_to_contain_text("place")


@pytest.mark.clause("62443-3-3 SR 1.5")
def test_a_reset_says_what_happens_next(open_page: Signed) -> None:
    page = open_page(ACCESS, user="sun.jie")
    dialog = opened(page, "Security of li.na")
    factors = dialog.get_by_role("region", name="What they prove themselves with")
    expect(factors).to_contain_text("7 left")
    expect(factors).to_contain_text("Make sure that it is li.na who asks")
    expect(factors).to_contain_text("li.na is signed out everywhere")
    expect(factors).to_contain_text("The password alone opens the account, until they add a new factor")
    sure(factors, "Reset second factors")
    expect(factors.get_by_role("status")).to_contain_text("Reset. li.na signs in with the password")
    expect(factors).to_contain_text("0 left")
    expect(factors.get_by_role("button")).to_have_count(0)
    expect(dialog).to_contain_text("Nowhere.")


@pytest.mark.clause("62443-3-3 SR 1.11")
def test_a_lockout_is_ended_by_keyboard(open_page: Signed) -> None:
    page = open_page(ACCESS, user="sun.jie")
    page.get_by_role("button", name="Security of ma.lin").focus()
    page.keyboard.press("Enter")
    lockout = page.get_by_role("dialog").get_by_role("region", name="Locked out")
    expect(lockout).to_contain_text("min from now")
    lockout.get_by_role("button", name="Let them try again").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(lockout).to_have_count(0)
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("ma.lin can sign in again")
    page.keyboard.press("Escape")
    expect(page.get_by_role("row").filter(has_text="ma.lin")).to_contain_text("Active")


# --- for everyone -----------------------------------------------------------------------------------------------------


def everything(page: Any, ask_mock: Mock) -> list[tuple[str, Callable[[], Any]]]:
    """States of the pages, each with what opens it."""

    def guard(name: str) -> None:
        page.goto(ACCESS)
        settle(page)
        page.get_by_role("row").filter(has_text=name).get_by_role("button").first.click()
        expect(page.get_by_role("dialog").locator("section").last).to_be_visible()
        settle(page)

    def policy() -> None:
        page.goto(ROLES)
        settle(page)
        page.get_by_role("radio").last.check()
        page.get_by_role("textbox").last.fill("51")

    def proof() -> None:
        guard("anna")
        ask_mock("stale")
        page.get_by_role("dialog").get_by_role("button").last.click()
        page.get_by_role("dialog").get_by_role("button").last.click()
        expect(page.get_by_role("dialog")).to_have_count(2)
        settle(page)

    return [
        ("lockout", lambda: guard("ma.lin")), ("factors", lambda: guard("li.na")),
        ("sessions", lambda: guard("anna")), ("policy", policy), ("proof", proof),
    ]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_on_a_phone_nothing_is_wider_than_the_screen(open_page: Signed, ask_mock: Mock, language: str) -> None:
    page = open_page("/", user="sun.jie", width=360, height=740, language=language)
    for name, show in everything(page, ask_mock):
        show()
        wide = page.evaluate(
            "Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth,"
            " ...[...document.querySelectorAll('main table, [role=dialog], [role=dialog] table')]"
            ".map(e => e.scrollWidth)) - innerWidth"
        )
        assert wide <= 0, f"{name} is {wide} px too wide"


@pytest.mark.parametrize(("scheme", "language"), each_look(("light", "zh"), ("dark", "en")))
def test_axe_has_no_serious_finding(open_page: Signed, ask_mock: Mock, scheme: str, language: str) -> None:
    require_service("axe-core", AXE.exists(), "tools/setup.sh console")
    page = open_page("/", user="sun.jie", scheme=scheme, language=language)
    found: list[str] = []
    for name, show in everything(page, ask_mock):
        show()
        found += [f"{name}: {line}" for line in axe(page, AXE)]
    assert not found, "\n".join(found)
