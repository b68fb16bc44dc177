"""The audit trail keeps everything in order and shows any change made behind its back."""

import asyncio
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, update
from tests.access.conftest import FakeClock

from headrace.access.audit import AuditHead, AuditTrail
from headrace.access.tables import audit, metadata
from headrace.model.errors import DataError, Unavailable


async def filled(engine: Engine, clock: FakeClock, count: int = 5) -> AuditTrail:
    trail = AuditTrail(engine, clock)
    for number in range(count):
        clock.seconds += 1
        await trail.record("wang", "write", "acme/press", "confirmed", {"value": number})
    return trail


async def test_entries_come_back_newest_first_in_pages(engine: Engine, clock: FakeClock) -> None:
    trail = await filled(engine, clock)
    first, cursor = await trail.page(limit=3)
    assert [entry.data["value"] for entry in first] == [4, 3, 2]
    rest, end = await trail.page(limit=3, cursor=cursor)
    assert ([entry.data["value"] for entry in rest], end) == ([1, 0], None)
    with pytest.raises(DataError):
        await trail.page(cursor="1; drop table")


async def test_a_whole_chain_verifies(engine: Engine, clock: FakeClock) -> None:
    assert await AuditTrail(engine, clock).verify() == AuditHead(0, "0" * 64)
    trail = await filled(engine, clock)
    head = await trail.verify()
    assert head.sequence == 5
    await trail.record("wang", "write", "x", "confirmed")
    assert (await AuditTrail(engine, clock).verify(known=head)).sequence == 6


@pytest.mark.parametrize(
    "column", ["time_ns", "actor", "action", "subject", "outcome", "data", "previous_hash", "hash"]
)
async def test_an_altered_entry_shows(engine: Engine, clock: FakeClock, column: str) -> None:
    trail = await filled(engine, clock)
    value = 5 if column == "time_ns" else "0" * 64
    with engine.begin() as connection:
        connection.execute(update(audit).where(audit.c.sequence == 3).values({column: value}))
    with pytest.raises(DataError, match="altered at entry 3"):
        await trail.verify()


async def test_a_removed_entry_shows(engine: Engine, clock: FakeClock) -> None:
    trail = await filled(engine, clock)
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.sequence == 2))
    with pytest.raises(DataError, match="altered at entry 2"):
        await trail.verify()


async def test_a_cut_off_end_shows_against_a_noted_head(engine: Engine, clock: FakeClock) -> None:
    trail = await filled(engine, clock)
    head = await trail.verify()
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.sequence == 5))
    await trail.verify()
    with pytest.raises(DataError, match="cut off"):
        await trail.verify(known=head)
    await trail.record("mallory", "write", "x", "confirmed")
    with pytest.raises(DataError, match="cut off"):
        await trail.verify(known=head)


async def test_two_trails_on_one_table_make_one_chain(engine: Engine, clock: FakeClock) -> None:
    one, two = AuditTrail(engine, clock), AuditTrail(engine, clock)
    for _ in range(5):
        await one.record("a", "b", "c", "d")
        await two.record("a", "b", "c", "d")
    assert (await one.verify()).sequence == 10


async def test_many_at_once_are_all_kept(engine: Engine, clock: FakeClock) -> None:
    trail = AuditTrail(engine, clock)
    await asyncio.gather(*(trail.record(f"user{n}", "x", "y", "z") for n in range(200)))
    assert (await trail.verify()).sequence == 200
    entries, _ = await trail.page(limit=500)
    assert {entry.actor for entry in entries} == {f"user{n}" for n in range(200)}


async def test_a_caller_that_goes_away_harms_nobody(engine: Engine, clock: FakeClock) -> None:
    trail = AuditTrail(engine, clock)
    gone = asyncio.ensure_future(trail.record("gone", "x", "y", "z"))
    stays = asyncio.ensure_future(trail.record("stays", "x", "y", "z"))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert (await trail.verify()).sequence == 2


async def test_a_dead_database_is_said_to_every_caller(engine: Engine, clock: FakeClock) -> None:
    trail = AuditTrail(engine, clock)
    metadata.drop_all(engine)
    outcomes = await asyncio.gather(*(trail.record("a", "b", "c", "d") for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    metadata.create_all(engine)
    await trail.record("a", "b", "c", "d")
    assert (await trail.verify()).sequence == 1


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.text(), st.dictionaries(st.text(), st.one_of(st.text(), st.floats(), st.integers(), st.none())))
def test_any_text_and_data_can_be_recorded(
    engine: Engine, actor: str, subject: str, data: dict[str, str | float | int | None]
) -> None:
    async def run() -> None:
        trail = AuditTrail(engine, FakeClock())
        await trail.record(actor, "x", subject, "done", data)
        entries, _ = await trail.page(limit=1)
        assert set(entries[0].data) == set(data)
        for key, value in data.items():
            held = entries[0].data[key]
            assert held == value or (isinstance(value, float) and math.isnan(value) and math.isnan(held))
        await trail.verify()

    asyncio.run(run())
