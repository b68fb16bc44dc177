"""What whoever secures a tenant sees of its accounts, and does for them."""

from __future__ import annotations

import pyotp
import pytest
from tests.access.conftest import FakeClock
from tests.access.test_factors import GOOD, HERE, LOCAL, with_user

from headrace.access.desk import AccessDesk
from headrace.model.errors import AccessError, LimitReached, NotFound
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Principal
from headrace.sdk.accounts import Safeguards, TenantPolicy
from headrace.sdk.audit import AuditFilter
from headrace.sdk.entry import Proof, SecondFactorNeeded


async def of(desk: AccessDesk, name: str) -> Safeguards:
    return next(one for one in await desk.safeguards() if one.user.name == name)


async def lock_out(desk: AccessDesk, clock: FakeClock, name: str = "wang") -> None:
    for _ in range(10):
        clock.seconds += 60
        with pytest.raises(AccessError):
            await desk.sign_in(name, "wrong wrong wrong", peer="10.0.0.66")


@pytest.mark.clause("62443-3-3 SR 1.5")
async def test_who_has_which_factors_and_who_is_signed_in(desk: AccessDesk, clock: FakeClock) -> None:
    session = await with_user(desk)
    await with_user(desk, "zhao", "security-officer")
    began_ns = clock.now_ns()
    offer = await desk.offer_totp(session)
    await desk.confirm_totp(session, pyotp.TOTP(offer.secret).at(clock.seconds))
    clock.seconds += 100
    await desk.by_session(session)
    wang, zhao = await of(desk, "wang"), await of(desk, "zhao")
    assert wang.factors.any and wang.factors.totp_since_ns == began_ns and wang.factors.recovery_codes_left == 10
    assert [one.last_used_ns for one in wang.sessions] == [clock.now_ns()]
    assert not zhao.factors.any and not zhao.factors.needed and zhao.relied_on
    await desk.set_policy(LOCAL, TenantPolicy(second_factor="administrators"))
    assert (await of(desk, "zhao")).factors.needed
    await desk.end_sessions(LOCAL, "wang")
    assert (await of(desk, "wang")).sessions == ()


@pytest.mark.clause("62443-3-3 SR 1.11")
async def test_a_lockout_is_seen_and_ended_before_its_time(desk: AccessDesk, clock: FakeClock) -> None:
    await with_user(desk)
    officer = await desk.by_session(await with_user(desk, "zhao", "security-officer"))
    assert (await of(desk, "wang")).locked_until_ns is None
    await lock_out(desk, clock)
    assert (await of(desk, "wang")).locked_until_ns == clock.now_ns() + 900 * SECOND_NS
    assert (await of(desk, "zhao")).locked_until_ns is None
    clock.seconds += 600
    with pytest.raises(LimitReached):
        await desk.sign_in("wang", GOOD, peer="::1")
    assert (await of(desk, "wang")).locked_until_ns == clock.now_ns() + 300 * SECOND_NS
    await desk.unlock_user(officer, "Wang")
    assert (await of(desk, "wang")).locked_until_ns is None
    await desk.sign_in("wang", GOOD, peer="::1")
    await desk.unlock_user(officer, "wang")  # nothing to end, nothing to tell
    told, _ = await desk.trail.page("default", AuditFilter(action="lockout."))
    assert [(one.actor, one.subject) for one in told] == [("zhao", "wang")]


@pytest.mark.clause("62443-3-3 SR 1.11")
async def test_guesses_at_the_door_keep_nobody_inside_from_proving_themselves(
    desk: AccessDesk, clock: FakeClock
) -> None:
    """And whoever guesses with somebody's session has as few tries as at the door."""
    session = await with_user(desk)
    await lock_out(desk, clock)
    session = await desk.prove_again(session, Proof(password=GOOD), HERE)
    desk.check_fresh(session)
    assert (await of(desk, "wang")).locked_until_ns is not None
    for _ in range(10):
        clock.seconds += 60
        with pytest.raises(AccessError):
            await desk.prove_again(session, Proof(password="wrong wrong wrong"), HERE)
    clock.seconds += 60
    with pytest.raises(LimitReached):
        await desk.prove_again(session, Proof(password=GOOD), HERE)


@pytest.mark.clause("62443-3-3 SR 1.11")
async def test_a_lockout_ends_by_itself_and_a_short_wait_is_none(desk: AccessDesk, clock: FakeClock) -> None:
    await with_user(desk)
    for _ in range(5):
        clock.seconds += 60
        with pytest.raises(AccessError):
            await desk.sign_in("wang", "wrong wrong wrong", peer="10.0.0.66")
    with pytest.raises(LimitReached):
        await desk.sign_in("wang", GOOD, peer="::1")
    assert (await of(desk, "wang")).locked_until_ns is None, "a few seconds are no lockout"
    clock.seconds += 60
    await desk.sign_in("wang", GOOD, peer="::1")
    await lock_out(desk, clock)
    clock.seconds += 900
    assert (await of(desk, "wang")).locked_until_ns is None


async def test_wrong_codes_lock_out_too_and_are_forgiven_too(desk: AccessDesk, clock: FakeClock) -> None:
    session = await with_user(desk)
    offer = await desk.offer_totp(session)
    phone = pyotp.TOTP(offer.secret)
    await desk.confirm_totp(session, phone.at(clock.seconds))
    for _ in range(10):
        clock.seconds += 60
        with pytest.raises(SecondFactorNeeded) as needed:
            await desk.sign_in("wang", GOOD, peer="::1")
        with pytest.raises(AccessError):
            await desk.complete(needed.value.pending.secret, Proof(code="000000"), HERE)
    assert (await of(desk, "wang")).locked_until_ns == clock.now_ns() + 900 * SECOND_NS
    with pytest.raises(LimitReached):
        await desk.complete(needed.value.pending.secret, Proof(code=phone.at(clock.seconds)), HERE)
    await desk.unlock_user(LOCAL, "wang")
    with pytest.raises(SecondFactorNeeded) as needed:
        await desk.sign_in("wang", GOOD, peer="::1")
    clock.seconds += 60
    await desk.complete(needed.value.pending.secret, Proof(code=phone.at(clock.seconds)), HERE)


@pytest.mark.clause("62443-3-3 SR 2.1")
async def test_only_who_secures_ends_a_lockout_and_only_of_their_own_tenant(desk: AccessDesk, clock: FakeClock) -> None:
    await with_user(desk)
    admin = await desk.by_session(await with_user(desk, "li", "administrator"))
    await lock_out(desk, clock)
    with pytest.raises(AccessError):
        await desk.unlock_user(admin, "wang")
    await desk.create_tenant(LOCAL, "beta", "Beta", ["beta"])
    with pytest.raises(NotFound):
        await desk.unlock_user(Principal("beta.security", "security-officer", "session", "beta"), "wang")
    assert (await of(desk, "wang")).locked_until_ns is not None
    assert {one.user.name for one in await desk.safeguards("beta")} == {"beta.admin", "beta.security", "beta.audit"}


def test_what_holds_where_a_tenant_says_nothing(desk: AccessDesk) -> None:
    platform = desk.platform_policy()
    assert (platform.session_idle_s, platform.session_life_s, platform.sessions_max) == (12 * 3600, 7 * 86_400, 50)
