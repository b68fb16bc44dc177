"""The app in the authors' kit: samples come, quarters are kept, figures are asked for, and told again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.apps.pages import lacks_of

from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import AccessError, ConfigError, Conflict, DataError, HeadraceError, NotFound
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS, parse_time_ns
from headrace.sdk.access import Action
from headrace.sdk.testing.apps import AppUnderTest
from headrace.sdk.testing.fake_plant import FakePlant

MAIN, PRESS, OVEN, GAS = (f"acme/suzhou/{name}" for name in ("sub/main", "press/kwh", "oven/kwh", "boiler/gas"))
DAY1, DAY2, DAY3 = "2026-01-04T16:00:00Z", "2026-01-05T16:00:00Z", "2026-01-06T16:00:00Z"  # midnights of the plant
START = parse_time_ns(DAY1)
UUID = "8b26f3b8-f5d9-4adf-8a11-02e05d273e58"


def meter(name: str, point: str = "", role: str = "part", **more: Any) -> dict[str, Any]:
    return {"name": name, "role": role, "every": "10min", **({"point": point} if point else {}), **more}


SETTINGS: dict[str, Any] = {
    "area": "CN-JS",
    "since": "2026-01-05",
    "meters": [
        meter("main", MAIN, "bought", accuracy=0.5),
        meter("press", PRESS, parent="main"),
        meter("oven", OVEN, parent="main"),
        meter("rest", parts="main - press - oven"),
        meter("gas", GAS, "bought", carrier="natural_gas_high", unit="m3", reads="rate", **{"point-unit": "m3/h"}),
    ],
    "shifts": [
        {"name": "early", "start": "06:00", "end": "14:00"},
        {"name": "late", "start": "14:00", "end": "22:00"},
        {"name": "night", "start": "22:00", "end": "06:00"},
    ],
    "tariffs": [
        {"tariff": "two-part", "since": "2025-01-01", "period": "flat", "price": 0.7},
        {"tariff": "two-part", "since": "2025-01-01", "period": "peak", "price": 1.2, "start": "08:00", "end": "12:00"},
        {"tariff": "two-part", "since": "2025-01-01", "period": "valley", "price": 0.3, "end": "08:00"},
    ],
    "demand-price": 48.0,
}


def steady(plant: FakePlant, path: str, per_hour: float, hours: int = 48, first: int = 0, **more: Any) -> None:
    """A counter that is read every ten minutes."""
    plant.feed(
        path,
        [(START + at * 10 * MINUTE_NS, per_hour * at / 6) for at in range(first * 6, hours * 6 + 1)],
        **more,
    )


@pytest.fixture
def plant() -> FakePlant:
    made = FakePlant()
    for path in (MAIN, PRESS, OVEN):
        made.point(path, ValueKind.FLOAT64, "kW.h")
    made.point(GAS, ValueKind.FLOAT64, "m3/h")
    return made


@pytest.fixture
async def app(plant: FakePlant) -> AsyncIterator[AppUnderTest]:
    """Two days: main 10 kW, press 4 kW, oven 5.9 kW, 2 m3 of gas an hour."""
    steady(plant, MAIN, 10.0)
    steady(plant, PRESS, 4.0)
    steady(plant, OVEN, 5.9)
    plant.feed(GAS, [(START + at * 10 * MINUTE_NS, 2.0) for at in range(48 * 6 + 1)])
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=SETTINGS, start=DAY1) as made:
        await made.down_until("2026-01-06T16:20:00Z")
        yield made


DAYS = {"start": "2026-01-05", "end": "2026-01-07"}
ONE = {"start": "2026-01-05", "end": "2026-01-06"}


async def total(app: AppUnderTest, name: str, days: dict[str, str] = DAYS) -> dict[str, Any]:
    told = await app.get("/totals", query=days)
    return next(one["total"] for one in told["meters"] if one["meter"] == name)  # type: ignore[no-any-return]


async def test_what_was_measured_is_told_with_its_completeness(app: AppUnderTest) -> None:
    for name, value in (("main", 480.0), ("press", 192.0), ("rest", 4.8), ("gas", 96.0)):
        found = await total(app, name)
        assert found["value"] == pytest.approx(value), name
        assert found["completeness"] == 1.0 and found["missing"] == []
    [told] = [one for one in await app.get("/meters") if one["name"] == "main"]
    assert told["worked_out_to"] == "2026-01-06T16:00:00Z" and told["children"] == ["press", "oven"]


async def test_by_steps_shifts_and_periods(app: AppUnderTest) -> None:
    steps = (await app.get("/series", query={**DAYS, "meter": "main", "step": "1d"}))["steps"]
    assert [one["total"]["value"] for one in steps] == pytest.approx([240.0, 240.0])
    assert [one["start"] for one in steps] == [DAY1, DAY2]
    hours = (await app.get("/series", query={**DAYS, "meter": "gas", "step": "1h"}))["steps"]
    assert len(hours) == 48 and hours[7]["total"]["value"] == pytest.approx(2.0)
    shifts = await app.get("/allocation/shift", query={**DAYS, "meter": "main"})
    assert {one["shift"]: one["total"]["value"] for one in shifts["parts"]} == pytest.approx(
        {"early": 160.0, "late": 160.0, "night": 160.0}
    )
    costs = await app.get("/costs", query={**DAYS, "meter": "main"})
    assert costs["amount"] == pytest.approx(2 * (80 * 0.3 + 40 * 1.2 + 120 * 0.7))
    assert all(one["energy"]["completeness"] == 1.0 for one in costs["periods"])
    [month] = (await app.get("/demand", query={**DAYS, "meter": "main"}))["months"]
    assert month["kw"] == pytest.approx(10.0) and month["charge"] == pytest.approx(480.0)


async def test_orders_and_products(app: AppUnderTest) -> None:
    claims = [
        {"id": "a", "meter": "press", "start": DAY1, "end": "2026-01-05T04:00:00Z", "order": "A", "product": "x"},
        {"id": "b", "meter": "press", "start": "2026-01-05T04:00:00Z", "end": DAY2, "order": "B", "product": "y"},
    ]
    claims.append({"id": "c", "meter": "press", "start": DAY1, "end": DAY2, "product": "z"})  # of no order
    for _ in range(2):  # sent twice, there once
        assert await app.post("/claims", claims) == {"claims": 3}
    told = await app.get("/allocation/order", query={**DAYS, "meter": "press"})
    assert {one["order"]: one["total"]["value"] for one in told["parts"]} == pytest.approx({"A": 48.0, "B": 48.0})
    assert told["unallocated"]["value"] == pytest.approx(96.0) and told["whole"]["value"] == pytest.approx(192.0)


async def test_the_balance(app: AppUnderTest) -> None:
    [told] = await app.get("/balance", query=DAYS)
    assert told["verdict"] == "balanced" and told["unexplained"]["value"] == pytest.approx(4.8)
    [said] = await app.get("/balance", query=DAYS, language="zh")
    assert (told["said"], said["said"]) == ("balanced", "平衡")


async def test_an_imbalance_is_told_at_night(plant: FakePlant) -> None:
    steady(plant, MAIN, 10.0)
    steady(plant, PRESS, 8.0)
    steady(plant, OVEN, 5.9)
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=SETTINGS, start=DAY1) as app:
        await app.run_until("2026-01-05T19:00:00Z")
        told = [one for one in app.events if one.type == "energy.unbalanced"]
        assert [(one.subject, one.data["verdict"]) for one in told] == [(MAIN, "exceeded")]


async def test_silence_is_bridged_by_a_counter_and_unknown_of_power(plant: FakePlant) -> None:
    """Nobody reads for six hours: the counter tells what went by, also in quarters that were written before."""
    for path, rate in ((MAIN, 10.0), (PRESS, 4.0), (OVEN, 5.9)):
        steady(plant, path, rate, hours=6)
        steady(plant, path, rate, hours=24, first=12)
    for first, last in ((0, 6), (12, 24)):
        plant.feed(GAS, [(START + at * 10 * MINUTE_NS, 2.0) for at in range(first * 6, last * 6 + 1)])
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=SETTINGS, start=DAY1) as app:
        await app.run_until("2026-01-05T02:00:00Z")
        half = await total(app, "main", ONE)
        assert half["value"] == pytest.approx(60.0) and half["completeness"] == pytest.approx(0.25)
        await app.run_until("2026-01-05T16:15:00Z")
        whole = await total(app, "main", ONE)
        assert whole["value"] == pytest.approx(240.0)
        assert (whole["completeness"], whole["covered"]) == (0.75, 1.0)
        assert (await total(app, "rest", ONE))["value"] == pytest.approx(2.4)
        gas = await total(app, "gas", ONE)
        assert gas["value"] == pytest.approx(36.0) and gas["missing"] == ["gas"] and gas["covered"] == 0.75


@pytest.mark.parametrize("late", ["1h", "20h", "80h"])
async def test_samples_that_come_late_are_worked_in(plant: FakePlant, late: str) -> None:
    for path, rate in ((PRESS, 4.0), (OVEN, 5.9)):
        steady(plant, path, rate, hours=24)
    steady(plant, MAIN, 10.0, hours=6)
    for at in range(37, 72):
        plant.feed(MAIN, [(START + at * 10 * MINUTE_NS, 10 * at / 6)], late=late)
    steady(plant, MAIN, 10.0, hours=24, first=12)
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=SETTINGS, start=DAY1) as app:
        await app.run_until("2026-01-05T05:20:00Z")
        if late == "1h":  # found at once
            assert (await total(app, "main", ONE))["measured_s"] == (13 * 60 + 10) * 60
        await app.run_until("2026-01-05T17:00:00Z")
        await app.down_until("2026-01-10T00:00:00Z")
        found = await total(app, "main", ONE)
        assert found["value"] == pytest.approx(240.0) and found["completeness"] == 1.0
        assert (await total(app, "rest", ONE))["value"] == pytest.approx(2.4)


async def test_samples_that_come_weeks_late_change_the_sum_of_before_and_after(plant: FakePlant) -> None:
    """Bridged evenly at first; then it is known that nothing flowed before midnight. Virtual meters follow."""
    settings = {**SETTINGS, "meters": [{**one, "every": "1h"} for one in SETTINGS["meters"] if one["name"] != "gas"]}
    for path in (PRESS, OVEN):
        plant.feed(path, [(START + at * HOUR_NS, float(at)) for at in range(24 * 20)])
    flowed = [10.0 * at if at <= 18 else 180.0 if at <= 24 else 180.0 + 10.0 * (at - 24) for at in range(24 * 20)]
    plant.feed(MAIN, [(START + at * HOUR_NS, flowed[at]) for at in range(24 * 20) if not 18 < at < 30])
    plant.feed(MAIN, [(START + at * HOUR_NS, flowed[at]) for at in range(19, 30)], late="300h")
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=settings, start=DAY1) as app:
        await app.down_until("2026-01-10T00:00:00Z")
        assert (await total(app, "main", ONE))["value"] == pytest.approx(180.0 + 60.0 * 6 / 12)
        await app.down_until("2026-01-20T00:00:00Z")
        first, second = (
            await total(app, "main", ONE),
            await total(app, "main", {"start": "2026-01-06", "end": "2026-01-07"}),
        )
        assert first["value"] == pytest.approx(180.0) and first["completeness"] == 1.0
        assert second["value"] == pytest.approx(240.0) and second["completeness"] == 1.0
        assert (await total(app, "rest", ONE))["value"] == pytest.approx(180.0 - 48.0)
        late = await total(app, "rest", {"start": "2026-01-15", "end": "2026-01-16"})
        assert late["value"] == pytest.approx(240.0 - 48.0) and late["completeness"] == 1.0


async def test_a_meter_that_came_to_nothing_costs_nothing(plant: FakePlant) -> None:
    """One that gives bad samples for weeks is looked at, not read from its beginning each time; then it comes back."""
    settings = {**SETTINGS, "meters": [{**meter("main", MAIN, "bought"), "every": "1h"}]}
    plant.feed(MAIN, [(START + at * HOUR_NS, 10.0 * at) for at in range(6)])
    plant.feed(MAIN, [(START + at * HOUR_NS, 0.0) for at in range(6, 24 * 20)], quality=q.BAD)
    plant.feed(MAIN, [(START + 24 * 20 * HOUR_NS, 4_800.0)])
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=settings, start=DAY1) as app:
        await app.down_until("2026-01-24T12:00:00Z")
        read: list[int] = []
        samples = app.context.history.samples

        def counted(paths: Any, start_ns: int, end_ns: int) -> Any:
            read.append((end_ns - start_ns) // HOUR_NS)
            return samples(paths, start_ns, end_ns)

        app.context.history.samples = counted  # type: ignore[method-assign]
        await app.run_for(900)
        assert read and max(read) <= 3
        del app.context.history.samples
        await app.run_until("2026-01-24T16:15:00Z")
        whole = await total(app, "main", {"start": "2026-01-05", "end": "2026-01-25"})
        assert whole["value"] == pytest.approx(4_800.0) and whole["covered"] == 1.0


async def test_bad_samples_before_a_silence_do_not_cut_the_counter(plant: FakePlant) -> None:
    steady(plant, MAIN, 10.0, hours=3)
    plant.feed(MAIN, [(START + 3 * HOUR_NS + at * MINUTE_NS, 0.0) for at in range(10, 60, 10)], quality=q.BAD)
    steady(plant, MAIN, 10.0, hours=24, first=9)
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=SETTINGS, start=DAY1) as app:
        await app.run_until("2026-01-05T16:15:00Z")
        assert (await total(app, "main", ONE))["value"] == pytest.approx(240.0)


async def test_a_crash_changes_nothing(plant: FakePlant) -> None:
    steady(plant, MAIN, 10.0, hours=24)
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=SETTINGS, start=DAY1) as app:
        await app.run_until("2026-01-05T05:07:00Z")
        await app.restart()
        await app.down_until("2026-01-05T12:00:00Z")
        await app.run_until("2026-01-05T16:15:00Z")
        found = await total(app, "main", ONE)
        assert found["value"] == pytest.approx(240.0) and found["completeness"] == 1.0


async def test_an_exchange_is_worked_in(plant: FakePlant) -> None:
    steady(plant, MAIN, 10.0, hours=12)
    plant.feed(MAIN, [(START + at * 10 * MINUTE_NS, 10 * at / 6 - 100.0) for at in range(78, 24 * 6 + 1)])
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=SETTINGS, start=DAY1) as app:
        await app.run_until("2026-01-05T16:15:00Z")
        before = await total(app, "main", ONE)
        assert before["value"] == pytest.approx(230.0) and before["missing"] == ["main"]
        at = "2026-01-05T04:30:00Z"
        await app.post("/exchanges", {"meter": "main", "at": at, "last": 125.0, "first": 25.0})
        await app.run_for(900)
        after = await total(app, "main", ONE)
        assert after["value"] == pytest.approx(240.0) and after["covered"] == 1.0
        with pytest.raises(Conflict, match="entered already"):
            await app.post("/exchanges", {"meter": "main", "at": at, "last": 126.0})
        with pytest.raises(DataError, match="no counter"):
            await app.post("/exchanges", {"meter": "gas", "at": at, "last": 1.0})


async def test_coal_and_carbon_of_meters_and_documents(app: AppUnderTest) -> None:
    document = {"id": "i-1", "source": "invoice 17", "carrier": "diesel", "role": "bought", "start": "2026-01-01",
                "end": "2026-02-01", "value": 310.0, "unit": "kg"}  # fmt: skip
    await app.post("/documents", document)
    await app.post("/documents", document)
    told = await app.get("/coal", query=DAYS)
    assert told["calorific"]["total"]["value"] == pytest.approx(480 * 0.1229 + 96 * 1.33 + 20 * 1.4571)
    assert told["equivalent"]["total"]["missing"] == ["factor of electricity"]
    await app.post(
        "/factors",
        {"kind": "coal-equivalent", "carrier": "electricity", "value": 0.3, "unit": "kg{ce}", "per": "kW.h",
         "since": "2026-01-01", "until": "2027-01-01", "published": "2026-01-02", "source": "grid report"},
    )  # fmt: skip
    told = await app.get("/coal", query={**DAYS, "method": "equivalent"})
    assert told["equivalent"]["total"]["value"] == pytest.approx(480 * 0.3 + 96 * 1.33 + 20 * 1.4571)
    carbon = await app.get("/carbon", query=DAYS)
    assert carbon["totals"]["2-location"]["value"] == pytest.approx(0.48 * 0.5978)
    assert carbon["totals"]["2-location"]["completeness"] == 1.0
    [line] = [one for one in carbon["lines"] if one["scope"] == "2-location"]
    assert line["factors"][0]["carried"] is True and line["factors"][0]["edition"] == "2022"
    with pytest.raises(Conflict, match="another document"):
        await app.post("/documents", {**document, "value": 311.0})
    await app.post("/entries/documents/i-1", method="DELETE")
    assert (await app.get("/coal", query=DAYS))["calorific"]["total"]["value"] == pytest.approx(
        480 * 0.1229 + 96 * 1.33
    )


async def test_intensity_at_constant_prices(app: AppUnderTest) -> None:
    await app.post("/outputs", {"period": "2026-w1", "start": "2026-01-05", "end": "2026-01-07", "value_yuan": 100_000})
    coal = (await app.get("/coal", query={**DAYS, "method": "calorific"}))["calorific"]["total"]["value"]
    assert (await app.get("/intensity", query=DAYS))["value"] == pytest.approx(coal / 10)
    with pytest.raises(DataError, match="price index"):
        await app.get("/intensity", query={**DAYS, "base": "2020"})
    for period, index in (("2020", 100.0), ("2026-w1", 125.0)):
        await app.post("/indices", {"period": period, "index": index})
    constant = await app.get("/intensity", query={**DAYS, "base": "2020"})
    assert constant["value"] == pytest.approx(coal / 8) and constant["completeness"] == 1.0


async def test_a_new_factor_restates_what_was_told_with_both_shown(app: AppUnderTest) -> None:
    told = await app.post("/statements", {"kind": "carbon-location", **DAYS})
    scope1 = (await app.get("/carbon", query=DAYS))["totals"]["1"]["value"]
    assert told["total"]["value"] == pytest.approx(scope1 + 0.48 * 0.5978)
    again = await app.get(f"/statements/{told['id']}")
    assert again["is_changed"] is False
    await app.down_until("2026-03-31T16:00:00Z")
    await app.post(
        "/factors",
        {"kind": "grid", "carrier": "electricity", "area": "CN-JS", "value": 0.5, "unit": "kg{CO2}", "per": "kW.h",
         "since": "2026-01-01", "until": "2027-01-01", "published": "2026-04-01", "source": "announcement"},
    )  # fmt: skip
    await app.down_until("2026-04-02T00:00:00Z")
    again = await app.get(f"/statements/{told['id']}")
    assert again["before"]["total"] == told["total"]
    assert again["difference"] == pytest.approx(0.48 * (0.5 - 0.5978)) == pytest.approx(again["by_factors"])
    assert again["by_data"] == 0.0 and [one["published"] for one in again["reasons"]] == ["2026-04-01"]
    [event] = [one for one in app.events if one.type == "energy.restated" and one.data["id"] == told["id"]]
    assert event.subject == "acme/suzhou" and event.data["difference"] == pytest.approx(again["difference"])
    listed = next(one for one in await app.get("/statements") if one["id"] == told["id"])
    assert listed["total"]["value"] != listed["now"]["value"]
    then = await app.get(f"/statements/{told['id']}", query={"known": "2026-03-01"})
    assert then["is_changed"] is False


async def test_the_month_is_stated_by_itself(plant: FakePlant) -> None:
    start = parse_time_ns("2025-12-30T16:00:00Z")
    for path in (MAIN, PRESS, OVEN):
        plant.feed(path, [(start + at * HOUR_NS, 10.0 * at) for at in range(25)])
    settings = {**SETTINGS, "since": "2025-12-31", "meters": [{**one, "every": "1h"} for one in SETTINGS["meters"]]}
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=settings, start="2025-12-30T16:00:00Z") as app:
        await app.run_until("2025-12-31T20:00:00Z")
        told = {one.data["name"]: one.data["total"] for one in app.events if one.type == "energy.stated"}
        assert set(told) == {"coal", "carbon-location", "carbon-market"}
        assert told["coal"]["value"] == pytest.approx(240 * 0.1229)
        assert told["coal"]["completeness"] < 0.05 and told["coal"]["missing"] == ["gas", "main"]


async def test_baselines_are_fitted_frozen_and_measured_against(plant: FakePlant) -> None:
    pieces = [100, 300, 200, 400, 250, 350, 150, 300]
    value, at = 0.0, START
    plant.feed(MAIN, [(at, 0.0)])
    for day, made in enumerate(pieces):
        for hour in range(1, 25):
            value += (1_000 + 2 * made + (day % 3)) / 24
            plant.feed(MAIN, [(START + day * DAY_NS + hour * HOUR_NS, value)])
    settings = {**SETTINGS, "meters": [{**meter("main", MAIN, "bought"), "every": "1h"}]}
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=settings, start=DAY1) as app:
        await app.down_until("2026-01-13T00:00:00Z")
        periods = [
            {"start": f"2026-01-{5 + day:02}", "end": f"2026-01-{6 + day:02}", "values": {"pieces": made}}
            for day, made in enumerate(pieces)
        ]
        told = await app.post("/baselines", {"name": "hall", "meter": "main", "periods": periods[:6]})
        assert told["coefficients"]["pieces"] == pytest.approx(2.0, abs=0.02) and told["fit"]["r2"] > 0.999
        with pytest.raises(Conflict, match="not frozen"):
            await app.post("/baselines/hall/performance", periods)
        assert (await app.post("/baselines/hall/freeze"))["frozen"] == "2026-01-13"
        seen = await app.post("/baselines/hall/performance", periods[6:])
        assert seen["enpi_ratio"] == pytest.approx(1.0, abs=0.01) and seen["is_significant"] is False
        assert seen["uncertainty"] > 0
        lasting = await app.post(
            "/baselines/hall/adjustments", {"since": "2026-01-12", "amount": 100.0, "reason": "oven"}
        )
        assert lasting["adjustments"][0]["reason"] == "oven"
        adjusted = await app.post("/baselines/hall/performance", periods[6:])
        assert adjusted["saving"] - seen["saving"] == pytest.approx(100.0)
        with pytest.raises(DataError, match="less than 98 %"):
            await app.post(
                "/baselines",
                {"name": "n", "meter": "main", "periods": [{**periods[0], "start": "2026-02-01", "end": "2026-02-02"}]},
            )
        [listed] = await app.get("/baselines")
        assert listed["name"] == "hall" and listed["frozen"] == "2026-01-13"


async def test_a_footprint_is_made_and_told_in_both_forms(app: AppUnderTest) -> None:
    await app.post("/claims", [
        {"id": "a", "meter": "press", "start": DAY1, "end": DAY2, "product": "x"},
        {"id": "b", "meter": "press", "start": DAY2, "end": DAY3, "product": "y"},
    ])  # fmt: skip
    asked = {
        "id": UUID,
        "company": {"name": "Acme", "ids": ["urn:bpn:BPNL000000000DWF"]},
        "product": {"name": "x", "description": "a bracket", "ids": ["urn:gtin:4712345060507"], "unit": "piece",
                    "amount": 1, "mass_kg": 2.6},
        "place": {"subdivision": "CN-JS"},
        **DAYS,
        "quantity": 100,
        "claimed": "x",
        "materials": [{"name": "steel", "footprint_kg": 2.0, "quantity": 3.0, "source": "ecoinvent",
                       "source_version": "3.11"}],
    }  # fmt: skip
    carbon = (await app.get("/carbon", query=DAYS))["location"]["value"]
    told = await app.post("/footprints", asked)
    assert told["share"] == pytest.approx(0.5)
    assert told["excluding"] == pytest.approx(6.0 + carbon * 1_000 * 0.5 / 100)
    pact = await app.get(f"/footprints/{UUID}/pact")
    assert float(pact["pcf"]["pcfExcludingBiogenicUptake"]) == pytest.approx(told["excluding"])
    assert "metered electricity" in pact["pcf"]["allocationRulesDescription"]
    assert json.dumps(await app.get(f"/footprints/{UUID}/catenax"))
    other = "12345678-9abc-def0-1234-567812345678"
    await app.post("/footprints", {**asked, "id": other, "quantity": 50, "preceding": UUID})
    assert (await app.get(f"/footprints/{UUID}/pact"))["status"] == "Deprecated"
    assert (await app.get(f"/footprints/{other}/pact"))["precedingPfIds"] == [UUID]
    with pytest.raises(DataError, match="no energy was claimed"):
        await app.post("/footprints", {**asked, "claimed": "z"})
    with pytest.raises(NotFound, match="pact, catenax"):
        await app.get(f"/footprints/{UUID}/excel")


async def test_a_footprint_of_what_was_not_seen_is_refused(app: AppUnderTest) -> None:
    asked = {
        "id": UUID, "company": {"name": "Acme", "ids": ["urn:a:b"]}, "start": "2026-01-05", "end": "2026-01-10",
        "product": {"name": "x", "description": "", "ids": ["urn:a:c"], "unit": "piece", "amount": 1, "mass_kg": 1},
        "quantity": 10, "share": 0.5,
    }  # fmt: skip
    with pytest.raises(DataError, match=r"40.0% of its time.*gas, main"):
        await app.post("/footprints", asked)


async def test_people_see_the_meters_of_their_part(app: AppUnderTest) -> None:
    async def press_only(action: Action, path: str) -> bool:
        return not path or path.startswith("acme/suzhou/press")

    told = await app.get("/totals", query=DAYS, may=press_only)
    assert [one["meter"] for one in told["meters"]] == ["press"]
    assert [one["name"] for one in await app.get("/meters", may=press_only)] == ["press"]
    assert await app.get("/balance", query=DAYS, may=press_only) == []
    for path in ("/coal", "/carbon", "/statements", "/documents"):
        with pytest.raises(AccessError, match="may not see meter"):
            await app.get(path, query=DAYS, may=press_only)
    with pytest.raises(AccessError, match="meter rest"):
        await app.get("/series", query={**DAYS, "meter": "rest"}, may=press_only)


async def test_a_point_that_is_not_there_stops_no_other_meter(plant: FakePlant) -> None:
    steady(plant, MAIN, 10.0, hours=24)
    plant.point("acme/suzhou/saw/state", ValueKind.TEXT)
    more = [
        meter("lost", "acme/suzhou/saw/kwh"),
        meter("text", "acme/suzhou/saw/state"),
        meter("sum", parts="main - lost"),
    ]
    settings = {**SETTINGS, "meters": [*SETTINGS["meters"], *more]}
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=settings, start=DAY1) as app:
        await app.down_until("2026-01-05T16:15:00Z")
        assert (await total(app, "main", ONE))["value"] == pytest.approx(240.0)
        assert (await total(app, "sum", ONE))["value"] is None
        problems = {one["name"]: one["problem"] for one in await app.get("/meters") if one["problem"]}
        assert problems == {
            "lost": "there is no point acme/suzhou/saw/kwh that the app may see",
            "text": "acme/suzhou/saw/state is text, and a meter reads numbers",
        }


async def test_a_changed_declaration_is_worked_out_anew(plant: FakePlant) -> None:
    steady(plant, MAIN, 10.0, hours=24)
    async with AppUnderTest.of("headrace.apps.energy", plant, settings=SETTINGS, start=DAY1) as app:
        await app.run_until("2026-01-05T16:15:00Z")
        meters = app.context.settings["meters"]
        doubled = [{**one, "ratio": 2.0 if one["name"] == "main" else 1.0} for one in meters]
        app.context.settings = {**app.context.settings, "meters": doubled}  # type: ignore[misc]
        await app.run_for(900)
        assert (await total(app, "main", ONE))["value"] == pytest.approx(480.0)
        app.context.settings = {**app.context.settings, "meters": [{**meters[0], "ratio": 2.0}]}  # type: ignore[misc]
        await app.restart()
        await app.run_for(900)
        assert (await total(app, "main", ONE))["value"] == pytest.approx(480.0)
        assert {one["name"] for one in await app.get("/meters")} == {"main"}
        kept = await app.context.tables.query("SELECT DISTINCT meter FROM quarters")
        assert kept.rows == [("main",)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"area": "Jiangsu"}, "CN-JS"),
        ({"since": "January"}, "write a day"),
        ({"meters": [meter("a", MAIN, carrier="steam")]}, "there are acetylene"),
        ({"meters": [meter("a", MAIN, carrier="diesel", unit="L")]}, "kg or t, not in L"),
        ({"meters": [meter("a", parts="main press")]}, "write such as main - press-1"),
        ({"meters": [meter("a", MAIN, parent="b")]}, "not there"),
        ({"shifts": [{"name": "s", "start": "25:00", "end": "1:00"}]}, "08:00"),
        (
            {"tariffs": [{"tariff": "t", "since": "2026-01-01", "period": "p", "price": 1, "start": "01:00"}]},
            "no period",
        ),
        ({"tariffs": [{"tariff": "t", "since": "2026-01-01", "period": "p", "price": 1, "months": "13"}]}, "1 to 12"),
        ({"holidays": ["May 1st"]}, "write a day"),
    ],
)
async def test_settings_that_cannot_be_stop_the_start(plant: FakePlant, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        async with AppUnderTest.of("headrace.apps.energy", plant, settings={**SETTINGS, **changes}):
            pass


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/claims", {"id": "a"}, "'meter' of a claim is missing"),
        ("/claims", [], "a list of 1 to"),
        ("/documents", {"id": "d", "colour": 1}, "no field of a document"),
        (
            "/documents",
            {
                "id": "d",
                "source": "s",
                "carrier": "diesel",
                "role": "bought",
                "start": "2026-01-01",
                "end": "2026-02-01",
                "value": 1,
                "unit": "L",
            },
            "kg or t, not in L",
        ),
        ("/factors", {"kind": 1}, "'kind' of a factor"),
        ("/outputs", {"period": "p", "start": "2026-01-02", "end": "2026-01-01", "value_yuan": 1}, "before it begins"),
        ("/indices", {"period": "p", "index": 0}, "more than 0"),
        ("/statements", {"kind": "water", **DAYS}, "there is no account"),
        ("/baselines", {"name": "b", "meter": "main", "periods": []}, "needs periods"),
    ],
)
async def test_bodies_that_say_nothing_are_refused(app: AppUnderTest, path: str, body: Any, message: str) -> None:
    with pytest.raises(HeadraceError, match=message):
        await app.post(path, body)


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("/totals", {"start": "2026-02-01", "end": "2026-01-01"}, "a span from"),
        ("/totals", {"start": "tomorrow"}, "write a day"),
        ("/series", {}, "say of which meter"),
        ("/series", {"meter": "nobody"}, "there is no meter named nobody"),
        ("/series", {"meter": "main", "step": "7s"}, "a step is"),
        ("/demand", {"meter": "main", "window": "20"}, "15, 30, 45 or 60"),
        ("/coal", {"method": "both"}, "calorific or equivalent"),
    ],
)
async def test_questions_that_ask_nothing_are_refused(
    app: AppUnderTest, path: str, query: dict[str, str], message: str
) -> None:
    with pytest.raises(HeadraceError, match=message):
        await app.get(path, query=query)


def test_it_runs_where_no_file_can_be_opened() -> None:
    """As in a process of an app: modules and tables come out of memory."""
    script = """
import sys
from pathlib import Path
import headrace.apps
from headrace.hosting.importer import AppImporter
from headrace.hosting.releases import read_folder
files = read_folder(Path(headrace.apps.__file__).parent / "energy")
sys.meta_path.insert(0, AppImporter(files, "headrace.apps.energy"))
from headrace.apps.energy import app, library
assert app.__file__ == "/app/app.py", app.__file__
print(len(app.app.routes), len(library.shipped()), len(library.carriers()), len(library.area_names()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(int(number) > 20 for number in done.stdout.split())


async def test_both_languages_say_the_same_keys() -> None:
    from importlib.resources import files

    from headrace.sdk.apps.translations import Translations

    folder = files("headrace.apps.energy").joinpath("locale")
    texts = {one: folder.joinpath(f"{one}.toml").read_text(encoding="utf-8") for one in ("en", "zh")}
    assert Translations.read(texts).missing() == []


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_its_page_shows_what_is_there(app: AppUnderTest, language: str) -> None:
    assert await lacks_of(app, "energy", "energy", language) == []
    rows = (await app.get("/summary", language=language))["totals"]
    assert [one["key"] for one in rows][:2] == ["calorific", "equivalent"] and rows[-1]["key"] == "intensity"
    assert all(not one["title"].startswith("summary.") for one in rows)
    assert rows[0]["value"] == (await app.get("/coal"))["calorific"]["total"]["value"]
