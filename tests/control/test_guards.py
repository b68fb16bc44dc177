"""A write needs more than a right: limits, interlocks, a second person, and no lock; each refusal sends nothing."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from tests.control.fakes import (
    FORCE,
    LOCAL,
    MANAGER,
    OFFICER,
    OIL,
    OPERATOR,
    OTHER,
    OWNER,
    PRESSURE,
    RUNNING,
    TOKEN,
    VIEWER,
    Rig,
)

from headrace.model import quality as q
from headrace.model.commands import Command, CommandState
from headrace.model.errors import AccessError, Conflict, DataError, NotFound, Unavailable
from headrace.sdk.access import Action, Principal

AWAITING, CONFIRMED, REFUSED = CommandState.AWAITING, CommandState.CONFIRMED, CommandState.REFUSED
FEED = "acme/press/feed"


@pytest.fixture
def rig(engine: Engine) -> Rig:
    rig = Rig(engine)
    rig.ready()
    return rig


async def asked(rig: Rig, value: float = 20.0, who: Principal = OPERATOR) -> Command:
    command = await rig.write(value, FORCE, who)
    assert command.state is AWAITING, command.detail
    return command


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")
async def test_a_step_is_counted_from_what_the_device_holds(rig: Rig) -> None:
    assert (await rig.write(10.0, FEED)).state is CONFIRMED
    rig.clock.seconds += 1
    command = await rig.write(20.5, FEED)
    assert (command.state, command.detail) == (REFUSED, "this is a step of 10.5; at most 10 at once")
    rig.device.held[FEED] = 15.0  # somebody turned it at the machine
    assert (await rig.write(20.5, FEED)).state is CONFIRMED
    assert rig.device.writes == [(FEED, 10.0), (FEED, 20.5)]


async def test_without_the_present_value_a_step_cannot_be_judged(rig: Rig) -> None:
    rig.device.bad_reads = 1
    command = await rig.write(1.0, FEED)
    assert command.state is REFUSED
    assert "cannot be judged without the present value" in command.detail


@pytest.mark.clause("62443-3-3 SR 3.5")
async def test_steps_add_up_within_a_minute_also_across_a_restart(rig: Rig, engine: Engine) -> None:
    for value in (10.0, 20.0):
        assert (await rig.write(value, FEED)).state is CONFIRMED
        rig.clock.seconds += 1
    after = Rig(engine, rig)
    await after.desk.start()
    refused = await after.write(30.0, FEED)
    assert refused.detail == "with this step 'acme/press/feed' would have moved 30 within a minute; at most 25"
    assert (await after.write(25.0, FEED)).state is CONFIRMED
    after.clock.seconds += 61
    assert (await after.write(30.0, FEED)).state is CONFIRMED


async def test_a_persons_token_counts_as_the_person(rig: Rig) -> None:
    who = (OPERATOR, TOKEN, OPERATOR)
    for at, principal in enumerate(who, 1):
        command = await asked(rig, at * 10.0, principal)
        assert (await rig.desk.approve(command.id, MANAGER, "")).state is CONFIRMED
        rig.clock.seconds += 5
        rig.ready()
    refused = await rig.write(40.0, FORCE, TOKEN)
    assert "you wrote 'acme/press/force' 3 times within a minute" in refused.detail
    command = await asked(rig, 40.0, OWNER)
    assert (await rig.desk.approve(command.id, MANAGER, "")).state is CONFIRMED
    rig.clock.seconds += 5
    rig.ready()
    assert "written 4 times within a minute" in (await rig.write(50.0, FORCE, OTHER_OPERATOR)).detail


OTHER_OPERATOR = Principal("sun", "operator", "session")


# --- interlocks ------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 3.5")
@pytest.mark.parametrize(
    ("quality", "age_s", "value", "said"),
    [
        (q.GOOD, 0, True, "must be false, and is true"),
        (q.BAD_TIMEOUT, 0, False, "is BadTimeout"),
        (q.UNCERTAIN, 0, False, "is Uncertain"),
        (q.GOOD, 11, False, "has no value younger than 10s"),
        (None, 0, False, "has no value"),
    ],
)
async def test_what_is_not_known_does_not_hold(
    rig: Rig, quality: int | None, age_s: float, value: bool, said: str
) -> None:
    rig.plant.samples[RUNNING] = []
    if quality is not None:
        rig.plant.say(RUNNING, value, quality, age_s)
    command = await rig.write(20.0, FORCE)
    assert command.state is REFUSED
    assert command.detail.startswith("interlock: stop the press first ('acme/press/running' ")
    assert said in command.detail
    assert rig.device.writes == []


@pytest.mark.parametrize("trouble", ["short", "gap", "blip", "bad"])
async def test_a_condition_must_have_held_for_its_time(rig: Rig, trouble: str) -> None:
    samples = rig.plant.samples[OIL]
    if trouble == "short":
        rig.plant.samples[OIL] = samples[-3:]
    elif trouble == "gap":
        rig.plant.samples[OIL] = [one for at, one in enumerate(samples) if not 40 < at < 57]
    else:
        changed = {"value": 20.0} if trouble == "blip" else {"quality": q.BAD_TIMEOUT}
        samples[-3] = replace(samples[-3], **changed)  # type: ignore[arg-type]
    command = await rig.write(20.0, FORCE)
    assert command.state is REFUSED
    assert "has not been so for 5s" in command.detail


async def test_the_conditions_of_a_write_can_be_seen_before_it_is_asked_for(rig: Rig) -> None:
    rig.plant.say(RUNNING, True)
    command = await rig.desk.conditions(FORCE)
    assert [state.holds for state in command.interlocks] == [False, True]
    assert command.interlocks[0].why == "'acme/press/running' must be false, and is true"
    assert command.guard.critical
    with pytest.raises(NotFound):
        await rig.desk.conditions("acme/press/nothing")


@pytest.mark.clause("62443-3-3 SR 2.1")
@pytest.mark.parametrize("change", ["right", "approver", "interlock", "lock", "declaration", "undeclared"])
async def test_the_last_look_is_after_everything_durable(rig: Rig, change: str) -> None:
    command = await asked(rig)

    def interfere(action: str, outcome: str) -> bool:
        if (action, outcome) == ("write", "sent"):
            if change == "right":
                rig.access.taken.add((OPERATOR.name, Action.WRITE))
            elif change == "approver":
                rig.access.taken.add((MANAGER.name, Action.APPROVE))
            elif change == "interlock":
                rig.plant.say(RUNNING, True)
            elif change == "lock":
                rig.desk._locks.add("acme", "default", "smoke", "chen", rig.clock.now_ns())
            elif change == "declaration":
                point = rig.points[FORCE]
                rig.points[FORCE] = replace(point, write_range=replace(point.write_range, high=10.0))  # type: ignore[type-var]
            else:
                del rig.points[FORCE]
        return False

    rig.access.fails = interfere
    ended = await rig.desk.approve(command.id, MANAGER, "")
    assert ended.state is REFUSED
    assert ended.detail.startswith("not sent: ")
    assert rig.device.writes == []


# --- the second person -----------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 2.1 RE 4", "62443-3-3 SR 2.12")
async def test_a_critical_write_takes_two_persons_and_records_both(rig: Rig) -> None:
    command = await asked(rig)
    assert rig.device.writes == []
    assert command.expires_ns == rig.clock.now_ns() + 600 * 10**9
    assert [one.id for one in await rig.desk.list(state=AWAITING)] == [command.id]
    rig.clock.seconds += 3
    ended = await rig.desk.approve(command.id, MANAGER, "checked the drawing")
    assert (ended.state, ended.actor, ended.approver) == (CONFIRMED, "wang", "li")
    assert ended.requested_ns < (ended.decided_ns or 0)
    assert ended.decision == "checked the drawing"
    assert (await rig.desk.list())[0] == ended
    assert ("li", "write.approve", FORCE, "done") in rig.access.entries
    assert "command.awaiting-approval" in [event.type for event in rig.events]


@pytest.mark.clause("62443-3-3 SR 2.1 RE 4")
@pytest.mark.parametrize(
    ("requester", "approver", "said"),
    [
        (OWNER, OWNER, "cannot approve"),
        (OPERATOR, Principal("token:gateway", "owner", "token"), "cannot approve"),
        (TOKEN, Principal("wang", "owner", "session"), "cannot approve"),
        (OPERATOR, LOCAL, "nobody in particular"),
        (LOCAL, LOCAL, "nobody in particular"),
        (OPERATOR, OTHER_OPERATOR, "may not approve"),
        (OPERATOR, VIEWER, "may not approve"),
    ],
)
async def test_who_cannot_be_the_second_person(rig: Rig, requester: Principal, approver: Principal, said: str) -> None:
    command = await asked(rig, who=requester)
    with pytest.raises(AccessError, match=said):
        await rig.desk.approve(command.id, approver, "")
    with pytest.raises(AccessError, match=said):
        await rig.desk.reject(command.id, approver, "no")
    assert rig.device.writes == []
    assert (approver.name, "write.approve", FORCE, "refused") in rig.access.entries
    assert (await rig.desk.approve(command.id, OTHER, "")).state is CONFIRMED


async def test_two_approvals_at_once_send_once(rig: Rig) -> None:
    command = await asked(rig)
    ends = await asyncio.gather(
        *(rig.desk.approve(command.id, who, "") for who in (MANAGER, OTHER)), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["Command", "Conflict"]
    assert rig.device.writes == [(FORCE, 20.0)]
    with pytest.raises(Conflict, match="it is confirmed"):
        await rig.desk.approve(command.id, MANAGER, "")


async def test_all_is_checked_again_on_approval(rig: Rig) -> None:
    command = await asked(rig)
    rig.plant.say(RUNNING, True)
    ended = await rig.desk.approve(command.id, MANAGER, "")
    assert (ended.state, rig.device.writes) == (REFUSED, [])
    assert "interlock" in ended.detail


async def test_reject_and_withdraw(rig: Rig) -> None:
    first = await asked(rig)
    with pytest.raises(DataError, match="needs a reason"):
        await rig.desk.reject(first.id, MANAGER, " ")
    assert (await rig.desk.reject(first.id, MANAGER, "too much")).detail == "rejected by li: too much"
    second = await asked(rig)
    with pytest.raises(AccessError, match="only the person who asked"):
        await rig.desk.withdraw(second.id, MANAGER)
    assert (await rig.desk.withdraw(second.id, TOKEN)).detail == "withdrawn by token:gateway: no longer wanted"
    assert await rig.desk.list(state=AWAITING) == []
    assert rig.device.writes == []
    with pytest.raises(NotFound):
        await rig.desk.approve("nothing", MANAGER, "")


async def test_one_write_waits_for_a_point(rig: Rig) -> None:
    await asked(rig)
    assert "waits for approval already" in (await rig.write(30.0, FORCE)).detail


async def test_what_waits_outlives_a_restart_until_it_expires(rig: Rig, engine: Engine) -> None:
    command = await asked(rig)
    after = Rig(engine, rig)
    await after.desk.start()
    assert [one.id for one in await after.desk.list(state=AWAITING)] == [command.id]
    after.clock.seconds += 599
    after.ready()
    assert (await after.desk.approve(command.id, MANAGER, "")).state is CONFIRMED
    after.clock.seconds += 60
    after.ready()
    late = await asked(after, 30.0)
    after.clock.seconds += 600
    last = Rig(engine, after)
    await last.desk.start()
    with pytest.raises(Conflict, match="expired"):
        await last.desk.approve(late.id, MANAGER, "")
    assert len(rig.device.writes) == 1


# --- locks -----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 2.1")
async def test_a_lock_refuses_at_once_and_outlives_a_restart(rig: Rig, engine: Engine) -> None:
    lock = await rig.desk.lock("acme/press", OPERATOR, "hand in the die")
    command = await rig.write(100.0)
    assert (command.state, command.detail) == (REFUSED, "'acme/press' is locked by wang: hand in the die")
    after = Rig(engine, rig)
    await after.desk.start()
    assert list(after.desk.locks()) == [lock]
    assert (await after.write(100.0)).state is REFUSED
    with pytest.raises(AccessError, match="may not lock"):
        await after.desk.release(lock.id, OPERATOR, "out again")
    with pytest.raises(DataError, match="needs a reason"):
        await after.desk.release(lock.id, OFFICER, "")
    released = await after.desk.release(lock.id, OFFICER, "die closed")
    assert (released.released_by, released.release_reason) == ("chen", "die closed")
    assert (await after.write(100.0)).state is CONFIRMED
    last = Rig(engine, after)
    await last.desk.start()
    assert list(last.desk.locks()) == []


async def test_who_may_lock_and_what(rig: Rig) -> None:
    with pytest.raises(AccessError):
        await rig.desk.lock("", VIEWER, "because")
    with pytest.raises(NotFound, match="nothing would be locked"):
        await rig.desk.lock("acme/pres", OPERATOR, "because")
    with pytest.raises(DataError):
        await rig.desk.lock("", OPERATOR, "")
    await rig.desk.lock(PRESSURE, Principal("fix", "maintainer", "session"), "hose off")
    assert (await rig.write(100.0)).state is REFUSED
    assert (await rig.write(10.0, "acme/press/speed")).state is CONFIRMED
    await rig.desk.lock("", OFFICER, "intruder")
    assert "all writes are locked by chen: intruder" in (await rig.write(20, "acme/press/count")).detail


async def test_what_waits_stays_under_a_lock_and_cannot_be_sent(rig: Rig) -> None:
    command = await asked(rig)
    lock = await rig.desk.lock("", OFFICER, "smoke")
    with pytest.raises(Conflict, match="it waits on"):
        await rig.desk.approve(command.id, MANAGER, "")
    await rig.desk.release(lock.id, OFFICER, "toast")
    assert (await rig.desk.approve(command.id, MANAGER, "")).state is CONFIRMED


async def test_a_lock_is_answered_when_nothing_is_on_its_way_any_more(rig: Rig) -> None:
    go, inside = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        inside.set()
        await go.wait()

    rig.device.before_write = wait
    writing = asyncio.ensure_future(rig.write(100.0))
    await inside.wait()
    locking = asyncio.ensure_future(rig.desk.lock("acme", OPERATOR, "smoke"))
    await asyncio.sleep(0)
    assert (await rig.write(10.0, "acme/press/speed")).state is REFUSED  # it stands already
    assert not locking.done()
    go.set()
    await locking
    assert (await writing).state is CONFIRMED


async def test_a_lock_that_cannot_be_recorded_stands_all_the_same(rig: Rig, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("drop table control_locks")
    with pytest.raises(Unavailable, match="the lock stands"):
        await rig.desk.lock("", OPERATOR, "smoke")
    assert (await rig.write(100.0)).state is REFUSED


# --- faults ----------------------------------------------------------------------------------------------------------


def failing(engine: Engine, at: int) -> list[int]:
    """Let the statement number `at` that changes something fail, as a database that went away does."""
    seen = [0]

    def before(_c: object, _cur: object, statement: str, *_rest: object) -> None:
        if statement.split()[0].upper() in ("INSERT", "UPDATE", "DELETE"):
            seen[0] += 1
            if seen[0] == at:
                raise OperationalError(statement, {}, Exception("the database went away"))

    event.listen(engine, "before_cursor_execute", before)
    return seen


@pytest.mark.clause("62443-3-3 SR 2.12")
@pytest.mark.parametrize("at", range(1, 9))
async def test_a_journal_that_fails_at_any_step_sends_nothing(rig: Rig, engine: Engine, at: int) -> None:
    seen = failing(engine, at)
    sent_at = []
    rig.device.before_write = lambda: sent_at.append(seen[0])
    with pytest.raises(Unavailable):
        command = await rig.write(20.0, FORCE)
        await rig.desk.approve(command.id, MANAGER, "")
        assert seen[0] < at or sent_at  # the last step is after the device has answered
        if seen[0] < at:
            raise Unavailable("nothing left to fail")
    assert not sent_at or sent_at[0] < at, "sent although a step before failed"


@pytest.mark.parametrize("step", ["requested", "authorised", "awaiting-approval", "sent", "done"])
async def test_an_audit_trail_that_fails_at_any_step_sends_nothing(rig: Rig, engine: Engine, step: str) -> None:
    rig.access.fails = lambda action, outcome: outcome == step
    with pytest.raises(Unavailable):
        command = await rig.write(20.0, FORCE)
        await rig.desk.approve(command.id, MANAGER, "")
    assert rig.device.writes == []
    rig.access.fails = lambda action, outcome: False
    after = Rig(engine, rig)
    await after.desk.start()
    left = [one.state for one in await after.desk.list()]
    assert left in ([REFUSED], [AWAITING])
