"""What somebody is told of their rights is what the routes do: on a part, on all, of a firm, of the platform."""

from __future__ import annotations

import httpx
from tests.tenants.hub import OURS, Hub
from tests.tenants.test_matrix import LINE


async def test_a_part_is_not_everywhere(client: httpx.AsyncClient, firms: Hub) -> None:
    owner = {**OURS, **firms.as_("acme.owner")}
    made = await client.post("/api/v1/tokens", json={"name": "line", "role": "viewer", "paths": [LINE]}, headers=owner)
    part = {"Authorization": f"Bearer {made.json()['secret']}"}
    for head, somewhere, everywhere in (
        (part, ["view"], []),
        (firms.as_("acme.viewer"), ["view"], ["view"]),
        (firms.as_("acme.member"), [], []),
    ):
        me = (await client.get("/api/v1/session", headers=head)).json()
        assert (me["tenant"], me["actions"], me["everywhere"]) == ("acme", somewhere, everywhere)
        for route in ("devices", "edges"):
            answer = await client.get(f"/api/v1/{route}", headers=head)
            assert (answer.status_code == 200) == ("view" in everywhere), (me, route)
        assert (await client.get("/api/v1/points", headers=head)).status_code == (200 if somewhere else 403)
        assert (await client.get("/api/v1/system", headers=head)).status_code == 403  # the operator's
    assert (await client.get("/api/v1/system", headers=firms.as_("default.viewer"))).status_code == 200


async def test_roles_and_tokens_name_rights_and_nothing_else(client: httpx.AsyncClient, firms: Hub) -> None:
    owner = {**OURS, **firms.as_("acme.owner")}
    made = await client.put("/api/v1/roles/reader", json={"actions": ["view", "acknowledge"]}, headers=owner)
    assert made.status_code == 200 and made.json()["actions"] == ["acknowledge", "view"], made.text
    token = {"name": "screen", "role": "reader", "actions": ["view"]}
    made = await client.post("/api/v1/tokens", json=token, headers=owner)
    assert made.status_code == 201 and made.json()["token"]["actions"] == ["view"], made.text
    for wrong in (["fly"], [1], "view", [True]):
        for answer in (
            await client.put("/api/v1/roles/reader", json={"actions": wrong}, headers=owner),
            await client.post("/api/v1/tokens", json={**token, "actions": wrong}, headers=owner),
        ):
            assert answer.status_code == 422, (wrong, answer.text)
