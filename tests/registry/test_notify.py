"""Who is told of alarms, as declared: what it means, what is wrong with it and where, written back, compared."""

from __future__ import annotations

from datetime import date

import pytest
from tests.registry.fakes import DRIVERS, MESSENGERS
from tests.registry.plants import expanded, files

from headrace.model.alarms import Priority
from headrace.model.notifications import (
    Channel,
    Choice,
    Contact,
    Hours,
    Override,
    Quiet,
    Roster,
    Shift,
    Step,
)
from headrace.model.places import lies_at
from headrace.model.time import MINUTE_NS
from headrace.registry.borders import Borders
from headrace.registry.declared import parse
from headrace.registry.emit import emit
from headrace.registry.expand import expand
from headrace.registry.plan import diff
from headrace.registry.problems import Problems
from headrace.registry.tenants import merge

PLANT = """\
assets:
  works: {level: site}
  works/line-1: {level: line}
points:
  works/line-1/level: {}
alarm_classes:
  trip: {}
alarms:
  works/line-1/level:high: {condition: high, limit: 5, class: trip}
channels:
  mail: {kind: post, settings: {host: mail.example.com}, per_minute: 10}
  hall: {kind: room, settings: {key: "file:hall"}, title: {en: The hall, zh: 大厅}}
contacts:
  li:
    name: 李明
    language: zh
    addresses: {email: li@example.com, mobile: 13800000000}
    time_zone: Asia/Shanghai
    quiet: {hours: [{from: "22:00", to: "06:00", days: [mon, sun]}], breaks_through: high}
    user: li
  wang: {name: Wang, addresses: {email: wang@example.com}}
rosters:
  leaders:
    title: Shift leaders
    time_zone: Asia/Shanghai
    rotation_from: 2026-11-23
    shifts:
      day: {from: "06:00", to: "18:00", weeks: [[li], [wang]]}
      night: {from: "18:00", to: "06:00", people: [wang]}
    overrides:
      - {from: 2027-02-15, until: 2027-02-21, shift: day, people: [wang]}
      - {from: 2027-05-01, until: 2027-05-01}
notifications:
  line-1:
    time_zone: Asia/Shanghai
    alarms: {paths: [works/line-1, "works/*/level"], priorities: [critical, medium], classes: [trip]}
    steps:
      - {rosters: [leaders], channels: [mail]}
      - {after: 10m, contacts: [li, wang], channels: [hall, mail]}
    repeat: 30m
    quiet: {hours: [{from: "00:00", to: "24:00", days: [sun]}]}
    digest: {window: 15m, up_to: low}
    flood: each
    tell: [acknowledged, cleared]
"""


def test_what_it_comes_to_mean() -> None:
    model, problems = expanded(PLANT)
    assert problems == []
    assert model.channels["mail"] == Channel("mail", "post", {"host": "mail.example.com"}, per_minute=10)
    night = Quiet((Hours(22 * 60, 6 * 60, frozenset({0, 6})),), Priority.HIGH)
    addresses = {"email": "li@example.com", "mobile": "13800000000"}
    assert model.contacts["li"] == Contact("li", "李明", "zh", addresses, "Asia/Shanghai", night, "li")
    assert model.rosters["leaders"] == Roster(
        "leaders",
        "Asia/Shanghai",
        (
            Shift("day", Hours(6 * 60, 18 * 60), (("li",), ("wang",))),
            Shift("night", Hours(18 * 60, 6 * 60), (("wang",),)),
        ),
        (
            Override(date(2027, 2, 15), date(2027, 2, 21), ("wang",), "day"),
            Override(date(2027, 5, 1), date(2027, 5, 1)),
        ),
        date(2026, 11, 23),
        {"en": "Shift leaders"},
    )
    told = model.notifications["line-1"]
    assert told.alarms == Choice(
        ("works/line-1", "works/*/level"), frozenset({Priority.CRITICAL, Priority.MEDIUM}), frozenset({"trip"})
    )
    assert told.steps == (
        Step(0, ("leaders",), (), ("mail",)),
        Step(10 * MINUTE_NS, (), ("li", "wang"), ("hall", "mail")),
    )
    assert (told.repeat_ns, told.repeats) == (30 * MINUTE_NS, 3)
    assert (told.digest_ns, told.digest_up_to, told.flood_as_one) == (15 * MINUTE_NS, Priority.LOW, False)
    assert told.tell_acknowledged and told.tell_cleared
    assert told.quiet == Quiet((Hours(0, 24 * 60, frozenset({6})),))
    assert told.alarms.takes(model.alarms["works/line-1/level:high"])


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("kind: post,", "kind: pst,", "plant.yaml:11:16: there is no kind of channel 'pst'; did you mean 'post'?"),
        ("host: mail", "hst: mail", "plant.yaml:11:33: 'hst' is not known"),
        ("host: mail.example.com", "host: x, port: 0", "plant.yaml:11:48: 'port' must be at least 1"),
        ("email: li@", "email: li-at-", "plant.yaml:17:24: 'email': 'li-at-example.com' is no address of mail"),
        ("mobile: 138", "mobil: 138", "there is no"),
        ("weeks: [[li], [wang]]", "weeks: [[li], [wong]]", "plant.yaml:28:56: there is no contact 'wong'"),
        ("weeks: [[li], [wang]]", "weeks: [[li]], people: [li]", "needs either 'people' or 'weeks'"),
        ("shift: day,", "shift: dey,", "there is no shift 'dey'; did you mean 'day'?"),
        ("until: 2027-02-21", "until: 2027-02-14", "plant.yaml:31:35: 'until' is before 'from'"),
        ("rosters: [leaders]", "rosters: [leader]", "there is no roster 'leader'; did you mean 'leaders'?"),
        ("rosters: [leaders], ", "", "step 1 tells nobody"),
        ("channels: [mail]", "channels: [male]", "there is no channel 'male'; did you mean 'mail'?"),
        ("after: 10m", "after: 0s", "each step comes later than the one before it"),
        ("paths: [works/line-1,", "paths: [works/line-2,", "there is no point or asset 'works/line-2'"),
        ("classes: [trip]", "classes: [trap]", "there is no alarm class 'trap'"),
        ("works/*/level", "a*b*c*d*e*f", "at most 4 places with '*'"),
        ("repeat: 30m", "repeats: 2", "'repeats' needs 'repeat'"),
        ("time_zone: Asia/Shanghai\n    alarms", "time_zone: Asia/Suzhou\n    alarms", "must be a time zone such as"),
        ('to: "18:00"', 'to: "25:00"', "must be a time of the day such as 06:30"),
        ("wang: {name: Wang, addresses: {email", "wang: {name: Wang, addresses: {mobile", "cannot reach 'wang'"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(wrong: str, right: str, said: str) -> None:
    assert wrong in PLANT
    _, problems = expanded(PLANT.replace(wrong, right, 1))
    if wrong == "mobile: 138":
        said = "no channel asks for an address of kind 'mobil'; did you mean 'mobile'?"
    assert any(said in one for one in problems), problems
    assert all(one.startswith("plant.yaml:") for one in problems)


def test_it_is_written_back_and_compared() -> None:
    problems = Problems()
    declared = parse(files(PLANT), problems)
    back = parse(emit(declared.values()), problems)
    first, second = (expand(one, DRIVERS, problems, messengers=MESSENGERS) for one in (declared, back))
    assert first == second and not problems
    text = PLANT.replace("per_minute: 10", "per_minute: 20").replace("after: 10m", "after: 5m")
    now = parse(files(text), problems)
    changed = expand(now, DRIVERS, problems, messengers=MESSENGERS)
    told = {(one.kind, one.key): [field.field for field in one.details] for one in diff(declared, now, first, changed)}
    assert told == {("channel", "mail"): ["per_minute"], ("notification", "line-1"): ["steps"]}


@pytest.mark.parametrize(
    ("place", "path", "lies"),
    [
        ("works/line-1", "works/line-1/press/level", True),
        ("works/line-1", "works/line-10/level", False),
        ("works/*/level", "works/line-1/level", True),
        ("works/*/level", "works/line-1/press/level", False),
        ("works/**/level", "works/line-1/press/level", True),
        ("works/press-*", "works/press-3/oil.temperature", True),
        ("works/press.*", "works/press-3/oil", False),
    ],
)
def test_places(place: str, path: str, lies: bool) -> None:
    assert lies_at(path, place) is lies


class Firms:
    def names(self) -> tuple[str, ...]:
        return "default", "acme"

    def roots(self, tenant: str) -> tuple[str, ...]:
        return ("acme",) if tenant == "acme" else ()

    def tenant_of(self, path: str) -> str:
        return "acme" if path.partition("/")[0] == "acme" else "default"


def test_each_firm_has_its_own() -> None:
    problems = Problems()
    Borders(Firms(), "acme").check(parse(files(PLANT), problems), problems)
    said = [str(one) for one in problems.errors()]
    for kind, name in (("channel", "mail"), ("contact", "li"), ("roster", "leaders"), ("notification", "line-1")):
        assert any(f"a {kind} of tenant 'acme' is named 'acme.…'; write 'acme.{name}'" in one for one in said), said
    assert sum("a channel of tenant 'acme'" in one or "a channel of a tenant" in one for one in said) >= 2
    own, _ = expanded(PLANT)
    theirs, _ = expanded("channels:\n  acme.mail: {kind: post, settings: {host: x}}\n")
    assert set(merge({"default": own, "acme": theirs}).channels) == {"mail", "hall", "acme.mail"}
