"""Signing in and out. The session's secret lives in an HttpOnly, SameSite=Strict cookie and nowhere else."""

from __future__ import annotations

from fastapi import Request, Response

from headrace.api.context import ByCaller, InContext
from headrace.api.guarded_route import api_router
from headrace.api.schemas.access import PasswordChange, SessionAnswer, SignIn
from headrace.api.security import COOKIE
from headrace.model.errors import AccessError

router = api_router("Session")


@router.post("/session", operation_id="createSession", summary="Sign in")
async def create_session(body: SignIn, request: Request, response: Response, context: InContext) -> SessionAnswer:
    """Sets the session cookie. A wrong name and a wrong password are answered alike, and slowed down."""
    peer = request.client.host if request.client else "unknown"
    secret, user = await context.services.access.sign_in(body.user, body.password, peer=peer)
    former = request.cookies.get(COOKIE)
    if former and former != secret:
        await context.services.access.sign_out(former)
    response.set_cookie(COOKIE, secret, path="/", httponly=True, samesite="strict", secure=context.settings.secure)
    return SessionAnswer(user=user.name, role=user.role, must_change_password=user.must_change_password)


@router.get("/session", operation_id="getSession", summary="Who am I")
async def get_session(caller: ByCaller) -> SessionAnswer:
    """Works with a token, too."""
    return SessionAnswer(user=caller.principal.name, role=caller.role, must_change_password=caller.must_change_password)


@router.delete("/session", operation_id="deleteSession", summary="Sign out", status_code=204)
async def delete_session(response: Response, caller: ByCaller, context: InContext) -> None:
    if caller.session is not None:
        await context.services.access.sign_out(caller.session)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=context.settings.secure)


@router.post("/session/password", operation_id="changePassword", summary="Change my password", status_code=204)
async def change_password(body: PasswordChange, caller: ByCaller, context: InContext) -> None:
    """Ends every other session of the user."""
    if caller.session is None:
        raise AccessError("sign in with your password to change it; a token cannot")
    await context.services.access.change_password(caller.principal.name, body.old, body.new, session=caller.session)
