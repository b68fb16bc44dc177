"""The app as people meet it: samples come, shifts close, somebody gives a reason, something comes late."""

from __future__ import annotations

import re
import zlib
from base64 import a85decode
from datetime import date
from io import BytesIO
from typing import Any

import pytest
from openpyxl import load_workbook
from tests.apps.pages import lacks_of

from headrace.apps.operations import book
from headrace.apps.operations.signals import text_code
from headrace.model.batch import ValueKind
from headrace.model.errors import AccessError, ConfigError, DataError
from headrace.sdk.access import Action
from headrace.sdk.apps.translations import Translations
from headrace.sdk.testing.apps import AppUnderTest
from headrace.sdk.testing.fake_plant import FakePlant, Held, every

PRESS, OVEN = "acme/line-1/press-3", "acme/line-1/oven"
SHIFT = date(2026, 11, 26).toordinal() * 64
"""The early shift of 2026-11-26 (its day of the calendar, and the first of the rules)."""


def settings(**more: Any) -> dict[str, Any]:
    press = {
        "asset": PRESS, "rule": "table", "point": f"{PRESS}/status",
        "states": "RUN = producing; TRIP = fault; OFF = idle",
        "ideal_cycle": "30s", "counter": f"{PRESS}/pieces", "rollover": 65536,
    }  # fmt: skip
    return {
        "zone": "Asia/Shanghai",
        "units": [press, {"asset": OVEN, "counts": "good"}],
        "shifts": [{"name": "早班", "start": "08:00", "end": "16:00"}],
        "stops": [{"name": "午休", "start": "12:00", "end": "12:30"}],
        **more,
    }


def plant() -> FakePlant:
    """The press of a day: 3 h of work, a fault of 30 min, lunch, work with a hiccup of 20 s until the end; 08:00 in
    Shanghai is 00:00 UTC.
    """
    made = FakePlant()
    made.point(f"{PRESS}/status", ValueKind.TEXT)
    made.point(f"{PRESS}/pieces", ValueKind.INT64)
    made.asset(OVEN)
    day = "2026-11-26T"
    made.feed(
        f"{PRESS}/status",
        {
            f"{day}00:00:00Z": "RUN", f"{day}03:00:00Z": "TRIP", f"{day}03:30:00Z": "RUN", f"{day}04:00:00Z": "OFF",
            f"{day}04:30:00Z": "RUN", f"{day}06:00:00Z": "OFF", f"{day}06:00:20Z": "RUN", f"{day}08:00:00Z": "OFF",
        },
    )  # fmt: skip
    made.feed(f"{PRESS}/pieces", {f"{day}00:00:00Z": 65000, f"{day}03:00:00Z": 65300, f"{day}07:59:00Z": 100})
    return made


def figure(told: Any, code: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in told["kpis"] if one["code"] == code)
    return found


async def ran(until: str = "2026-11-26T08:30:00Z", **more: Any) -> AppUnderTest:
    app = AppUnderTest.of("headrace.apps.operations", plant(), settings=settings(**more), start="2026-11-25T23:59:00Z")
    await app.__aenter__()
    await app.run_until(until)
    return app


@pytest.mark.parametrize("part", [1, 300_000])
async def test_what_was_before_it_came_is_taken_from_history(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also part by part, over restarts; and what stood when figures begin."""
    monkeypatch.setattr(book, "CAUGHT_UP_MAX", part)
    streamed = await ran()
    wanted = await streamed.get("/kpis", query={"unit": PRESS, "shift": str(SHIFT)})
    await streamed.__aexit__(None, None, None)
    made = plant()
    made.take(2**62)
    given = settings(since="2026-11-26T00:00:00Z")
    async with AppUnderTest.of("headrace.apps.operations", made, settings=given, start="2026-11-26T08:29:00Z") as app:
        for _ in range(3):
            await app.run_for(60)
            await app.restart()
        told = await app.get("/kpis", query={"unit": PRESS, "shift": str(SHIFT)})
        assert told["sums"] == wanted["sums"]
        facts = await app.context.tables.query("SELECT count(*) FROM facts")
        await app.run_for(600)
        assert (await app.context.tables.query("SELECT count(*) FROM facts")).rows == facts.rows
        rows = (await app.context.tables.query("SELECT until_ns FROM caught_up")).rows
        assert len(rows) == 2 and all(until is None for (until,) in rows)


async def test_what_stood_before_figures_begin_stands_when_they_do() -> None:
    made = plant()
    made.take(2**62)
    given = settings(since="2026-11-26T05:00:00Z")  # it has been running since 04:30
    async with AppUnderTest.of("headrace.apps.operations", made, settings=given, start="2026-11-26T08:29:00Z") as app:
        told = await app.get(
            "/kpis", query={"unit": PRESS, "from": "2026-11-26T05:00:00Z", "to": "2026-11-26T08:00:00Z"}
        )
        assert told["sums"]["APT"] == pytest.approx(3 - 20 / 3600)


async def test_a_shift_has_its_figures_with_both_parts_and_by_hand() -> None:
    app = await ran()
    told = await app.get("/kpis", query={"unit": PRESS, "shift": str(SHIFT)})
    # 8 h less 30 min of lunch; the hiccup is a micro-stop of 20 s, the fault 30 min
    assert told["sums"]["PBT"] == 7.5
    availability = figure(told, "availability")
    assert availability["value"] == pytest.approx((7 - 20 / 3600) / 7.5, rel=1e-12)
    assert availability["denominator"] == 7.5 and availability["target"] == 0.9 and availability["met"] is True
    # 300 pieces, then 65300 → 65536 → 100: 336; at 30 s each 318 min
    assert told["sums"]["PQ"] == 636
    assert figure(told, "oee")["value"] == pytest.approx(636 * 30 / 3600 / 7.5, rel=1e-12)
    assert figure(told, "mttr-fe")["value"] == 0.5
    assert figure(told, "energy")["why"] == "nobody measures CE"
    assert told["restated_at"] is None
    losses = await app.get("/losses", query={"unit": PRESS, "shift": str(SHIFT)})
    lost = {one["code"]: one["lost_h"] for one in losses["steps"]}
    assert lost["breakdowns"] == 0.5 and lost["micro-stops"] == pytest.approx(20 / 3600)
    assert losses["planned_busy_h"] - sum(lost.values()) == pytest.approx(losses["effective_h"])
    assert [one["cause"] for one in losses["pareto"]] == ["fault", "micro-stop"]


async def test_what_comes_late_restates_what_was_told_and_a_restart_forgets_nothing() -> None:
    app = await ran()
    before = figure(await app.get("/kpis", query={"unit": PRESS, "shift": str(SHIFT)}), "availability")
    # it ran again at 03:10 already, and stood still only later: known two hours after the shift was closed
    app.plant.feed(f"{PRESS}/status", {"2026-11-26T03:10:00Z": "RUN"}, late="7h")
    await app.run_until("2026-11-26T10:30:00Z")
    told = await app.get("/kpis", query={"unit": PRESS, "shift": str(SHIFT)})
    now = figure(told, "availability")
    assert now["value"] == pytest.approx(before["value"] + 20 / 60 / 7.5)
    assert now["stated"] == before["value"] and now["restated_at"] == told["restated_at"] == "2026-11-26T10:10:00Z"
    assert "stated" not in figure(told, "quality-ratio")
    await app.restart()
    assert await app.get("/kpis", query={"unit": PRESS, "shift": str(SHIFT)}) == told


async def test_a_late_sample_between_two_equal_ones_stands_until_the_second() -> None:
    app = await ran("2026-11-26T01:00:00Z")
    app.plant.feed(f"{PRESS}/status", {"2026-11-26T01:20:00Z": "RUN"})
    app.plant.feed(f"{PRESS}/status", {"2026-11-26T01:10:00Z": "TRIP"}, late="30min")
    await app.run_until("2026-11-26T02:00:00Z")
    (stop,) = await app.get("/stops")
    assert (stop["start"], stop["end"], stop["state"]) == ("2026-11-26T01:10:00Z", "2026-11-26T01:20:00Z", "fault")


async def test_a_backlog_of_an_outage_gives_what_it_would_have_given_in_time() -> None:
    app, whole = await ran("2026-11-26T01:00:00Z"), await ran("2026-11-26T01:00:00Z")
    day = "2026-11-26T"
    backlog = {f"{day}01:{minute:02}:00Z": ("TRIP" if minute % 7 < 2 else "RUN") for minute in range(1, 40)}
    app.plant.feed(f"{PRESS}/status", {f"{day}01:45:00Z": "RUN", f"{day}01:50:00Z": "RUN"})
    app.plant.feed(f"{PRESS}/status", backlog, late="50min")
    whole.plant.feed(f"{PRESS}/status", {**backlog, f"{day}01:45:00Z": "RUN", f"{day}01:50:00Z": "RUN"})
    for one in (app, whole):
        await one.run_until("2026-11-26T02:45:00Z")
    query = {"from": f"{day}00:00:00Z", "to": f"{day}02:00:00Z"}
    assert (await app.get("/kpis", query=query))["sums"] == (await whole.get("/kpis", query=query))["sums"]
    assert await app.get("/stops") == await whole.get("/stops")
    assert len(await app.get("/stops")) == 5  # of two minutes each; the one of a minute is a micro-stop


async def test_a_clock_that_is_wild_does_not_move_figures() -> None:
    app = await ran("2026-11-26T01:00:00Z")
    far = 4_000_000_000 * 10**9
    app.plant.history[f"{PRESS}/status"][far] = Held(far, "TRIP", 0, app.now_ns)
    samples = app.plant.samples([(f"{PRESS}/status", app.plant.history[f"{PRESS}/status"].pop(far))])
    for handler in app.app.sample_handlers:
        await handler.body(app.context, samples)
    assert app.log == [f"{PRESS}/status: samples of a time that cannot be are left out; check its clock"]
    app.plant.feed(f"{PRESS}/status", {"2026-11-26T01:10:00Z": "OFF"})
    await app.run_until("2026-11-26T01:30:00Z")
    assert (await app.get("/units"))[0]["state"] == "idle"


async def test_conditions_and_bits_over_points_of_the_machine() -> None:
    made = plant()
    made.point(f"{OVEN}/load", ValueKind.FLOAT64, "%")
    made.point(f"{OVEN}/door", ValueKind.BOOL)
    made.feed(f"{OVEN}/load", {"2026-11-26T00:00:00Z": 50.0, "2026-11-26T00:40:00Z": 3.0})
    made.feed(
        f"{OVEN}/door", {"2026-11-26T00:00:00Z": False, "2026-11-26T00:20:00Z": True, "2026-11-26T00:30:00Z": False}
    )
    oven = {
        "asset": OVEN,
        "rule": "conditions",
        "states": "door => stopped; load > 20[%] => producing",
        "otherwise": "idle",
    }
    press = {"asset": PRESS, "rule": "bits", "point": f"{OVEN}/door", "otherwise": "setup"}
    app = AppUnderTest.of(
        "headrace.apps.operations", made, settings=settings(units=[oven, press]), start="2026-11-25T23:59:00Z"
    )
    async with app:
        await app.run_until("2026-11-26T01:00:00Z")
        span = {"from": "2026-11-26T00:00:00Z", "to": "2026-11-26T01:00:00Z"}
        first, second = await app.get("/kpis/units", query=span)
        sums = {name: round(60 * first["sums"][name]) for name in ("APT", "ADET", "ADOT", "NO_DATA")}
        assert sums == {"APT": 30, "ADET": 10, "ADOT": 20, "NO_DATA": 0}
        assert round(60 * second["sums"]["APT"]) == 10 and round(60 * second["sums"]["AUST"]) == 50


async def test_two_taps_explain_a_stop_once_however_often_they_are_sent() -> None:
    app = await ran("2026-11-26T03:20:00Z")
    (stop,) = await app.get("/stops", query={"pending": "1"})
    assert stop["unit"] == PRESS and stop["end"] is None
    tree = await app.get("/reasons", language="zh")
    assert (
        tree[0]["title"] == "故障"
        and {"code": "hydraulic", "title": "液压气动故障", "element": "ADET"} in tree[0]["reasons"]
    )
    tap = {
        "unit": PRESS,
        "at": stop["start"],
        "reason": "changeover",
        "client": "t-1",
        "entered": "2026-11-26T03:19:00Z",
    }
    assert (await app.post("/reasons", tap))["new"] == 1
    assert (await app.post("/reasons", tap))["new"] == 0
    assert await app.get("/stops", query={"pending": "1"}) == []
    await app.run_until("2026-11-26T04:00:00Z")
    told = await app.get("/kpis", query={"unit": PRESS, "from": "2026-11-26T03:00:00Z", "to": "2026-11-26T04:00:00Z"})
    assert told["sums"]["AUST"] == 0.5 and told["sums"]["FE"] == 0
    again = {**tap, "reason": "tool", "entered": "2026-11-26T03:45:00Z"}
    assert (await app.post("/reasons", again))["new"] == 1
    assert [one["reason"] for one in await app.get("/stops")] == ["tool"]
    for number in range(30):  # entered earlier, came later
        earlier = {"client": f"t-{number + 2}", "reason": "control", "entered": "2026-11-26T03:44:00Z"}
        assert (await app.post("/reasons", {**again, **earlier}))["new"] == 1
    assert [one["reason"] for one in await app.get("/stops")] == ["tool"]
    await app.run_until("2026-11-26T04:15:00Z")
    assert (await app.get("/units"))[0]["state"] == "idle", "it stands still at lunch"
    assert await app.get("/stops", query={"pending": "1"}) == [] and not (await app.get("/units"))[0]["needs_reason"]
    with pytest.raises(DataError, match="did not stand still"):
        await app.post("/reasons", {**tap, "at": "2026-11-26T01:00:00Z", "entered": "2026-11-26T03:20:00Z"})
    with pytest.raises(ConfigError, match="no reason 'gremlins'"):
        await app.post("/reasons", {**tap, "reason": "gremlins"})


async def test_counts_orders_and_a_correction_by_the_id_of_what_was_wrong() -> None:
    app = await ran("2026-11-26T01:30:00Z")
    await app.post("/orders/A-1", {"quantity": 1000, "scrap": 20, "ideal_cycle": "20s"}, method="PUT")
    said = {"unit": PRESS, "client": "t-1", "at": "2026-11-26T01:00:00Z"}
    await app.post("/orders/run", {**said, "order": "A-1", "entered": "1"})
    wrong = await app.post("/counts", {**said, "at": "2026-11-26T01:20:00Z", "scrap": 50, "entered": "2"})
    await app.run_until("2026-11-26T08:30:00Z")
    query = {"unit": PRESS, "order": "A-1", "shift": str(SHIFT)}
    told = await app.get("/kpis", query=query)
    assert told["sums"]["PQ"] == 636 and told["sums"]["GQ"] == 586
    # 2 % of what was made was planned: 12.72
    assert figure(told, "actual-to-planned-scrap")["value"] == pytest.approx(50 / (0.02 * 636))
    assert figure(told, "throughput-rate")["value"] == pytest.approx(636 / 7)
    fix = {"id": wrong["ids"][0], "value": 5, "client": "t-1", "entered": "3"}
    assert (await app.post("/corrections", fix))["new"] == 1
    now = await app.get("/kpis", query=query)
    scrap = figure(now, "scrap-ratio")
    assert scrap["value"] == pytest.approx(5 / 636) and scrap["stated"] == pytest.approx(50 / 636)
    await app.restart()
    assert await app.get("/kpis", query=query) == now
    facts = await app.get("/facts", query={"unit": PRESS})
    assert [one["replaces"] for one in facts if one["input"] == "amount:SQ"].count(wrong["ids"][0]) == 1
    with pytest.raises(DataError, match="no quantity that is counted"):
        await app.post("/counts", {**said, "good": 5, "entered": "9"})


async def test_states_over_the_api_people_and_parts() -> None:
    app = await ran("2026-11-26T04:00:00Z")
    rows = [
        {"unit": OVEN, "at": "2026-11-26T00:00:00Z", "state": "producing", "id": "1"},
        {"unit": OVEN, "at": "2026-11-26T02:00:00Z", "state": "starved", "id": "2"},
    ]
    assert await app.post("/states", rows) == {"new": 2}
    assert await app.post("/states", rows) == {"new": 0}
    for serial, good in (("s1", False), ("s1", True), ("s2", True)):
        part = {"unit": OVEN, "serial": serial, "at": "2026-11-26T01:00:00Z", "good": good}
        await app.post("/inspections", {**part, "client": "q", "entered": f"{serial}{good}"})
    hours = {"person": "li", "start": "2026-11-26T00:00:00Z", "end": "2026-11-26T04:00:00Z", "client": "hr"}
    await app.post("/hours", {**hours, "entered": "1"})
    await app.post("/hours", {**hours, "unit": OVEN, "end": "2026-11-26T03:00:00Z", "entered": "2"})
    await app.post("/hours", {**hours, "unit": PRESS, "end": "2026-11-26T03:00:00Z", "entered": "3"})
    told = await app.get("/kpis", query={"from": "2026-11-26T00:00:00Z", "to": "2026-11-26T04:00:00Z"})
    assert figure(told, "worker-efficiency")["value"] == 0.75
    assert figure(told, "first-pass-yield")["value"] == 0.5
    alone = await app.get("/kpis/units", query={"from": "2026-11-26T00:00:00Z", "to": "2026-11-26T04:00:00Z"})
    assert [one["sums"]["APT"] for one in alone] == [3.5, 2.0]
    changed = await app.get(
        "/compare",
        query={
            "unit": OVEN, "before-from": "2026-11-26T00:00:00Z", "before-to": "2026-11-26T02:00:00Z",
            "from": "2026-11-26T02:00:00Z", "to": "2026-11-26T04:00:00Z",
        },
    )  # fmt: skip
    assert sum(changed["by_factor"].values()) == pytest.approx(changed["change"])


async def test_a_closure_is_planned_and_a_measured_point_has_a_capability() -> None:
    closed = {"name": "care", "start": "2026-11-26T03:00:00Z", "end": "2026-11-26T03:30:00Z"}
    made = plant()
    made.point(f"{OVEN}/width", ValueKind.FLOAT64, "mm")
    made.feed(
        f"{OVEN}/width", every("1s", "2026-11-26T00:10:00Z", [10.0, 10.1, 9.9, 10.0, 10.2, 10.1, 9.8, 10.2, 10.0])
    )
    given = settings(closures=[closed])
    async with AppUnderTest.of("headrace.apps.operations", made, settings=given, start="2026-11-25T23:59:00Z") as app:
        await app.run_until("2026-11-26T08:30:00Z")
        told = await app.get("/kpis", query={"unit": PRESS, "shift": str(SHIFT)})
        assert told["sums"]["PBT"] == 7 and told["sums"]["PDOT"] == 1  # the fault was within it
        asked = {"point": f"{OVEN}/width", "lsl": "9.4", "usl": "10.6", "size": "3"}
        found = await app.get("/capability", query=asked)
        assert found["values"] == 9
        assert figure(found, "cp")["value"] == pytest.approx(1.2 / (6 * 0.8 / 3 / 1.693))
        with pytest.raises(DataError, match="'usl' is a number"):
            await app.get("/capability", query={**asked, "usl": "wide"})


async def test_everybody_sees_their_own_machines() -> None:
    app = await ran("2026-11-26T03:20:00Z")

    async def may(action: Action, path: str) -> bool:
        return path in ("", OVEN)

    assert [one["unit"] for one in await app.get("/units", may=may)] == [OVEN]
    assert await app.get("/stops", may=may) == []
    with pytest.raises(AccessError):
        await app.get("/kpis", query={"unit": PRESS}, may=may)
    with pytest.raises(AccessError):
        tap = {"unit": PRESS, "at": "2026-11-26T03:10:00Z", "reason": "tool", "client": "x", "entered": "1"}
        await app.post("/reasons", tap, may=may)


async def test_a_closed_shift_is_reported_in_chinese_as_pdf_and_workbook() -> None:
    app = await ran()
    (event,) = app.events
    assert event.type == "operations.shift-closed" and event.data["shift"] == SHIFT
    book = load_workbook(BytesIO(app.document(f"reports/2026-11-26-{SHIFT}.xlsx")))
    assert book.sheetnames == ["指标", "损失", "原因排列", "停机明细"]
    cells = {row[0].value: row[1].value for row in book["指标"].iter_rows() if row[0].value}
    assert cells["8 可用率"] == pytest.approx((7 - 20 / 3600) / 15, rel=1e-12)  # of both machines; one said nothing
    text = pdf_text(app.document(f"reports/2026-11-26-{SHIFT}.pdf"))
    assert "班次报表" in text and "设备综合效率" in text and "早班" in text
    again = pdf_text(await app.get(f"/reports/{SHIFT}", query={"format": "pdf"}, language="zh"))
    assert again.replace("16:30", "16:15") == text  # but for when it was made
    english = pdf_text(await app.get(f"/reports/{SHIFT}", query={"format": "pdf"}))
    assert "Availability" in english


async def test_settings_that_make_no_sense_name_the_row() -> None:
    for wrong, said in (
        ({"units": [{"asset": PRESS, "rule": "table", "point": f"{PRESS}/none", "states": "1 = fault"}]}, "no point"),
        ({"units": [{"asset": PRESS, "rule": "table", "point": f"{PRESS}/status", "states": "1 = asleep"}]}, "asleep"),
        ({"units": [{"asset": PRESS, "rule": "conditions", "states": "oil > 3 => fault"}]}, "names oil"),
        ({"shifts": [{"name": "a", "start": "06:00", "end": "14:00"}, {"name": "b", "start": "13:00", "end": "20:00"}]},
         "'a' and 'b' overlap"),
        ({"targets": [{"kpi": "oae", "value": 1}]}, "no KPI 'oae'"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            await ran("2026-11-26T00:00:00Z", **wrong)


async def test_what_is_too_old_leaves_and_what_stood_then_still_stands() -> None:
    app = await ran("2026-11-26T10:00:00Z", keep=7)
    wrong = await app.post(
        "/counts", {"unit": PRESS, "at": "2026-11-26T09:00:00Z", "scrap": 9, "client": "t", "entered": "1"}
    )
    await app.post("/corrections", {"id": wrong["ids"][0], "value": 2, "client": "t", "entered": "2"})
    span = {"unit": PRESS, "from": "2026-11-25T00:00:00Z", "to": "2026-12-20T00:00:00Z"}
    assert len(await app.get("/facts", query=span)) == 13
    await app.run_until("2026-12-04T20:00:00Z")
    left = [(one["input"], one["value"]) for one in await app.get("/facts", query=span)]
    counted, status = (f"point:{PRESS}/pieces", 100.0), (f"point:{PRESS}/status", text_code("OFF"))
    assert sorted(left) == [("amount:SQ", 2.0), ("amount:SQ", 9.0), counted, status]
    await app.restart()
    told = await app.get("/kpis", query={**span, "to": "2026-12-05T00:00:00Z"})
    assert told["sums"]["APT"] == 0 and told["sums"]["NO_DATA"] == 0 and told["sums"]["ADOT"] > 0
    assert "SQ" not in told["sums"], "it was before what is kept"


def test_the_texts_are_whole_in_both_languages() -> None:
    from importlib.resources import files

    locale = files("headrace.apps.operations") / "locale"
    texts = Translations.read({one: (locale / f"{one}.toml").read_text("utf-8") for one in ("en", "zh")})
    assert texts.missing() == []


def pdf_text(data: bytes) -> str:
    """The texts of a PDF whose strings are UCS-2, as the font of the report has them."""
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
        try:
            page = zlib.decompress(a85decode(stream.strip().removesuffix(b"~>")))
        except (ValueError, zlib.error):
            continue
        for shown in re.findall(rb"\(((?:\\.|[^\\()])*)\) Tj", page, re.DOTALL):
            plain = re.sub(rb"\\([0-7]{3}|.)", lambda one: _unescaped(one[1]), shown, flags=re.DOTALL)
            found.append(plain.decode("utf-16-be", "replace"))
    return "\n".join(found)


def _unescaped(code: bytes) -> bytes:
    return bytes([int(code, 8)]) if len(code) == 3 else {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(code, code)


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_its_page_shows_what_is_there(language: str) -> None:
    app = await ran()
    assert await lacks_of(app, "operations", "figures", language) == []
    told = await app.get("/overview", query={"day": "2026-11-26"}, language=language)
    whole = await app.get("/kpis", query={"unit": PRESS, "from": "2026-11-25T16:00:00Z", "to": "2026-11-26T09:00:00Z"})
    press = next(one for one in told["units"] if one["unit"] == PRESS)
    assert press["oee"] == figure(whole, "oee")["value"] and press["good"] is not None
    assert all(not one["loss"].startswith("loss.") for one in told["losses"])
    with pytest.raises(DataError, match="is no day"):
        await app.get("/overview", query={"day": "yesterday"})
    await app.__aexit__(None, None, None)


async def test_a_page_of_no_machines_is_empty() -> None:
    async with AppUnderTest.of("headrace.apps.operations", plant(), settings=settings(units=[])) as app:
        assert (await app.get("/overview"))["units"] == []
