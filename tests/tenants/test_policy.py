"""The policy of a tenant over HTTP: what is said is changed, what is not said stays."""

from __future__ import annotations

import httpx
import pytest
from tests.tenants.hub import OURS, Hub


@pytest.mark.clause("GB/T 22239-2019 8.2.4.2")
async def test_what_is_left_out_stays(client: httpx.AsyncClient, firms: Hub) -> None:
    officer = {**OURS, **firms.as_("acme.security-officer")}
    before = (await client.get("/api/v1/tenant", headers=officer)).json()["policy"]
    said = {"second_factor": "administrators", "session_idle_s": 1800}
    changed = await client.patch("/api/v1/tenant/policy", json=said, headers=officer)
    assert changed.status_code == 200 and changed.json()["policy"] == {**before, **said}
    again = await client.patch("/api/v1/tenant/policy", json={"separate_duties": False}, headers=officer)
    assert again.status_code == 200, again.text
    assert (await client.get("/api/v1/tenant", headers=officer)).json()["policy"] == {**before, **said}
    for wrong in ({}, {"second_factor": "sometimes"}, {"session_idle_s": 1}, {"unknown": 1}):
        refused = await client.patch("/api/v1/tenant/policy", json=wrong, headers=officer)
        assert refused.status_code == 422, (wrong, refused.text)
    other = (await client.get("/api/v1/tenant", headers=firms.as_("beta.viewer"))).json()["policy"]
    assert other["second_factor"] == "off"


@pytest.mark.clause("62443-3-3 SR 1.12")
async def test_a_notice_is_shown_before_anybody_signs_in(client: httpx.AsyncClient, firms: Hub) -> None:
    assert (await client.get("/api/v1/session/notice")).json() == {"text": ""}
    text = "For the work of Acme alone.\nWhat you do here is recorded. 仅供工作使用。"
    ours, theirs = ({**OURS, **firms.as_(f"{tenant}.security-officer")} for tenant in ("default", "acme"))
    said = await client.patch("/api/v1/tenant/policy", json={"notice": f"  {text}\n"}, headers=ours)
    assert said.status_code == 200 and said.json()["policy"]["notice"] == text
    assert (await client.get("/api/v1/session/notice")).json() == {"text": text}
    refused = await client.patch("/api/v1/tenant/policy", json={"notice": "Ours."}, headers=theirs)
    assert refused.status_code == 422 and "the platform's own tenant" in refused.text
    for wrong in ("x" * 2001, "a\u0007bell", "right\u202eleft"):
        refused = await client.patch("/api/v1/tenant/policy", json={"notice": wrong}, headers=ours)
        assert refused.status_code == 422, refused.text
    assert (await client.get("/api/v1/session/notice")).json() == {"text": text}


async def test_what_holds_where_nothing_is_said_and_what_may_be(client: httpx.AsyncClient, firms: Hub) -> None:
    officer = {**OURS, **firms.as_("acme.security-officer")}
    told = (await client.get("/api/v1/tenant/policy", headers=officer)).json()
    assert told["policy"]["session_idle_s"] is None and told["platform"]["session_idle_s"] == 12 * 3600
    for name, bounds in told["bounds"].items():
        for value, status in (
            (bounds["least"], 200), (bounds["most"], 200), (bounds["least"] - 1, 422), (bounds["most"] + 1, 422),
        ):  # fmt: skip
            answer = await client.patch("/api/v1/tenant/policy", json={name: value}, headers=officer)
            assert answer.status_code == status, (name, value, answer.text)
    back = await client.patch("/api/v1/tenant/policy", json={"session_idle_s": None}, headers=officer)
    assert back.json()["policy"]["session_idle_s"] is None
    assert (await client.get("/api/v1/tenant/policy", headers=firms.as_("acme.viewer"))).status_code == 403
