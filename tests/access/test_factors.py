"""Second factors: what opens, what is good once, what is refused, and that nothing secret lies in the tables."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from tests.access.authenticator import Authenticator, b64
from tests.access.conftest import FakeClock, make_desk

from headrace.access.desk import AccessDesk
from headrace.access.passkeys import Passkey, checked_count
from headrace.access.passwords import Hasher
from headrace.access.roles import ENROLLING
from headrace.access.totp import accepted_step, svg
from headrace.model.errors import AccessError, Conflict, DataError, HeadraceError, LimitReached, NotFound, Unavailable
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Action, Principal
from headrace.sdk.accounts import TenantPolicy
from headrace.sdk.entry import Factor, FreshProofNeeded, Pending, Proof, SecondFactorNeeded, Seen

LOCAL = Principal("local", "owner", "local")
GOOD = "four brown presses hum"
HERE = Seen("10.0.0.7", "Browser 1")


async def with_user(desk: AccessDesk, name: str = "wang", role: str = "operator") -> str:
    """A session, with a fresh proof."""
    _, once = await desk.create_user(LOCAL, name, role)
    await desk.change_password(name, once, GOOD)
    session, _ = await desk.sign_in(name, GOOD, peer=HERE.peer, seen=HERE)
    return session


async def with_totp(desk: AccessDesk, clock: FakeClock, session: str) -> tuple[pyotp.TOTP, list[str]]:
    offer = await desk.offer_totp(session)
    phone = pyotp.TOTP(offer.secret)
    codes = await desk.confirm_totp(session, phone.at(clock.seconds))
    clock.seconds += 60
    return phone, list(codes)


async def with_passkey(desk: AccessDesk, session: str, seen: Seen = HERE, **kind: Any) -> Authenticator:
    device = Authenticator(**kind)
    answer = device.create(await desk.offer_passkey(session, seen))
    await desk.add_passkey(session, "key ring", answer, seen)
    return device


async def pending(desk: AccessDesk, name: str = "wang", seen: Seen = HERE) -> Pending:
    with pytest.raises(SecondFactorNeeded) as needed:
        await desk.sign_in(name, GOOD, peer=seen.peer, seen=seen)
    assert not needed.value.authenticated
    return needed.value.pending


async def trail(desk: AccessDesk) -> list[tuple[str, str]]:
    entries, _ = await desk.trail.page("default", limit=200)
    return [(entry.action, entry.outcome) for entry in entries]


# --- codes ----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 1.1 RE 2", "GB/T 22239-2019 8.1.4.1")
async def test_a_password_alone_opens_nothing_where_there_is_a_phone(desk: AccessDesk, clock: FakeClock) -> None:
    phone, codes = await with_totp(desk, clock, await with_user(desk))
    assert len(set(codes)) == 10
    waiting = await pending(desk)
    assert waiting.kinds == (Factor.TOTP, Factor.RECOVERY) and waiting.passkey_options is None
    with pytest.raises(AccessError):
        await desk.by_session(waiting.secret)
    session, user = await desk.complete(waiting.secret, Proof(code=phone.at(clock.seconds)), HERE)
    principal = await desk.by_session(session)
    assert (user, principal.name, desk.session(session).proved) == ("wang", "wang", "password+totp")
    assert ("sign-in", "done") in await trail(desk)


@pytest.mark.clause("62443-3-3 SR 1.5")
async def test_a_code_is_good_once(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    phone, _ = await with_totp(desk, clock, await with_user(desk))
    code = phone.at(clock.seconds)
    await desk.complete((await pending(desk)).secret, Proof(code=code), HERE)
    for again in (desk, make_desk(engine, clock)):  # also after a restart
        with pytest.raises(AccessError, match="used already"):
            await again.complete((await pending(again)).secret, Proof(code=code), HERE)
    with pytest.raises(AccessError):  # nor one before it, though it is within the drift
        await desk.complete((await pending(desk)).secret, Proof(code=phone.at(clock.seconds - 30)), HERE)


async def test_of_two_who_use_one_code_at_once_one_gets_in(desk: AccessDesk, clock: FakeClock) -> None:
    phone, _ = await with_totp(desk, clock, await with_user(desk))
    one, two = await pending(desk), await pending(desk)
    proof = Proof(code=phone.at(clock.seconds))
    tries = (desk.complete(waiting.secret, proof, HERE) for waiting in (one, two))
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(isinstance(one, AccessError) for one in ended) == [False, True]


async def test_a_pending_sign_in_is_good_once_and_for_five_minutes(desk: AccessDesk, clock: FakeClock) -> None:
    phone, codes = await with_totp(desk, clock, await with_user(desk))
    waiting = await pending(desk)
    await desk.complete(waiting.secret, Proof(code=phone.at(clock.seconds)), HERE)
    with pytest.raises(AccessError, match="no sign-in waits"):
        await desk.complete(waiting.secret, Proof(code=codes[0]), HERE)
    late = await pending(desk)
    clock.seconds += 300
    with pytest.raises(AccessError, match="no sign-in waits"):
        await desk.complete(late.secret, Proof(code=codes[0]), HERE)
    assert (await desk.factors("wang")).recovery_codes_left == 10


@pytest.mark.clause("62443-3-3 SR 1.11")
async def test_five_wrong_codes_end_it_and_ten_lock_whoever_has_the_password(
    desk: AccessDesk, clock: FakeClock
) -> None:
    phone, codes = await with_totp(desk, clock, await with_user(desk))
    waiting = await pending(desk)
    tried = 0
    while tried < 10:
        try:
            await desk.complete(waiting.secret, Proof(code="000000"), HERE)
        except LimitReached:
            clock.seconds += 30
            continue
        except AccessError as error:
            if "no sign-in waits" in error.message:
                waiting = await pending(desk)  # signing in anew forgives no wrong code
                continue
            tried += 1
    waiting = await pending(desk)
    for code in (phone.at(clock.seconds), codes[0]):
        with pytest.raises(LimitReached):
            await desk.complete(waiting.secret, Proof(code=code), HERE)
    assert ("second-factor", "locked") in await trail(desk)
    clock.seconds += 900
    await desk.complete((await pending(desk)).secret, Proof(code=phone.at(clock.seconds)), HERE)


async def test_five_tries_end_a_pending_sign_in(desk: AccessDesk, clock: FakeClock) -> None:
    phone, _ = await with_totp(desk, clock, await with_user(desk))
    waiting = await pending(desk)
    for _ in range(5):
        with pytest.raises(AccessError, match="not right"):
            await desk.complete(waiting.secret, Proof(code="000000"), HERE)
        clock.seconds += 1
    clock.seconds += 30
    with pytest.raises(AccessError, match="no sign-in waits"):
        await desk.complete(waiting.secret, Proof(code=phone.at(clock.seconds)), HERE)


async def test_a_whole_sign_in_forgives_wrong_codes(desk: AccessDesk, clock: FakeClock) -> None:
    phone, _ = await with_totp(desk, clock, await with_user(desk))
    for _ in range(4):
        waiting = await pending(desk)
        for _ in range(3):
            with pytest.raises(AccessError, match="not right"):
                await desk.complete(waiting.secret, Proof(code="000000"), HERE)
        await desk.complete(waiting.secret, Proof(code=phone.at(clock.seconds)), HERE)
        clock.seconds += 60


async def test_a_pending_sign_in_dies_with_the_password_it_was_made_with(desk: AccessDesk, clock: FakeClock) -> None:
    phone, _ = await with_totp(desk, clock, await with_user(desk))
    waiting = await pending(desk)
    await desk.reset_password(LOCAL, "wang")
    with pytest.raises(AccessError, match="changed meanwhile"):
        await desk.complete(waiting.secret, Proof(code=phone.at(clock.seconds)), HERE)
    await desk.delete_user(LOCAL, "wang")
    with pytest.raises(AccessError):
        await desk.complete(waiting.secret, Proof(code=phone.at(clock.seconds)), HERE)


async def test_recovery_codes_open_once_each_and_go_with_the_last_factor(desk: AccessDesk, clock: FakeClock) -> None:
    session = await with_user(desk)
    _, codes = await with_totp(desk, clock, session)
    typed = codes[0].upper().replace("-", " ")
    opened, _ = await desk.complete((await pending(desk)).secret, Proof(code=typed), HERE)
    assert desk.session(opened).proved == "password+recovery"
    with pytest.raises(AccessError):
        await desk.complete((await pending(desk)).secret, Proof(code=codes[0]), HERE)
    fresh = await desk.new_recovery_codes(opened)
    with pytest.raises(AccessError):
        await desk.complete((await pending(desk)).secret, Proof(code=codes[1]), HERE)
    await desk.complete((await pending(desk)).secret, Proof(code=fresh[0]), HERE)
    await desk.remove_totp(opened)
    assert (await desk.factors("wang")).recovery_codes_left == 0
    await desk.sign_in("wang", GOOD, peer="::1")


async def test_nothing_secret_lies_in_the_tables(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    session = await with_user(desk)
    phone, codes = await with_totp(desk, clock, session)
    with engine.connect() as connection:
        rows = [connection.execute(text(f"select * from {name}")).all() for name in ("access_totp", "access_recovery")]
    stored = b"".join(bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode()
                      for table in rows for row in table for cell in row)  # fmt: skip
    for secret in (phone.secret, *codes, *(code.replace("-", "") for code in codes)):
        assert secret.encode() not in stored


async def test_a_sealed_secret_does_not_open_for_somebody_else(
    desk: AccessDesk, engine: Engine, clock: FakeClock
) -> None:
    session = await with_user(desk)
    phone, _ = await with_totp(desk, clock, session)
    other = await with_user(desk, "li")
    await with_totp(desk, clock, other)
    with engine.begin() as connection:  # somebody who can write the table puts their own secret in the place of another
        moved = connection.execute(text("select sealed from access_totp where \"user\" = 'wang'")).scalar()
        connection.execute(text("update access_totp set sealed = :sealed where \"user\" = 'li'"), {"sealed": moved})
    again = make_desk(engine, clock)
    with pytest.raises(Unavailable, match="does not open"):
        await again.complete((await pending(again, "li")).secret, Proof(code=phone.at(clock.seconds)), HERE)


async def test_without_a_sealer_there_are_no_codes_but_passkeys(engine: Engine, clock: FakeClock) -> None:
    desk = AccessDesk(engine, clock, hasher=Hasher(time_cost=1, memory_kib=8))
    session = await with_user(desk)
    with pytest.raises(Unavailable, match="use a passkey"):
        await desk.offer_totp(session)
    await with_passkey(desk, session)


async def test_confirming_takes_a_right_code_in_time(desk: AccessDesk, clock: FakeClock) -> None:
    session = await with_user(desk)
    with pytest.raises(Conflict, match="begin again"):
        await desk.confirm_totp(session, "123456")
    offer = await desk.offer_totp(session)
    assert offer.uri.startswith("otpauth://totp/Headrace:wang?secret=") and offer.svg.startswith("<svg")
    with pytest.raises(DataError, match="clock of the phone"):
        await desk.confirm_totp(session, "000000")
    assert not (await desk.factors("wang")).any
    await desk.confirm_totp(session, pyotp.TOTP(offer.secret).at(clock.seconds))
    with pytest.raises(Conflict, match="already"):
        await desk.offer_totp(session)


@given(st.text(max_size=40), st.integers(0, 2**40))
def test_whatever_is_typed_is_a_code_or_not(code: str, last: int) -> None:
    step = accepted_step("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", code, 1_800_000_000 * SECOND_NS, last)
    assert step is None or step > last


@pytest.mark.parametrize(("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    """RFC 6238, appendix B: SHA-1, the last six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert accepted_step(secret, code, seconds * SECOND_NS, 0) == seconds // 30
    assert accepted_step(secret, code, (seconds + 30) * SECOND_NS, 0) == seconds // 30
    assert accepted_step(secret, code, (seconds + 60) * SECOND_NS, 0) is None
    assert accepted_step(secret, code, seconds * SECOND_NS, seconds // 30) is None


def test_the_picture_is_one_path_on_white() -> None:
    assert "#fff" in svg("otpauth://totp/x") and "<script" not in svg("<script>")


# --- passkeys -------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 1.1 RE 2", "GB/T 22239-2019 8.1.4.1")
async def test_a_passkey_is_a_second_factor(desk: AccessDesk, clock: FakeClock) -> None:
    device = await with_passkey(desk, await with_user(desk), verifies=False)
    waiting = await pending(desk)
    assert waiting.kinds == (Factor.PASSKEY, Factor.RECOVERY)
    assert waiting.passkey_options is not None
    assert [one["id"] for one in waiting.passkey_options["allowCredentials"]] == [b64(device.id)]
    proof = Proof(passkey=device.get(waiting.passkey_options))
    session, _ = await desk.complete(waiting.secret, proof, HERE)
    assert desk.session(session).proved == "password+passkey"
    with pytest.raises(AccessError):
        await desk.complete((await pending(desk)).secret, proof, HERE)  # a replay answers another question


async def test_a_passkey_that_makes_sure_of_the_person_opens_alone(desk: AccessDesk, clock: FakeClock) -> None:
    device = await with_passkey(desk, await with_user(desk))
    name, options = await desk.passkey_options(HERE)
    assert options["userVerification"] == "required" and not options.get("allowCredentials")
    answer = device.get(options)
    session, user = await desk.passkey_sign_in(name, answer, HERE)
    assert (user, desk.session(session).proved) == ("wang", "passkey")
    with pytest.raises(AccessError):
        await desk.passkey_sign_in(name, answer, HERE)
    name, options = await desk.passkey_options(HERE)
    device.verifies = False
    with pytest.raises(AccessError, match="not accepted"):
        await desk.passkey_sign_in(name, device.get(options), HERE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "http://localhost.evil.example"},
        {"host": "evil.example"},
        {"challenge": b64(b"another question entirely, 32 by")},
        {"signature": b"0" * 70},
        {"type": "webauthn.create"},
        {"handle": b"somebody else"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_an_answer_that_is_wrong_in_one_thing_opens_nothing(desk: AccessDesk, wrong: dict[str, Any]) -> None:
    device = await with_passkey(desk, await with_user(desk))
    name, options = await desk.passkey_options(HERE)
    with pytest.raises(AccessError):
        await desk.passkey_sign_in(name, device.get(options, **wrong), HERE)
    name, options = await desk.passkey_options(HERE)
    await desk.passkey_sign_in(name, device.get(options), HERE)


async def test_a_question_takes_one_answer(desk: AccessDesk) -> None:
    device = await with_passkey(desk, await with_user(desk))
    waiting = await pending(desk)
    assert waiting.passkey_options is not None
    for wrong in ({"signature": b"0" * 70}, {}):
        with pytest.raises(AccessError):
            await desk.complete(waiting.secret, Proof(passkey=device.get(waiting.passkey_options, **wrong)), HERE)
    again = await desk.pending(waiting.secret, HERE)
    assert again.passkey_options is not None
    await desk.complete(waiting.secret, Proof(passkey=device.get(again.passkey_options)), HERE)


@pytest.mark.clause("62443-3-3 SR 1.5")
async def test_a_key_whose_counter_goes_back_is_blocked(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    device = await with_passkey(desk, await with_user(desk))
    copy = replace(device)
    name, options = await desk.passkey_options(HERE)
    await desk.passkey_sign_in(name, device.get(options), HERE)
    name, options = await desk.passkey_options(HERE)
    with pytest.raises(AccessError, match="copied"):
        await desk.passkey_sign_in(name, copy.get(options), HERE)
    assert ("passkey.cloned", "blocked") in await trail(desk)
    for later in (desk, make_desk(engine, clock)):
        name, options = await later.passkey_options(HERE)
        with pytest.raises(AccessError, match="blocked"):
            await later.passkey_sign_in(name, device.get(options), HERE)
        assert [key.blocked for key in (await later.factors("wang")).passkeys] == [True]


async def test_a_key_that_does_not_count_is_fine(desk: AccessDesk) -> None:
    device = await with_passkey(desk, await with_user(desk), count=None)
    for _ in range(2):
        name, options = await desk.passkey_options(HERE)
        await desk.passkey_sign_in(name, device.get(options), HERE)


async def test_a_key_of_somebody_else_is_no_second_factor(desk: AccessDesk) -> None:
    await with_passkey(desk, await with_user(desk))
    other = await with_passkey(desk, await with_user(desk, "li"))
    waiting = await pending(desk)
    assert waiting.passkey_options is not None
    with pytest.raises(AccessError):
        await desk.complete(waiting.secret, Proof(passkey=other.get(waiting.passkey_options)), HERE)


async def test_a_key_answers_to_the_name_it_was_made_for(desk: AccessDesk) -> None:
    session = await with_user(desk)
    there = Seen("10.0.0.7", "", "plant.example", ("https://plant.example",))
    device = await with_passkey(desk, session, there, origin="https://plant.example")
    assert Factor.PASSKEY not in (await pending(desk)).kinds
    waiting = await pending(desk, seen=there)
    assert waiting.passkey_options is not None
    await desk.complete(waiting.secret, Proof(passkey=device.get(waiting.passkey_options)), there)
    with pytest.raises(DataError, match="is an address"):
        await desk.passkey_options(Seen("10.0.0.7", "", "10.0.0.1", ("https://10.0.0.1",)))


async def test_registering_answers_the_question_that_was_asked(desk: AccessDesk) -> None:
    session = await with_user(desk)
    device = Authenticator()
    answer = device.create(await desk.offer_passkey(session, HERE))
    await desk.offer_passkey(session, HERE)  # asked again: the first answer is too late
    with pytest.raises(AccessError, match="cannot be taken"):
        await desk.add_passkey(session, "one", answer, HERE)
    await desk.add_passkey(session, "one", device.create(await desk.offer_passkey(session, HERE)), HERE)
    again = device.create(await desk.offer_passkey(session, HERE))
    with pytest.raises(Conflict):
        await desk.add_passkey(session, "two", again, HERE)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
_KEY = Passkey("a", "wang", "k", b"h", b"\xa0", 0, "localhost", (), False, 0)
_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "id": _JSON,
        "rawId": _JSON,
        "type": st.just("public-key") | _JSON,
        "response": st.dictionaries(
            st.sampled_from(["clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject"]),
            _JSON | st.binary(max_size=80).map(b64),
        )
        | _JSON,
    },
)


@given(_FIELDS)
def test_whatever_a_browser_sends_only_our_errors_come_of_it(answer: dict[str, Any]) -> None:
    with pytest.raises(HeadraceError):
        checked_count(answer, b"0" * 32, _KEY, HERE, person=True)


# --- fresh proofs, policy, resets -----------------------------------------------------------------------------------


async def test_factors_change_with_a_fresh_proof_alone(desk: AccessDesk, clock: FakeClock) -> None:
    session = await with_user(desk)
    phone, _ = await with_totp(desk, clock, session)
    clock.seconds += 300
    for change in (
        desk.remove_totp(session),
        desk.offer_passkey(session, HERE),
        desk.new_recovery_codes(session),
        desk.remove_passkey(session, "x"),
    ):
        with pytest.raises(FreshProofNeeded):
            await change
    with pytest.raises(DataError, match="code"):
        await desk.prove_again(session, Proof(password=GOOD), HERE)  # who has a second factor proves it
    with pytest.raises(DataError, match="password"):
        await desk.prove_again(session, Proof(code=phone.at(clock.seconds)), HERE)
    clock.seconds += 30
    renewed = await desk.prove_again(session, Proof(password=GOOD, code=phone.at(clock.seconds)), HERE)
    assert renewed != session
    with pytest.raises(AccessError):
        await desk.by_session(session)  # fixation: the former secret is dead
    await desk.remove_totp(renewed)
    clock.seconds += 60
    with pytest.raises(AccessError):
        await desk.prove_again(renewed, Proof(password="wrong wrong wrong"), HERE)


async def test_a_passkey_proves_again_once(desk: AccessDesk, clock: FakeClock) -> None:
    session = await with_user(desk)
    device = await with_passkey(desk, session)
    clock.seconds += 400
    options = await desk.proof_options(session, HERE)
    assert options is not None
    proof = Proof(password=GOOD, passkey=device.get(options))
    renewed = await desk.prove_again(session, proof, HERE)
    with pytest.raises(AccessError):
        await desk.prove_again(renewed, proof, HERE)
    desk.check_fresh(renewed)


@pytest.mark.clause("62443-3-3 SR 1.1 RE 2", "62443-3-3 SR 1.1 RE 3", "GB/T 22239-2019 8.1.4.1")
async def test_where_a_tenant_asks_for_two_factors_one_opens_nothing_but_the_adding_of_another(
    desk: AccessDesk, clock: FakeClock
) -> None:
    operator = await with_user(desk)
    officer = await with_user(desk, "zhao", "security-officer")
    await desk.set_policy(await desk.by_session(officer), TenantPolicy(second_factor="administrators"))
    assert (await desk.by_session(operator)).role == "operator"
    held = await desk.by_session(officer)
    assert held.role == ENROLLING
    for action in Action:
        with pytest.raises(AccessError, match="second factor"):
            desk.check(held, action, "")
    assert (await desk.factors("zhao")).needed
    await with_totp(desk, clock, officer)
    principal = await desk.by_session(officer)
    desk.check(principal, Action.SECURE, "")
    await desk.set_policy(principal, TenantPolicy(second_factor="everyone"))
    assert (await desk.by_session(operator)).role == ENROLLING
    await desk.remove_totp(officer)  # what is taken away again closes again
    assert (await desk.by_session(officer)).role == ENROLLING


async def test_who_lost_the_phone_is_let_in_by_the_security_officer(desk: AccessDesk, clock: FakeClock) -> None:
    session = await with_user(desk)
    await with_totp(desk, clock, session)
    await with_passkey(desk, session)
    with pytest.raises(AccessError):
        await desk.reset_factors(Principal("li", "administrator", "session"), "wang")
    with pytest.raises(NotFound):
        await desk.reset_factors(LOCAL, "nobody")
    await desk.reset_factors(LOCAL, "wang")
    with pytest.raises(AccessError):
        await desk.by_session(session)
    await desk.sign_in("wang", GOOD, peer="::1")
    assert ("factor.reset", "done") in await trail(desk)


async def test_who_is_deleted_leaves_no_factor_behind(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    session = await with_user(desk)
    await with_totp(desk, clock, session)
    await with_passkey(desk, session)
    await desk.delete_user(LOCAL, "wang")
    for again in (desk, make_desk(engine, clock)):
        await with_user(again)  # the same name, another person: no second factor is asked
        await again.delete_user(LOCAL, "wang")


async def test_the_first_factor_ends_what_was_open_without_it(desk: AccessDesk, clock: FakeClock) -> None:
    other = await with_user(desk)
    session, _ = await desk.sign_in("wang", GOOD, peer="::1")
    await with_totp(desk, clock, session)
    with pytest.raises(AccessError):
        await desk.by_session(other)
    await desk.by_session(session)


async def test_a_one_time_password_adds_no_factor(desk: AccessDesk) -> None:
    _, once = await desk.create_user(LOCAL, "wang", "operator")
    session, _ = await desk.sign_in("wang", once, peer="::1")
    with pytest.raises(AccessError, match="one-time password"):
        await desk.offer_totp(session)
