"""One app in two firms: what each filled in, accepted and keeps is its own, and nobody reaches over."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.hosting.house import House, sql, write_app
from tests.tenants.hub import OURS, PAGES, VIEW, Hub

SHARED = "/api/v1/apps/shift-book"


async def ask(client: httpx.AsyncClient, firms: Hub, who: str, method: str, route: str, **more: Any) -> httpx.Response:
    return await client.request(method, route, headers={**OURS, **firms.as_(who)}, **more)


@pytest.fixture
async def shared(client: httpx.AsyncClient, firms: Hub, tmp_path: Path) -> House:
    """An app for everybody, which both firms have taken in, each with a limit and a row of its own."""
    house = firms.apps
    folder = write_app(tmp_path, more=VIEW, name="shift-book", migrations=["CREATE TABLE counts (n INTEGER)"],
                       files=PAGES)  # fmt: skip
    package = house.package(folder)
    made = await ask(client, firms, "default.owner", "POST", "/api/v1/apps", content=package)
    assert made.status_code == 201, made.text
    for firm, limit in (("acme", 70), ("beta", 90)):
        body = {"version": "1.0.0", "settings": {"limit": limit}}
        assert (await ask(client, firms, f"{firm}.owner", "POST", f"{SHARED}/enable", json=body)).status_code == 200
        sql(house.tables("shift-book", firm), f"INSERT INTO counts VALUES ({limit})")
    return house


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 4.1")
async def test_each_firm_has_its_own_of_one_app(client: httpx.AsyncClient, firms: Hub, shared: House) -> None:
    runs = {one.wanted.tenant: one.wanted for one in shared.played if one.wanted.release.manifest.name == "shift-book"}
    assert {name: one.settings for name, one in runs.items()} == {"acme": {"limit": 70.0}, "beta": {"limit": 90.0}}
    assert runs["acme"].folder != runs["beta"].folder
    for firm, limit in (("acme", 70), ("beta", 90)):
        form = (await ask(client, firms, f"{firm}.owner", "GET", f"{SHARED}/settings")).json()
        assert form["values"] == {"limit": limit}
        archive = await ask(client, firms, f"{firm}.owner", "GET", f"{SHARED}/export")
        with zipfile.ZipFile(io.BytesIO(archive.content)) as found:
            assert f'"limit": {limit}'.encode() in found.read("app.json")
            assert f'"tenant": "{firm}"'.encode() in found.read("app.json")
    assert (await ask(client, firms, "default.owner", "GET", SHARED)).json()["state"] == "available"
    assert (await ask(client, firms, "default.owner", "GET", f"{SHARED}/call/count")).status_code == 503


async def test_a_call_reaches_the_apps_run_of_ones_own_firm(
    client: httpx.AsyncClient, firms: Hub, shared: House
) -> None:
    await ask(client, firms, "beta.owner", "GET", f"{SHARED}/call/count")
    asked = {one.wanted.tenant: one.requests for one in shared.played if one.requests}
    assert list(asked) == ["beta"]
    may = asked["beta"][0].may
    from headrace.sdk.access import Action

    assert await may(Action.WRITE, "beta/suzhou/press-shop/line-1")
    assert not await may(Action.VIEW, "acme/suzhou/press-shop/line-1")


async def test_one_firm_that_goes_takes_nothing_of_the_other(
    client: httpx.AsyncClient, firms: Hub, shared: House
) -> None:
    answer = await ask(client, firms, "acme.owner", "POST", f"{SHARED}/disable", json={"data": "delete"})
    assert answer.json()["state"] == "available"
    assert not shared.tables("shift-book", "acme").exists()
    assert sql(shared.tables("shift-book", "beta"), "SELECT n FROM counts") == [(90,)]
    assert (await ask(client, firms, "beta.owner", "GET", SHARED)).json()["state"] == "running"


async def test_acts_on_a_firms_app_are_in_its_own_trail(client: httpx.AsyncClient, firms: Hub, shared: House) -> None:
    await ask(client, firms, "acme.owner", "PUT", f"{SHARED}/settings", json={"values": {"limit": 60}})
    for firm, sets in (("acme", 1), ("beta", 0)):
        entries = (await ask(client, firms, f"{firm}.owner", "GET", "/api/v1/audit", params={"action": "app."})).json()
        acts = [one["action"] for one in entries["entries"] if one["subject"] == "shift-book"]
        assert acts.count("app.settings") == sets and acts.count("app.enable") == 1 and "app.install" not in acts


async def test_whose_an_app_is_follows_its_name(client: httpx.AsyncClient, firms: Hub) -> None:
    for who, seen in (("acme.viewer", "acme"), ("beta.viewer", "beta"), ("default.owner", None)):
        names = {one["name"] for one in (await ask(client, firms, who, "GET", "/api/v1/apps")).json()}
        assert names == ({f"{seen}.view", f"{seen}.spare"} if seen else set())
    shelf = (await ask(client, firms, "default.owner", "GET", "/api/v1/apps/shelf")).json()
    assert {one["name"]: one["owner"] for one in shelf}["acme.view"] == "acme"
    body = {"version": "1.0.0", "settings": {"limit": 1}}
    refused = await ask(client, firms, "default.owner", "POST", "/api/v1/apps/acme.view/enable", json=body)
    assert refused.status_code == 404


async def test_a_name_that_others_have_is_in_the_way_of_a_firm(
    client: httpx.AsyncClient, firms: Hub, tmp_path: Path
) -> None:
    package = firms.apps.package(write_app(tmp_path, more=VIEW, name="gamma.view", files=PAGES))
    assert (await ask(client, firms, "default.owner", "POST", "/api/v1/apps", content=package)).status_code == 201
    assert firms.apps.desk.in_the_way("gamma") == []
    body = {"version": "1.0.0", "settings": {"limit": 1}}
    await ask(client, firms, "beta.owner", "POST", "/api/v1/apps/gamma.view/enable", json=body)
    assert firms.apps.desk.in_the_way("gamma") == ["app 'gamma.view'"]
