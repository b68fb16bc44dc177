"""My account: second factors, recovery codes, sessions; and those of others, for whoever secures the tenant."""

from __future__ import annotations

from fastapi import Request, Response

from headrace.api.context import ByCaller, InContext
from headrace.api.cookies import set_session
from headrace.api.guarded_route import api_router
from headrace.api.routes.session import session_answer
from headrace.api.schemas.access import SessionAnswer
from headrace.api.schemas.factors import (
    AddedPasskey,
    EndedSessions,
    FactorsAnswer,
    NewPasskey,
    NewProof,
    OneSession,
    PasskeyOptions,
    PasskeyShown,
    ProofOptions,
    RecoveryCodes,
    SafeguardsAnswer,
    TotpCode,
    TotpOfferAnswer,
)
from headrace.api.security import Caller
from headrace.api.seen import seen_of
from headrace.model.errors import Conflict
from headrace.sdk.entry import FreshProofNeeded

router = api_router("Account")


@router.get("/session/proof", operation_id="getProofOptions", summary="What a new proof takes")
async def get_proof_options(request: Request, caller: ByCaller, context: InContext) -> ProofOptions:
    session, access = _person(caller), context.services.access
    factors = await access.factors(caller.principal.name)
    options = await access.proof_options(session, seen_of(request, context.settings))
    return ProofOptions(
        password=factors.password,
        code=factors.totp_since_ns is not None or factors.recovery_codes_left > 0,
        passkey_options=None if options is None else dict(options),
    )


@router.post("/session/proof", operation_id="proveAgain", summary="Prove again that it is me")
async def prove_again(
    body: NewProof, request: Request, response: Response, caller: ByCaller, context: InContext
) -> SessionAnswer:
    """Opens for five minutes what takes a fresh proof. The session gets a new secret."""
    seen = seen_of(request, context.settings)
    secret = await context.services.access.prove_again(_person(caller), body.proof(), seen)
    set_session(response, secret, context.settings)
    return session_answer(await context.door.by_session(secret), context)


@router.get("/account/factors", operation_id="getFactors", summary="My second factors")
async def get_factors(caller: ByCaller, context: InContext) -> FactorsAnswer:
    session, access = _person(caller), context.services.access
    try:
        access.check_fresh(session)
        fresh = True
    except FreshProofNeeded:
        fresh = False
    return FactorsAnswer.of(await access.factors(caller.principal.name), fresh)


@router.post("/account/totp", operation_id="offerTotp", summary="Add an authenticator app: its secret")
async def offer_totp(caller: ByCaller, context: InContext) -> TotpOfferAnswer:
    """The secret is shown once; it counts when a code has confirmed it."""
    return TotpOfferAnswer.of(await context.services.access.offer_totp(_person(caller)))


@router.post("/account/totp/confirm", operation_id="confirmTotp", summary="Add an authenticator app: confirm")
async def confirm_totp(body: TotpCode, response: Response, caller: ByCaller, context: InContext) -> RecoveryCodes:
    """The session gets a new secret, all others end where this is the first second factor."""
    session, access = _person(caller), context.services.access
    codes = await access.confirm_totp(session, body.code)
    set_session(response, await access.renew(session), context.settings)
    return RecoveryCodes(codes=list(codes))


@router.delete("/account/totp", operation_id="removeTotp", summary="Remove the authenticator app", status_code=204)
async def remove_totp(caller: ByCaller, context: InContext) -> None:
    await context.services.access.remove_totp(_person(caller))


@router.post("/account/recovery-codes", operation_id="createRecoveryCodes", summary="Ten new recovery codes")
async def create_recovery_codes(caller: ByCaller, context: InContext) -> RecoveryCodes:
    """The former ones are good no more."""
    return RecoveryCodes(codes=list(await context.services.access.new_recovery_codes(_person(caller))))


@router.post("/account/passkeys/options", operation_id="offerPasskey", summary="Add a passkey: ask")
async def offer_passkey(request: Request, caller: ByCaller, context: InContext) -> PasskeyOptions:
    seen = seen_of(request, context.settings)
    return dict(await context.services.access.offer_passkey(_person(caller), seen))


@router.post("/account/passkeys", operation_id="addPasskey", summary="Add a passkey", status_code=201)
async def add_passkey(
    body: NewPasskey, request: Request, response: Response, caller: ByCaller, context: InContext
) -> AddedPasskey:
    session, access = _person(caller), context.services.access
    key, codes = await access.add_passkey(session, body.name, body.passkey, seen_of(request, context.settings))
    set_session(response, await access.renew(session), context.settings)
    return AddedPasskey(passkey=PasskeyShown.of(key), recovery_codes=list(codes))


@router.delete("/account/passkeys/{id}", operation_id="removePasskey", summary="Remove a passkey", status_code=204)
async def remove_passkey(id: str, caller: ByCaller, context: InContext) -> None:
    await context.services.access.remove_passkey(_person(caller), id)


@router.delete(
    "/account/identities/{provider}", operation_id="removeIdentity", summary="Unlink a provider", status_code=204
)
async def remove_identity(provider: str, caller: ByCaller, context: InContext) -> None:
    await context.services.access.remove_identity(_person(caller), provider)


# --- sessions -------------------------------------------------------------------------------------------------------


@router.get("/account/sessions", operation_id="listOwnSessions", summary="Where I am signed in")
async def list_own_sessions(caller: ByCaller, context: InContext) -> list[OneSession]:
    access = context.services.access
    this = access.session(_person(caller)).id
    return [OneSession.of(one, this) for one in await access.sessions(caller.principal.name)]


@router.delete("/account/sessions/{id}", operation_id="endOwnSession", summary="Sign out there", status_code=204)
async def end_own_session(id: str, caller: ByCaller, context: InContext) -> None:
    _person(caller)
    await context.services.access.end_session(caller.principal, caller.principal.name, id)


@router.delete("/account/sessions", operation_id="endOtherSessions", summary="Sign out everywhere else")
async def end_other_sessions(caller: ByCaller, context: InContext) -> EndedSessions:
    session, access = _person(caller), context.services.access
    return EndedSessions(ended=await access.end_sessions(caller.principal, caller.principal.name, keep=session))


# --- of others ------------------------------------------------------------------------------------------------------


@router.get("/user-safeguards", operation_id="listSafeguards", summary="How every account is guarded")
async def list_safeguards(caller: ByCaller, context: InContext) -> list[SafeguardsAnswer]:
    """Of your tenant: who has which factors, who is locked out, who is signed in."""
    return [SafeguardsAnswer.of(one) for one in await context.services.access.safeguards(caller.principal.tenant)]


@router.get("/users/{name}/sessions", operation_id="listUserSessions", summary="Where a user is signed in")
async def list_user_sessions(name: str, caller: ByCaller, context: InContext) -> list[OneSession]:
    access = context.services.access
    user = await access.user(name, tenant=caller.principal.tenant)
    this = None if caller.session is None else access.session(caller.session).id
    return [OneSession.of(one, this) for one in await access.sessions(user.name)]


@router.delete("/users/{name}/sessions/{id}", operation_id="endUserSession", summary="End a session", status_code=204)
async def end_user_session(name: str, id: str, caller: ByCaller, context: InContext) -> None:
    await context.services.access.end_session(caller.principal, name, id)


@router.delete("/users/{name}/sessions", operation_id="endUserSessions", summary="End all sessions of a user")
async def end_user_sessions(name: str, caller: ByCaller, context: InContext) -> EndedSessions:
    return EndedSessions(ended=await context.services.access.end_sessions(caller.principal, name))


@router.delete(
    "/users/{name}/factors", operation_id="resetUserFactors", summary="Reset a user's second factors", status_code=204
)
async def reset_user_factors(name: str, caller: ByCaller, context: InContext) -> None:
    """For somebody who lost them; ends their sessions."""
    await context.services.access.reset_factors(caller.principal, name)


@router.delete("/users/{name}/lockout", operation_id="unlockUser", summary="End a user's lockout", status_code=204)
async def unlock_user(name: str, caller: ByCaller, context: InContext) -> None:
    """For somebody who gave too many wrong passwords or codes, and is known to be it."""
    await context.services.access.unlock_user(caller.principal, name)


def _person(caller: Caller) -> str:
    """The session's secret. Raises: Conflict for a token, which has no account of its own."""
    if caller.session is None:
        raise Conflict("this is for people who are signed in; a token has no second factors and no sessions")
    return caller.session
