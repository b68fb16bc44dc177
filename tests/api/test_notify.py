"""What was told to whom, as whoever asks may know it: of their part of the plant, and no addresses of others."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import httpx
import pytest
from tests.api.fakes import LINE, RULE, RUNNING, T0, TEMPERATURE, World

from headrace.api.schemas.notifications import masked
from headrace.model.areas import Area
from headrace.model.notifications import Choice, Contact, Notification, Roster, Step
from headrace.sdk.access import Action, Rights
from headrace.sdk.notify import NoticeRecord, OnCallShift

VIEWER = {"Authorization": "Bearer token-viewer"}
LI = Contact("li", "李明", "zh", {"email": "li.ming@acme.example", "mobile": "13800001234"}, user="li")


def notice(key: str, *alarms: tuple[str, str], **more: Any) -> NoticeRecord:
    message = {"title": "Oil too hot", "lines": ["one"], "facts": [["Where", "Press 1"]]}
    return NoticeRecord(
        key, "press", "raised", 0, "sent", "mail", ("li",), alarms, "Oil too hot", T0, T0, 1, None, T0 + 1, **more,
        message=message,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def told(world: World) -> None:
    told = Notification("press", "UTC", Choice((TEMPERATURE,)), (Step(0, ("leaders",), (), ("mail",)),))
    model = world.registry.plant
    world.registry.plant = replace(
        model, contacts={"li": LI}, rosters={"leaders": Roster("leaders", "UTC", ())}, notifications={"press": told}
    )
    notices = [
        notice("both", (RULE, TEMPERATURE), (f"{RUNNING}:off", RUNNING)),
        notice("one", (RULE, TEMPERATURE)),
        notice("other", (f"{RUNNING}:off", RUNNING)),
        notice("none"),
    ]
    world.services.notifications.notices = notices  # type: ignore[attr-defined]
    world.services.notifications.shifts = [  # type: ignore[attr-defined]
        OnCallShift("leaders", {"en": "Leaders"}, "UTC", "day", date(2026, 11, 22), ("li",)),
        OnCallShift("others", {}, "UTC", "day", date(2026, 11, 22), ("li",)),
    ]


def narrowed(world: World, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Everybody sees a part only."""
    rights = Rights({Action.VIEW: Area((path,))})
    monkeypatch.setattr(world.access, "rights", lambda principal: rights)


async def keys(client: httpx.AsyncClient, **params: Any) -> list[str]:
    answer = await client.get("/api/v1/notifications", params=params)
    assert answer.status_code == 200, answer.text
    return [one["key"] for one in answer.json()["notifications"]]


async def test_the_log(owner: httpx.AsyncClient) -> None:
    assert await keys(owner) == ["both", "one", "other", "none"]
    assert await keys(owner, alarm=RULE) == ["both", "one"]
    page = (await owner.get("/api/v1/notifications", params={"limit": 2})).json()
    assert page["next_cursor"] == "2" and await keys(owner, limit=2, cursor="2") == ["other", "none"]
    first = page["notifications"][1]
    assert first["people"] == ["李明"] and first["contacts"] == ["li"] and first["step"] == 1
    assert first["alarms"] == [{"rule": RULE, "point": TEMPERATURE}]
    assert first["facts"] == [{"label": "Where", "value": "Press 1"}] and first["next_step_at"] is not None
    assert (await owner.get("/api/v1/notifications", params={"cursor": "x"})).status_code == 422
    assert "acme.example" not in (await owner.get("/api/v1/notifications")).text


async def test_who_sees_a_part_sees_what_was_told_of_it_alone(
    owner: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrowed(world, monkeypatch, f"{LINE}/press-1")
    assert await keys(owner) == ["one"]
    shifts = (await owner.get("/api/v1/notifications/on-call")).json()["shifts"]
    assert [one["roster"] for one in shifts] == ["leaders"]
    assert shifts[0]["people"][0]["addresses"] == {"email": "l***@acme.example", "mobile": "1***34"}
    narrowed(world, monkeypatch, f"{LINE}/press-2")
    assert await keys(owner) == ["other"]
    assert (await owner.get("/api/v1/notifications/on-call")).json()["shifts"] == []


async def test_who_manages_people_reads_addresses(owner: httpx.AsyncClient) -> None:
    at = "2026-11-22T08:00:00+08:00"
    page = (await owner.get("/api/v1/notifications/on-call", params={"at": at})).json()
    assert page["at"] == "2026-11-22T00:00:00Z"
    (person,) = page["shifts"][0]["people"]
    assert person == {"contact": "li", "name": "李明", "user": "li", "addresses": dict(LI.addresses)}
    assert "li.ming" not in (await owner.get("/api/v1/notifications/on-call", headers=VIEWER)).text


async def test_a_test_message_takes_the_right_to_configure(owner: httpx.AsyncClient, world: World) -> None:
    body = {"channel": "mail", "contact": "li"}
    assert (await owner.post("/api/v1/notifications/test", json=body, headers=VIEWER)).status_code == 403
    done = (await owner.post("/api/v1/notifications/test", json=body)).json()
    assert (done["state"], done["actor"], done["people"]) == ("sent", "owner", ["李明"])
    world.services.notifications.error = "550 no such mailbox"  # type: ignore[attr-defined]
    failed = (await owner.post("/api/v1/notifications/test", json=body)).json()
    assert (failed["state"], failed["error"]) == ("failed", "550 no such mailbox")
    missing = await owner.post("/api/v1/notifications/test", json={**body, "channel": "male"})
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("address", "shown"), [("a@b", "a***@b"), ("", "***"), ("123", "1***"), ("13800001234", "1***34"), ("@x", "***@x")]
)
def test_masks(address: str, shown: str) -> None:
    assert masked(address) == shown
