"""Signing in at a certified provider that nobody here wrote (oidc-provider, npm): the whole way, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from sqlalchemy import create_engine
from tests.access.conftest import BoxSealer
from tests.api.fakes import World
from tests.services import require_service

from headrace.access import factor_tables
from headrace.access.desk import AccessDesk
from headrace.access.oidc import ProviderConfig, Providers, RoleRule
from headrace.access.passwords import Hasher
from headrace.access.tables import metadata
from headrace.api import ApiSettings
from headrace.api.server import serving
from headrace.sdk.access import Principal
from headrace.sdk.clock import SystemClock

PEERS = Path(__file__).parents[1] / "peers"
LOCAL = Principal("local", "owner", "local")
OURS = {"X-Headrace": "1"}

pytestmark = pytest.mark.service("oidc-provider")


@dataclass
class Peer:
    issuer: str
    process: asyncio.subprocess.Process

    async def start(self, **ways: str) -> None:
        """With new keys, each time."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(ways).encode() + b"\n")
        await self.process.stdin.drain()
        assert (await answer_of(self.process))["ready"]


async def answer_of(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while True:
            line = await process.stdout.readline()
            assert line, "the provider ended"
            if line.startswith(b"{"):
                return json.loads(line)


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    there = shutil.which("node") is not None and (PEERS / "node_modules" / "oidc-provider").is_dir()
    require_service("oidc-provider", there, "tools/setup.sh services")
    process = await asyncio.create_subprocess_exec(
        "node", "oidc.mjs", cwd=PEERS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield Peer((await answer_of(process))["issuer"], process)
    finally:
        process.kill()
        await process.wait()


@dataclass
class Plant:
    access: AccessDesk
    peer: Peer
    url: str

    async def start_peer(self) -> None:
        await self.peer.start(redirect=f"{self.url}/api/v1/session/oidc/works/callback", out=f"{self.url}/signin")


@pytest.fixture
async def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plant]:
    monkeypatch.setenv("WORKS_SECRET", "a secret of the test+")
    engine = create_engine(f"sqlite:///{tmp_path}/access.db")
    metadata.create_all(engine)
    factor_tables.metadata.create_all(engine)
    async with peer() as provider:
        config = ProviderConfig(
            name="works",
            title="Works account",
            issuer=provider.issuer,
            client_id="headrace",
            client_secret="env:WORKS_SECRET",
            domains=("works.example",),
            create=True,
            roles=(RoleRule(role="engineer", claim="groups", value="eng"), RoleRule(role="viewer")),
        )
        clock = SystemClock()
        access = AccessDesk(
            engine, clock, hasher=Hasher(time_cost=1, memory_kib=8), sealer=BoxSealer(),
            providers=Providers([config], clock),
        )  # fmt: skip
        services = replace((await World.make()).services, access=access, audit=access)
        async with serving(services, ApiSettings(port=0, console_dir=tmp_path)) as address:
            found = Plant(access, provider, address.url)
            await found.start_peer()
            yield found
    engine.dispose()


async def through(browser: httpx.AsyncClient, url: str, who: str, stop: str) -> httpx.URL:
    """What a person does: follows, types a name and any password, agrees; until an address that begins with `stop`."""
    answer = await browser.get(url)
    for _ in range(20):
        if answer.is_redirect:
            assert answer.next_request is not None
            next_url = answer.next_request.url
            if str(next_url).startswith(stop):
                return next_url
            answer = await browser.get(next_url)
            continue
        form = re.search(r'action="([^"]+)"', answer.text)
        assert form is not None, answer.text[:2000]
        prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
        said = {"prompt": prompt[1] if prompt else "", "login": who, "password": "any"}
        for hidden in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', answer.text):
            said[hidden[0]] = hidden[1]
        if "logout" in answer.text.lower() and 'name="xsrf"' in answer.text:
            said["logout"] = "yes"
        answer = await browser.post(answer.url.join(form[1]), data=said)
    raise AssertionError("the provider asks for ever")


async def sign_in(plant: Plant, browser: httpx.AsyncClient, who: str) -> httpx.Response:
    callback = await through(browser, f"{plant.url}/api/v1/session/oidc/works", who, f"{plant.url}/api/v1")
    return await browser.get(callback)


@pytest.mark.clause("62443-3-3 SR 1.1", "62443-3-3 SR 1.3")
async def test_a_person_goes_there_comes_back_and_signs_out_of_both(plant: Plant) -> None:
    async with httpx.AsyncClient(headers=OURS) as browser:
        listed = (await browser.get(f"{plant.url}/api/v1/session/providers")).json()
        assert listed == [{"name": "works", "title": "Works account"}]
        answer = await sign_in(plant, browser, "anna")
        assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
        cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("headrace_session"))
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        me = (await browser.get(f"{plant.url}/api/v1/session")).json()
        assert (me["user"], me["role"]) == ("anna", "engineer")
        mine = (await browser.get(f"{plant.url}/api/v1/account/sessions")).json()
        assert [one["proved"] for one in mine] == ["oidc:works"]
        replayed = await browser.get(answer.request.url)
        assert replayed.headers["location"] == "/signin?refused=sign-in-needed"
        out = await browser.delete(f"{plant.url}/api/v1/session")
        assert out.status_code == 204
        back = await through(browser, out.headers["x-sign-out"], "anna", f"{plant.url}/signin")
        assert back.path == "/signin"
        assert (await browser.get(f"{plant.url}/api/v1/session")).status_code == 401


async def test_keys_that_change_between_two_sign_ins(plant: Plant) -> None:
    async with httpx.AsyncClient() as browser:
        assert (await sign_in(plant, browser, "anna")).headers["location"] == "/signin"
    plant.access._outside._providers["works"].keys_again_s = -1.0  # half a minute has passed since the last look
    await plant.start_peer()
    async with httpx.AsyncClient() as browser:
        assert (await sign_in(plant, browser, "anna")).headers["location"] == "/signin"


async def test_an_unverified_address_is_refused(plant: Plant) -> None:
    async with httpx.AsyncClient() as browser:
        assert (await sign_in(plant, browser, "mallory")).headers["location"] == "/signin?refused=sign-in-needed"
        assert (await browser.get(f"{plant.url}/api/v1/session")).status_code == 401
    assert "mallory" not in [user.name for user in await plant.access.users()]


async def test_a_code_that_was_stolen_is_worth_nothing_in_another_browser(plant: Plant) -> None:
    async with httpx.AsyncClient() as browser, httpx.AsyncClient() as thief:
        start = f"{plant.url}/api/v1/session/oidc/works"
        stolen = await through(browser, start, "anna", f"{plant.url}/api/v1")
        await thief.get(start)  # has a trip of its own, and its cookie
        assert (await thief.get(stolen)).headers["location"] == "/signin?refused=sign-in-needed"


@pytest.mark.clause("62443-3-3 SR 1.1 RE 2")
async def test_our_second_factor_is_asked_after_it(plant: Plant) -> None:
    async with httpx.AsyncClient(headers=OURS, base_url=f"{plant.url}/api/v1") as browser:
        await sign_in(plant, browser, "anna")
        offer = (await browser.post("/account/totp")).json()
        code = pyotp.TOTP(offer["secret"]).now()
        codes = (await browser.post("/account/totp/confirm", json={"code": code})).json()["codes"]
        await browser.delete("/session")
        answer = await sign_in(plant, browser, "anna")
        assert answer.headers["location"] == "/signin?pending=true"
        assert (await browser.get("/session")).status_code == 401
        needed = (await browser.get("/session/pending")).json()
        assert needed["kinds"] == ["totp", "recovery"]
        done = await browser.post("/session/second-factor", json={"pending": needed["pending"], "code": codes[0]})
        assert done.status_code == 200 and done.json()["user"] == "anna"
        mine = (await browser.get("/account/sessions")).json()
        assert "oidc:works+recovery" in [one["proved"] for one in mine if one["this"]]
