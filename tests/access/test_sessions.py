"""Sessions: what they tell, how they end, and that an end is heard at once."""

from __future__ import annotations

import asyncio
import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.access.conftest import FakeClock, make_desk
from tests.access.test_factors import GOOD, HERE, LOCAL, with_user

from headrace.access.desk import AccessDesk
from headrace.access.sessions import plain_text
from headrace.model.errors import AccessError, DataError, NotFound
from headrace.sdk.access import Principal
from headrace.sdk.accounts import TenantPolicy
from headrace.sdk.entry import FreshProofNeeded, Proof, Seen


async def alive(desk: AccessDesk, session: str) -> bool:
    try:
        await desk.by_session(session)
    except AccessError:
        return False
    return True


async def test_a_list_tells_where_and_how_and_no_secret(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    session = await with_user(desk)
    clock.seconds += 10
    other, _ = await desk.sign_in("wang", GOOD, peer="::1", seen=Seen("::1", "Evil\r\nBrowser\x00\u202e 2" + "x" * 500))
    for again in (desk, make_desk(engine, clock)):
        newest, first = await again.sessions("wang")
        assert (newest.peer, first.peer, first.agent, first.proved) == ("::1", "10.0.0.7", "Browser 1", "password")
        assert newest.agent.startswith("Evil Browser 2xxx") and len(newest.agent) == 200
        assert first.id not in session and newest.id not in other
    assert desk.session(session).id != desk.session(other).id


@given(st.text(max_size=400))
def test_what_a_stranger_calls_itself_is_fit_for_a_list(text: str) -> None:
    plain = plain_text(text, 50)
    assert len(plain) <= 50 and plain.isprintable() and plain == plain.strip()


async def test_one_ends_or_all_but_this(desk: AccessDesk) -> None:
    one = await with_user(desk)
    two, _ = await desk.sign_in("wang", GOOD, peer="::1")
    three, _ = await desk.sign_in("wang", GOOD, peer="::1")
    me = await desk.by_session(one)
    await desk.end_session(me, "wang", desk.session(two).id)
    assert [await alive(desk, session) for session in (one, two, three)] == [True, False, True]
    assert await desk.end_sessions(me, "wang", keep=one) == 1
    assert [await alive(desk, session) for session in (one, three)] == [True, False]
    with pytest.raises(NotFound):
        await desk.end_session(me, "wang", "nothing")


async def test_those_of_others_are_for_who_secures_and_of_the_tenant_alone(desk: AccessDesk) -> None:
    session = await with_user(desk)
    other = await with_user(desk, "li", "administrator")
    with pytest.raises(AccessError):
        await desk.end_sessions(await desk.by_session(other), "wang")
    with pytest.raises(NotFound):  # of my own account, nobody else's session
        await desk.end_session(await desk.by_session(other), "li", desk.session(session).id)
    await desk.create_tenant(LOCAL, "beta", "Beta", ["beta"])
    foreign = Principal("beta.security", "security-officer", "session", "beta")
    for attempt in (desk.end_sessions(foreign, "wang"), desk.reset_factors(foreign, "wang")):
        with pytest.raises(NotFound):
            await attempt
    assert await alive(desk, session)
    officer = await desk.by_session(await with_user(desk, "zhao", "security-officer"))
    assert await desk.end_sessions(officer, "wang") == 1
    assert not await alive(desk, session)


@pytest.mark.clause("62443-3-3 SR 2.6")
async def test_an_end_wakes_those_who_listen(desk: AccessDesk) -> None:
    session = await with_user(desk)
    since = await desk.changed()
    waiting = asyncio.create_task(desk.changed(since))
    await asyncio.sleep(0)
    assert not waiting.done()
    await desk.sign_out(session)
    assert await waiting > since
    since = await desk.changed()
    waiting = asyncio.create_task(desk.changed(since))
    await desk.update_user(LOCAL, "wang", role="viewer")
    assert await waiting > since


@pytest.mark.clause("62443-3-3 SR 2.5", "62443-3-3 SR 2.6", "GB/T 22239-2019 8.1.4.1")
async def test_a_tenant_says_how_long_a_session_rests_and_lasts(desk: AccessDesk, clock: FakeClock) -> None:
    officer = await with_user(desk, "zhao", "security-officer")
    session = await with_user(desk)
    await desk.set_policy(await desk.by_session(officer), TenantPolicy(session_idle_s=120, session_life_s=600))
    for _ in range(5):
        clock.seconds += 100
        assert await alive(desk, session)
    clock.seconds += 99
    assert await alive(desk, session)
    clock.seconds += 1
    assert not await alive(desk, session), "600 s are over, however much it was used"
    session, _ = await desk.sign_in("wang", GOOD, peer="::1")
    id = desk.session(session).id
    clock.seconds += 60
    await desk.by_session(session, quiet=True)  # a screen that asks by itself is no person
    await desk.by_session_id(id)
    clock.seconds += 60
    assert not await alive(desk, session)
    with pytest.raises(AccessError):
        await desk.by_session_id(id)


@pytest.mark.clause("62443-3-3 SR 2.7")
async def test_a_tenant_says_how_many_sessions_somebody_has(desk: AccessDesk, clock: FakeClock) -> None:
    officer = await with_user(desk, "zhao", "security-officer")
    await desk.set_policy(await desk.by_session(officer), TenantPolicy(sessions_max=2))
    first = await with_user(desk)
    sessions = [first]
    for _ in range(2):
        clock.seconds += 1
        sessions.append((await desk.sign_in("wang", GOOD, peer="::1"))[0])
    assert [await alive(desk, session) for session in sessions] == [False, True, True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"session_idle_s": 59},
        {"session_idle_s": 90_000},
        {"session_life_s": 1},
        {"sessions_max": 0},
        {"sessions_max": 51},
        {"second_factor": "some"},
    ],
)
async def test_what_a_tenant_may_not_ask(desk: AccessDesk, wrong: dict[str, int]) -> None:
    with pytest.raises(DataError):
        await desk.set_policy(LOCAL, TenantPolicy(**wrong))  # type: ignore[arg-type]


@pytest.mark.clause("62443-3-3 SR 3.8 RE 1", "62443-3-3 SR 3.8 RE 2")
async def test_a_proof_gives_the_session_another_secret_and_keeps_its_name(
    desk: AccessDesk, engine: Engine, clock: FakeClock
) -> None:
    session = await with_user(desk)
    id = desk.session(session).id
    clock.seconds += 300
    with pytest.raises(FreshProofNeeded):
        desk.check_fresh(session)
    with pytest.raises(AccessError):
        await desk.prove_again(session, Proof(password="wrong wrong wrong"), HERE)
    renewed = await desk.prove_again(session, Proof(password=GOOD), HERE)
    desk.check_fresh(renewed)
    assert desk.session(renewed).id == id and (await desk.by_session_id(id)).name == "wang"
    for again in (desk, make_desk(engine, clock)):
        assert await alive(again, renewed) and not await alive(again, session)


@pytest.mark.clause("62443-3-3 SR 3.8 RE 3")
async def test_secrets_are_random_by_the_measure_of_bits(desk: AccessDesk) -> None:
    """NIST SP 800-22 §2.1 (frequency): 256 bits each, as many ones as zeros within five standard deviations."""
    secret = await with_user(desk)
    secrets = [secret := await desk.renew(secret) for _ in range(200)]
    raw = [base64.urlsafe_b64decode(one + "=") for one in secrets]
    assert len(set(raw)) == 200 and {len(one) for one in raw} == {32}
    ones = sum(byte.bit_count() for one in raw for byte in one)
    bits = 200 * 256
    assert abs(2 * ones - bits) < 5 * bits**0.5


async def test_a_clock_that_was_set_back_makes_no_proof_fresh(desk: AccessDesk, clock: FakeClock) -> None:
    session = await with_user(desk)
    clock.seconds -= 3600
    with pytest.raises(FreshProofNeeded):
        desk.check_fresh(session)


async def test_a_renewed_session_that_was_ended_meanwhile_stays_ended(
    desk: AccessDesk, engine: Engine, clock: FakeClock
) -> None:
    session = await with_user(desk)
    renewing = asyncio.create_task(desk.renew(session))
    await asyncio.sleep(0)
    await desk.sign_out(session)
    with pytest.raises(AccessError):
        await renewing
    assert await make_desk(engine, clock).sessions("wang") == []
