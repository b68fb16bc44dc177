"""Jobs are run when they are due, once each; those that were missed as they ask for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from headrace.hosting.jobs import CATCH_UP_MAX, Jobs, Timed
from headrace.model.errors import Unavailable
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS, parse_time_ns
from headrace.sdk.apps import Schedule
from headrace.sdk.testing.clock import FakeClock, settle

START = "2026-11-26T05:30:00Z"
HOURLY = Timed("hourly", Schedule.of(every="1h"), catch_up=False)
EACH_HOUR = Timed("each-hour", Schedule.of(every="1h"), catch_up=True)
SHIFTS = Timed("shifts", Schedule.of(at="06:00,14:00,22:00", zone="Asia/Shanghai"), catch_up=True)


class Ran:
    def __init__(self, file: Path, start: str = START) -> None:
        self.clock = FakeClock(parse_time_ns(start))
        self.file = file
        self.runs: list[tuple[str, int]] = []
        self.fails = 0

    @asynccontextmanager
    async def going(self, *jobs: Timed, zone: str = "UTC") -> AsyncIterator[Jobs]:
        made = Jobs(self.file, self.clock)
        await made.open()

        async def do(at: int, due_ns: int) -> None:
            if self.fails:
                self.fails -= 1
                raise Unavailable("killed")
            self.runs.append((jobs[at].name, due_ns))

        running = asyncio.create_task(made.run(jobs, zone, do))
        await self.settled()
        try:
            yield made
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, Unavailable):
                await running

    async def settled(self) -> None:
        """Files are written in threads."""
        for _ in range(20):
            await settle()
            await asyncio.sleep(0.002)

    async def advance(self, seconds: float) -> None:
        while seconds > 0:
            await self.clock.advance(min(seconds, 3600))
            await self.settled()
            seconds -= 3600

    def times(self, name: str) -> list[int]:
        return [due for one, due in self.runs if one == name]


def hours(*given: str) -> list[int]:
    return [parse_time_ns(f"2026-11-{one}:00Z") for one in given]


async def test_each_is_run_when_it_is_due_once(tmp_path: Path) -> None:
    ran = Ran(tmp_path / "jobs")
    async with ran.going(HOURLY, SHIFTS) as jobs:
        assert ran.runs == [] and jobs.due(HOURLY, "UTC") == hours("26T06:00")[0]
        await ran.advance(3600)
        assert ran.runs == [("hourly", hours("26T06:00")[0]), ("shifts", hours("26T06:00")[0])]
        await ran.advance(1800)
        assert ran.times("hourly") == hours("26T06:00", "26T07:00") and jobs.last("hourly") == hours("26T07:00")[0]


async def test_those_that_were_missed_are_made_up_for_as_they_say(tmp_path: Path) -> None:
    ran = Ran(tmp_path / "jobs")
    async with ran.going(HOURLY, EACH_HOUR):
        await ran.advance(3600)
    ran.clock.jump_wall(3.2 * 3600)
    async with ran.going(HOURLY, EACH_HOUR):
        pass
    assert ran.times("hourly") == hours("26T06:00", "26T09:00")
    assert ran.times("each-hour") == hours("26T06:00", "26T07:00", "26T08:00", "26T09:00")


async def test_a_run_that_was_ended_amidst_is_run_again(tmp_path: Path) -> None:
    ran = Ran(tmp_path / "jobs")
    async with ran.going(EACH_HOUR):
        ran.fails = 1
        await ran.advance(3600)
        assert ran.runs == []
    async with ran.going(EACH_HOUR):
        pass
    assert ran.times("each-hour") == hours("26T06:00")


async def test_a_new_job_has_missed_nothing(tmp_path: Path) -> None:
    ran = Ran(tmp_path / "jobs")
    async with ran.going(HOURLY):
        await ran.advance(3600)
    ran.clock.jump_wall(48 * 3600)
    async with ran.going(HOURLY, SHIFTS):
        pass
    assert ran.times("shifts") == []
    async with ran.going(SHIFTS):
        await ran.advance(24 * 3600)
    assert len(ran.times("shifts")) == 3


@pytest.mark.parametrize("text", ["", "[]", '{"hourly": "x"}', "\x00"])
async def test_what_was_kept_and_is_damaged_begins_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "jobs").write_text(text)
    ran = Ran(tmp_path / "jobs")
    async with ran.going(HOURLY):
        await ran.advance(3600)
    assert ran.times("hourly") == hours("26T06:00")


async def test_a_clock_that_was_far_ahead_does_not_stop_a_job_for_ever(tmp_path: Path) -> None:
    ran = Ran(tmp_path / "jobs")
    (tmp_path / "jobs").write_text(json.dumps({"hourly": ran.clock.now_ns() + 400 * DAY_NS}))
    jobs = Jobs(tmp_path / "jobs", ran.clock)
    await jobs.open()
    due = jobs.due(HOURLY, "UTC")
    assert due is not None and due <= ran.clock.now_ns() + DAY_NS + HOUR_NS


async def test_years_of_missed_times_are_bounded(tmp_path: Path) -> None:
    ran = Ran(tmp_path / "jobs")
    (tmp_path / "jobs").write_text(json.dumps({"m": 0, "c": 0}))
    jobs = Jobs(tmp_path / "jobs", ran.clock)
    await jobs.open()
    now, minute = ran.clock.now_ns(), Schedule.of(every="1min")
    assert jobs.due(Timed("m", minute, catch_up=False), "UTC") == now // MINUTE_NS * MINUTE_NS
    first = jobs.due(Timed("c", minute, catch_up=True), "UTC")
    assert first is not None and now - first <= (CATCH_UP_MAX + 1) * MINUTE_NS


def test_no_job_is_nothing(tmp_path: Path) -> None:
    none: Sequence[Timed] = ()
    asyncio.run(Jobs(tmp_path / "jobs", FakeClock()).run(none, "UTC", lambda at, due: asyncio.sleep(at + due)))
