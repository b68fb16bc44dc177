"""Alarms for people: durable before announced, back after a restart, acknowledged with a right and a name."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.live import LiveTable
from headrace.compute.tables import metadata
from headrace.model.alarms import AlarmAction, AlarmCondition, AlarmRule, AlarmState, Priority
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import AccessError, DataError, NotFound, Unavailable
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Action, Principal

BASE = 1_800_000_000 * SECOND_NS
OPERATOR = Principal("wang", "operator", "session")
VIEWER = Principal("guest", "viewer", "session")

HOT = AlarmRule("a/oil:hot", "a/oil", AlarmCondition.HIGH, 75, 2, priority=Priority.HIGH)
FLOW = AlarmRule("a/flow:low", "a/flow", AlarmCondition.LOW, 10, priority=Priority.CRITICAL)
SILENT = AlarmRule("a/oil:silent", "a/oil", AlarmCondition.STALE, 30)
RULES = {rule.name: rule for rule in (HOT, FLOW, SILENT)}
HANDLES = {"a/oil": 1, "a/flow": 2}


class FakeClock:
    seconds = 1_800_000_000

    def now_ns(self) -> int:
        return self.seconds * SECOND_NS

    def monotonic_s(self) -> float:
        return float(self.seconds)

    async def sleep(self, delay_s: float) -> None: ...


class FakeAccess:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str]] = []
        self.tenants: list[str] = []

    def check(self, principal: Principal, action: Action, path: str) -> None:
        assert action in (Action.ACKNOWLEDGE, Action.WRITE) and path[:2] == "a/"
        if principal.role == "viewer":
            raise AccessError("no")

    async def record(
        self, actor: str, action: str, subject: str, outcome: str, data: Mapping[str, Any] | None = None, *,
        tenant: str = "default",
    ) -> None:  # fmt: skip
        self.entries.append((actor, action, subject, outcome))
        self.tenants.append(tenant)


def oil(time_s: float, value: float) -> list[Batch]:
    return [Batch.of(ValueKind.FLOAT64, [1], BASE + round(time_s * SECOND_NS), value)]


def flow(time_s: float, value: float) -> list[Batch]:
    return [Batch.of(ValueKind.FLOAT64, [2], BASE + round(time_s * SECOND_NS), value)]


async def desk_for(engine: Engine, rules: Mapping[str, AlarmRule] = RULES, live: LiveTable | None = None) -> AlarmDesk:
    access = FakeAccess()
    desk = AlarmDesk(engine, FakeClock(), access, access, live)
    await desk.start()
    await desk.configure(rules, HANDLES)
    return desk


@pytest.fixture
async def desk(engine: Engine) -> AlarmDesk:
    return await desk_for(engine)


async def steps(desk: AlarmDesk, **filters: Any) -> list[str]:
    """The history, oldest first: `raised a/oil:hot unack-active`."""
    page = await desk.history(**filters)
    return [f"{one.action} {one.rule} {one.state}" for one in reversed(page.transitions)]


async def test_an_alarm_lives_and_ends(desk: AlarmDesk) -> None:
    await desk.take(oil(0, 80.5))
    (record,) = desk.current()
    assert (record.rule, record.state, record.value, record.raised_ns) == (HOT, AlarmState.UNACK_ACTIVE, 80.5, BASE)
    (made,) = await desk.acknowledge([HOT.name], OPERATOR, " looked at it ")
    assert (made.action, made.actor, made.comment) == (AlarmAction.ACKNOWLEDGED, "wang", "looked at it")
    (record,) = desk.current()
    assert (record.state, record.acknowledged_by, record.comment) == (AlarmState.ACK_ACTIVE, "wang", "looked at it")
    await desk.take(oil(5, 60))
    assert desk.current() == []
    assert await steps(desk) == [
        "raised a/oil:hot unack-active",
        "acknowledged a/oil:hot ack-active",
        "cleared a/oil:hot normal",
    ]


async def test_a_cleared_alarm_waits_for_its_acknowledgement(desk: AlarmDesk) -> None:
    await desk.take(oil(0, 80) + oil(1, 60))
    (record,) = desk.current()
    assert (record.state, record.cleared_ns) == (AlarmState.UNACK_CLEARED, BASE + SECOND_NS)
    await desk.take(oil(2, 90))
    (record,) = desk.current()
    assert (record.state, record.value, record.cleared_ns) == (AlarmState.UNACK_ACTIVE, 90, None)
    await desk.take(oil(3, 60))
    await desk.acknowledge([HOT.name], OPERATOR, "")
    assert desk.current() == []


async def test_worst_first_then_newest(desk: AlarmDesk) -> None:
    await desk.take(oil(0, 80))
    await desk.take(flow(1, 5))
    await desk.tick(BASE + 40 * SECOND_NS)
    assert [record.rule.name for record in desk.current()] == ["a/flow:low", "a/oil:hot", "a/oil:silent"]


async def test_alarms_survive_a_restart_once(engine: Engine, desk: AlarmDesk) -> None:
    await desk.take(oil(0, 80))
    await desk.take(flow(0, 5))
    await desk.acknowledge([HOT.name], OPERATOR, "known")
    before = desk.current()
    after = await desk_for(engine)
    assert after.current() == before
    await after.take(oil(60, 80) + flow(60, 4))
    assert after.current() == before
    await after.take(oil(61, 60) + flow(61, 40))
    assert [(record.rule.name, record.state) for record in after.current()] == [
        ("a/flow:low", AlarmState.UNACK_CLEARED)
    ]
    assert len(await steps(after)) == 5


async def test_an_alarm_that_ended_while_we_were_down_clears_with_the_first_sample(
    engine: Engine, desk: AlarmDesk
) -> None:
    await desk.take(oil(0, 80))
    after = await desk_for(engine)
    await after.take(oil(60, 74))
    assert [record.state for record in after.current()] == [AlarmState.UNACK_ACTIVE]
    await after.take(oil(61, 60))
    assert [record.state for record in after.current()] == [AlarmState.UNACK_CLEARED]


async def test_an_alarm_whose_rule_is_removed_clears(engine: Engine, desk: AlarmDesk) -> None:
    await desk.take(oil(0, 80) + flow(0, 5))
    feed = desk.transitions()
    await desk.configure({FLOW.name: FLOW}, HANDLES)
    (made,) = await anext(feed)
    assert (made.rule, made.action, made.state, made.comment) == (
        HOT.name,
        AlarmAction.CLEARED,
        AlarmState.NORMAL,
        "the rule was removed",
    )
    assert [record.rule for record in desk.current()] == [FLOW]
    after = await desk_for(engine, {})
    assert after.current() == []
    assert await steps(after, point="a/flow") == ["raised a/flow:low unack-active", "cleared a/flow:low normal"]


async def test_configuring_again_changes_nothing(desk: AlarmDesk) -> None:
    await desk.take(oil(0, 80))
    before = desk.current()
    for _ in range(3):
        await desk.configure(dict(RULES), dict(HANDLES))
    await desk.take(oil(1, 81))
    assert desk.current() == before
    assert len(await steps(desk)) == 1


async def test_a_new_rule_judges_the_value_that_stands(engine: Engine) -> None:
    live = LiveTable()
    live.update(oil(0, 80) + [Batch.of(ValueKind.TEXT, [2], BASE, np.array(["on"], ValueKind.TEXT.dtype))])
    desk = await desk_for(engine, live=live)
    assert [record.rule for record in desk.current()] == [HOT]
    await desk.configure({HOT.name: replace(HOT, limit=95)}, HANDLES)
    assert [record.state for record in desk.current()] == [AlarmState.UNACK_CLEARED]


async def test_acknowledging_needs_a_right_a_rule_and_a_short_comment(desk: AlarmDesk) -> None:
    await desk.take(oil(0, 80))
    with pytest.raises(AccessError):
        await desk.acknowledge([HOT.name], VIEWER, "")
    with pytest.raises(NotFound):
        await desk.acknowledge([HOT.name, "a/oil:none"], OPERATOR, "")
    with pytest.raises(DataError):
        await desk.acknowledge([HOT.name], OPERATOR, "x" * 501)
    assert [record.state for record in desk.current()] == [AlarmState.UNACK_ACTIVE]


async def test_those_that_can_be_acknowledged_are(desk: AlarmDesk) -> None:
    await desk.take(oil(0, 80))
    made = await desk.acknowledge([HOT.name, FLOW.name, HOT.name], OPERATOR, "")
    assert [one.rule for one in made] == [HOT.name]
    assert await desk.acknowledge([HOT.name, FLOW.name], OPERATOR, "") == []
    assert desk._audit.entries == [("wang", "alarm.acknowledge", HOT.name, "ack-active")]  # type: ignore[attr-defined]


async def test_history_is_newest_first_in_pages_by_time_and_point(desk: AlarmDesk) -> None:
    for second in range(0, 20, 2):
        await desk.take(oil(second, 80) + oil(second + 1, 60))
    await desk.take(flow(5, 1))
    everything = (await desk.history()).transitions
    assert len(everything) == 21
    assert [one.time_ns for one in everything] == sorted((one.time_ns for one in everything), reverse=True)
    paged, cursor = [], None
    while True:
        page = await desk.history(limit=4, cursor=cursor)
        paged += page.transitions
        cursor = page.next_cursor
        if cursor is None:
            break
    assert paged == list(everything)
    span = await desk.history(BASE + 4 * SECOND_NS, BASE + 6 * SECOND_NS, point="a/oil")
    assert [(one.time_ns - BASE) // SECOND_NS for one in span.transitions] == [5, 4]
    for bad in ("", "x", "1", "1.x", "1.2.3", "9" * 99):
        with pytest.raises(DataError):
            await desk.history(cursor=bad)


async def test_listeners_hear_all_from_now_on_and_slow_ones_lose_the_oldest(desk: AlarmDesk) -> None:
    await desk.take(oil(0, 80))
    quick, slow = desk.transitions(), desk.transitions()
    seconds = np.arange(1, 2001)
    swings = np.where(seconds % 2, 60.0, 80.0)
    await desk.take([Batch.of(ValueKind.FLOAT64, np.ones(2000), BASE + seconds * SECOND_NS, swings)])
    assert len(await anext(quick)) == 2000
    assert slow.dropped == 0
    await desk.take(oil(2002, 60))
    assert slow.dropped == 1
    assert len(await anext(slow)) == 2000
    await desk.close()
    assert [one.action async for batch in quick for one in batch] == [AlarmAction.CLEARED]
    assert [batch async for batch in slow] == []
    assert [batch async for batch in desk.transitions()] == []


async def test_a_waiting_listener_is_woken_by_the_end(desk: AlarmDesk) -> None:
    feed = desk.transitions()

    async def listen() -> list[Any]:
        return [batch async for batch in feed]

    task = asyncio.ensure_future(listen())
    await asyncio.sleep(0)
    await desk.close()
    assert await task == []


async def test_nobody_hears_of_what_is_not_durable(
    engine: Engine, desk: AlarmDesk, caplog: pytest.LogCaptureFixture
) -> None:
    feed = desk.transitions()
    metadata.drop_all(engine)
    with caplog.at_level(logging.WARNING):
        for second in range(5):
            await desk.take(oil(second, 80))
            await desk.tick(BASE + second * SECOND_NS)
    assert desk.current() == []
    with pytest.raises(Unavailable):
        await desk.configure({}, {})
    metadata.create_all(engine)
    await desk.tick(BASE + 9 * SECOND_NS)
    assert [record.state for record in desk.current()] == [AlarmState.UNACK_ACTIVE]
    assert [one.action for one in await anext(feed)] == [AlarmAction.RAISED]
    assert len([line for line in caplog.messages if "alarms" in line]) <= 2


async def test_a_flood_is_one_transaction(engine: Engine) -> None:
    rules = {f"a/p{n}:hi": AlarmRule(f"a/p{n}:hi", f"a/p{n}", AlarmCondition.HIGH, 1) for n in range(2000)}
    desk = AlarmDesk(engine, FakeClock(), FakeAccess(), FakeAccess())
    await desk.configure(rules, {f"a/p{n}": n for n in range(2000)})
    await desk.take([Batch.of(ValueKind.FLOAT64, np.arange(2000), BASE, 5.0)])
    assert len(desk.current()) == 2000
    await desk.acknowledge([*rules], OPERATOR, "flood")
    assert {record.state for record in desk.current()} == {AlarmState.ACK_ACTIVE}
