"""Retention classes as declared: ages, points of each class, and that everything comes back as it was written."""

from __future__ import annotations

from tests.registry.plants import expanded

from headrace.model.retention import Retention, format_age, parse_age_ns
from headrace.model.time import DAY_NS, HOUR_NS
from headrace.registry.declared import parse
from headrace.registry.emit import emit
from headrace.registry.problems import Problems
from headrace.registry.sheets import read_points, write_points
from headrace.sdk.services import SourceFile

PLANT = """\
retention:
  default: {raw: 90d, rollups: 5y}
  legal: {raw: forever}
  vibration: {raw: 7d, rollups: 2y, summaries: 10y, give_up: 1}
types:
  pump:
    points:
      speed: {retention: vibration}
      energy: {}
assets:
  a: {level: area}
  a/p1: {type: pump}
  a/p2: {type: pump}
points:
  a/p2/speed: {retention: default}
  a/seal: {type: bool, retention: legal}
"""


def test_every_point_has_a_class_from_itself_its_type_or_the_default() -> None:
    model, problems = expanded(PLANT)
    assert problems == []
    assert model.retention == {
        "default": Retention(90 * DAY_NS, 5 * 365 * DAY_NS),
        "legal": Retention(),
        "vibration": Retention(7 * DAY_NS, 730 * DAY_NS, 3650 * DAY_NS, 1),
    }
    assert {path: point.retention for path, point in model.points.items()} == {
        "a/p1/speed": "vibration",
        "a/p1/energy": "default",
        "a/p2/speed": "default",
        "a/p2/energy": "default",
        "a/seal": "legal",
    }


def test_what_was_declared_is_exported_as_it_was_written() -> None:
    problems = Problems()
    (file,) = emit(parse([SourceFile("plant.yaml", PLANT)], problems).values())
    assert not problems
    assert "  vibration: {raw: 7d, rollups: 2y, summaries: 10y, give_up: 1}\n" in file.text
    assert expanded(file.text)[0] == expanded(PLANT)[0]


def test_a_sheet_has_a_column_for_it() -> None:
    model, _ = expanded(PLANT)
    found = read_points(write_points(model, "csv"), "points.csv")
    assert found.errors == ()
    again, problems = expanded(
        PLANT[: PLANT.index("types:")] + "assets: {a: {level: area}, a/p1: {}, a/p2: {}}\n" + found.file.text
    )
    assert problems == []
    assert {path: point.retention for path, point in again.points.items()} == {
        path: point.retention for path, point in model.points.items()
    }


def test_ages_are_read_and_written_in_the_words_of_people() -> None:
    for text, age_ns in (("forever", None), ("5y", 1825 * DAY_NS), ("90d", 90 * DAY_NS), ("36h", 36 * HOUR_NS)):
        assert parse_age_ns(text) == age_ns
        assert parse_age_ns(format_age(age_ns)) == age_ns
    assert parse_age_ns("1y90d") == 455 * DAY_NS
    assert [format_age(parse_age_ns(text)) for text in ("2y", "730d", "1d12h")] == ["2y", "2y", "1d12h"]
