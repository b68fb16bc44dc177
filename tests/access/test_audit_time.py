"""When it was: each entry carries the time of the platform's clock, and that time is part of what is proved."""

import pytest
from sqlalchemy import Engine
from tests.access.conftest import FakeClock

from headrace.access.audit import AuditTrail


@pytest.mark.clause("62443-3-3 SR 2.11", "62443-3-3 SR 2.8", "GB/T 22239-2019 8.1.4.3")
async def test_each_entry_carries_the_time_at_which_it_was_made(engine: Engine, clock: FakeClock) -> None:
    trail = AuditTrail(engine, clock)
    times = []
    for step_s in (1, 3600, -60):  # a clock that is set back is not hidden either
        clock.seconds += step_s
        times.append(clock.now_ns())
        await trail.record("wang", "sign-in", "", "done")
    entries, _ = await trail.page("default")
    assert [entry.time_ns for entry in reversed(entries)] == times
