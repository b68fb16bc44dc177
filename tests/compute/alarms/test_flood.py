"""A flood through the desk: nothing lost, few transactions, its figures and its flag, by part of the plant."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Engine, event
from tests.compute.alarms.test_desk import BASE, FakeAccess, FakeClock

from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.alarms.journal import AlarmJournal
from headrace.model.alarms import AlarmCondition, AlarmRule
from headrace.model.areas import Area
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import LimitReached
from headrace.model.time import HOUR_NS, MILLISECOND_NS, SECOND_NS

COUNT = 1_000


async def flooded(engine: Engine) -> tuple[AlarmDesk, FakeClock]:
    """Alarms in ten seconds, in takes of 50 ms, half of them in each of two areas."""
    clock = FakeClock()
    clock.seconds = BASE // SECOND_NS + 10
    desk = AlarmDesk(engine, clock, FakeAccess(), FakeAccess())
    points = [f"{'ab'[n % 2]}/p{n}" for n in range(COUNT)]
    rules = {f"{point}:hi": AlarmRule(f"{point}:hi", point, AlarmCondition.HIGH, 1) for point in points}
    await desk.start()
    await desk.configure(rules, {point: n for n, point in enumerate(points)})
    for take in np.array_split(np.arange(COUNT), 200):
        at_ns = BASE + take.astype(np.int64) * 10_000 * MILLISECOND_NS // COUNT
        await desk.take([Batch.of(ValueKind.FLOAT64, take.astype(np.uint32), at_ns, 5.0)])
    return desk, clock


async def test_nothing_is_lost_and_each_take_is_one_transaction(engine: Engine) -> None:
    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    event.listen(engine, "commit", count)
    desk, _ = await flooded(engine)
    assert commits <= 201
    assert desk.lost == 0
    assert len(desk.current()) == COUNT
    page = await desk.history(limit=COUNT + 1)
    assert len({one.rule for one in page.transitions}) == len(page.transitions) == COUNT


async def test_the_flag_is_of_who_looks_and_ends(engine: Engine) -> None:
    desk, clock = await flooded(engine)
    whole, half = desk.flood(), desk.flood(Area(("a",)))
    assert whole is not None and half is not None
    assert (whole.end_ns, whole.peak, half.peak) == (None, COUNT, COUNT // 2)
    assert desk.flood(Area(("c",))) is None
    again = AlarmDesk(engine, clock, FakeAccess(), FakeAccess())
    await again.start()
    assert again.flood() == whole
    clock.seconds += 601
    assert desk.flood() is None


async def test_figures_are_of_the_part_that_is_asked_for(engine: Engine) -> None:
    desk, clock = await flooded(engine)
    end_ns = clock.now_ns() + SECOND_NS
    whole = await desk.kpis(end_ns - HOUR_NS, end_ns)
    half = await desk.kpis(end_ns - HOUR_NS, end_ns, within=Area(("b",)), operators=2)
    assert (whole.annunciated, half.annunciated) == (COUNT, COUNT // 2)
    assert whole.covered_ns == 11 * SECOND_NS
    assert (half.per_operator_hour, half.peak_window) == (COUNT / 4 / (11 / 3600), COUNT // 2)
    assert {one.rule[0] for one in half.top} == {"b"}
    assert (await desk.kpis(BASE - 2 * HOUR_NS, BASE - HOUR_NS)).transitions == 0
    assert (await desk.kpis(-(2**63), -(2**63) + HOUR_NS)).covered_ns == 0


async def test_figures_of_too_much_are_refused(engine: Engine) -> None:
    _, clock = await flooded(engine)
    journal = AlarmJournal(engine, steps_max=COUNT - 1)
    with pytest.raises(LimitReached):
        await journal.steps(BASE, clock.now_ns())
    assert len((await journal.steps(BASE, BASE + SECOND_NS)).rule) == COUNT // 10
