"""Devices and edges over HTTP: what an engineer does, what a viewer sees, what is shown once."""

from __future__ import annotations

import httpx
import pytest
from tests.api.fakes import World

from headrace.model.plant import Connection
from headrace.sdk.devices import Preview
from headrace.sdk.edges import Actual, EdgeToken, LinkQuality
from headrace.sdk.testing.device_door import CERTIFICATE, claim, enrolling, turned_away
from headrace.sdk.testing.edges import PEER, request_for

API = "/api/v1"


@pytest.fixture
async def engineer(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers["Authorization"] = "Bearer token-engineer"
    return client


async def test_a_device_is_added_and_its_secret_shown_once(engineer: httpx.AsyncClient, world: World) -> None:
    made = await engineer.post(f"{API}/devices", json={"name": "press-7", "publish": ["a/{device}/#"], "note": "hall"})
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert (await world.devices.door.admit(claim("press-7", secret))).publish == ("a/press-7/#",)
    shown = await engineer.get(f"{API}/devices/press-7")
    assert secret not in shown.text and "hash" not in shown.text
    assert shown.json()["device"]["created_by"] == "engineer"
    again = await engineer.post(f"{API}/devices", json={"name": "press-7"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    other = await engineer.post(f"{API}/devices", json={"name": "press-8", "certificate": CERTIFICATE})
    assert other.json()["secret"] is None and other.json()["device"]["credential"] == "certificate"


async def test_a_waiting_device_shows_what_it_sends_and_is_let_in(engineer: httpx.AsyncClient, world: World) -> None:
    await world.devices.door.admit(enrolling("esp-1"))
    for topic, payload in (("m/esp-1/t", '{"t": 21.5, "名": "油温"}'.encode()), ("m/esp-1/raw", b"\x00\xff")):
        world.devices.door.preview("esp-1", Preview(topic, payload, len(payload), 1))
    cut = "温" * 200
    world.devices.door.preview("esp-1", Preview("m/esp-1/long", cut.encode(), 600, 1))
    seen = (await engineer.get(f"{API}/devices/esp-1")).json()
    assert seen["suggested_publish"] == ["m/{device}/long", "m/{device}/raw", "m/{device}/t"]
    forms = {one["topic"]: (one["form"], one["payload"]) for one in seen["previews"]}
    assert forms["m/esp-1/raw"] == ("hex", "00 ff") and forms["m/esp-1/t"][0] == "text"
    assert forms["m/esp-1/long"] == ("text", cut[:170])
    asset = {"path": "acme/esp", "type": "hydraulic-press", "connection": "press-plc-1", "parameters": {"base": 4}}
    body = {"name": "meter-1", "publish": seen["suggested_publish"], "messages_per_s": 5, "declare": asset}
    done = await engineer.post(f"{API}/devices/esp-1/approve", json=body)
    assert done.status_code == 200, done.text
    assert (done.json()["name"], done.json()["state"], done.json()["asset"]) == ("meter-1", "approved", "acme/esp")
    assert '"acme/esp"' in world.registry.files[0].text and world.registry.files[0].name == "devices.yaml"


async def test_approving_what_cannot_be_declared_says_why(engineer: httpx.AsyncClient, world: World) -> None:
    await world.devices.door.admit(enrolling("esp-1"))
    asset = {"path": "acme/typo", "type": "typo", "connection": "press-plc-1"}
    refused = await engineer.post(f"{API}/devices/esp-1/approve", json={"declare": asset})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid-declaration")
    assert world.devices.get("esp-1").state == "quarantined"


async def test_devices_are_listed_page_by_page(viewer: httpx.AsyncClient, world: World) -> None:
    rows = [(1, ["name", "note"]), *((row, [f"m-{row:04}", "Hall 2"]) for row in range(2, 502))]
    await world.devices.import_rows("wang", rows)
    await world.devices.block("wang", "m-0007")
    first = (await viewer.get(f"{API}/devices", params={"limit": 300})).json()
    assert (first["total"], len(first["devices"])) == (500, 300)
    assert first["counts"] == {"quarantined": 0, "approved": 499, "blocked": 1, "online": 0}
    rest = (await viewer.get(f"{API}/devices", params={"limit": 300, "cursor": first["next_cursor"]})).json()
    assert len(rest["devices"]) == 200 and rest["next_cursor"] is None
    found = (await viewer.get(f"{API}/devices", params={"q": "HALL m-0007", "state": "blocked"})).json()
    assert [one["name"] for one in found["devices"]] == ["m-0007"]
    for name in ("no-such", "a%2Fb"):
        assert (await viewer.get(f"{API}/devices/{name}")).status_code == 404


async def test_a_device_is_changed_renamed_rotated_blocked_and_removed(
    engineer: httpx.AsyncClient, world: World
) -> None:
    await engineer.post(f"{API}/devices", json={"name": "press-7", "messages_per_s": 2})
    changed = await engineer.patch(f"{API}/devices/press-7", json={"name": "p7", "messages_per_s": None, "note": "n"})
    assert (changed.json()["name"], changed.json()["messages_per_s"], changed.json()["note"]) == ("p7", None, "n")
    assert (await engineer.patch(f"{API}/devices/p7", json={})).status_code == 422
    assert (await engineer.patch(f"{API}/devices/p7", json={"publish": ["a/#/b"]})).status_code == 422
    secret = (await engineer.post(f"{API}/devices/p7/secret", json={"at_once": True})).json()["secret"]
    assert (await world.devices.door.admit(claim("press-7", secret))).device == "press-7"
    assert (await engineer.post(f"{API}/devices/p7/block")).json()["state"] == "blocked"
    assert (await engineer.post(f"{API}/devices/p7/approve", json={})).json()["state"] == "approved"
    assert (await engineer.delete(f"{API}/devices/p7")).status_code == 204
    assert [entry.action for entry in world.access.entries] == [
        "device.add", "device.change", "device.rename", "device.rotate", "device.block", "device.approve",
        "device.remove",
    ]  # fmt: skip
    assert {entry.actor for entry in world.access.entries} == {"engineer"}


async def test_a_table_of_devices(engineer: httpx.AsyncClient, world: World) -> None:
    table = b"name;note\nm-1;Halle 2\nm/2;\nm-3;\n"
    done = (await engineer.post(f"{API}/devices/import", content=table)).json()
    assert done["devices"] == 2 and [one["name"] for one in done["secrets"]] == ["m-1", "m-3"]
    assert [error["row"] for error in done["errors"]] == [3]
    for wrong, status in ((b"", 422), (b"nonsense\n", 422), (b"\xd0\xcf\x11\xe0", 422), (b"PK\x03\x04", 422)):
        assert (await engineer.post(f"{API}/devices/import", content=wrong)).status_code == status
    large = b"name,note\n" + b"".join(b"d-%d,%s\n" % (n, b"x" * 200) for n in range(8_000))
    assert len(large) > 1 << 20
    assert (await engineer.post(f"{API}/devices/import", content=large)).json()["devices"] == 8_000


async def test_who_was_turned_away_is_shown(viewer: httpx.AsyncClient, world: World) -> None:
    await turned_away(world.devices.door, claim("old-1", "password of last year"))
    (one,) = (await viewer.get(f"{API}/device-refusals")).json()
    assert (one["login"], one["reason"], one["count"]) == ("old-1", "unknown", 1)
    assert "last year" not in str(one)


async def test_an_edge_is_invited_seen_and_revoked(engineer: httpx.AsyncClient, world: World) -> None:
    made = await engineer.post(f"{API}/edges", json={"name": "suzhou", "prefix": "acme/suzhou", "valid_s": 600})
    assert made.status_code == 201 and made.json()["edge"]["state"] == "invited"
    token = made.json()["token"]
    assert EdgeToken.parse(token).edge == "suzhou"
    await world.edges.door.enrol(token, request_for("suzhou"), PEER)
    link = LinkQuality(1, True, 12.5, 1.0, float("nan"), 900.0, 300.0, 7, 70, 0.5, 40.0, 5)
    world.edges.desk.measured("suzhou", link)
    world.edges.desk.reported("suzhou", Actual(3, "no driver 'opcua'", "0.1.0", {"cpu": 4}))
    listed = (await engineer.get(f"{API}/edges")).json()
    (edge,) = listed["edges"]
    assert edge["connected"] and edge["link"]["latency_ms"] == 12.5 and edge["link"]["loss"] is None
    assert edge["actual"] == {"revision": 3, "error": "no driver 'opcua'", "version": "0.1.0", "facts": {"cpu": 4}}
    assert edge["asset"] == "system/edges/suzhou" and token not in str(listed)
    assert (await engineer.post(f"{API}/edges/suzhou/revoke")).json()["state"] == "revoked"
    assert (await engineer.delete(f"{API}/edges/suzhou")).status_code == 204
    assert (await engineer.get(f"{API}/edges/suzhou")).status_code == 404


async def test_connections_of_edges_that_nobody_invited_are_told(viewer: httpx.AsyncClient, world: World) -> None:
    world.registry.plant.connections["far"] = Connection("far", "modbus", {}, edge="suzou")  # type: ignore[index]
    assert (await viewer.get(f"{API}/edges")).json() == {"edges": [], "strangers": {"far": "suzou"}}
