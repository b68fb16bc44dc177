"""My account and the second step at the door: with the stand-in platform, and with the real one and a real passkey.

The passkey is Chromium's own virtual authenticator (CDP `WebAuthn`): an implementation that nobody here wrote.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.sync_api import expect
from sqlalchemy import create_engine
from tests.access.conftest import BoxSealer
from tests.api.fakes import World
from tests.console.conftest import BUILT, Signed

from headrace.access import factor_tables
from headrace.access.desk import AccessDesk
from headrace.access.passwords import Hasher
from headrace.access.tables import metadata
from headrace.api import ApiSettings
from headrace.api.server import serving
from headrace.sdk.access import Principal
from headrace.sdk.accounts import TenantPolicy
from headrace.sdk.clock import SystemClock

pytestmark = pytest.mark.browser
LOCAL = Principal("local", "owner", "local")
GOOD = "four brown presses hum"


# --- with the stand-in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1440, 360])
def test_an_app_is_added_and_asked_for_at_the_next_sign_in(open_page: Signed, width: int) -> None:
    page = open_page("/account", user="anna", width=width)
    page.get_by_role("button", name="Add an app").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    page.get_by_role("textbox", name="Code").fill("000000")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("alert")).to_contain_text("compare the clock")
    page.get_by_role("textbox", name="Code").fill("123456")
    page.keyboard.press("Enter")
    expect(page.get_by_text("shown only now")).to_be_visible()
    page.keyboard.press("Escape")  # codes that were not kept are lost: no way out but the button
    expect(page.get_by_text("shown only now")).to_be_visible()
    page.get_by_role("button", name="I have kept them").click()
    expect(page.get_by_text("10 codes are left")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.context.clear_cookies()
    page.goto("/signin")
    page.get_by_label("User name").fill("anna")
    page.get_by_role("textbox", name="Password").fill("anna-anna-anna")
    page.keyboard.press("Enter")
    code = page.get_by_role("textbox", name="Code")
    expect(code).to_be_focused()
    code.fill("654321")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not right")
    code.fill("123456")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


def test_other_sessions_are_ended_one_by_one_or_all(open_page: Signed) -> None:
    page = open_page("/", user="anna")
    page.get_by_role("button", name="Signed in as anna").click()
    page.get_by_role("menuitem", name="My account").click()
    row = page.get_by_role("row", name="10.0.4.17")
    expect(row).to_be_visible()
    row.get_by_role("button", name="Sign out").click()
    row.get_by_role("button", name="Really?").click()
    expect(row).to_have_count(0)


def test_it_is_all_there_in_chinese(open_page: Signed) -> None:
    page = open_page("/account", user="anna", language="zh", scheme="dark")
    for heading in ("验证器应用", "通行密钥", "我的登录会话"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    page.context.clear_cookies()
    page.goto("/signin?refused=sign-in-needed")
    expect(page.get_by_role("alert")).to_contain_text("身份提供方")
    expect(page.get_by_role("link", name="使用 Works account 登录")).to_be_visible()


# --- with the real desk ---------------------------------------------------------------------------------------------


@dataclass
class Real:
    """The real access desk behind the real API, in a thread with a loop of its own."""

    url: str
    access: AccessDesk
    loop: asyncio.AbstractEventLoop

    def ask(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


@pytest.fixture
def real(browser: Any, tmp_path: Path) -> Iterator[Real]:
    engine = create_engine(f"sqlite:///{tmp_path}/access.db")
    metadata.create_all(engine)
    factor_tables.metadata.create_all(engine)
    access = AccessDesk(engine, SystemClock(), hasher=Hasher(time_cost=1, memory_kib=8), sealer=BoxSealer())
    loop = asyncio.new_event_loop()
    up, stop, where = threading.Event(), asyncio.Event(), []

    async def serve() -> None:
        for name in ("wang", "li"):
            _, once = await access.create_user(LOCAL, name, "operator")
            await access.change_password(name, once, GOOD)
        services = replace((await World.make()).services, access=access, audit=access)
        async with serving(services, ApiSettings(port=0, console_dir=BUILT)) as address:
            where.append(f"http://localhost:{address.port}")  # a passkey needs a name
            up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert up.wait(30)
        yield Real(where[0], access, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
        engine.dispose()


@pytest.fixture
def page(browser: Any, real: Real) -> Iterator[Any]:
    """Not signed in, with a virtual authenticator that makes sure of the person."""
    context = browser.new_context(base_url=real.url, viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    context.add_init_script("localStorage.setItem('headrace.language', 'en')")
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    cdp = context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    page.authenticator = cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
    page.cdp = cdp
    yield page
    context.close()
    assert not wrong, wrong


def enter(page: Any, user: str = "wang") -> None:
    page.goto("/signin")
    page.get_by_label("User name").fill(user)
    page.get_by_role("textbox", name="Password").fill(GOOD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def add_passkey(page: Any) -> None:
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_label("Name of the key").fill("laptop")
    page.get_by_role("dialog").get_by_role("button", name="Add a passkey").click()
    page.get_by_role("button", name="I have kept them").click()


def inside(page: Any) -> None:
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


@pytest.mark.clause("62443-3-3 SR 1.1 RE 2", "GB/T 22239-2019 8.1.4.1")
def test_a_real_browsers_passkey_opens_alone_and_after_the_password(page: Any, real: Real) -> None:
    enter(page)
    inside(page)
    page.goto("/account")
    add_passkey(page)
    expect(page.get_by_text("laptop")).to_be_visible()
    page.context.clear_cookies()
    page.goto("/signin")
    page.get_by_role("button", name="Use a passkey").click()
    inside(page)
    assert real.ask(real.access.sessions("wang"))[0].proved == "passkey"

    page.context.clear_cookies()
    enter(page)
    page.get_by_role("button", name="Use a passkey").click()
    inside(page)
    assert "password+passkey" in [one.proved for one in real.ask(real.access.sessions("wang"))]


@pytest.mark.clause("62443-3-3 SR 1.5")
def test_a_copy_of_a_real_key_is_noticed_and_the_key_blocked(page: Any, real: Real) -> None:
    enter(page)
    inside(page)
    page.goto("/account")
    add_passkey(page)
    where = {"authenticatorId": page.authenticator}
    (credential,) = page.cdp.send("WebAuthn.getCredentials", where)["credentials"]
    page.context.clear_cookies()
    page.goto("/signin")
    page.get_by_role("button", name="Use a passkey").click()
    inside(page)
    page.context.clear_cookies()
    page.cdp.send("WebAuthn.removeCredential", {**where, "credentialId": credential["credentialId"]})
    page.cdp.send("WebAuthn.addCredential", {**where, "credential": {**credential, "signCount": 0}})
    page.goto("/signin")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("copied")
    assert [key.blocked for key in real.ask(real.access.factors("wang")).passkeys] == [True]


@pytest.mark.clause("62443-3-3 SR 1.1 RE 3")
def test_who_needs_a_second_factor_adds_one_at_the_door(page: Any, real: Real) -> None:
    real.ask(real.access.set_policy(LOCAL, TenantPolicy(second_factor="everyone")))
    enter(page)
    expect(page.get_by_text("asks for a second factor")).to_be_visible()
    page.goto("/system")
    expect(page.get_by_text("asks for a second factor")).to_be_visible()
    page.get_by_role("button", name="Add an app").click()
    secret = page.get_by_role("dialog").locator("output").inner_text()
    page.get_by_role("textbox", name="Code").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("shown only now")).to_be_visible()
    codes = page.get_by_label("Recovery codes").locator("output").inner_text().split()
    assert len(codes) == 10
    page.get_by_role("button", name="I have kept them").click()
    expect(page.get_by_role("heading", level=1, name="System")).to_be_visible()

    page.context.clear_cookies()
    enter(page)
    page.get_by_role("textbox", name="Code").fill(codes[3])
    page.keyboard.press("Enter")
    inside(page)
    assert "password+recovery" in [one.proved for one in real.ask(real.access.sessions("wang"))]


def test_a_stale_session_is_asked_again_and_goes_on_where_it_was(page: Any, real: Real) -> None:
    enter(page)
    inside(page)
    real.ask(age(real, "wang"))
    page.goto("/account")
    page.get_by_role("button", name="Add an app").click()
    dialog = page.get_by_role("dialog", name="Is it still you?")
    dialog.get_by_role("textbox", name="Password").fill("wrong wrong wrong")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_role("alert")).to_contain_text("wrong")
    dialog.get_by_role("textbox", name="Password").fill(GOOD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("img", name="QR code")).to_be_visible()


@pytest.mark.clause("62443-3-3 SR 2.6")
def test_an_officer_signs_somebody_out_and_asks_for_second_factors(page: Any, real: Real) -> None:
    _, once = real.ask(real.access.create_user(LOCAL, "zhao", "security-officer"))
    real.ask(real.access.change_password("zhao", once, GOOD))
    real.ask(real.access.sign_in("li", GOOD, peer="10.0.4.17"))
    enter(page, "zhao")
    inside(page)
    real.ask(age(real, "zhao"))
    page.goto("/system?tab=access")
    page.get_by_role("button", name="Security of li").click()
    officer = page.get_by_role("dialog", name="Security of li")
    expect(officer.get_by_role("row").filter(has_text="10.0.4.17")).to_contain_text("Password")
    officer.get_by_role("button", name="Sign out everywhere").click()
    officer.get_by_role("button", name="Really?").click()
    page.get_by_role("dialog", name="Is it still you?").get_by_role("textbox", name="Password").fill(GOOD)
    page.keyboard.press("Enter")
    expect(officer).to_contain_text("Nowhere.")
    assert real.ask(real.access.sessions("li")) == []
    page.goto("/system?tab=roles")
    form = page.get_by_role("form", name="Second factor")
    form.get_by_role("radio", name="Everybody").check()
    expect(form.get_by_role("status")).to_contain_text("3 have none")
    expect(form.get_by_role("status")).to_contain_text("li, wang, zhao")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_text("asks for a second factor")).to_be_visible()  # of the officer, too, and at once


async def age(real: Real, user: str) -> None:
    """As if the last proof were ten minutes old."""
    for session in real.access._keys.sessions_of(user):
        session.proved_ns -= 600 * 10**9


def test_a_session_that_is_ended_elsewhere_is_back_at_the_door_at_once(page: Any, real: Real) -> None:
    enter(page)
    inside(page)
    real.ask(real.access.end_sessions(LOCAL, "wang"))
    expect(page.get_by_label("User name")).to_be_visible()
