"""A notice: one message to some people by one channel, and what is left to try. Pure.

people of a step ─► by the first alternative that can reach each ─► notices
one failed ─► its people by their next alternative ─► notices, or nobody left: given up
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

from headrace.compute.notify.rosters import people_on_call, sleeps
from headrace.model.alarms import Priority
from headrace.model.notifications import Contact, Step, as_urgent
from headrace.model.plant import PlantModel
from headrace.model.time import SECOND_NS
from headrace.sdk.messenger import Message, MessengerType

#: Between tries of one channel: where another is left, and where it is the last.
BACKOFF_S: Final = (5.0,)
BACKOFF_LAST_S: Final = (5.0, 30.0, 120.0, 600.0)


class State(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"  # and no alternative was left
    PASSED_ON = "passed-on"  # to the next alternative
    NOBODY = "nobody"  # nobody to tell: not on call, asleep, or without an address
    WITHDRAWN = "withdrawn"  # by the time it could be sent it was pointless


@dataclass(frozen=True, slots=True)
class Notice:
    """`rest` are the alternatives after `channel`. Times are by our clock. `told` are rule and point of each alarm."""

    key: str
    telling: str
    notification: str
    kind: str
    step: int
    cases: tuple[str, ...]
    told: tuple[tuple[str, str], ...]
    contacts: tuple[str, ...]
    channel: str
    rest: tuple[str, ...]
    message: Mapping[str, Any]
    made_ns: int
    due_ns: int
    state: State = State.PENDING
    attempts: int = 0
    done_ns: int | None = None
    error: str = ""
    actor: str = ""

    @property
    def backoff_s(self) -> float | None:
        """How long to wait after the tries that there were; None where they are enough."""
        waits = BACKOFF_S if self.rest else BACKOFF_LAST_S
        return waits[self.attempts - 1] if self.attempts <= len(waits) else None


@dataclass(frozen=True, slots=True)
class Way:
    """Some people by one channel, and what could be tried for them next."""

    channel: str
    rest: tuple[str, ...]
    contacts: tuple[str, ...]


def people_of(step: Step, plant: PlantModel, now_ns: int) -> tuple[str, ...]:
    """Who is on call, then who is named; each once, asleep or not."""
    named: list[str] = []
    for name in step.rosters:
        roster = plant.rosters.get(name)
        if roster is not None:
            named += people_on_call(roster, now_ns)
    return tuple(one for one in dict.fromkeys([*named, *step.contacts]) if one in plant.contacts)


def awake(people: Sequence[str], plant: PlantModel, priority: Priority, now_ns: int) -> tuple[str, ...]:
    """Who may be told now of something so urgent."""

    def may(contact: Contact) -> bool:
        return as_urgent(priority, contact.quiet.breaks_through) or not sleeps(contact, now_ns)

    return tuple(one for one in people if may(plant.contacts[one]))


def ways(
    people: Sequence[str], channels: Sequence[str], plant: PlantModel, types: Mapping[str, MessengerType]
) -> tuple[list[Way], list[str]]:
    """Notices to be, and who cannot be reached by any of these channels."""
    singles: list[Way] = []
    groups: dict[str, list[str]] = {}
    lost: list[str] = []
    for person in people:
        at = next((at for at, name in enumerate(channels) if _reaches(plant, types, name, person)), None)
        if at is None:
            lost.append(person)
        elif types[plant.channels[channels[at]].kind].group:
            groups.setdefault(channels[at], []).append(person)
        else:
            singles.append(Way(channels[at], tuple(channels[at + 1 :]), (person,)))
    for name, members in groups.items():
        singles.append(Way(name, tuple(channels[list(channels).index(name) + 1 :]), tuple(members)))
    return singles, lost


def _reaches(plant: PlantModel, types: Mapping[str, MessengerType], name: str, person: str) -> bool:
    channel = plant.channels.get(name)
    if channel is None or not channel.enabled or channel.kind not in types:
        return False
    kind = types[channel.kind]
    return kind.group or not kind.address or kind.address in plant.contacts[person].addresses


def notice_key(telling: str, way: Way) -> str:
    """The same whenever the same is told the same people by the same channel."""
    said = "\n".join([telling, way.channel, *way.contacts])
    return blake2b(said.encode(), digest_size=16).hexdigest()


def to_json(message: Message) -> dict[str, Any]:
    return {
        "title": message.title, "lines": list(message.lines), "facts": [list(pair) for pair in message.facts],
        "priority": message.priority, "link": message.link, "language": message.language,
        "document": dict(message.document),
    }  # fmt: skip


def from_json(key: str, said: Mapping[str, Any], sent_ns: int) -> Message:
    return Message(
        key, said["title"], tuple(said["lines"]), tuple((label, value) for label, value in said["facts"]),
        said["priority"], said["link"], said["language"], sent_ns, said["document"],
    )  # fmt: skip


def after_s(seconds: float) -> int:
    return round(seconds * SECOND_NS)
