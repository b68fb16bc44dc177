"""A small works with real alarms, and channels that remember what they were given and fail as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.notify.desk import NotifyDesk
from headrace.model.alarms import AlarmClass, AlarmCondition, AlarmRule, Priority, Rationale
from headrace.model.assets import Asset, Level
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import HeadraceError
from headrace.model.notifications import Channel, Choice, Contact, Hours, Notification, Roster, Shift, Step
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.model.time import MINUTE_NS, SECOND_NS
from headrace.sdk.access import Action, Principal
from headrace.sdk.messenger import Message, MessengerContext, MessengerType, Recipient

START = 1_800_000_000 * SECOND_NS  # 2027-01-15T08:00:00Z, a Friday
WANG = Principal("wang", "operator", "session")
ROOM_FOR_ALL = Choice()


class Clock:
    def __init__(self) -> None:
        self.time_ns = START

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_s(self) -> float:
        return self.time_ns / SECOND_NS

    async def sleep(self, delay_s: float) -> None: ...


class Access:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str]] = []

    def check(self, principal: Principal, action: Action, path: str) -> None: ...

    async def record(
        self, actor: str, action: str, subject: str, outcome: str, data: Mapping[str, Any] | None = None, *,
        tenant: str = "default",
    ) -> None:  # fmt: skip
        self.entries.append((actor, action, subject, outcome))


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = ""


@dataclass
class Sent:
    channel: str
    key: str
    title: str
    to: tuple[str, ...]
    message: Message = field(repr=False)


@dataclass
class Post:
    """All channels of a test. `fails` by channel: the errors of the next sends, or one for all."""

    sent: list[Sent] = field(default_factory=list)
    fails: dict[str, list[HeadraceError] | HeadraceError] = field(default_factory=dict)
    never: set[str] = field(default_factory=set)
    hangs: tuple[asyncio.Event, asyncio.Event] | None = None
    closed: list[str] = field(default_factory=list)
    before: Callable[[str, Message], None] = lambda *_: None
    after: Callable[[str, Message], None] = lambda *_: None

    def types(self) -> dict[str, MessengerType]:
        def opened(settings: Any, context: MessengerContext) -> _Messenger:
            return _Messenger(self, context.channel)

        return {
            "post": MessengerType("post", "Letters", Settings, opened, "email"),
            "call": MessengerType("call", "Calls", Settings, opened, "mobile"),
            "room": MessengerType("room", "A room", Settings, opened, "", group=True),
        }

    def titles(self) -> list[str]:
        return [f"{one.channel} {'+'.join(one.to)}: {one.title}" for one in self.sent]


class _Messenger:
    def __init__(self, post: Post, channel: str) -> None:
        self._post, self._channel = post, channel

    async def send(self, message: Message, to: Sequence[Recipient]) -> Sequence[Recipient]:
        if self._post.hangs is not None:
            begun, released = self._post.hangs
            begun.set()
            await released.wait()
        self._post.before(self._channel, message)
        failing = self._post.fails.get(self._channel)
        if isinstance(failing, HeadraceError):
            raise failing
        if failing:
            raise failing.pop(0)
        names = tuple(one.name for one in to if one.name not in self._post.never)
        self._post.sent.append(Sent(self._channel, message.key, message.title, names, message))
        self._post.after(self._channel, message)
        return [one for one in to if one.name in self._post.never]

    async def close(self) -> None:
        self._post.closed.append(self._channel)


TRIP = AlarmClass("trip")
SEEN = AlarmClass("seen", acknowledge=False)
WHY = Rationale(
    {"en": "Leak"},
    {"en": "The presses stop", "zh": "压机停机"},
    {"en": "Start the second one", "zh": "启动备机"},
    600 * SECOND_NS,
)


def rule(name: str, point: str, priority: Priority = Priority.HIGH, **more: Any) -> AlarmRule:
    said = {"en": f"{name} happened", "zh": f"{name}发生"}
    full = f"{point}:{name}"
    return AlarmRule(full, point, AlarmCondition.HIGH, 75.0, priority=priority, message=said, handling=TRIP, **more)


HOT = rule("hot", "works/line-1/press/oil", rationale=WHY)
AIR = rule("air", "works/air/pressure", Priority.CRITICAL)
LOW = rule("low", "works/line-2/tank/level", Priority.LOW)
STOP = rule("stop", "works/line-1/saw/run", Priority.MEDIUM)
RULES = [HOT, AIR, LOW, STOP]
STEPS = (
    Step(0, ("leaders",), (), ("mail",)),
    Step(10 * MINUTE_NS, (), ("chief",), ("phone", "mail")),
)
ALL_DAY = Hours(0, 0)


def plant(*notifications: Notification, rules: Sequence[AlarmRule] = RULES, **more: Any) -> PlantModel:
    points = {
        one.point: Point(one.point, ValueKind.FLOAT64, "Cel", title={"en": "Oil", "zh": "油"}, decimals=1)
        for one in rules
    }
    assets = [
        Asset("works", Level.SITE, {"en": "Works", "zh": "工厂"}),
        Asset("works/air", Level.EQUIPMENT, {"en": "Air"}, feeds=("works/line-1",)),
        Asset("works/line-1", Level.LINE, {"en": "Line 1", "zh": "一号线"}),
        Asset("works/line-1/press", Level.EQUIPMENT, {"en": "Press", "zh": "压机"}),
    ]
    people = [
        Contact("li", "Li", "zh", {"email": "li@example.com"}),
        Contact("zhao", "Zhao", "en", {"email": "zhao@example.com", "mobile": "1"}),
        Contact("chief", "Chief", "en", {"email": "chief@example.com", "mobile": "2"}),
    ]
    everything = PlantModel(
        revision=1,
        assets={one.path: one for one in assets},
        points=points,
        alarms={one.name: one for one in rules},
        channels={
            name: Channel(name, kind, per_minute=1_000)
            for name, kind in (("mail", "post"), ("phone", "call"), ("hall", "room"))
        },
        contacts={one.name: one for one in people},
        rosters={"leaders": Roster("leaders", "Asia/Shanghai", (Shift("day", ALL_DAY, (("li",),)),))},
        notifications={one.name: one for one in notifications},
    )
    return replace(everything, **more)


def notification(**more: Any) -> Notification:
    said: dict[str, Any] = {"name": "all", "time_zone": "Asia/Shanghai", "alarms": ROOM_FOR_ALL, "steps": STEPS, **more}
    return Notification(**said)


class Works:
    """Alarms and notifications over one database, by a clock that a test moves."""

    def __init__(self, engine: Engine, model: PlantModel, post: Post | None = None, clock: Clock | None = None) -> None:
        self.clock, self.post, self.model = clock or Clock(), post or Post(), model
        self.access = Access()
        self.alarms = AlarmDesk(engine, self.clock, self.access, self.access)
        self.desk = NotifyDesk(
            engine, self.clock, self.alarms, self.post.types(), lambda name: MessengerContext(name, self.clock),
            self.access, link="https://plant.example.com/",
        )  # fmt: skip

    async def start(self) -> Works:
        await self.alarms.start()
        self._handles = {path: at for at, path in enumerate(sorted(self.model.points), 1)}
        await self.alarms.configure(self.model.alarms, self._handles)
        await self.desk.start()
        await self.desk.configure(self.model)
        return self

    async def sample(self, rule: AlarmRule, value: float) -> None:
        at_ns = self.clock.time_ns
        await self.alarms.take([Batch.of(ValueKind.FLOAT64, [self._handles[rule.point]], at_ns, value)])

    async def raise_(self, *rules: AlarmRule) -> None:
        for one in rules:
            self.clock.time_ns += 1
            await self.sample(one, 80.0)

    async def clear(self, *rules: AlarmRule) -> None:
        for one in rules:
            self.clock.time_ns += 1
            await self.sample(one, 20.0)

    async def acknowledge(self, *rules: AlarmRule, comment: str = "") -> None:
        await self.alarms.acknowledge([one.name for one in rules], WANG, comment)

    async def go(self, seconds: float, step_s: float = 1.0) -> list[str]:
        """Time goes by; what was told in it."""
        before = len(self.post.sent)
        end_ns = self.clock.time_ns + round(seconds * SECOND_NS)
        while True:
            await self.desk.round()
            await self.desk.deliver()
            if self.clock.time_ns >= end_ns:
                return self.post.titles()[before:]
            self.clock.time_ns = min(self.clock.time_ns + round(step_s * SECOND_NS), end_ns)

    async def log(self, **more: Any) -> list[str]:
        """Oldest first."""
        page = await self.desk.log(limit=1_000, **more)
        return [f"{one.kind} {one.state} {one.channel}" for one in reversed(page.notices)]
