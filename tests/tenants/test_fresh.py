"""Every route × a session whose last proof is old: what needs a fresh one is refused, and done after it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.api.described import described
from tests.tenants.hub import OURS, Hub, hub
from tests.tenants.test_matrix import TEMPLATES, ask

from headrace.api.rights import RIGHTS
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Action
from headrace.sdk.clock import SystemClock

PASSWORD = "seven green pumps sing"
#: What whoever finds a screen unattended must not do: it lets somebody in, gives rights, or takes a safeguard away.
FRESH = {
    "createUser", "updateUser", "deleteUser", "resetPassword", "createToken", "setRole", "setPolicy", "createGrant",
    "removeAlarms", "endUserSession", "endUserSessions", "resetUserFactors", "unlockUser", "releaseLock",
    "createTenant", "updateTenant", "renewCertificate", "rotateKeys", "offerTotp", "confirmTotp", "removeTotp",
    "createRecoveryCodes", "offerPasskey", "addPasskey", "removePasskey", "removeIdentity",
    "installApp", "installLocalApp", "updateApp", "rollBackApp", "uninstallApp", "enableApp", "disableApp",
}  # fmt: skip


class Ahead(SystemClock):
    """Time, and what a test adds to it."""

    added_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.added_ns


def test_what_needs_a_fresh_proof_is_declared_and_told() -> None:
    assert {name for name, right in RIGHTS.items() if right.fresh} == FRESH
    operations = [one for methods in described()["paths"].values() for one in methods.values()]
    assert {one["operationId"] for one in operations if one.get("x-headrace-fresh-proof")} == FRESH


@pytest.mark.clause("62443-3-3 SR 1.1", "62443-3-3 SR 2.1")
@pytest.mark.parametrize("operation", sorted(FRESH))
async def test_an_old_proof_is_not_enough_and_a_new_one_is(tmp_path: Path, operation: str) -> None:
    clock = Ahead()
    async with hub(tmp_path, clock) as firms:
        wang, li = await person(firms, "wang", "owner"), await person(firms, "li", "member")
        async with browser(firms, wang) as client:
            clock.added_ns += 300 * SECOND_NS
            assert await code_of(client, firms, operation) == "fresh-proof-needed"
            if isinstance(RIGHTS[operation].need, Action):  # who may not at all is not sent to prove anything
                async with browser(firms, li) as other:
                    assert await code_of(other, firms, operation) == "not-allowed"
            proved = await client.post("/api/v1/session/proof", json={"password": PASSWORD}, headers=OURS)
            assert proved.status_code == 200, proved.text
            assert await code_of(client, firms, operation) != "fresh-proof-needed"
        async with browser(firms) as program:  # which has nobody to ask
            assert await code_of(program, firms, operation, "default.owner") != "fresh-proof-needed"


async def test_all_else_goes_on_with_an_old_proof(tmp_path: Path) -> None:
    clock = Ahead()
    async with hub(tmp_path, clock) as firms:
        await person(firms, "wang", "owner")
        for operation in sorted(set(TEMPLATES) - FRESH):
            secret, _ = await firms.access.sign_in("wang", PASSWORD, peer="::1")
            clock.added_ns += 300 * SECOND_NS
            async with browser(firms, secret) as client:
                assert await code_of(client, firms, operation) != "fresh-proof-needed", operation


async def person(firms: Hub, name: str, role: str) -> str:
    """The secret of their session."""
    _, once = await firms.access.create_user(await firms.owner("default"), name, role)
    await firms.access.change_password(name, once, PASSWORD)
    return (await firms.access.sign_in(name, PASSWORD, peer="::1"))[0]


def browser(firms: Hub, session: str | None = None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(firms.app, raise_app_exceptions=False)
    cookies = {} if session is None else {"headrace_session": session}
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", cookies=cookies)


async def code_of(client: httpx.AsyncClient, firms: Hub, operation: str, who: str | None = None) -> str | None:
    """Of the refusal, if it was one."""
    method, path = TEMPLATES[operation]
    answer = await ask(client, firms, who, method, path, operation)
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    if not answer.content or not answer.headers.get("content-type", "").startswith("application/json"):
        return None
    error = answer.json()["error"] if answer.is_client_error else None
    return error["code"] if isinstance(error, dict) else None
