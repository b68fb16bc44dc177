"""Classes, rationalisation and suppression by design: what they come to mean, written back, and compared."""

from __future__ import annotations

from tests.registry.fakes import DRIVERS
from tests.registry.plants import expanded, files

from headrace.model.alarms import AlarmClass, Priority, Rationale
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.registry.declared import parse
from headrace.registry.emit import emit
from headrace.registry.expand import expand
from headrace.registry.plan import diff
from headrace.registry.problems import Problems
from headrace.sdk.services import ChangeAction

PLANT = """\
types:
  compressor:
    points:
      stopped: {type: bool}
      pressure: {unit: bar, range: [0, 12]}
    alarms:
      pressure:low:
        condition: low
        limit: 6
        class: trip
        suppressed_by: stopped
        release_delay: 30s
        cause: {en: "Leak, or a valve left open", zh: 泄漏}
        consequence: {en: The presses stop}
        response: {en: Start the second compressor}
        time_to_respond: 10m
        setpoint_basis: presses need 5.5 bar
        reviewed: {on: 2026-05-01, by: Li}
alarm_classes:
  trip: {title: {en: Trips}, comment: true, proof: true, shelve: false, latched: true, priority: critical}
  brief: {shelve_longest: 1h}
assets:
  works: {level: site}
  works/air: {type: compressor, feeds: [works/line-1, works/line-2]}
  works/line-1: {level: line}
  works/line-2: {level: line}
points:
  works/line-1/level: {}
alarms:
  works/line-1/level:high: {condition: high, limit: 5, class: brief, suppressed_by: works/air/stopped}
  works/line-1/level:low: {condition: low, limit: 1, class: trip, latched: false, priority: low}
"""


def test_a_class_says_what_its_alarms_do_not() -> None:
    model, problems = expanded(PLANT)
    assert problems == []
    trip = AlarmClass("trip", {"en": "Trips"}, comment=True, proof=True, shelve_longest_ns=0)
    low = model.alarms["works/air/pressure:low"]
    assert (low.handling, low.latched, low.priority) == (trip, True, Priority.CRITICAL)
    other = model.alarms["works/line-1/level:low"]
    assert (other.handling, other.latched, other.priority) == (trip, False, Priority.LOW)
    assert model.alarms["works/line-1/level:high"].handling == AlarmClass("brief", shelve_longest_ns=HOUR_NS)


def test_suppression_names_a_point_of_the_type_or_any() -> None:
    model, _ = expanded(PLANT)
    low = model.alarms["works/air/pressure:low"]
    assert (low.suppressed_by, low.release_delay_ns) == ("works/air/stopped", 30 * SECOND_NS)
    assert model.alarms["works/line-1/level:high"].suppressed_by == "works/air/stopped"


def test_the_record_of_why() -> None:
    model, _ = expanded(PLANT)
    assert model.alarms["works/air/pressure:low"].rationale == Rationale(
        {"en": "Leak, or a valve left open", "zh": "泄漏"},
        {"en": "The presses stop"},
        {"en": "Start the second compressor"},
        600 * SECOND_NS,
        "presses need 5.5 bar",
        "2026-05-01",
        "Li",
    )
    assert model.alarms["works/line-1/level:low"].rationale is None
    assert model.assets["works/air"].feeds == ("works/line-1", "works/line-2")


def test_it_is_written_back_and_means_the_same() -> None:
    problems = Problems()
    declared = parse(files(PLANT), problems)
    back = parse(emit(declared.values()), problems)
    first, second = (expand(one, DRIVERS, problems) for one in (declared, back))
    assert (first.alarms, first.assets) == (second.alarms, second.assets)
    assert diff(declared, back, first, second) == [] and not problems


def test_a_changed_class_is_told_where_it_changes_alarms() -> None:
    def changes(new: str) -> list[tuple[str, str, list[str]]]:
        problems = Problems()
        old, now = parse(files(PLANT), problems), parse(files(new), problems)
        told = diff(old, now, expand(old, DRIVERS, problems), expand(now, DRIVERS, problems))
        assert {change.action for change in told} == {ChangeAction.CHANGE}
        return [(one.kind, one.key, [part.field for part in one.details]) for one in told]

    assert changes(PLANT.replace("proof: true, ", "")) == [("alarm-class", "trip", ["proof"])]
    assert changes(PLANT.replace("priority: critical", "priority: high")) == [
        ("alarm-class", "trip", ["priority"]),
        ("alarm", "works/air/pressure:low", ["priority"]),
    ]
    assert changes(PLANT.replace("on: 2026-05-01", "on: 2026-06-01")) == [
        ("type", "compressor", ["alarms.pressure:low.reviewed.on"]),
        ("alarm", "works/air/pressure:low", ["reviewed.on"]),
    ]
