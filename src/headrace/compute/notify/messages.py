"""A telling as a person reads it, in their language and the plant's time. Pure.

telling + plant ─► facts of its alarms ─► words of a language ─► title, lines, pairs, a document for machines
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.compute.notify.cases import Case, Ending
from headrace.compute.notify.deciding import Kind, Telling
from headrace.compute.notify.rosters import people_on_call, wall_clock
from headrace.compute.notify.words import WORDS
from headrace.model.alarms import AlarmCondition, AlarmRule, Priority
from headrace.model.notifications import Notification
from headrace.model.plant import PlantModel
from headrace.model.points import Title
from headrace.model.text import shown
from headrace.model.time import SECOND_NS, format_time
from headrace.model.units import display
from headrace.sdk.messenger import Message

#: So many alarms one message lists; the rest is a number.
LISTED_MAX: Final = 10
_RANK: Final = {priority: rank for rank, priority in enumerate(Priority)}
_PARTS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


class Writer:
    """Messages of one plant in one language; `link` is where its console is, or ''."""

    def __init__(self, plant: PlantModel, language: str, link: str = "") -> None:
        self._plant, self.language = plant, language
        self._words = WORDS.get(language, WORDS["en"])
        self._link = f"{link.rstrip('/')}/alarms" if link else ""

    def of(self, telling: Telling, now_ns: int) -> Message:
        cases = telling.cases
        if telling.kind is Kind.FLOOD or len(cases) > 1:
            return self._many(telling)
        case = cases[0]
        rule = self._plant.alarms.get(case.rule)
        facts = self._facts(case, rule, telling.notification)
        count = telling.consequences.get(case.key, 0)
        if count:
            facts.insert(4, (self._say("fact.follows"), self._say("follows", count=count)))
        facts += self._why(rule)
        names = self._on_call(telling.notification, telling.step, now_ns)
        if names:
            facts.append((self._say("fact.on_call"), names))
        title = self._title(telling.kind, case, rule)
        return self._message(title, (), facts, telling.kind, telling.notification, cases, _priority(rule))

    def ending(self, kind: Kind, one: Notification, ending: Ending) -> Message:
        case, step = ending.case, ending.step
        rule = self._plant.alarms.get(case.rule)
        lines = (self._say("line.comment", comment=step.comment),) if step.comment and step.actor else ()
        when = (self._say(f"fact.{kind}"), self._time(step.time_ns, one))
        facts = [*self._facts(case, rule, one), when]
        title = self._title(kind, case, rule, by=step.actor)
        return self._message(title, lines, facts, kind, one, (case,), _priority(rule))

    def test(self, channel: str, name: str, by: str) -> Message:
        line = self._say("line.test", by=by, channel=channel, name=name)
        return Message("", self._say("title.test"), (line,), (), "", self._link, self.language, 0, {"kind": Kind.TEST})

    # --- within -----------------------------------------------------------------------------------------------------

    def _many(self, telling: Telling) -> Message:
        one, cases = telling.notification, telling.cases
        rules = [self._plant.alarms.get(case.rule) for case in cases]
        worst = min((_priority(rule) for rule in rules), key=_RANK.__getitem__)
        urgent = sorted(cases, key=lambda case: (_RANK[_priority(self._plant.alarms.get(case.rule))], case.raised_ns))
        count = len(cases) + sum(telling.consequences.values())
        words = {"priority": self._say(f"priority.{worst}"), "count": count, "where": self._common([*cases])}
        lines = [self._say("line.flood")] if telling.kind is Kind.FLOOD else []
        for case in urgent[:LISTED_MAX]:
            rule = self._plant.alarms.get(case.rule)
            lines.append(
                self._say(
                    "line.alarm", priority=self._say(f"priority.{_priority(rule)}"), what=self._what(case, rule),
                    where=self._where(case), since=self._time(case.raised_ns, one),
                )
            )  # fmt: skip
        if count > LISTED_MAX:
            lines.append(self._say("line.more", count=count - min(len(cases), LISTED_MAX)))
        kinds = {Kind.FLOOD: "title.flood", Kind.RAISED: "title.many"}
        title = self._say(kinds.get(telling.kind, f"title.many.{telling.kind}"), **words)
        return self._message(title, lines, [], telling.kind, one, cases, worst)

    def _message(
        self, title: str, lines: Sequence[str], facts: Sequence[tuple[str, str]], kind: Kind, one: Notification,
        cases: Sequence[Case], priority: Priority,
    ) -> Message:  # fmt: skip
        line = " ".join(shown(title, lines=True).split())
        document = {
            "kind": kind.value,
            "title": line,
            "notification": one.name,
            "count": len(cases),
            "alarms": [self._document(case) for case in cases[:LISTED_MAX]],
        }
        return Message("", line, tuple(lines), tuple(facts), priority, self._link, self.language, 0, document)

    def _document(self, case: Case) -> dict[str, Any]:
        rule, point = self._plant.alarms.get(case.rule), self._plant.points.get(case.point)
        return {
            "rule": case.rule,
            "point": case.point,
            "priority": _priority(rule).value,
            "raised_at": format_time(case.raised_ns),
            "value": case.value if case.value is None or case.value - case.value == 0.0 else None,
            "unit": "" if point is None else point.unit,
        }

    def _facts(self, case: Case, rule: AlarmRule | None, one: Notification) -> list[tuple[str, str]]:
        pairs = [
            ("fact.where", self._where(case)),
            ("fact.value", self._value(case, rule)),
            ("fact.limit", "" if rule is None else self._limit(rule)),
            ("fact.since", self._time(case.raised_ns, one)),
            ("fact.priority", self._say(f"priority.{_priority(rule)}")),
            ("fact.alarm", case.rule),
        ]
        return [(self._say(label), value) for label, value in pairs if value]

    def _why(self, rule: AlarmRule | None) -> list[tuple[str, str]]:
        why = None if rule is None else rule.rationale
        if why is None:
            return []
        time = "" if why.time_to_respond_ns is None else self._duration(why.time_to_respond_ns)
        pairs = [
            ("fact.cause", self._text(why.cause)),
            ("fact.consequence", self._text(why.consequence)),
            ("fact.response", self._text(why.response)),
            ("fact.time", time),
        ]
        return [(self._say(label), value) for label, value in pairs if value]

    def _on_call(self, one: Notification, step: int, now_ns: int) -> str:
        rosters = [self._plant.rosters[name] for name in one.steps[step].rosters if name in self._plant.rosters]
        people = dict.fromkeys(person for roster in rosters for person in people_on_call(roster, now_ns))
        called = [self._plant.contacts[person].called for person in people if person in self._plant.contacts]
        return self._say("between").join(called)

    def _title(self, kind: Kind, case: Case, rule: AlarmRule | None, by: str = "") -> str:
        priority = self._say(f"priority.{_priority(rule)}")
        words = {"priority": priority, "what": self._what(case, rule), "where": self._where(case, 2), "by": by}
        return self._say(f"title.{kind}", **words)

    def _what(self, case: Case, rule: AlarmRule | None) -> str:
        point = self._plant.points.get(case.point)
        name = case.rule.rpartition(":")[2] or case.rule
        if rule is not None and rule.message:
            return self._text(rule.message, name)
        titled = self._text({} if point is None else point.title, case.point.rpartition("/")[2])
        return f"{titled}: {name}"

    def _where(self, case: Case, last: int = 9) -> str:
        """Assets by their titles, from the top down; a title has the last of them."""
        parts = case.point.split("/")[:-1]
        return self._path([*("/".join(parts[: at + 1]) for at in range(len(parts)))][-last:])

    def _common(self, cases: Sequence[Case]) -> str:
        """The nearest asset above all of them."""
        paths = [case.point.split("/")[:-1] for case in cases]
        shared: list[str] = []
        for parts in zip(*paths, strict=False):
            if len(set(parts)) > 1:
                break
            shared.append(parts[0])
        return self._path(["/".join(shared)]) if shared else ""

    def _path(self, paths: Sequence[str]) -> str:
        assets = self._plant.assets
        names = [
            self._text(assets[path].title if path in assets else {}, path.rpartition("/")[2]) for path in paths if path
        ]
        return self._say("within").join(names)

    def _value(self, case: Case, rule: AlarmRule | None) -> str:
        if case.value is None or (rule is not None and rule.condition in _WITHOUT_VALUE):
            return ""
        return self._quantity(case.point, case.value)

    def _limit(self, rule: AlarmRule) -> str:
        if rule.condition is AlarmCondition.STALE:
            limit = self._duration(round(rule.limit * SECOND_NS))
        elif rule.condition is AlarmCondition.EXPRESSION:
            limit = rule.expression
        else:
            limit = self._quantity(rule.point, rule.limit)
        return self._say(f"limit.{rule.condition}", limit=limit)

    def _quantity(self, path: str, value: float) -> str:
        point = self._plant.points.get(path)
        if point is not None and point.kind.label == "bool":
            return self._say("state.true" if value else "state.false")
        decimals = None if point is None else point.decimals
        number = f"{value:.6g}" if decimals is None else f"{value:.{decimals}f}"
        unit = "" if point is None else display(point.unit)
        return f"{number} {unit}".rstrip()

    def _time(self, time_ns: int, one: Notification) -> str:
        local = wall_clock(time_ns, one.time_zone)
        return f"{local:%Y-%m-%d %H:%M:%S} {local:%Z}"

    def _duration(self, duration_ns: int) -> str:
        rest, said = round(duration_ns / SECOND_NS), []
        for unit, size in _PARTS:
            count, rest = divmod(rest, size)
            if count:
                said.append(self._say(f"unit.{unit}", count=count))
        return " ".join(said) or self._say("unit.s", count=0)

    def _text(self, title: Title, otherwise: str = "") -> str:
        """In the language, else in English, else in whatever there is."""
        return title.get(self.language) or title.get("en") or next(iter(title.values()), "") or otherwise

    def _say(self, key: str, **words: object) -> str:
        return self._words[key].format(**words) if words else self._words[key]


#: What has no sample of its own to show.
_WITHOUT_VALUE: Final = (AlarmCondition.STALE, AlarmCondition.EXPRESSION)


def _priority(rule: AlarmRule | None) -> Priority:
    return Priority.MEDIUM if rule is None else rule.priority


def worst(telling: Telling, rules: Mapping[str, AlarmRule]) -> Priority:
    return min((_priority(rules.get(case.rule)) for case in telling.cases), key=_RANK.__getitem__)
