"""Alarms that are quiet for a reason: shelved, out of service, suppressed by design; and what classes ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine
from tests.compute.alarms.test_desk import BASE, FLOW, HANDLES, HOT, OPERATOR, VIEWER, FakeAccess, FakeClock, flow, oil

from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.live import LiveTable
from headrace.compute.tables import metadata
from headrace.model.alarms import AlarmClass, AlarmRule, AlarmState
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import AccessError, DataError, NotFound
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.sdk.services import AlarmRecord

MINUTE_NS = 60 * SECOND_NS
SAFETY = AlarmClass("safety", comment=True, proof=True, shelve_longest_ns=0)
BRIEF = AlarmClass("brief", shelve_longest_ns=10 * MINUTE_NS)
LOUD = AlarmClass("loud", acknowledge=False)


class Bench:
    def __init__(self, engine: Engine, live: LiveTable | None = None) -> None:
        self.clock, self.access = FakeClock(), FakeAccess()
        self.clock.seconds = BASE // SECOND_NS
        self.desk = AlarmDesk(engine, self.clock, self.access, self.access, live, lambda path: path.partition("/")[0])

    async def start(self, *rules: AlarmRule) -> Bench:
        await self.desk.start()
        await self.desk.configure({rule.name: rule for rule in rules}, {**HANDLES, "a/off": 3})
        return self

    async def pass_(self, seconds: int) -> None:
        self.clock.seconds += seconds
        await self.desk.tick(self.clock.now_ns())

    def one(self) -> AlarmRecord:
        (record,) = self.desk.current()
        return record

    async def steps(self) -> list[str]:
        page = await self.desk.history()
        return [f"{one.action} {one.state}" for one in reversed(page.transitions)]


async def bench(engine: Engine, *rules: AlarmRule) -> Bench:
    return await Bench(engine).start(*(rules or (HOT, FLOW)))


def off(time_s: float, value: bool) -> list[Batch]:
    return [Batch.of(ValueKind.BOOL, [3], BASE + round(time_s * SECOND_NS), np.array([value]))]


async def test_a_shelf_ends_by_our_clock_and_what_holds_beneath_is_told_anew(engine: Engine) -> None:
    it = await bench(engine)
    await it.desk.take(oil(0, 80))
    await it.desk.acknowledge([HOT.name], OPERATOR, "")
    await it.desk.shelve([HOT.name], OPERATOR, " sensor is being changed ", duration_ns=HOUR_NS)
    record = it.one()
    assert (record.state, record.active, record.shelved_until_ns) == (AlarmState.SHELVED, True, BASE + HOUR_NS)
    assert (record.quiet_by, record.quiet_reason) == ("wang", "sensor is being changed")
    assert await it.desk.acknowledge([HOT.name], OPERATOR, "") == []
    await it.desk.take(oil(10, 60) + oil(20, 90))
    await it.pass_(3599)
    assert it.one().state is AlarmState.SHELVED
    await it.pass_(1)
    assert (it.one().state, it.one().value) == (AlarmState.UNACK_ACTIVE, 90)
    assert sorted(await it.steps()) == sorted(
        ["raised unack-active", "acknowledged ack-active", "shelved shelved", "cleared shelved", "raised shelved",
         "unshelved unack-active"]
    )  # fmt: skip
    assert [entry[:2] for entry in it.access.entries] == [
        ("wang", "alarm.acknowledge"),
        ("wang", "alarm.shelve"),
        ("", "alarm.unshelve"),
    ]
    assert it.access.tenants == ["a", "a", "a"]


async def test_a_shelf_for_once_ends_when_it_clears(engine: Engine) -> None:
    it = await bench(engine)
    await it.desk.take(oil(0, 80))
    await it.desk.shelve([HOT.name], OPERATOR, "known", once=True)
    assert it.one().shelved_once
    await it.desk.take(oil(5, 60))
    assert it.desk.current() == []
    assert (await it.steps())[-2:] == ["cleared shelved", "unshelved normal"]
    await it.desk.take(oil(6, 80))
    assert it.one().state is AlarmState.UNACK_ACTIVE


async def test_unshelving_by_a_person_and_an_alarm_that_is_normal(engine: Engine) -> None:
    it = await bench(engine)
    await it.desk.shelve([HOT.name, FLOW.name], OPERATOR, "start-up")
    assert {(one.state, one.active, one.raised_ns) for one in it.desk.current()} == {(AlarmState.SHELVED, False, None)}
    made = await it.desk.unshelve([HOT.name, FLOW.name], OPERATOR, "")
    assert [one.state for one in made] == [AlarmState.NORMAL] * 2
    assert it.desk.current() == []


async def test_everything_quiet_is_as_it_was_after_a_restart(engine: Engine) -> None:
    rule = replace(HOT, suppressed_by="a/off", latched=True)
    it = await bench(engine, rule, FLOW)
    await it.desk.take(oil(0, 80) + flow(0, 5) + off(1, True))
    await it.desk.shelve([FLOW.name], OPERATOR, "pump is off", duration_ns=HOUR_NS, once=True)
    await it.desk.remove_from_service([rule.name], OPERATOR, "overhaul")
    before = it.desk.current()
    after = await bench(engine, rule, FLOW)
    assert after.desk.current() == before
    await after.desk.return_to_service([rule.name], OPERATOR, "")
    assert [one.state for one in after.desk.current()] == [AlarmState.SHELVED, AlarmState.SUPPRESSED]
    await after.desk.take(off(2, False))
    await after.pass_(3600)
    assert {one.state for one in after.desk.current()} == {AlarmState.UNACK_ACTIVE}


async def test_out_of_service_stands_until_somebody_returns_it(engine: Engine) -> None:
    it = await bench(engine)
    with pytest.raises(AccessError):
        await it.desk.remove_from_service([HOT.name], VIEWER, "overhaul")
    await it.desk.remove_from_service([HOT.name], OPERATOR, "overhaul")
    await it.desk.take(oil(0, 80))
    await it.pass_(400 * 86_400)
    assert (it.one().state, it.one().active, it.one().quiet_reason) == (AlarmState.OUT_OF_SERVICE, True, "overhaul")
    assert await it.desk.shelve([HOT.name], OPERATOR, "why not") == []
    (made,) = await it.desk.return_to_service([HOT.name], OPERATOR, "done")
    assert made.annunciates and it.one().state is AlarmState.UNACK_ACTIVE
    assert [entry[1] for entry in it.access.entries] == ["alarm.remove", "alarm.return"]


async def test_a_machine_that_stands_is_quiet_and_one_that_starts_does_not_flood(engine: Engine) -> None:
    rule = replace(FLOW, suppressed_by="a/off", release_delay_ns=10 * SECOND_NS)
    it = await bench(engine, rule)
    await it.desk.take(off(0, True) + flow(0, 5))
    assert (it.one().state, it.one().active) == (AlarmState.SUPPRESSED, True)
    await it.desk.take(off(60, False) + flow(65, 40))
    await it.desk.take(flow(80, 41))
    await it.desk.tick(BASE + 80 * SECOND_NS)
    assert it.desk.current() == []
    assert not any(one.annunciates for one in (await it.desk.history()).transitions)
    await it.desk.take(off(90, True) + flow(90, 5) + off(100, False))
    await it.desk.tick(BASE + 110 * SECOND_NS)
    assert it.one().state is AlarmState.UNACK_ACTIVE


async def test_a_suppression_that_is_no_longer_declared_ends(engine: Engine) -> None:
    live = LiveTable()
    it = await Bench(engine, live).start(replace(FLOW, suppressed_by="a/off"))
    live.update(off(0, True) + flow(0, 5))
    await it.desk.take(off(0, True) + flow(0, 5))
    await it.desk.configure({FLOW.name: FLOW}, HANDLES)
    assert it.one().state is AlarmState.UNACK_ACTIVE
    await it.desk.configure({FLOW.name: replace(FLOW, suppressed_by="a/off")}, {**HANDLES, "a/off": 3})
    assert it.one().state is AlarmState.SUPPRESSED
    await it.desk.configure({}, {})
    assert it.desk.current() == []


async def test_a_latched_alarm_waits_for_its_reset(engine: Engine) -> None:
    it = await bench(engine, replace(HOT, latched=True))
    await it.desk.take(oil(0, 80) + oil(1, 60))
    assert it.one().state is AlarmState.LATCHED_UNACK
    await it.desk.acknowledge([HOT.name], OPERATOR, "")
    assert it.one().state is AlarmState.LATCHED_ACK
    with pytest.raises(AccessError):
        await it.desk.reset([HOT.name], VIEWER, "")
    await it.desk.reset([HOT.name], OPERATOR, "valve checked")
    assert it.desk.current() == []


async def test_a_class_asks_for_a_comment_and_a_proof(engine: Engine) -> None:
    it = await bench(engine, replace(HOT, handling=SAFETY), FLOW)
    await it.desk.take(oil(0, 80) + flow(0, 5))
    assert it.desk.needs_proof([FLOW.name, HOT.name]) and not it.desk.needs_proof([FLOW.name])
    for comment, proven, error in (("", True, DataError), (" \0 ", True, DataError), ("seen", False, AccessError)):
        with pytest.raises(error, match="a/oil:hot"):
            await it.desk.acknowledge([FLOW.name, HOT.name], OPERATOR, comment, proven=proven)
    assert {one.state for one in it.desk.current()} == {AlarmState.UNACK_ACTIVE}
    assert len(await it.desk.acknowledge([FLOW.name, HOT.name], OPERATOR, "seen", proven=True)) == 2


async def test_a_class_says_whether_and_how_long_to_shelve(engine: Engine) -> None:
    it = await bench(engine, replace(HOT, handling=SAFETY), replace(FLOW, handling=BRIEF))
    wrong: list[tuple[list[str], Mapping[str, Any], str]] = [
        ([FLOW.name, HOT.name], {}, "may not be shelved"),
        ([FLOW.name], {"duration_ns": 11 * MINUTE_NS}, "at most 10m"),
        ([FLOW.name], {"duration_ns": 0}, "at most 10m"),
    ]
    for rules, how, said in wrong:
        with pytest.raises(DataError, match=said):
            await it.desk.shelve(rules, OPERATOR, "start-up", **how)
    for nothing in ("", " \0"):
        with pytest.raises(DataError, match="say why"):
            await it.desk.shelve([FLOW.name], OPERATOR, nothing)
        with pytest.raises(DataError, match="say why"):
            await it.desk.remove_from_service([FLOW.name], OPERATOR, nothing)
    with pytest.raises(NotFound):
        await it.desk.shelve([FLOW.name, "a/flow:none"], OPERATOR, "start-up")
    assert it.desk.current() == [] and it.access.entries == []
    await it.desk.shelve([FLOW.name], OPERATOR, "start-up")
    assert it.one().shelved_until_ns == BASE + 10 * MINUTE_NS


async def test_what_needs_no_acknowledgement_goes_as_its_condition_goes(engine: Engine) -> None:
    it = await bench(engine, replace(HOT, handling=LOUD))
    await it.desk.take(oil(0, 80))
    assert it.one().state is AlarmState.ACK_ACTIVE
    await it.desk.take(oil(1, 60))
    assert it.desk.current() == []


async def test_a_shelf_whose_end_cannot_be_recorded_stands_until_it_can(engine: Engine) -> None:
    it = await bench(engine)
    await it.desk.shelve([HOT.name], OPERATOR, "start-up", duration_ns=SECOND_NS)
    metadata.drop_all(engine)
    await it.pass_(5)
    assert it.one().state is AlarmState.SHELVED
    metadata.create_all(engine)
    await it.pass_(1)
    assert it.desk.current() == []
