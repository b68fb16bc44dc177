"""Signing in and out. The session's secret lives in an HttpOnly, SameSite=Strict cookie and nowhere else.

POST /session ─► session, or {second_factor} ─► POST /session/second-factor ─► session
POST /session/passkey/options ─► browser ─► POST /session/passkey ─► session
"""

from __future__ import annotations

from fastapi import Request, Response

from headrace.api.context import ByCaller, Context, InContext
from headrace.api.cookies import COOKIE, PENDING_COOKIE, clear, read, session_of, set_session
from headrace.api.guarded_route import api_router
from headrace.api.schemas.access import NoticeAnswer, PasswordChange, SessionAnswer, SignIn
from headrace.api.schemas.factors import PasskeyQuestion, PasskeySignIn, PendingAnswer, SecondFactor, SecondFactorAnswer
from headrace.api.security import Caller
from headrace.api.seen import seen_of
from headrace.model.errors import AccessError, NotFound
from headrace.sdk.entry import SecondFactorNeeded

router = api_router("Session")


@router.get("/session/notice", operation_id="getNotice", summary="What everybody is told before signing in")
async def get_notice(context: InContext) -> NoticeAnswer:
    """Plain text, set with the policy of the platform's own tenant. Source: IEC 62443-3-3 SR 1.12."""
    return NoticeAnswer(text=await context.services.access.sign_in_notice())


@router.post("/session", operation_id="createSession", summary="Sign in")
async def create_session(
    body: SignIn, request: Request, response: Response, context: InContext
) -> SessionAnswer | PendingAnswer:
    """Sets the session cookie, or says which second factor is needed and sets none. A wrong name and a wrong password
    are answered alike, and slowed down."""
    seen = seen_of(request, context.settings)
    try:
        secret, _ = await context.services.access.sign_in(body.user, body.password, peer=seen.peer, seen=seen)
    except SecondFactorNeeded as needed:
        return PendingAnswer(second_factor=SecondFactorAnswer.of(needed.pending))
    return await _let_in(secret, request, response, context)


@router.post("/session/second-factor", operation_id="completeSession", summary="Sign in: the second factor")
async def complete_session(
    body: SecondFactor, request: Request, response: Response, context: InContext
) -> SessionAnswer:
    """A `pending` is good once, for five minutes and five tries."""
    seen = seen_of(request, context.settings)
    secret, _ = await context.services.access.complete(body.pending, body.proof(), seen)
    clear(response, PENDING_COOKIE, context.settings)
    return await _let_in(secret, request, response, context)


@router.get("/session/pending", operation_id="getPendingSession", summary="Which second factor is needed")
async def get_pending(request: Request, context: InContext) -> SecondFactorAnswer:
    """After a provider has said who somebody is. Raises 404 where nothing waits."""
    try:
        secret = read(request, PENDING_COOKIE, context.settings)
        seen = seen_of(request, context.settings)
        return SecondFactorAnswer.of(await context.services.access.pending(secret, seen))
    except AccessError:
        raise NotFound("no sign-in waits for a second factor") from None


@router.post("/session/passkey/options", operation_id="createPasskeyOptions", summary="Sign in with a passkey: ask")
async def create_passkey_options(request: Request, context: InContext) -> PasskeyQuestion:
    challenge, options = await context.services.access.passkey_options(seen_of(request, context.settings))
    return PasskeyQuestion(challenge=challenge, options=dict(options))


@router.post("/session/passkey", operation_id="createPasskeySession", summary="Sign in with a passkey")
async def create_passkey_session(
    body: PasskeySignIn, request: Request, response: Response, context: InContext
) -> SessionAnswer:
    """The device must have made sure of the person."""
    seen = seen_of(request, context.settings)
    secret, _ = await context.services.access.passkey_sign_in(body.challenge, body.passkey, seen)
    return await _let_in(secret, request, response, context)


@router.get("/session", operation_id="getSession", summary="Who am I")
async def get_session(caller: ByCaller, context: InContext) -> SessionAnswer:
    """Works with a token, too."""
    return session_answer(caller, context)


@router.delete("/session", operation_id="deleteSession", summary="Sign out", status_code=204)
async def delete_session(request: Request, response: Response, caller: ByCaller, context: InContext) -> None:
    """`X-Sign-Out` is where a browser goes to sign out at the provider that it came from, too."""
    if caller.session is not None:
        way_out = context.services.access.way_out(caller.session, seen_of(request, context.settings))
        await context.services.access.sign_out(caller.session)
        if way_out is not None:
            response.headers["X-Sign-Out"] = way_out
    clear(response, COOKIE, context.settings)


@router.post("/session/password", operation_id="changePassword", summary="Change my password", status_code=204)
async def change_password(body: PasswordChange, response: Response, caller: ByCaller, context: InContext) -> None:
    """Ends every other session of the user; this one gets a new secret."""
    if caller.session is None:
        raise AccessError("sign in with your password to change it; a token cannot")
    access = context.services.access
    await access.change_password(caller.principal.name, body.old, body.new, session=caller.session)
    set_session(response, await access.renew(caller.session), context.settings)


async def _let_in(secret: str, request: Request, response: Response, context: Context) -> SessionAnswer:
    former = session_of(request, context.settings)
    if former and former != secret:
        await context.services.access.sign_out(former)
    set_session(response, secret, context.settings)
    return session_answer(await context.door.by_session(secret), context)


def session_answer(caller: Caller, context: Context) -> SessionAnswer:
    rights = context.services.access.rights(caller.principal)
    return SessionAnswer(
        user=caller.principal.name,
        tenant=caller.principal.tenant,
        role=caller.role,
        actions=sorted(rights.areas),
        everywhere=sorted(rights.whole),
        must_change_password=caller.must_change_password,
        must_enrol=caller.must_enrol,
    )
