"""Rows from points: what a day's samples say, and what is left unsaid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.apps.outcomes.sources import Held, How, amount_of
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.time import HOUR_NS
from headrace.sdk.testing.apps import AppUnderTest
from headrace.sdk.testing.fake_plant import FakePlant

DAY = 24 * HOUR_NS


def held(*samples: tuple[float, float, bool]) -> Held:
    """(hour, value, good)."""
    hours, values, good = zip(*samples, strict=True) if samples else ((), (), ())
    return Held((np.array(hours) * HOUR_NS).astype(np.int64), np.array(values, float), np.array(good, bool))


BIT = held((-2, 0, True), (6, 1, True), (14, 0, True), (20, 1, True))
COUNTER = held((-1, 100, True), (8, 150, True), (12, 20, True), (16, 70, True))


@pytest.mark.parametrize(
    ("how", "samples", "amount"),
    [
        (How.HOURS, BIT, 12.0),
        (How.RISES, BIT, 2.0),
        (How.MEAN, BIT, 0.5),
        (How.INCREASE, COUNTER, 50 + 20 + 50),  # it began anew between 8 and 12 h
        (How.HOURS, held((-5, 1, True)), 24.0),
        (How.RISES, held((-5, 1, True), (3, 1, True)), 0.0),
        (How.MEAN, held((-1, 10, True), (12, 20, True)), 15.0),
        (How.HOURS, held(), None),
        (How.HOURS, held((2, 1, True)), None),  # nobody knows the first two hours
        (How.HOURS, held((-1, 1, True), (22, 0, False)), None),
        (How.HOURS, held((-1, 1, True), (23, 0, False)), 23.0),  # 4 % unknown count as nothing
        (How.RISES, held((-1, 0, True), (5, 1, False), (5.5, 0, True)), 0.0),
    ],
)
def test_what_a_day_says(how: How, samples: Held, amount: float | None) -> None:
    assert amount_of(how, samples, 0, DAY) == (None if amount is None else pytest.approx(amount))


@given(st.lists(st.floats(0.01, 23.99), min_size=1, max_size=8, unique=True), st.floats(0.5, 23.5))
def test_parts_of_a_day_add_up(changes: list[float], cut: float) -> None:
    hours = [-1.0, *sorted(changes)]
    samples = held(*((hour, float(k % 2), True) for k, hour in enumerate(hours)))
    middle = int(cut * HOUR_NS)
    before = int(np.searchsorted(samples.times_ns, middle, "right"))
    first = Held(samples.times_ns[:before], samples.values[:before], samples.good[:before])
    rest = Held(samples.times_ns[before - 1 :], samples.values[before - 1 :], samples.good[before - 1 :])
    for how in (How.HOURS, How.RISES, How.INCREASE):
        whole = amount_of(how, samples, 0, DAY)
        parts = amount_of(how, first, 0, middle), amount_of(how, rest, middle, DAY)
        assert whole == pytest.approx(sum(part for part in parts if part is not None), abs=1e-6)


PRESS = "acme/suzhou/press-1"
SOURCES = [
    {"quantity": "operating_h", "unit": PRESS, "point": f"{PRESS}/running", "how": "hours"},
    {"quantity": "failures", "unit": PRESS, "point": f"{PRESS}/fault", "how": "rises"},
    {
        "quantity": "energy_kgce",
        "unit": PRESS,
        "point": f"{PRESS}/energy",
        "how": "increase",
        "factor": "coal:electricity",
    },
    {"quantity": "attended_h", "unit": PRESS, "point": f"{PRESS}/name", "how": "hours"},
]


async def test_each_night_makes_the_rows_of_the_day_and_mends_them_when_samples_come_late() -> None:
    plant = FakePlant()
    plant.point(f"{PRESS}/running", ValueKind.BOOL)
    plant.point(f"{PRESS}/fault", ValueKind.BOOL)
    plant.point(f"{PRESS}/energy")
    plant.point(f"{PRESS}/name", ValueKind.TEXT)
    plant.feed(f"{PRESS}/name", {"2026-11-26T00:00:00Z": "press"})
    plant.feed(f"{PRESS}/energy", {"2026-11-25T23:00:00Z": 100.0, "2026-11-26T12:00:00Z": 180.0})
    plant.feed(f"{PRESS}/fault", {"2026-11-25T23:00:00Z": False, "2026-11-26T09:00:00Z": True})
    plant.feed(f"{PRESS}/fault", {"2026-11-26T09:30:00Z": False})
    plant.feed(f"{PRESS}/running", {"2026-11-25T23:00:00Z": False, "2026-11-26T06:00:00Z": True})
    plant.feed(f"{PRESS}/running", {"2026-11-26T18:00:00Z": False}, late="12h")
    settings = {"zone": "UTC", "sources": SOURCES}

    async def rows(app: AppUnderTest) -> dict[tuple[str, str], float]:
        found = await app.context.tables.query("SELECT quantity, id, amount FROM rows WHERE id LIKE '%2026-11-26'")
        return {(str(quantity), str(name)[-10:]): float(str(amount)) for quantity, name, amount in found.rows}

    async with AppUnderTest.of("headrace.apps.outcomes", plant, settings=settings, start="2026-11-25T22:00:00Z") as app:
        await app.run_until("2026-11-27T02:00:00Z")
        day = "2026-11-26"
        assert await rows(app) == {("operating_h", day): 18.0, ("failures", day): 1.0, ("energy_kgce", day): 80.0}
        assert any("is text" in line for line in app.log)
        await app.run_until("2026-11-28T02:00:00Z")
        assert (await rows(app))["operating_h", day] == 12.0
        changes = await app.get("/rows/changes", query={"id": f"operating_h hours {PRESS}/running for {PRESS} {day}"})
        assert [change["amount"] for change in changes] == [18.0]


async def test_a_bad_point_makes_a_day_unknown() -> None:
    plant = FakePlant()
    plant.point(f"{PRESS}/running", ValueKind.BOOL)
    plant.feed(f"{PRESS}/running", {"2026-11-25T23:00:00Z": True})
    plant.feed(f"{PRESS}/running", {"2026-11-26T08:00:00Z": False}, quality=q.BAD_COMMUNICATION_ERROR)
    settings = {"zone": "UTC", "sources": SOURCES[:1]}
    async with AppUnderTest.of("headrace.apps.outcomes", plant, settings=settings, start="2026-11-25T22:00:00Z") as app:
        await app.run_until("2026-11-27T02:00:00Z")
        assert len(await app.context.tables.query("SELECT id FROM rows")) == 0
