"""A write is refused clearly, or sent once and confirmed by what the device holds; each step is on record."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from headrace.control.checks import confirms, why_not
from headrace.control.desk import ControlDesk, ControlSettings
from headrace.model import quality as q
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.commands import Command, CommandState
from headrace.model.errors import AccessError, DataError, NotFound, Refused, Unavailable, Unreachable
from headrace.model.events import Event
from headrace.model.points import Access, Point, PointSource, Range
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Action, Principal

OPERATOR = Principal("wang", "operator", "session")
VIEWER = Principal("guest", "viewer", "session")


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

    def check(self, principal: Principal, action: Action, path: str) -> None:
        assert action is Action.WRITE
        if principal.role == "viewer":
            raise AccessError(f"'{principal.name}' may not write to '{path}'")

    async def record(
        self, actor: str, action: str, subject: str, outcome: str, data: Mapping[str, Any] | None = None
    ) -> None:
        self.entries.append((actor, action, subject, outcome))


class Rig:
    def __init__(self, engine: Engine, **settings: float) -> None:
        self.clock, self.device, self.access = FakeClock(), FakeDevice(), FakeAccess()
        self.events: list[Event] = []
        self.desk = ControlDesk(
            lambda: POINTS,
            self.device,
            self.access,
            self.access,
            engine,
            self.clock,
            ControlSettings(**settings),
            self.take,
        )

    async def take(self, events: Sequence[Event]) -> None:
        self.events += events

    async def write(self, value: Value, path: str = PRESSURE, who: Principal = OPERATOR, why: str = "test") -> Command:
        return await self.desk.write(path, value, who, why)


@pytest.fixture
def rig(engine: Engine) -> Rig:
    return Rig(engine)


async def test_a_write_is_confirmed_by_read_back_and_each_step_is_on_record(rig: Rig) -> None:
    command = await rig.write(120)
    assert (command.state, command.value, command.read_back) == (CommandState.CONFIRMED, 120.0, 120.0)
    assert rig.device.writes == [(PRESSURE, 120.0)]
    assert type(rig.device.writes[0][1]) is float
    steps = ["requested", "authorised", "sent", "confirmed"]
    assert rig.access.entries == [("wang", "write", PRESSURE, step) for step in steps]
    assert [event.type for event in rig.events] == [f"command.{step}" for step in steps]
    assert await rig.desk.list() == [command]


@pytest.mark.parametrize(
    ("name", "value", "why", "said"),
    [
        ("pressure", 300.0, "test", "300 bar is outside 80 to 280 bar"),
        ("pressure", 79.99, "test", "outside"),
        ("speed", 101, "test", "outside"),
        ("pressure", math.nan, "test", "nan is no setpoint"),
        ("pressure", math.inf, "test", "inf is no setpoint"),
        ("pressure", True, "test", "takes a number, not True"),
        ("pressure", "100", "test", "takes a number"),
        ("count", 1.0, "test", "takes a whole number"),
        ("count", True, "test", "takes a whole number"),
        ("count", 2**63, "test", "does not fit"),
        ("run", 1, "test", "takes true or false"),
        ("recipe", 5, "test", "takes text"),
        ("recipe", "x" * 70_000, "test", "longer"),
        ("temperature", 20.0, "test", "read-only"),
        ("pressure", 100.0, "  ", "needs a reason"),
        ("pressure", 100.0, "x" * 501, "at most 500"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_sent(
    rig: Rig, name: str, value: Value, why: str, said: str
) -> None:
    command = await rig.write(value, f"acme/press/{name}", why=why)
    assert command.state is CommandState.REFUSED
    assert said in command.detail
    assert rig.device.writes == []
    assert [entry[3] for entry in rig.access.entries] == ["requested", "refused"]


async def test_without_the_right_nothing_is_sent(rig: Rig) -> None:
    command = await rig.write(100.0, who=VIEWER)
    assert (command.state, rig.device.writes) == (CommandState.REFUSED, [])
    assert "may not write" in command.detail


async def test_an_unknown_point_is_an_error(rig: Rig) -> None:
    with pytest.raises(NotFound):
        await rig.write(1.0, "acme/press/nothing")
    assert await rig.desk.list() == []


@pytest.mark.parametrize(("name", "value"), [("count", -(2**63)), ("run", True), ("recipe", "A-7 油")])
async def test_every_kind_can_be_written(rig: Rig, name: str, value: Value) -> None:
    command = await rig.write(value, f"acme/press/{name}")
    assert (command.state, command.read_back) == (CommandState.CONFIRMED, value)
    assert (await rig.desk.list())[0].value == value


async def test_a_float32_device_confirms_what_it_can_hold(rig: Rig) -> None:
    rig.device.keep = lambda value: float(np.float32(value))
    command = await rig.write(120.1)
    assert command.state is CommandState.CONFIRMED
    assert command.read_back == float(np.float32(120.1))


async def test_a_device_that_keeps_its_own_value_is_a_failure(rig: Rig) -> None:
    rig.device.keep = lambda value: 95.0
    command = await rig.write(120.0)
    assert (command.state, command.read_back) == (CommandState.FAILED, 95.0)
    assert command.detail == "device holds 95.0 bar"


async def test_read_back_is_polled_until_the_device_has_followed(rig: Rig) -> None:
    rig.device.bad_reads = 3
    rig.device.read_errors = [Unreachable("no answer")]
    assert (await rig.write(120.0)).state is CommandState.CONFIRMED


async def test_a_device_that_says_no_refuses(rig: Rig) -> None:
    def no() -> None:
        raise Refused("press-plc-1: illegal data address")

    rig.device.before_write = no
    command = await rig.write(120.0)
    assert (command.state, command.detail) == (CommandState.REFUSED, "press-plc-1: illegal data address")


@pytest.mark.parametrize("error", [Unavailable("the link is down"), DataError("does not fit int16")])
async def test_what_never_left_is_refused(rig: Rig, error: Exception) -> None:
    def fail() -> None:
        raise error

    rig.device.before_write = fail
    assert (await rig.write(120.0)).state is CommandState.REFUSED


async def test_a_lost_answer_is_settled_by_asking_the_device(rig: Rig) -> None:
    def lost() -> None:
        rig.device.held[PRESSURE] = 120.0
        raise Unreachable("no answer in 1 s")

    rig.device.before_write = lost
    assert (await rig.write(120.0)).state is CommandState.CONFIRMED


async def test_a_dead_device_leaves_the_outcome_unknown(engine: Engine) -> None:
    rig = Rig(engine, confirm_timeout_s=1)

    def lost() -> None:
        raise Unreachable("no answer in 1 s")

    rig.device.before_write = lost
    rig.device.read_errors = [Unreachable("no answer")] * 100
    command = await rig.write(120.0)
    assert command.state is CommandState.FAILED
    assert command.detail == "outcome unknown: no answer in 1 s"


async def test_a_hanging_device_is_given_up(engine: Engine) -> None:
    rig = Rig(engine, write_timeout_s=0.01, confirm_timeout_s=0.0)
    rig.device.before_write = lambda: asyncio.Event().wait()
    command = await rig.write(120.0)
    assert command.state is CommandState.FAILED
    assert "took longer" in command.detail


async def test_one_write_a_point_at_a_time(rig: Rig) -> None:
    go, inside = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        inside.set()
        await go.wait()

    rig.device.before_write = wait
    first = asyncio.ensure_future(rig.write(100.0))
    await inside.wait()
    second = await rig.write(200.0)
    assert second.state is CommandState.REFUSED
    assert "another write" in second.detail
    go.set()
    assert (await first).state is CommandState.CONFIRMED
    assert rig.device.writes == [(PRESSURE, 100.0)]


async def test_writes_to_one_point_keep_a_distance(rig: Rig) -> None:
    await rig.write(100.0)
    assert "less than 0.5 s ago" in (await rig.write(101.0)).detail
    assert (await rig.write(50.0, "acme/press/speed")).state is CommandState.CONFIRMED
    rig.clock.seconds += 0.6
    assert (await rig.write(101.0)).state is CommandState.CONFIRMED


async def test_a_command_that_waited_too_long_is_not_sent(engine: Engine) -> None:
    rig = Rig(engine, expiry_s=0.0)
    command = await rig.write(100.0)
    assert (command.state, command.detail) == (CommandState.REFUSED, "expired before it could be sent")
    assert rig.device.writes == []


async def test_a_caller_that_goes_away_does_not_stop_a_write_half_way(rig: Rig) -> None:
    go, inside = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        inside.set()
        await go.wait()

    rig.device.before_write = wait
    caller = asyncio.ensure_future(rig.write(100.0))
    await inside.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()
    await rig.desk.close()
    assert [command.state for command in await rig.desk.list()] == [CommandState.CONFIRMED]


async def test_sent_is_durable_before_the_device_hears_of_it(rig: Rig, engine: Engine) -> None:
    seen: list[CommandState] = []

    async def look() -> None:
        seen.extend(command.state for command in await rig.desk.list())

    rig.device.before_write = look
    await rig.write(100.0)
    assert seen == [CommandState.SENT]


async def test_a_crash_leaves_no_command_open(rig: Rig, engine: Engine) -> None:
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    rig.device.before_write = hang
    task = asyncio.ensure_future(rig.write(100.0))
    await reached.wait()
    after = Rig(engine)
    await after.desk.start()
    (command,) = await after.desk.list()
    assert command.state is CommandState.FAILED
    assert "outcome unknown: platform restarted" in command.detail
    assert after.access.entries == [("wang", "write", PRESSURE, "failed")]
    again = Rig(engine)
    await again.desk.start()
    assert again.access.entries == []
    task.cancel()
    for left in list(rig.desk._running):
        left.cancel()


async def test_a_bug_in_a_driver_is_loud_and_closes_the_command(rig: Rig) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    rig.device.before_write = bug
    with pytest.raises(ZeroDivisionError):
        await rig.write(100.0)
    assert [command.state for command in await rig.desk.list()] == [CommandState.FAILED]


async def test_without_a_record_nothing_is_sent(rig: Rig, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("drop table control_commands")
    with pytest.raises(Unavailable):
        await rig.write(100.0)
    assert rig.device.writes == []


async def test_the_list_is_newest_first_and_by_point(rig: Rig) -> None:
    await rig.write(100.0)
    await rig.write(10.0, "acme/press/speed")
    await rig.write(1000.0)
    assert [command.value for command in await rig.desk.list()] == [1000.0, 10.0, 100.0]
    assert [command.value for command in await rig.desk.list(path=PRESSURE)] == [1000.0, 100.0]
    assert len(await rig.desk.list(limit=1)) == 1


def test_a_scaled_integer_register_confirms_within_its_step() -> None:
    scaled = point("x", source=PointSource("plc", {"encoding": "int16", "scale": 0.1}))
    assert confirms(scaled, 12.34, 12.3)
    assert not confirms(scaled, 12.34, 12.1)
    whole = point("x", source=PointSource("plc", {"encoding": "uint16"}))
    assert confirms(whole, 12.34, 12.0)
    real = point("x", source=PointSource("plc", {"encoding": "float32", "scale": 10.0}))
    assert not confirms(real, 12.34, 12.3)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()), st.sampled_from(list(POINTS)))
def test_anything_at_all_is_judged(value: Any, path: str) -> None:
    verdict = why_not(POINTS[path], value, "because")
    assert verdict is None or verdict


@given(st.floats(80, 280))
def test_whatever_float32_can_hold_is_confirmed(value: float) -> None:
    assert confirms(POINTS[PRESSURE], value, float(np.float32(value)))
