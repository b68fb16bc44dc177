"""The app as people and programs meet it: rows come, a baseline is frozen, gains are told, changes found out."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.apps.outcomes.works import FACTORS, FIRST, WORKS, Works
from tests.apps.pages import lacks_of

import headrace.apps.outcomes
from headrace.apps.outcomes.evaluate import Verdict
from headrace.apps.outcomes.measures import MEASURES
from headrace.model.errors import AccessError, Conflict, DataError, NotFound
from headrace.model.time import format_time
from headrace.sdk.access import Action
from headrace.sdk.apps import Statement
from headrace.sdk.apps.translations import Translations
from headrace.sdk.testing.apps import AppUnderTest

FOLDER = Path(headrace.apps.outcomes.__file__).parent
PLANT = Works(seed=11, days=182)
AFTER_BOTH = "2025-12-31T00:00:00Z"


def rows_of(works: Works) -> list[dict[str, Any]]:
    return [
        {
            **{key: row[key] for key in ("id", "unit", "quantity", "amount", "factor")},
            "start": format_time(row["start_ns"]),
            "end": format_time(row["end_ns"]),
        }
        for row in works.facts().rows()
    ]


ROWS = rows_of(PLANT)
BASELINE_END = (FIRST + timedelta(days=182)).isoformat()
REPORT_FIRST = (FIRST + timedelta(days=364)).isoformat()
DEFINITION = {
    "name": "press-shop",
    "zone": "UTC",
    "units": [WORKS],
    "baseline": {"first": FIRST.isoformat(), "end": BASELINE_END},
    "report": {"first": REPORT_FIRST, "end": (FIRST + timedelta(days=364 + 182)).isoformat()},
    "covariates": {
        **dict.fromkeys(("pieces:p1", "pieces:p2", "pieces:p3", "plan:shifts"), "zero"),
        "weather:heating_degree_days": "missing",
    },
}
FACTOR_ROWS = [{"name": name, "value": value, "source": "price list 2024"} for name, value in FACTORS.items()]


@pytest.fixture
async def told() -> AsyncIterator[AppUnderTest]:
    """Rows and factors are there; nothing is frozen yet."""
    async with AppUnderTest.of("headrace.apps.outcomes", start=AFTER_BOTH) as app:
        await app.post("/factors", {"factors": FACTOR_ROWS}, method="PUT")
        await app.post("/rows", {"rows": ROWS})
        yield app


def of(answer: dict[str, Any], measure: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in answer["outcomes"] if each["measure"] == measure)
    return found


async def test_a_gain_is_told_with_its_interval_and_the_rows_that_make_it(told: AppUnderTest) -> None:
    seen = await told.post("/baselines/preview", DEFINITION)
    assert seen["detectable"]["labour_productivity"] < 0.2 and "signature" not in seen
    frozen = await told.post("/baselines", DEFINITION, user="wang")
    assert frozen["frozen_by"] == "wang" and frozen["figures"]["failure_frequency"]["figure"] > 0
    answer = await told.get("/baselines/press-shop/outcomes")
    assert [each["key"] for each in answer["cautions"]] == ["frozen_late"]
    assert answer["baseline_matches"] and answer["family"] == 5 and answer["simultaneous_level"] == pytest.approx(0.99)
    for measure, truth in PLANT.truth.items():
        one = of(answer, measure)
        assert one["simultaneous"]["low"] <= truth <= one["simultaneous"]["high"], measure
    assert of(answer, "labour_productivity")["verdict"] == "gain"
    assert of(answer, "energy_intensity")["normalised"]["r_squared"] > 0.9
    for side in ("baseline", "report"):
        for part in ("numerator", "denominator"):
            asked = {"measure": "labour_productivity", "span": side, "part": part, "limit": "50"}
            page = await told.get("/baselines/press-shop/rows", query=asked)
            stated = of(answer, "labour_productivity")[side][part]
            assert page["sum"] == pytest.approx(stated, rel=1e-12) and len(page["rows"]) == 50
            offset, total = page["next_offset"], sum(row["value"] for row in page["rows"])
            while offset is not None:
                page = await told.get("/baselines/press-shop/rows", query={**asked, "offset": str(offset)})
                total, offset = total + sum(row["value"] for row in page["rows"]), page["next_offset"]
            assert total == pytest.approx(stated, rel=1e-9)


async def test_a_row_or_factor_that_changes_later_breaks_the_baseline_and_never_moves_it(told: AppUnderTest) -> None:
    await told.post("/baselines", DEFINITION)
    before = await told.get("/baselines/press-shop/outcomes")
    assert (await told.get("/baselines/press-shop/verify"))["matches"]
    row = next(row for row in ROWS if row["quantity"] == "person_days" and row["start"].startswith("2024-03-04"))
    more = {**row, "amount": row["amount"] + 40}
    assert await told.post("/rows", {"rows": [more]}) == {"rows": 1, "new": 0, "replaced": 1, "unchanged": 0}
    verified = await told.get("/baselines/press-shop/verify", language="zh")
    assert not verified["matches"] and verified["signed"] and verified["periods_changed"] == ["2024-03-04"]
    assert "不一致" in verified["reasons"][0]["text"]
    after = await told.get("/baselines/press-shop/outcomes")
    assert {each["verdict"] for each in after["outcomes"]} == {"baseline_no_longer_matches"}
    assert of(after, "labour_productivity")["baseline"] == of(before, "labour_productivity")["baseline"]
    (was,) = await told.get("/rows/changes", query={"id": row["id"]})
    assert was["amount"] == row["amount"]
    assert (await told.post("/rows", {"rows": [row]}))["replaced"] == 1
    assert (await told.get("/baselines/press-shop/verify"))["matches"]
    await told.post("/factors", {"factors": [{**FACTOR_ROWS[0], "value": 9.0}]}, method="PUT")
    verified = await told.get("/baselines/press-shop/verify")
    assert [each["name"] for each in verified["factors_changed"]] == [FACTOR_ROWS[0]["name"]]


async def test_what_is_sent_again_changes_nothing_and_all_is_there_after_a_crash(told: AppUnderTest) -> None:
    assert await told.post("/rows", {"rows": ROWS[:500]}) == {
        "rows": 500, "new": 0, "replaced": 0, "unchanged": 500
    }  # fmt: skip
    document = await told.post("/baselines", DEFINITION)
    await told.restart()
    assert await told.get("/baselines/press-shop") == document
    with pytest.raises(Conflict, match="another name"):
        await told.post("/baselines", DEFINITION)
    assert [each["name"] for each in await told.get("/baselines")] == ["press-shop"]


async def test_nothing_takes_a_baseline_away_or_alters_it(told: AppUnderTest) -> None:
    await told.post("/baselines", DEFINITION)
    for sql in ("DELETE FROM baselines", "UPDATE baselines SET frozen_by = 'li'"):
        with pytest.raises(Conflict, match="a frozen baseline stays"):
            await told.context.tables.write(sql)


@pytest.mark.parametrize("change", [{"frozen_by": "li"}, {"signature": {}}, {"signature": "none"}, {"factors": {}}])
async def test_a_document_that_was_altered_is_found_out(told: AppUnderTest, change: dict[str, Any]) -> None:
    document = await told.post("/baselines", DEFINITION)
    altered = {**document, **change}
    await told.context.tables.write(
        Statement("INSERT INTO baselines VALUES (?, ?, ?, ?)", ("altered", 1, "li", json.dumps(altered)))
    )
    verified = await told.get("/baselines/altered/verify")
    assert not verified["signed"] and verified["reasons"][0]["key"] == "unsigned"
    if "factors" not in change:
        answer = await told.get("/baselines/altered/outcomes")
        assert {each["verdict"] for each in answer["outcomes"]} == {"baseline_no_longer_matches"}


async def test_before_the_report_span_is_over_there_is_no_interval(told: AppUnderTest) -> None:
    definition = {**DEFINITION, "name": "later"}
    shift = timedelta(days=728)
    definition["report"] = {
        "first": (FIRST + shift).isoformat(),
        "end": (FIRST + shift + timedelta(days=182)).isoformat(),
    }
    await told.post("/baselines", definition)
    answer = await told.get("/baselines/later/outcomes")
    for each in answer["outcomes"]:
        assert each["verdict"] == "too_early" and each["interval"] is None and each["effect"] is None


async def test_people_see_and_do_what_they_may_on_the_units(told: AppUnderTest) -> None:
    async def not_suzhou(action: Action, path: str) -> bool:
        return not path.startswith(WORKS)

    await told.post("/baselines", DEFINITION)
    assert await told.get("/baselines", may=not_suzhou) == []
    for path in ("", "/verify", "/outcomes", "/rows"):
        with pytest.raises(NotFound):
            await told.get(f"/baselines/press-shop{path}", may=not_suzhou)
    with pytest.raises(AccessError):
        await told.post("/rows", {"rows": ROWS[:1]}, may=not_suzhou)
    elsewhere = {**ROWS[0], "unit": "acme/other"}
    with pytest.raises(AccessError):  # the row that it would replace is of Suzhou
        await told.post("/rows", {"rows": [elsewhere]}, may=not_suzhou)
    with pytest.raises(AccessError):
        await told.post("/baselines", {**DEFINITION, "name": "mine"}, may=not_suzhou)
    with pytest.raises(AccessError):
        await told.get("/rows/changes", query={"id": ROWS[0]["id"]}, may=not_suzhou)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({}, "list"),
        ([1], "no object"),
        ([{**ROWS[0], "start": "yesterday"}], "ISO 8601"),
        ([{**ROWS[0], "quantity": "person_day"}], "did you mean person_days"),
        ([{**ROWS[0], "amount": "12"}], "finite number"),
        ([{**ROWS[0], "end": ROWS[0]["start"]}], "not after its start"),
        ([{**ROWS[0], "price": 3}], "unknown field 'price'"),
        ([ROWS[0], ROWS[0]], "an id names one row"),
    ],
)
async def test_rows_that_make_no_sense_are_refused_with_their_place(rows: Any, said: str) -> None:
    async with AppUnderTest.of("headrace.apps.outcomes", start=AFTER_BOTH) as app:
        with pytest.raises(DataError, match=said):
            await app.post("/rows", {"rows": rows})


async def test_both_languages_say_everything_that_is_said() -> None:
    sources = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.py"))
    texts = Translations.read(
        {language: (FOLDER / "locale" / f"{language}.toml").read_text("utf-8") for language in ("en", "zh")}
    )
    assert texts.missing() == []
    wanted = {f"said.{key}" for key in re.findall(r'Said\(\s*"(\w+)"', sources)}
    wanted |= {f"measure.{name}" for name in MEASURES} | {f"verdict.{verdict}" for verdict in Verdict}
    assert wanted <= texts.of("en").keys() and len(wanted) > 20
    async with AppUnderTest.of("headrace.apps.outcomes", start=AFTER_BOTH) as app:
        english, chinese = await app.get("/measures"), await app.get("/measures", language="zh")
        assert all(one["title"] != other["title"] for one, other in zip(english, chinese, strict=True))


async def test_its_page_shows_the_newest_baseline(told: AppUnderTest) -> None:
    await told.post("/baselines", DEFINITION)
    assert await lacks_of(told, "outcomes", "outcomes") == []
    newest = await told.get("/outcomes")
    assert newest == await told.get(f"/baselines/{newest['name']}/outcomes") and newest["outcomes"]
    assert (await told.get("/outcomes", query={"baseline": newest["name"]}))["name"] == newest["name"]
    with pytest.raises(NotFound):
        await told.get("/outcomes", query={"baseline": "none-such"})


async def test_its_page_says_so_where_nothing_is_frozen() -> None:
    async with AppUnderTest.of("headrace.apps.outcomes") as app:
        assert await app.get("/outcomes", language="zh") == {"name": "尚未冻结基线", "outcomes": [], "cautions": []}
