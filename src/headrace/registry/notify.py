"""Who is told of alarms, from declarations: settings by the channel's own model, people and places by name.

channels ─► contacts ─► rosters ─► notifications      each held to those before it
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from headrace.model.alarms import Priority
from headrace.model.notifications import (
    DAYS,
    Channel,
    Choice,
    Contact,
    Hours,
    Notification,
    Override,
    Quiet,
    Roster,
    Shift,
    Step,
)
from headrace.model.time import parse_duration_ns
from headrace.registry.declared import Declared
from headrace.registry.drivers import complaints
from headrace.registry.problems import Problems, did_you_mean, listed
from headrace.sdk.messenger import MessengerType

#: So many `*` a glob has at most: each may stand for anything.
STARS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Told:
    channels: Mapping[str, Channel]
    contacts: Mapping[str, Contact]
    rosters: Mapping[str, Roster]
    notifications: Mapping[str, Notification]


def told(
    declared: Mapping[str, Mapping[str, Declared]],
    types: Mapping[str, MessengerType],
    places: Collection[str],
    problems: Problems,
) -> Told:
    """`declared` by kind and name; `places` are the paths of assets and points."""
    channels = _channels(declared["channel"].values(), types, problems)
    contacts = _contacts(declared["contact"].values(), types, problems)
    rosters = _rosters(declared["roster"].values(), declared["contact"], problems)
    reader = _Notifications(declared, channels, contacts, rosters, types, places, problems)
    notifications = {one.key: reader.read(one) for one in declared["notification"].values() if "steps" in one.spec}
    return Told(channels, contacts, rosters, notifications)


def _channels(
    declared: Iterable[Declared], types: Mapping[str, MessengerType], problems: Problems
) -> dict[str, Channel]:
    found = {}
    for one in declared:
        spec = one.spec
        kind = spec.get("kind")
        if kind is None:
            continue  # it was reported where it was read
        known = types.get(kind)
        if known is None:
            problems.add(one.at("kind"), f"there is no kind of channel '{kind}'{did_you_mean(kind, types)}")
            continue
        settings = spec.get("settings", {})
        wrong = complaints(known.settings, settings, f"the settings of channels of kind '{kind}'")
        for complaint in wrong:
            problems.add(one.at("settings", *complaint.loc, of_key=complaint.of_key), complaint.message)
        if not wrong:
            found[one.key] = Channel(
                one.key, kind, settings, spec.get("title", {}), spec.get("enabled", True), spec.get("per_minute", 30)
            )
    return found


def _contacts(
    declared: Iterable[Declared], types: Mapping[str, MessengerType], problems: Problems
) -> dict[str, Contact]:
    checks = {one.address: one.check_address for one in types.values() if one.address}
    found = {}
    for one in declared:
        spec = one.spec
        addresses = spec.get("addresses", {})
        for kind, address in addresses.items():
            check = checks.get(kind)
            if check is None:
                message = f"no channel asks for an address of kind '{kind}'{did_you_mean(kind, checks)}"
                problems.add(one.at("addresses", kind, of_key=True), message)
            elif wrong := check(address):
                problems.add(one.at("addresses", kind), f"'{kind}': {wrong}")
        found[one.key] = Contact(
            one.key, spec.get("name", one.key), spec.get("language", "en"), addresses, spec.get("time_zone", "UTC"),
            _quiet(spec), spec.get("user", ""),
        )  # fmt: skip
    return found


def _rosters(
    declared: Iterable[Declared], contacts: Collection[str], problems: Problems
) -> dict[str, Roster]:  # fmt: skip
    found = {}
    for one in declared:
        spec = one.spec
        shifts = []
        for name, said in spec.get("shifts", {}).items():
            if ("people" in said) == ("weeks" in said):
                problems.add(one.at("shifts", name, of_key=True), f"shift '{name}' needs either 'people' or 'weeks'")
            for at, person in enumerate(said.get("people", ())):
                _known("contact", person, contacts, one.at("shifts", name, "people", at), problems)
            for week, people in enumerate(said.get("weeks", ())):
                for at, person in enumerate(people):
                    _known("contact", person, contacts, one.at("shifts", name, "weeks", week, at), problems)
            weeks = said.get("weeks") or [said.get("people", [])]
            shifts.append(Shift(name, _hours(said), tuple(tuple(week) for week in weeks)))
        overrides = []
        for at, said in enumerate(spec.get("overrides", ())):
            for index, person in enumerate(said.get("people", ())):
                _known("contact", person, contacts, one.at("overrides", at, "people", index), problems)
            if "shift" in said:
                names = spec.get("shifts", {})
                _known("shift", said["shift"], names, one.at("overrides", at, "shift"), problems)
            if said["until"] < said["from"]:
                problems.add(one.at("overrides", at, "until"), "'until' is before 'from'; the days between count")
            first, last = (datetime.date.fromisoformat(said[name]) for name in ("from", "until"))
            overrides.append(Override(first, last, tuple(said.get("people", ())), said.get("shift", "")))
        since = datetime.date.fromisoformat(spec.get("rotation_from", "2024-01-01"))
        zone, title = spec.get("time_zone", "UTC"), spec.get("title", {})
        found[one.key] = Roster(one.key, zone, tuple(shifts), tuple(overrides), since, title)
    return found


class _Notifications:
    def __init__(
        self,
        declared: Mapping[str, Mapping[str, Declared]],
        channels: Mapping[str, Channel],
        contacts: Mapping[str, Contact],
        rosters: Mapping[str, Roster],
        types: Mapping[str, MessengerType],
        places: Collection[str],
        problems: Problems,
    ) -> None:
        self._declared, self._types, self._places, self._problems = declared, types, places, problems
        self._channels, self._contacts, self._rosters = channels, contacts, rosters

    def read(self, one: Declared) -> Notification:
        spec = one.spec
        steps = [self._step(one, at, said) for at, said in enumerate(spec["steps"])]
        if not steps:
            self._problems.add(one.at("steps"), "'steps' is empty; the first says who is told")
        for at, (before, after) in enumerate(pairwise(steps), 1):
            if after.after_ns <= before.after_ns:
                self._problems.add(one.at("steps", at, "after"), "each step comes later than the one before it")
        if "repeats" in spec and "repeat" not in spec:
            self._problems.add(one.at("repeats", of_key=True), "'repeats' needs 'repeat': after what time again")
        digest, tell = spec.get("digest", {}), spec.get("tell", ())
        return Notification(
            name=one.key,
            time_zone=spec.get("time_zone", "UTC"),
            alarms=self._choice(one),
            steps=tuple(steps),
            title=spec.get("title", {}),
            enabled=spec.get("enabled", True),
            repeat_ns=parse_duration_ns(spec["repeat"]) if "repeat" in spec else 0,
            repeats=spec.get("repeats", 3),
            quiet=_quiet(spec),
            digest_ns=parse_duration_ns(digest["window"]) if digest else 0,
            digest_up_to=Priority(digest.get("up_to", Priority.MEDIUM)),
            flood_as_one=spec.get("flood", "one") == "one",
            tell_acknowledged="acknowledged" in tell,
            tell_cleared="cleared" in tell,
        )

    def _choice(self, one: Declared) -> Choice:
        said = one.spec.get("alarms", {})
        for at, path in enumerate(said.get("paths", ())):
            if path.replace("**", "*").count("*") > STARS_MAX:
                self._problems.add(one.at("alarms", "paths", at), f"a glob has at most {STARS_MAX} places with '*'")
            elif "*" not in path and path not in self._places:
                message = f"there is no point or asset '{path}'{did_you_mean(path, self._places)}"
                self._problems.add(one.at("alarms", "paths", at), message)
        for at, name in enumerate(said.get("classes", ())):
            _known("alarm class", name, self._declared["alarm-class"], one.at("alarms", "classes", at), self._problems)
        priorities = frozenset(Priority(name) for name in said.get("priorities", ()))
        return Choice(tuple(said.get("paths", ())), priorities, frozenset(said.get("classes", ())))

    def _step(self, one: Declared, at: int, said: Mapping[str, Any]) -> Step:
        for section, kind in (("rosters", "roster"), ("contacts", "contact"), ("channels", "channel")):
            for index, name in enumerate(said.get(section, ())):
                _known(kind, name, self._declared[kind], one.at("steps", at, section, index), self._problems)
        rosters, contacts = tuple(said.get("rosters", ())), tuple(said.get("contacts", ()))
        channels = tuple(said.get("channels", ()))
        if not channels:
            self._problems.add(one.at("steps", at), f"step {at + 1} needs at least one channel")
        elif not rosters and not contacts:
            self._problems.add(one.at("steps", at), f"step {at + 1} tells nobody: give it 'rosters' or 'contacts'")
        else:
            self._reachable(one, at, rosters, contacts, channels)
        return Step(parse_duration_ns(said.get("after", "0s")), rosters, contacts, channels)

    def _reachable(
        self, one: Declared, at: int, rosters: Iterable[str], contacts: Iterable[str], channels: Iterable[str]
    ) -> None:
        """Everybody who may be told has an address of one of the channels, or one of them reaches a group."""
        kinds = [self._types[self._channels[name].kind] for name in channels if name in self._channels]
        if not kinds or any(kind.group or not kind.address for kind in kinds):
            return
        wanted = {kind.address for kind in kinds}
        people = [*contacts, *(one for name in rosters if name in self._rosters for one in self._rosters[name].people)]
        for person in dict.fromkeys(people):
            contact = self._contacts.get(person)
            if contact is not None and not wanted & contact.addresses.keys():
                message = f"step {at + 1} cannot reach '{person}': no address of kind {listed(sorted(wanted))}"
                self._problems.add(one.at("steps", at, "channels"), message)


def _known(kind: str, name: str, names: Collection[str], where: Any, problems: Problems) -> None:
    if name not in names:
        problems.add(where, f"there is no {kind} '{name}'{did_you_mean(name, names)}")


def _quiet(spec: Mapping[str, Any]) -> Quiet:
    said = spec.get("quiet", {})
    hours = tuple(_hours(one) for one in said.get("hours", ()))
    return Quiet(hours, Priority(said.get("breaks_through", Priority.CRITICAL)))


def _hours(said: Mapping[str, Any]) -> Hours:
    days = frozenset(DAYS.index(name) for name in said.get("days", DAYS))
    return Hours(_minutes(said.get("from", "00:00")) % (24 * 60), _minutes(said.get("to", "00:00")), days)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
