"""What control judges by, from the real live table, historian and accounts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headrace.access.desk import AccessDesk
from headrace.compute.live import LiveTable
from headrace.control.interlocks import Interlocks
from headrace.history import HistorySettings, open_store
from headrace.model.batch import Batch, ValueKind
from headrace.model.guards import Comparison, Guard, Interlock
from headrace.model.points import Access, Point
from headrace.model.time import SECOND_NS
from headrace.platform.database import open_database
from headrace.platform.reaching import PlantReadings, persons
from headrace.sdk.access import Principal
from headrace.sdk.clock import SystemClock

OIL = "a/oil"


async def test_a_condition_that_must_have_held_is_read_from_history(tmp_path: Path) -> None:
    clock, live = SystemClock(), LiveTable()
    store = await open_store(tmp_path / "history", HistorySettings(), clock)
    try:
        handle = int((await store.register([OIL]))[0])
        plant = PlantReadings(live, store, lambda: {OIL: handle})
        interlock = Interlock(OIL, Comparison.ABOVE, 30.0, for_ns=20 * SECOND_NS, text={"en": "warm oil"})
        point = Point("a/set", ValueKind.FLOAT64, access=Access.READ_WRITE, guard=Guard(interlocks=(interlock,)))
        interlocks = Interlocks(plant, clock)
        assert "has no value" in str(interlocks.why_not(point))
        now_ns = clock.now_ns()
        times = now_ns - np.arange(40, -1, -1, dtype=np.int64) * SECOND_NS
        batch = Batch.of(ValueKind.FLOAT64, [handle] * 41, times, np.full(41, 45.0))
        await store.append([batch])
        live.update([batch])
        assert interlocks.why_not(point) is None
        assert await interlocks.why_not_before(point) is None
        cold = Batch.of(ValueKind.FLOAT64, [handle], times[30:31], np.array([12.0]))
        await store.append([cold])
        assert "has not been so for 20s" in str(await interlocks.why_not_before(point))
        assert plant.newest("a/nothing") is None and await plant.span("a/nothing", 0, now_ns) == []
    finally:
        await store.close()


@pytest.mark.clause("62443-3-3 SR 2.1 RE 4")
async def test_a_token_stands_for_whoever_made_it(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/database.db")
    access = AccessDesk(engine, SystemClock())
    await access.bootstrap()
    person_of = persons(access)
    admin, local = Principal("admin", "owner", "session"), Principal("local", "owner", "local")
    assert await person_of(admin) == "admin"
    assert await person_of(local) == ""
    _, secret = await access.create_token(admin, "phone", "operator")
    phone = await access.by_token(secret)
    assert await person_of(phone) == "admin"
    maker, secret = await access.create_token(admin, "maker", "owner")
    _, secret = await access.create_token(await access.by_token(secret), "made", "operator")
    made = await access.by_token(secret)
    assert await person_of(made) == "admin"
    await access.delete_token(admin, maker.id)
    assert await person_of(made) == ""  # who made it can no longer be told
    _, secret = await access.create_token(local, "local-command", "owner")
    assert await person_of(await access.by_token(secret)) == ""
