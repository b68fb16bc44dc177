"""A write is refused clearly, or sent once and confirmed by what the device holds; each step is on record."""

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.control.fakes import POINTS, PRESSURE, VIEWER, Rig, point

from headrace.control.checks import confirms, why_not
from headrace.model.batch import Value
from headrace.model.commands import CommandState
from headrace.model.errors import DataError, NotFound, Refused, Unavailable, Unreachable
from headrace.model.points import PointSource


@pytest.fixture
def rig(engine: Engine) -> Rig:
    return Rig(engine)


@pytest.mark.clause("62443-3-3 SR 2.8", "62443-3-3 SR 2.12")
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
@pytest.mark.clause("62443-3-3 SR 3.5")
async def test_what_cannot_be_is_refused_and_nothing_is_sent(
    rig: Rig, name: str, value: Value, why: str, said: str
) -> None:
    command = await rig.write(value, f"acme/press/{name}", why=why)
    assert command.state is CommandState.REFUSED
    assert said in command.detail
    assert rig.device.writes == []
    assert [entry[3] for entry in rig.access.entries] == ["requested", "refused"]


@pytest.mark.clause("62443-3-3 SR 2.1", "GB/T 22239-2019 8.1.4.2")
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
    for left in list(rig.desk._record._running):
        left.cancel()


async def test_a_bug_in_a_driver_is_loud_and_closes_the_command(rig: Rig) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    rig.device.before_write = bug
    with pytest.raises(ZeroDivisionError):
        await rig.write(100.0)
    assert [command.state for command in await rig.desk.list()] == [CommandState.FAILED]


@pytest.mark.clause("62443-3-3 SR 2.10")
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
@pytest.mark.clause("62443-3-3 SR 3.5")
def test_anything_at_all_is_judged(value: Any, path: str) -> None:
    verdict = why_not(POINTS[path], value, "because")
    assert verdict is None or verdict


@given(st.floats(80, 280))
def test_whatever_float32_can_hold_is_confirmed(value: float) -> None:
    assert confirms(POINTS[PRESSURE], value, float(np.float32(value)))
