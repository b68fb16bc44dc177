"""The list of alarms by page, with groups and the flood; what people do; figures; classes that ask for proof."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.fakes import LINE, RULE, T0, TEMPERATURE, World
from tests.tenants.hub import OURS, hub
from tests.tenants.test_fresh import PASSWORD, Ahead, browser, person

from headrace.model.alarm_kpis import Flood
from headrace.model.alarms import AlarmClass, AlarmState, Rationale
from headrace.model.time import SECOND_NS
from headrace.sdk.services import AlarmRecord


async def do(client: httpx.AsyncClient, what: str, **body: Any) -> httpx.Response:
    return await client.post(f"/api/v1/alarms/{what}", json={"rules": [RULE], **body})


async def one(client: httpx.AsyncClient) -> dict[str, Any]:
    (alarm,) = (await client.get("/api/v1/alarms")).json()["alarms"]
    return dict(alarm)


async def test_shelving_and_its_end(owner: httpx.AsyncClient) -> None:
    done = await do(owner, "shelve", reason="sensor is being changed", duration="2h", once=True)
    (step,) = done.json()["transitions"]
    assert (step["action"], step["state"], step["comment"]) == ("shelved", "shelved", "sensor is being changed")
    alarm = await one(owner)
    assert (alarm["state"], alarm["active"], alarm["shelved_once"], alarm["quiet_by"]) == (
        "shelved", True, True, "owner",
    )  # fmt: skip
    assert alarm["shelved_until"] == "2026-11-22T10:00:00.000000001Z"
    counts = {row["path"]: row["alarms"] for row in (await owner.get("/api/v1/assets")).json()}
    assert counts["acme"]["high"] == 0
    assert (await do(owner, "unshelve")).json()["transitions"][0]["state"] == "unack-active"


async def test_out_of_service_and_back(owner: httpx.AsyncClient) -> None:
    assert (await do(owner, "out-of-service", reason="overhaul")).json()["transitions"][0]["action"] == "removed"
    page = (await owner.get("/api/v1/alarms", params={"state": "out-of-service"})).json()
    assert page["total"] == 1 and page["states"]["out_of_service"] == 1
    assert (await owner.get("/api/v1/alarms", params={"state": "shelved"})).json()["total"] == 0
    assert (await do(owner, "return", comment="done")).json()["transitions"][0]["actor"] == "owner"


async def test_a_latched_alarm_is_reset(owner: httpx.AsyncClient, world: World) -> None:
    world.alarms.records[RULE] = replace(world.alarms.records[RULE], state=AlarmState.LATCHED_ACK)
    assert (await do(owner, "reset")).json()["transitions"][0]["state"] == "normal"
    assert (await do(owner, "reset")).json() == {"transitions": []}


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("shelve", {}),
        ("shelve", {"reason": ""}),
        ("shelve", {"reason": "x", "duration": 3600}),
        ("shelve", {"reason": "x", "duration": "soon"}),
        ("shelve", {"reason": "x", "once": "yes"}),
        ("shelve", {"reason": "x", "until": "now"}),
        ("out-of-service", {}),
        ("out-of-service", {"reason": "x", "comment": "y"}),
        ("unshelve", {"reason": "x"}),
        ("reset", {"rules": []}),
        ("return", {"rules": "all"}),
    ],
)
async def test_a_body_is_as_it_is_described(owner: httpx.AsyncClient, what: str, body: dict[str, Any]) -> None:
    answer = await do(owner, what, **body)
    assert answer.status_code in (400, 422), answer.text
    assert (await one(owner))["state"] == "unack-active"


async def test_pages_have_every_alarm_once_and_say_what_is_folded(owner: httpx.AsyncClient, world: World) -> None:
    rule = world.alarms._rules[RULE]
    assert rule.asset.rpartition("/")[0] == LINE
    for n in range(25):
        name = f"{TEMPERATURE}:x{n:02}"
        raised_ns = T0 + (n % 5) * SECOND_NS
        world.alarms.records[name] = AlarmRecord(replace(rule, name=name), AlarmState.UNACK_ACTIVE, 1.0, raised_ns)
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 7, **({"cursor": cursor} if cursor else {})}
        page = (await owner.get("/api/v1/alarms", params=params)).json()
        seen += [alarm["rule"] for alarm in page["alarms"]]
        assert page["total"] == 26 and {alarm["group"] for alarm in page["alarms"]} == {RULE}
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 26
    everything = (await owner.get("/api/v1/alarms")).json()["alarms"]
    root = next(alarm for alarm in everything if alarm["rule"] == RULE)
    assert (root["first_out"], root["consequences"]) == (0, 25)
    assert sorted(alarm["first_out"] for alarm in everything) == list(range(26))
    assert [alarm["rule"] for alarm in everything] == seen
    for wrong in ("x", "1.2", "1.x.y"):
        assert (await owner.get("/api/v1/alarms", params={"cursor": wrong})).status_code == 422


async def test_an_area_is_an_asset_that_is_there(owner: httpx.AsyncClient) -> None:
    for route in ("alarms", "alarms/kpis"):
        assert (await owner.get(f"/api/v1/{route}", params={"area": "acme/nowhere"})).status_code == 404
        assert (await owner.get(f"/api/v1/{route}", params={"area": LINE})).status_code == 200


async def test_the_flood_and_the_figures(owner: httpx.AsyncClient, world: World) -> None:
    assert (await owner.get("/api/v1/alarms")).json()["flood"] is None
    world.alarms.flooding = Flood(T0, None, 12, 11)
    flood = (await owner.get("/api/v1/alarms")).json()["flood"]
    assert flood == {"start": "2026-11-22T08:00:00Z", "end": None, "annunciated": 12, "peak": 11}
    span = {"start": "2026-11-22T07:00:00Z", "end": "2026-11-22T09:00:00Z"}
    told = (await owner.get("/api/v1/alarms/kpis", params={**span, "operators": 2})).json()
    assert (told["annunciated"], told["covered_s"], told["per_operator_hour"]) == (1, 3600.0, 0.5)
    assert told["priorities"]["high"] == {"count": 1, "share": 1.0, "recommended": 0.05}
    assert told["top"] == [{"rule": RULE, "count": 1, "share": 1.0}]
    for wrong in ({"start": "now+1h", "end": "now+2h"}, {"start": "now-400d"}, {"start": "now", "end": "now-1h"}):
        assert (await owner.get("/api/v1/alarms/kpis", params=wrong)).status_code == 422
    assert (await owner.get("/api/v1/alarms/kpis", params={**span, "operators": 0})).status_code == 422


async def test_why_an_alarm_is_one_comes_with_it(owner: httpx.AsyncClient, world: World) -> None:
    record = world.alarms.records[RULE]
    why = Rationale({"en": "leak"}, {}, {"en": "stop"}, 600 * SECOND_NS, "DIN 51524", "2026-05-01", "Li")
    handling = AlarmClass("safety", comment=True, shelve_longest_ns=0)
    rule = replace(record.rule, rationale=why, handling=handling, suppressed_by="acme/not/shown")
    world.alarms.records[RULE] = replace(record, rule=rule)
    alarm = await one(owner)
    assert alarm["rationale"]["response"] == {"en": "stop"} and alarm["rationale"]["time_to_respond_s"] == 600.0
    assert (alarm["handling"]["name"], alarm["handling"]["shelve_longest_s"]) == ("safety", 0.0)
    assert alarm["suppressed_by"] is None


async def test_a_class_that_asks_for_proof_takes_a_person_who_gives_it(tmp_path: Path) -> None:
    clock = Ahead()
    async with hub(tmp_path, clock) as firms:
        alarms: Any = firms.services.alarms
        alarms._rules = dict(alarms._rules)
        name = next(name for name in alarms._rules if name.startswith("own/"))
        alarms._rules[name] = replace(alarms._rules[name], handling=AlarmClass("safety", proof=True))
        body = {"rules": [name]}
        wang = await person(firms, "wang", "owner")
        async with browser(firms, wang) as client:
            clock.added_ns += 300 * SECOND_NS
            old = await client.post("/api/v1/alarms/acknowledge", json=body, headers=OURS)
            assert old.json()["error"]["code"] == "fresh-proof-needed"
            proved = await client.post("/api/v1/session/proof", json={"password": PASSWORD}, headers=OURS)
            assert proved.status_code == 200
            async with browser(firms) as program:
                headers = {**OURS, **firms.as_("default.owner")}
                token = await program.post("/api/v1/alarms/acknowledge", json=body, headers=headers)
                assert token.status_code == 403 and "by a person" in token.text
            done = await client.post("/api/v1/alarms/acknowledge", json=body, headers=OURS)
            assert len(done.json()["transitions"]) == 1


async def test_an_alarm_is_told_as_declared_also_while_it_is_normal(world: World, viewer: httpx.AsyncClient) -> None:
    rule = world.registry.plant.alarms[RULE]
    why = Rationale(response={"en": "Open the water"}, time_to_respond_ns=600 * SECOND_NS)
    world.registry.plant = replace(world.registry.plant, alarms={RULE: replace(rule, rationale=why)})
    world.alarms.records.clear()
    told = (await viewer.get(f"/api/v1/alarms/rules/{RULE}")).json()
    assert (told["rule"], told["point"], told["limit"], told["priority"]) == (RULE, TEMPERATURE, 75.0, "high")
    assert (told["rationale"]["response"], told["rationale"]["time_to_respond_s"]) == ({"en": "Open the water"}, 600)
    assert told["handling"]["acknowledge"] is True
    gone = await viewer.get(f"/api/v1/alarms/rules/{TEMPERATURE}:gone")
    assert gone.status_code == 404 and "no longer be declared" in gone.text
