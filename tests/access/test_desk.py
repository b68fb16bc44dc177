"""People and programs: who they are, what they may do, and that taking it away counts at once."""

import asyncio

import pytest
from sqlalchemy import Engine, text
from tests.access.conftest import FakeClock, make_desk

from headrace.access.desk import AccessDesk
from headrace.access.passwords import Hasher
from headrace.access.roles import NEWCOMER, RIGHTS
from headrace.model.errors import AccessError, Conflict, DataError, LimitReached, NotFound
from headrace.model.time import DAY_NS, SECOND_NS
from headrace.sdk.access import Action, Principal

LOCAL = Principal("local", "owner", "local")
GOOD = "four brown presses hum"
OTHER = "seven green pumps sing"


async def with_user(desk: AccessDesk, name: str = "wang", role: str = "operator", password: str = GOOD) -> None:
    _, once = await desk.create_user(LOCAL, name, role)
    await desk.change_password(name, once, password)


async def refused(desk: AccessDesk, session: str) -> bool:
    try:
        await desk.by_session(session)
    except AccessError as error:
        assert not error.authenticated
        return True
    return False


# --- first start ----------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 1.3")
async def test_the_first_start_makes_an_owner_once(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    made = await desk.bootstrap()
    assert made is not None
    name, password = made
    assert await desk.bootstrap() is None
    assert await make_desk(engine, clock).bootstrap() is None
    session, user = await desk.sign_in(name, password, peer="::1")
    assert (user.role, user.must_change_password) == ("owner", True)
    assert (await desk.by_session(session)).role == NEWCOMER


@pytest.mark.clause("62443-3-3 SR 1.1", "62443-3-3 SR 1.5", "GB/T 22239-2019 8.1.4.1")
async def test_a_one_time_password_opens_nothing_but_its_change(desk: AccessDesk) -> None:
    _, once = await desk.create_user(LOCAL, "wang", "owner")
    session, _ = await desk.sign_in("wang", once, peer="::1")
    newcomer = await desk.by_session(session)
    for action in Action:
        with pytest.raises(AccessError, match="one-time password"):
            desk.check(newcomer, action, "acme")
    await desk.change_password("wang", once, GOOD, session=session)
    principal = await desk.by_session(session)
    assert (principal.role, principal.via) == ("owner", "session")
    desk.check(principal, Action.ADMINISTER, "")
    assert not (await desk.user("wang")).must_change_password


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 4.1", "62443-3-3 SR 4.3", "GB/T 22239-2019 8.1.4.8")
async def test_one_time_passwords_differ_and_no_secret_is_stored(desk: AccessDesk, engine: Engine) -> None:
    _, one = await desk.create_user(LOCAL, "a1", "viewer")
    _, two = await desk.create_user(LOCAL, "a2", "viewer")
    session, _ = await desk.sign_in("a1", one, peer="::1")
    _, token = await desk.create_token(LOCAL, "grafana", "viewer")
    assert one != two
    with engine.connect() as connection:
        stored = "".join(
            str(connection.execute(text(f"select * from {table}")).all())
            for table in ("access_users", "access_sessions", "access_tokens", "access_audit")
        )
    for secret in (one, two, session, token):
        assert secret not in stored


# --- roles ----------------------------------------------------------------------------------------------------------

SEE = {Action.VIEW}
WORK = {Action.VIEW, Action.ACKNOWLEDGE}
MAY = {
    "member": set(),
    "viewer": SEE,
    "operator": {*WORK, Action.WRITE},
    "maintainer": {*WORK, Action.MAINTAIN},
    "engineer": {*WORK, Action.WRITE, Action.MAINTAIN, Action.CONFIGURE, Action.INGEST},
    "manager": {*WORK, Action.APPROVE, Action.LOCK, Action.SHARE},
    "security-officer": {*SEE, Action.SECURE, Action.LOCK},
    "auditor": {*SEE, Action.AUDIT},
    "administrator": {*SEE, Action.ADMINISTER, Action.OPERATE},
    "owner": set(Action),
    "source": {Action.INGEST},
    NEWCOMER: set(),
    "made-up": set(),
}


def test_every_role_is_in_the_table() -> None:
    assert set(RIGHTS) == set(MAY) - {NEWCOMER, "made-up"}


@pytest.mark.clause("62443-3-3 SR 2.1", "62443-3-3 SR 2.1 RE 2", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize("role", MAY)
async def test_each_role_may_exactly_this(desk: AccessDesk, role: str) -> None:
    principal = Principal("somebody", role, "session")
    for action in Action:
        for path in ("", "acme/press"):
            if action in MAY[role]:
                desk.check(principal, action, path)
            else:
                with pytest.raises(AccessError) as caught:
                    desk.check(principal, action, path)
                assert caught.value.authenticated


@pytest.mark.clause("62443-3-3 SR 1.3", "62443-3-3 SR 2.1", "GB/T 22239-2019 8.1.4.2")
async def test_only_administrators_change_people_and_tokens(desk: AccessDesk) -> None:
    await with_user(desk)
    engineer = Principal("li", "engineer", "session")
    for attempt in (
        desk.create_user(engineer, "x", "viewer"),
        desk.update_user(engineer, "wang", role="administrator"),
        desk.delete_user(engineer, "wang"),
        desk.reset_password(engineer, "wang"),
        desk.create_token(engineer, "t", "viewer"),
        desk.delete_token(engineer, "t"),
    ):
        with pytest.raises(AccessError):
            await attempt


# --- signing in -----------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 1.1 RE 1", "62443-3-3 SR 1.4", "GB/T 22239-2019 8.1.4.1")
async def test_names_have_no_case(desk: AccessDesk) -> None:
    await with_user(desk, "Wang")
    session, user = await desk.sign_in(" WANG ", GOOD, peer="::1")
    assert user.name == (await desk.by_session(session)).name == "wang"
    with pytest.raises(Conflict):
        await desk.create_user(LOCAL, "wANG", "viewer")


@pytest.mark.clause("62443-3-3 SR 1.10")
async def test_a_wrong_name_and_a_wrong_password_look_alike(desk: AccessDesk) -> None:
    await with_user(desk)
    await with_user(desk, "gone")
    await desk.update_user(LOCAL, "gone", disabled=True)
    said = set()
    for name, password in (("wang", OTHER), ("nobody", GOOD), ("gone", GOOD), ("", ""), ("wang", "x" * 100_000)):
        with pytest.raises(AccessError) as caught:
            await desk.sign_in(name, password, peer="::1")
        assert not caught.value.authenticated
        said.add(str(caught.value))
    assert len(said) == 1


@pytest.mark.clause("62443-3-3 SR 1.10")
async def test_an_unknown_name_costs_a_full_verification(engine: Engine, clock: FakeClock) -> None:
    asked: list[str | None] = []

    class Watched(Hasher):
        def _verify(self, known: str, password: str) -> bool:
            asked.append(known)
            return super()._verify(known, password)

    desk = AccessDesk(engine, clock, hasher=Watched(time_cost=1, memory_kib=8))
    with pytest.raises(AccessError):
        await desk.sign_in("nobody", GOOD, peer="::1")
    assert len(asked) == 1
    assert asked[0] is not None
    assert asked[0].startswith("$argon2id$")


@pytest.mark.clause("62443-3-3 SR 1.11", "GB/T 22239-2019 8.1.4.1")
async def test_guessing_slows_down_then_locks_then_opens_by_itself(desk: AccessDesk, clock: FakeClock) -> None:
    await with_user(desk)
    tries = 0
    start = clock.seconds
    while True:
        try:
            await desk.sign_in("wang", OTHER, peer=f"peer-{tries}")
        except AccessError:
            tries += 1
            continue
        except LimitReached:
            if tries == 10:
                break
            clock.seconds += 1
    assert clock.seconds - start > 60
    with pytest.raises(LimitReached, match="min"):
        await desk.sign_in("wang", GOOD, peer="::1")
    clock.seconds += 15 * 60
    await desk.sign_in("wang", GOOD, peer="::1")
    entries, _ = await desk.trail.page("default")
    assert [entry.outcome for entry in entries if entry.action == "sign-in"][:2] == ["done", "locked"]


async def test_the_right_password_forgets_the_failures(desk: AccessDesk) -> None:
    await with_user(desk)
    for _ in range(5):
        for _ in range(2):
            with pytest.raises(AccessError):
                await desk.sign_in("wang", OTHER, peer="::1")
        await desk.sign_in("wang", GOOD, peer="::1")


@pytest.mark.clause("62443-3-3 SR 1.11", "62443-3-3 SR 7.2")
async def test_one_address_that_guesses_many_names_is_locked_out_alone(desk: AccessDesk, clock: FakeClock) -> None:
    await with_user(desk)
    with pytest.raises(LimitReached):
        for number in range(60):
            with pytest.raises(AccessError):
                await desk.sign_in(f"user{number}", OTHER, peer="10.0.0.9")
    await desk.sign_in("wang", GOOD, peer="10.0.0.10")


@pytest.mark.clause("62443-3-3 SR 1.11")
async def test_guesses_at_the_same_moment_all_count(desk: AccessDesk) -> None:
    await with_user(desk)
    guesses = [desk.sign_in("wang", OTHER, peer="::1") for _ in range(10)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(outcome, AccessError) for outcome in outcomes) <= 4
    assert sum(isinstance(outcome, LimitReached) for outcome in outcomes) >= 6


@pytest.mark.clause("62443-3-3 SR 1.11")
async def test_guessing_the_old_password_is_slowed_too(desk: AccessDesk) -> None:
    await with_user(desk)
    with pytest.raises(LimitReached):
        for _ in range(10):
            with pytest.raises(AccessError):
                await desk.change_password("wang", "guess", OTHER)


async def test_a_hash_of_other_costs_is_renewed_at_sign_in(engine: Engine, clock: FakeClock) -> None:
    await with_user(make_desk(engine, clock))
    dearer = AccessDesk(engine, clock, hasher=Hasher(time_cost=2, memory_kib=16))
    await dearer.sign_in("wang", GOOD, peer="::1")
    with engine.connect() as connection:
        assert "m=16,t=2" in connection.execute(text("select password_hash from access_users")).scalar_one()
    await dearer.sign_in("wang", GOOD, peer="::1")


# --- sessions -------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 3.8", "62443-3-3 SR 3.8 RE 1", "62443-3-3 SR 2.6")
async def test_a_session_outlives_a_restart_and_ends_with_sign_out(
    desk: AccessDesk, engine: Engine, clock: FakeClock
) -> None:
    await with_user(desk)
    session, _ = await desk.sign_in("wang", GOOD, peer="::1")
    after = make_desk(engine, clock)
    assert (await after.by_session(session)).name == "wang"
    await after.sign_out(session)
    await after.sign_out(session)
    assert await refused(after, session)
    assert await refused(make_desk(engine, clock), session)


@pytest.mark.clause("62443-3-3 SR 2.6", "62443-3-3 SR 3.8 RE 1", "GB/T 22239-2019 8.1.4.1")
async def test_an_idle_session_ends_and_a_used_one_does_not(desk: AccessDesk, clock: FakeClock) -> None:
    await with_user(desk)
    used, _ = await desk.sign_in("wang", GOOD, peer="::1")
    idle, _ = await desk.sign_in("wang", GOOD, peer="::1")
    for _ in range(12):
        clock.seconds += 3600
        await desk.by_session(used)
    assert await refused(desk, idle)
    for _ in range(7 * 24 - 12):
        assert not await refused(desk, used)
        clock.seconds += 3600
    assert await refused(desk, used)


async def test_the_last_use_survives_a_restart(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    await with_user(desk)
    session, _ = await desk.sign_in("wang", GOOD, peer="::1")
    clock.seconds += 11 * 3600
    await desk.by_session(session)
    clock.seconds += 11 * 3600
    assert not await refused(make_desk(engine, clock), session)


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 3.8 RE 1")
async def test_a_new_password_ends_the_other_sessions(desk: AccessDesk) -> None:
    await with_user(desk)
    mine, _ = await desk.sign_in("wang", GOOD, peer="::1")
    stolen, _ = await desk.sign_in("wang", GOOD, peer="10.0.0.9")
    await desk.change_password("wang", GOOD, OTHER, session=mine)
    assert not await refused(desk, mine)
    assert await refused(desk, stolen)
    await desk.change_password("wang", OTHER, GOOD)
    assert await refused(desk, mine)


@pytest.mark.clause("62443-3-3 SR 1.3", "62443-3-3 SR 2.1")
async def test_disabling_deleting_and_demoting_count_at_once(
    desk: AccessDesk, engine: Engine, clock: FakeClock
) -> None:
    await with_user(desk, "wang", "engineer")
    session, _ = await desk.sign_in("wang", GOOD, peer="::1")
    await desk.update_user(LOCAL, "wang", role="viewer")
    assert (await desk.by_session(session)).role == "viewer"
    await desk.update_user(LOCAL, "wang", disabled=True)
    assert await refused(desk, session)
    await desk.update_user(LOCAL, "wang", disabled=False)
    assert await refused(desk, session)
    session, _ = await desk.sign_in("wang", GOOD, peer="::1")
    await desk.delete_user(LOCAL, "wang")
    assert await refused(desk, session)
    assert await refused(make_desk(engine, clock), session)
    with pytest.raises(NotFound):
        await desk.user("wang")


async def test_a_lost_password_is_replaced_by_a_one_time_one(desk: AccessDesk) -> None:
    await with_user(desk)
    session, _ = await desk.sign_in("wang", GOOD, peer="::1")
    once = await desk.reset_password(LOCAL, "wang")
    assert await refused(desk, session)
    _, user = await desk.sign_in("wang", once, peer="::1")
    assert user.must_change_password


@pytest.mark.clause("62443-3-3 SR 2.7")
async def test_old_sessions_make_room_for_new_ones(desk: AccessDesk, clock: FakeClock) -> None:
    await with_user(desk)
    opened = []
    for _ in range(52):
        session, _ = await desk.sign_in("wang", GOOD, peer="::1")
        opened.append(session)
        clock.seconds += 1
    assert [await refused(desk, session) for session in opened[:3]] == [True, True, False]


@pytest.mark.parametrize("secret", ["", "x", "hr_x", "\ud800", "é" * 1000])
@pytest.mark.clause("62443-3-3 SR 1.1", "62443-3-3 SR 3.8")
async def test_made_up_secrets_open_nothing(desk: AccessDesk, secret: str) -> None:
    assert await refused(desk, secret)
    with pytest.raises(AccessError) as caught:
        await desk.by_token(secret)
    assert not caught.value.authenticated


# --- the last administrator -----------------------------------------------------------------------------------------


async def test_the_last_administrator_stays(desk: AccessDesk) -> None:
    await desk.bootstrap()
    for attempt in (
        desk.delete_user(LOCAL, "admin"),
        desk.update_user(LOCAL, "admin", role="engineer"),
        desk.update_user(LOCAL, "admin", disabled=True),
    ):
        with pytest.raises(Conflict, match="last administrator"):
            await attempt
    await desk.create_user(LOCAL, "second", "administrator")
    await desk.update_user(LOCAL, "second", disabled=True)
    with pytest.raises(Conflict):
        await desk.delete_user(LOCAL, "admin")
    await desk.update_user(LOCAL, "second", disabled=False)
    await desk.delete_user(LOCAL, "admin")
    assert [user.name for user in await desk.users()] == ["second"]


# --- passwords ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password",
    ["short", "password1234", "Passwort!!2026", "123456789012", "wangwang-is-me", "aaaaaaaaaaaa", "x" * 300,
     "qwertyuiop12", "AdminAdmin2026!", "headrace-2026", GOOD],
)  # fmt: skip
@pytest.mark.clause("62443-3-3 SR 1.7", "GB/T 22239-2019 8.1.4.1")
async def test_weak_passwords_are_refused(desk: AccessDesk, password: str) -> None:
    await with_user(desk)
    with pytest.raises(DataError):
        await desk.change_password("wang", GOOD, password)
    await desk.sign_in("wang", GOOD, peer="::1")


@pytest.mark.parametrize("password", ["油压机三号在线运行正常良好吗", "correct horse battery", "tR7#kq-Lm2!vX9"])
async def test_long_passwords_of_any_script_are_welcome(desk: AccessDesk, password: str) -> None:
    await with_user(desk)
    await desk.change_password("wang", GOOD, password)
    await desk.sign_in("wang", password, peer="::1")


# --- names, roles and tokens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a b", "a/b", "token:x", "x" * 65, "_x", "a\0b"])
@pytest.mark.clause("62443-3-3 SR 1.4", "62443-3-3 SR 3.5")
async def test_odd_names_are_refused(desk: AccessDesk, name: str) -> None:
    with pytest.raises(DataError):
        await desk.create_user(LOCAL, name, "viewer")
    with pytest.raises(DataError):
        await desk.create_token(LOCAL, name, "viewer")


async def test_unknown_roles_are_refused(desk: AccessDesk) -> None:
    await with_user(desk)
    for attempt in (
        desk.create_user(LOCAL, "x", "root"),
        desk.update_user(LOCAL, "wang", role=NEWCOMER),
        desk.create_token(LOCAL, "x", "root"),
    ):
        with pytest.raises(DataError):
            await attempt


@pytest.mark.clause("62443-3-3 SR 1.2", "62443-3-3 SR 1.2 RE 1", "62443-3-3 SR 1.5")
async def test_a_token_works_until_it_expires_or_is_withdrawn(
    desk: AccessDesk, engine: Engine, clock: FakeClock
) -> None:
    token, secret = await desk.create_token(LOCAL, "grafana", "viewer", clock.now_ns() + DAY_NS)
    lasting, other = await desk.create_token(LOCAL, "erp", "operator")
    assert secret.startswith("hr_")
    principal = await desk.by_token(secret)
    assert (principal.name, principal.role, principal.via) == ("token:grafana", "viewer", "token")
    assert {known.name for known in await desk.tokens()} == {"grafana", "erp"}
    after = make_desk(engine, clock)
    assert (await after.by_token(other)).role == "operator"
    assert {one.id: one.last_used_ns for one in await after.tokens()}[token.id] == clock.now_ns()
    clock.seconds += 24 * 3600
    with pytest.raises(AccessError, match="expired"):
        await desk.by_token(secret)
    await desk.delete_token(LOCAL, lasting.id)
    with pytest.raises(AccessError):
        await desk.by_token(other)
    with pytest.raises(NotFound):
        await desk.delete_token(LOCAL, lasting.id)
    with pytest.raises(AccessError):
        await make_desk(engine, clock).by_token(other)


async def test_a_token_cannot_begin_expired(desk: AccessDesk, clock: FakeClock) -> None:
    with pytest.raises(DataError):
        await desk.create_token(LOCAL, "x", "viewer", clock.now_ns() - SECOND_NS)


@pytest.mark.clause("62443-3-3 SR 2.8", "62443-3-3 SR 2.12", "GB/T 22239-2019 8.1.4.3")
async def test_everything_is_in_the_audit_trail(desk: AccessDesk) -> None:
    await with_user(desk)
    session, _ = await desk.sign_in("wang", GOOD, peer="10.0.0.7")
    await desk.sign_out(session)
    token, _ = await desk.create_token(LOCAL, "erp", "operator")
    await desk.delete_token(LOCAL, token.id)
    await desk.delete_user(LOCAL, "wang")
    entries, cursor = await desk.trail.page("default")
    assert cursor is None
    assert [(entry.actor, entry.action) for entry in reversed(entries)] == [
        ("local", "user.create"),
        ("wang", "password.change"),
        ("wang", "sign-in"),
        ("wang", "sign-out"),
        ("local", "token.create"),
        ("local", "token.delete"),
        ("local", "user.delete"),
    ]
    assert entries[4].data == {"peer": "10.0.0.7", "proved": "password"}
