"""The audit trail keeps everything in order and shows any change made behind its back."""

import asyncio
import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, update
from sqlalchemy.exc import OperationalError
from tests.access.audit.world import failing_inserts
from tests.access.conftest import FakeClock, make_desk
from tests.properties import examples

from headrace.access.audit import AuditHead, AuditTrail
from headrace.access.audit.chain import canonical
from headrace.access.audit_tables import unguard
from headrace.access.tables import audit
from headrace.model.errors import DataError, Unavailable
from headrace.model.time import SECOND_NS
from headrace.sdk.audit import AuditFilter


async def filled(engine: Engine, clock: FakeClock, count: int = 5) -> AuditTrail:
    trail = AuditTrail(engine, clock)
    for number in range(count):
        clock.seconds += 1
        await trail.record("wang", "write", "acme/press", "confirmed", {"value": number})
    return trail


async def test_entries_come_back_newest_first_in_pages(engine: Engine, clock: FakeClock) -> None:
    trail = await filled(engine, clock)
    first, cursor = await trail.page("default", limit=3)
    assert [entry.data["value"] for entry in first] == [4, 3, 2]
    rest, end = await trail.page("default", limit=3, cursor=cursor)
    assert ([entry.data["value"] for entry in rest], end) == ([1, 0], None)
    with pytest.raises(DataError):
        await trail.page("default", cursor="1; drop table")


async def test_a_whole_chain_verifies(engine: Engine, clock: FakeClock) -> None:
    assert (await AuditTrail(engine, clock).verify()).head == AuditHead(0, "0" * 64)
    trail = await filled(engine, clock)
    head = (await trail.verify()).head
    assert head.sequence == 5
    await trail.record("wang", "write", "x", "confirmed")
    assert (await AuditTrail(engine, clock).verify(known=head)).head.sequence == 6


@pytest.mark.parametrize(
    "column", ["time_ns", "actor", "action", "subject", "outcome", "data", "previous_hash", "hash"]
)
@pytest.mark.clause("62443-3-3 SR 3.9", "62443-3-3 SR 3.4", "GB/T 22239-2019 8.1.4.3", "GB/T 22239-2019 8.1.4.7")
async def test_an_altered_entry_shows(engine: Engine, clock: FakeClock, column: str) -> None:
    trail = await filled(engine, clock)
    value = 5 if column == "time_ns" else "0" * 64
    with engine.begin() as connection:
        unguard(connection)
        connection.execute(update(audit).where(audit.c.sequence == 3).values({column: value}))
    with pytest.raises(DataError, match="altered at entry 3"):
        await trail.verify()


@pytest.mark.clause("62443-3-3 SR 3.9", "GB/T 22239-2019 8.1.4.3")
async def test_a_removed_entry_shows(engine: Engine, clock: FakeClock) -> None:
    trail = await filled(engine, clock)
    with engine.begin() as connection:
        unguard(connection)
        connection.execute(delete(audit).where(audit.c.sequence == 2))
    with pytest.raises(DataError, match="altered at entry 2"):
        await trail.verify()


@pytest.mark.clause("62443-3-3 SR 3.9", "GB/T 22239-2019 8.1.4.3")
async def test_a_cut_off_end_shows_against_a_noted_head(engine: Engine, clock: FakeClock) -> None:
    trail = await filled(engine, clock)
    head = (await trail.verify()).head
    with engine.begin() as connection:
        unguard(connection)
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
    assert (await one.verify()).head.sequence == 10


@pytest.mark.clause("62443-3-3 SR 2.8")
async def test_many_at_once_are_all_kept(engine: Engine, clock: FakeClock) -> None:
    trail = AuditTrail(engine, clock)
    await asyncio.gather(*(trail.record(f"user{n}", "x", "y", "z") for n in range(200)))
    assert (await trail.verify()).head.sequence == 200
    entries, _ = await trail.page("default", limit=500)
    assert {entry.actor for entry in entries} == {f"user{n}" for n in range(200)}


async def test_a_caller_that_goes_away_harms_nobody(engine: Engine, clock: FakeClock) -> None:
    trail = AuditTrail(engine, clock)
    gone = asyncio.ensure_future(trail.record("gone", "x", "y", "z"))
    stays = asyncio.ensure_future(trail.record("stays", "x", "y", "z"))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert (await trail.verify()).head.sequence == 2


@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.text(), st.text(), st.dictionaries(st.text(), st.one_of(st.text(), st.floats(), st.integers(), st.none())))
def test_any_text_and_data_can_be_recorded(
    engine: Engine, actor: str, subject: str, data: dict[str, str | float | int | None]
) -> None:
    async def run() -> None:
        trail = AuditTrail(engine, FakeClock())
        await trail.record(actor, "x", subject, "done", data)
        entries, _ = await trail.page("default", limit=1)
        assert set(entries[0].data) == set(data)
        for key, value in data.items():
            held = entries[0].data[key]
            assert held == value or (isinstance(value, float) and math.isnan(value) and math.isnan(held))
        await trail.verify()

    asyncio.run(run())


@pytest.mark.clause("62443-3-3 SR 6.1", "GB/T 22239-2019 8.1.4.3")
@pytest.mark.clause("GB/T 22239-2019 8.2.5.1")
async def test_a_tenant_sees_its_own_entries_alone(engine: Engine, clock: FakeClock) -> None:
    trail = AuditTrail(engine, clock)
    for number in range(4):
        await trail.record("li", "write", "x", "done", {"n": number}, tenant="acme" if number % 2 else "default")
    own, _ = await trail.page("acme")
    platform, _ = await trail.page("default")
    nobody, _ = await trail.page("other")
    assert [entry.data["n"] for entry in own] == [3, 1]
    assert [entry.data["n"] for entry in platform] == [2, 0]
    assert list(nobody) == []
    assert (await trail.verify()).head == AuditHead(own[0].sequence, own[0].hash)


async def test_filters_take_what_they_say_and_no_wildcards(engine: Engine, clock: FakeClock) -> None:
    trail = AuditTrail(engine, clock)
    for actor, action, subject, outcome in (
        ("li", "user.create", "wang", "done"),
        ("li", "user_create", "wang", "done"),
        ("wang", "User.create", "acme/press", "refused"),
        ("li", "write", "acme/press-3", "confirmed"),
    ):
        clock.seconds += 10
        await trail.record(actor, action, subject, outcome)

    async def found(**wanted: Any) -> list[int]:
        entries, _ = await trail.page("default", AuditFilter(**wanted))
        return [entry.sequence for entry in entries]

    now_ns = clock.now_ns()
    assert await found(action="user.") == [1]
    assert await found(action="user%") == []
    assert await found(action="user_") == [2]
    assert await found(actor="li", subject="wang") == [2, 1]
    assert await found(subject="acme/") == [4, 3]
    assert await found(outcome="refused") == [3]
    assert await found(start_ns=now_ns - 10 * SECOND_NS, end_ns=now_ns) == [3]
    assert await found(actor="' or 1=1 --") == []


@pytest.mark.clause("62443-3-3 SR 3.9")
async def test_entries_from_before_tenants_still_verify(engine: Engine, clock: FakeClock) -> None:
    previous, rows = "0" * 64, []
    for sequence in (1, 2):
        told = [sequence, 7, "wang", "write", "acme/press", "confirmed", canonical({"n": sequence})]
        made = hashlib.sha256(json.dumps([previous, *told]).encode()).hexdigest()
        names = ("sequence", "time_ns", "actor", "action", "subject", "outcome", "data")
        rows.append(dict(zip(names, told, strict=True)) | {"previous_hash": previous, "hash": made})
        previous = made
    with engine.begin() as connection:
        connection.execute(insert(audit), rows)  # as the version before did: no form, no tenant
    trail = AuditTrail(engine, clock)
    await trail.record("li", "x", "y", "z", tenant="acme")
    assert (await trail.verify()).entries == 3
    with engine.begin() as connection:
        unguard(connection)
        connection.execute(update(audit).where(audit.c.sequence == 1).values(tenant="acme"))
    with pytest.raises(DataError, match="altered at entry 1"):
        await trail.verify()


@pytest.mark.clause("62443-3-3 SR 2.10", "62443-3-3 SR 2.12")
async def test_what_cannot_be_recorded_is_refused_and_the_trail_says_so_once(
    engine: Engine, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    trail = AuditTrail(engine, clock)
    await trail.ready()
    with failing_inserts(engine, OperationalError("INSERT", {}, Exception("database or disk is full"))):
        outcomes = await asyncio.gather(*(trail.record("a", "b", "c", "d") for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
        with pytest.raises(Unavailable):
            await trail.ready()
    assert trail.state().failing_since_ns is not None
    assert (trail.state().counters.failures, len(trail.state().trouble)) == (4, 1)
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
    await asyncio.gather(trail.ready(), trail.ready())
    entries, _ = await trail.page("default")
    assert [entry.action for entry in entries] == ["audit.resume"]  # once, and on record
    state = trail.state()
    assert (state.failing_since_ns, state.trouble, state.head.sequence) == (None, (), 1)
    assert (await trail.verify()).entries == 1


@pytest.mark.clause("62443-3-3 SR 2.10")
async def test_nobody_gets_in_while_that_cannot_be_recorded(engine: Engine, clock: FakeClock) -> None:
    desk = make_desk(engine, clock)
    newcomer = await desk.bootstrap()
    assert newcomer is not None
    with failing_inserts(engine, OperationalError("INSERT", {}, Exception("full"))), pytest.raises(Unavailable):
        await desk.sign_in(*newcomer, peer="10.0.0.1")
    secret, _ = await desk.sign_in(*newcomer, peer="10.0.0.1")
    assert (await desk.by_session(secret)).name == newcomer[0]


@pytest.mark.clause("62443-3-3 SR 2.8", "62443-3-3 SR 2.11")
async def test_an_entry_tells_when_who_what_on_what_and_how_it_ended(engine: Engine, clock: FakeClock) -> None:
    trail = AuditTrail(engine, clock)
    await trail.record("li", "user.create", "wang", "done", {"role": "viewer"}, tenant="acme")
    (entry,), _ = await trail.page("acme")
    assert (entry.time_ns, entry.actor, entry.action, entry.subject, entry.outcome, dict(entry.data), entry.tenant) == (
        clock.now_ns(), "li", "user.create", "wang", "done", {"role": "viewer"}, "acme",
    )  # fmt: skip
