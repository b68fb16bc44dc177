"""Tellings and endings to notices: whom, in which language, by which channel. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.compute.notify.cases import Case, Ending
from headrace.compute.notify.deciding import Kind, Telling, ending_key
from headrace.compute.notify.messages import Writer, worst
from headrace.compute.notify.notices import Notice, State, Way, awake, notice_key, people_of, to_json, ways
from headrace.model.alarms import AlarmAction
from headrace.model.notifications import Notification
from headrace.model.plant import PlantModel
from headrace.sdk.messenger import MessengerType

NOBODY = "nobody is on call, or may be told at this hour"


@dataclass(frozen=True, slots=True)
class Maker:
    plant: PlantModel
    types: Mapping[str, MessengerType]
    link: str = ""

    def telling(self, telling: Telling, now_ns: int) -> list[Notice]:
        """At least one: where nobody can be told, a notice says that."""
        one, cases = telling.notification, telling.cases
        step = one.steps[telling.step]
        people = awake(people_of(step, self.plant, now_ns), self.plant, worst(telling, self.plant.alarms), now_ns)
        found, lost = ways(people, step.channels, self.plant, self.types)

        def write(writer: Writer) -> Mapping[str, object]:
            return to_json(writer.of(telling, now_ns))

        base = self._base(telling.key, one, telling.kind, telling.step, cases, now_ns)
        made = [self._by(base, way, write(self._writer(way))) for way in found]
        if lost or not people:
            why = f"none of the channels reaches {', '.join(lost)}" if lost else NOBODY
            state = State.FAILED if lost else State.NOBODY
            nobody = self._by(base, Way("", (), tuple(lost)), write(Writer(self.plant, "en", self.link)))
            made.append(replace(nobody, state=state, done_ns=now_ns, error=why))
        return made

    def ending(self, one: Notification, ending: Ending, now_ns: int) -> list[Notice]:
        """To those who were told, by the channel that told them, else by another of its steps; none where that is not
        wanted."""
        kind = Kind.ACKNOWLEDGED if ending.step.action is AlarmAction.ACKNOWLEDGED else Kind.CLEARED
        if not (one.tell_acknowledged if kind is Kind.ACKNOWLEDGED else one.tell_cleared):
            return []
        case = ending.case
        rule = self.plant.alarms.get(case.rule)
        others = [name for step in one.steps[: case.step + 1] for name in step.channels]
        by_channel: dict[str, list[str]] = {}
        for person, channel in case.told:
            if person in self.plant.contacts:
                by_channel.setdefault(channel, []).append(person)
        base = self._base(ending_key(kind, case), one, kind, case.step, (case,), now_ns)
        made = []
        for channel, people in by_channel.items():
            may = people if rule is None else awake(people, self.plant, rule.priority, now_ns)
            found, _ = ways(may, tuple(dict.fromkeys([channel, *others])), self.plant, self.types)
            made += [self._by(base, way, to_json(self._writer(way).ending(kind, one, ending))) for way in found]
        return made

    def onward(self, notice: Notice, people: Sequence[str], now_ns: int) -> list[Notice]:
        """The same message to some of its people by the alternatives that are left."""
        known = [person for person in people if person in self.plant.contacts]
        found, _ = ways(known, notice.rest, self.plant, self.types)
        base = replace(notice, made_ns=now_ns, due_ns=now_ns, state=State.PENDING, attempts=0, done_ns=None, error="")
        return [self._by(base, way, notice.message) for way in found]

    def test(self, key: str, channel: str, contact: str, actor: str, now_ns: int) -> Notice:
        person = self.plant.contacts[contact]
        message = Writer(self.plant, person.language, self.link).test(channel, person.called, actor)
        return Notice(
            key, key, "", Kind.TEST, 0, (), (), (contact,), channel, (), to_json(message), now_ns, now_ns, actor=actor
        )

    def _writer(self, way: Way) -> Writer:
        return Writer(self.plant, self.plant.contacts[way.contacts[0]].language, self.link)

    def _base(
        self, telling: str, one: Notification, kind: Kind, step: int, cases: Sequence[Case], now_ns: int
    ) -> Notice:
        told = tuple((case.rule, case.point) for case in cases)
        keys = tuple(case.key for case in cases)
        return Notice("", telling, one.name, kind, step, keys, told, (), "", (), {}, now_ns, now_ns)

    def _by(self, base: Notice, way: Way, message: Mapping[str, object]) -> Notice:
        return replace(
            base, key=notice_key(base.telling, way), contacts=way.contacts, channel=way.channel, rest=way.rest,
            message=message,
        )  # fmt: skip
