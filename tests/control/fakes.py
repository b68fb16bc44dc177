"""A desk with its surroundings in memory: a clock that stands, a device that holds values, a plant that tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Engine

from headrace.control.desk import ControlDesk, ControlSettings
from headrace.model import quality as q
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.commands import Command
from headrace.model.errors import AccessError, Unavailable
from headrace.model.events import Event
from headrace.model.guards import Comparison, Guard, Interlock, WriteLimits
from headrace.model.points import Access, Point, Range
from headrace.model.time import MINUTE_NS, SECOND_NS
from headrace.sdk.access import DEFAULT_TENANT, Action, Principal, Rights
from headrace.sdk.field import Reading

OPERATOR = Principal("wang", "operator", "session")
VIEWER = Principal("guest", "viewer", "session")
MANAGER = Principal("li", "manager", "session")
OTHER = Principal("zhao", "manager", "session")
OFFICER = Principal("chen", "security-officer", "session")
OWNER = Principal("boss", "owner", "session")  # may everything: also ask and approve
TOKEN = Principal("token:gateway", "operator", "token")  # made by wang
LOCAL = Principal("token:local-command", "owner", "token")
RIGHTS: dict[str, set[Action]] = {
    "viewer": {Action.VIEW},
    "operator": {Action.VIEW, Action.WRITE},
    "manager": {Action.VIEW, Action.APPROVE, Action.LOCK},
    "security-officer": {Action.VIEW, Action.LOCK},
    "maintainer": {Action.VIEW, Action.MAINTAIN},
    "owner": set(Action),
}
PERSONS = {"token:gateway": "wang", "token:local-command": "", "token:li": "li"}
FORCE = "acme/press/force"
RUNNING = "acme/press/running"
OIL = "acme/press/oil"
GUARD = Guard(
    critical=True,
    approval_ns=10 * MINUTE_NS,
    limits=WriteLimits(step=50.0, rate_per_minute=80.0, interval_ns=5 * SECOND_NS, writes=4, writes_each=3),
    interlocks=(
        Interlock(RUNNING, Comparison.IS, False, text={"en": "stop the press first", "zh": "请先停机"}),
        Interlock(OIL, Comparison.BETWEEN, low=30.0, high=65.0, for_ns=5 * SECOND_NS, text={"en": "warm the oil"}),
    ),
)


def point(name: str, kind: ValueKind = ValueKind.FLOAT64, access: Access = Access.READ_WRITE, **more: Any) -> Point:
    return Point(f"acme/press/{name}", kind, access=access, **more)


POINTS = {
    one.path: one
    for one in (
        point("pressure", unit="bar", range=Range(0, 350), write_range=Range(80, 280)),
        point("speed", range=Range(0, 100)),
        point("count", ValueKind.INT64),
        point("run", ValueKind.BOOL),
        point("recipe", ValueKind.TEXT),
        point("temperature", access=Access.READ),
        point("running", ValueKind.BOOL, Access.READ),
        point("oil", access=Access.READ),
        point("force", unit="kN", range=Range(0, 1000), write_range=Range(0, 900), guard=GUARD),
        point("feed", range=Range(0, 100), guard=Guard(limits=WriteLimits(step=10.0, rate_per_minute=25.0))),
    )
}
PRESSURE = "acme/press/pressure"


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_ns(self) -> int:
        return int(self.seconds * SECOND_NS)

    def monotonic_s(self) -> float:
        return self.seconds

    async def sleep(self, delay_s: float) -> None:
        self.seconds += delay_s
        await asyncio.sleep(0)


class FakeDevice:
    """Holds values as float32 where asked; `before_write` and `answers` let a test interfere."""

    def __init__(self) -> None:
        self.held: dict[str, Value] = dict.fromkeys(POINTS, 0.0)
        self.writes: list[tuple[str, Value]] = []
        self.keep: Callable[[Value], Value] = lambda value: value
        self.before_write: Callable[[], Any] | None = None
        self.read_errors: list[Exception] = []
        self.bad_reads = 0

    async def write(self, path: str, value: Value) -> None:
        self.writes.append((path, value))
        if self.before_write is not None:
            result = self.before_write()
            if asyncio.iscoroutine(result):
                await result
        self.held[path] = self.keep(value)

    async def read_back(self, path: str) -> Batch:
        if self.read_errors:
            raise self.read_errors.pop(0)
        if self.bad_reads:
            self.bad_reads -= 1
            return Batch.bad(POINTS[path].kind, [0], 0, q.BAD_TIMEOUT)
        kind = POINTS[path].kind
        return Batch.of(kind, [0], 0, np.array([self.held[path]], kind.dtype))


class FakeAccess:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str]] = []

        self.taken: set[tuple[str, Action]] = set()
        self.fails: Callable[[str, str], bool] = lambda action, outcome: False

    def check(self, principal: Principal, action: Action, path: str) -> None:
        if action not in RIGHTS[principal.role] or (principal.name, action) in self.taken:
            raise AccessError(f"'{principal.name}' may not {action.value} '{path}'")

    def rights(self, principal: Principal) -> Rights:
        return Rights(whole=frozenset(RIGHTS[principal.role]))

    async def person(self, principal: Principal) -> str:
        return PERSONS.get(principal.name, principal.name)

    async def record(
        self,
        actor: str,
        action: str,
        subject: str,
        outcome: str,
        data: Mapping[str, Any] | None = None,
        *,
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        assert tenant == DEFAULT_TENANT
        if self.fails(action, outcome):
            raise Unavailable("the audit trail cannot be written now; try again")
        self.entries.append((actor, action, subject, outcome))


class FakePlant:
    """Implements `sdk.field.PlantReader`; `say` gives a sample of now, `steady` many of the last minute."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.samples: dict[str, list[Reading]] = {}

    def say(self, path: str, value: Value, quality: int = q.GOOD, age_s: float = 0.0) -> None:
        at_ns = self._clock.now_ns() - int(age_s * SECOND_NS)
        self.samples.setdefault(path, []).append(Reading(value, at_ns, at_ns, quality))

    def steady(self, path: str, value: Value) -> None:
        self.samples[path] = []
        for age_s in range(60, -1, -1):
            self.say(path, value, age_s=age_s)

    def newest(self, path: str) -> Reading | None:
        held = self.samples.get(path)
        return held[-1] if held else None

    async def span(self, path: str, start_ns: int, end_ns: int) -> Sequence[Batch]:
        held = [one for one in self.samples.get(path, ()) if start_ns <= one.source_ns < end_ns]
        if not held:
            return []
        values = np.array([one.value for one in held])
        kind = ValueKind.BOOL if values.dtype == bool else ValueKind.FLOAT64
        times = np.array([one.source_ns for one in held], np.int64)
        quality = np.array([one.quality for one in held], np.uint32)
        return [Batch(kind, np.zeros(len(held), np.uint32), times, times, values.astype(kind.dtype), quality)]


class Rig:
    def __init__(self, engine: Engine, before: Rig | None = None, **settings: float) -> None:
        """`before` is the rig whose platform stopped: time, device and plant go on, the desk begins anew."""
        self.clock, self.device, self.access = FakeClock(), FakeDevice(), FakeAccess()
        self.plant = FakePlant(self.clock)
        self.points: dict[str, Point] = dict(POINTS)
        if before is not None:
            self.clock, self.device, self.plant, self.points = before.clock, before.device, before.plant, before.points
            self.access = before.access
        self.events: list[Event] = []
        self.desk = ControlDesk(
            lambda: self.points,
            self.device,
            self.access,
            self.access,
            engine,
            self.clock,
            ControlSettings(**settings),
            self.take,
            plant=self.plant,
            person_of=self.access.person,
        )

    async def take(self, events: Sequence[Event]) -> None:
        self.events += events

    def ready(self) -> None:
        """The plant as the interlocks want it."""
        self.plant.steady(RUNNING, False)
        self.plant.steady(OIL, 45.0)

    async def write(self, value: Value, path: str = PRESSURE, who: Principal = OPERATOR, why: str = "test") -> Command:
        return await self.desk.write(path, value, who, why)
