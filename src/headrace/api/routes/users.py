"""Users, tokens and the audit trail."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.access import (
    AuditEntryAnswer,
    AuditPage,
    CreatedToken,
    CreatedUser,
    NewToken,
    NewUser,
    TokenAnswer,
    UserAnswer,
    UserChange,
)
from headrace.api.times import time_ns_of
from headrace.model.errors import DataError

router = api_router("Access")


@router.get("/users", operation_id="listUsers", summary="All users")
async def list_users(services: WithServices) -> list[UserAnswer]:
    return [UserAnswer.of(user) for user in await services.access.users()]


@router.post("/users", operation_id="createUser", summary="Create a user", status_code=201)
async def create_user(body: NewUser, caller: ByCaller, services: WithServices) -> CreatedUser:
    """The one-time password is shown once."""
    user, password = await services.access.create_user(caller.principal, body.name, body.role)
    return CreatedUser(user=UserAnswer.of(user), one_time_password=password)


@router.patch("/users/{name}", operation_id="updateUser", summary="Change a user's role or disable them")
async def update_user(name: str, body: UserChange, caller: ByCaller, services: WithServices) -> UserAnswer:
    if body.role is None and body.disabled is None:
        raise DataError("say what to change: 'role' or 'disabled'")
    changed = await services.access.update_user(caller.principal, name, role=body.role, disabled=body.disabled)
    return UserAnswer.of(changed)


@router.delete("/users/{name}", operation_id="deleteUser", summary="Delete a user", status_code=204)
async def delete_user(name: str, caller: ByCaller, services: WithServices) -> None:
    await services.access.delete_user(caller.principal, name)


@router.get("/tokens", operation_id="listTokens", summary="All tokens")
async def list_tokens(services: WithServices) -> list[TokenAnswer]:
    return [TokenAnswer.of(token) for token in await services.access.tokens()]


@router.post("/tokens", operation_id="createToken", summary="Create a token", status_code=201)
async def create_token(body: NewToken, caller: ByCaller, services: WithServices) -> CreatedToken:
    """For programs. The secret is shown once; no token has more rights than its maker."""
    now_ns = services.clock.now_ns()
    expires_ns = None if body.expires_at is None else time_ns_of(body.expires_at, now_ns)
    if expires_ns is not None and expires_ns <= now_ns:
        raise DataError("'expires_at' is in the past")
    token, secret = await services.access.create_token(caller.principal, body.name, body.role, expires_ns)
    return CreatedToken(token=TokenAnswer.of(token), secret=secret)


@router.delete("/tokens/{id}", operation_id="deleteToken", summary="Withdraw a token", status_code=204)
async def delete_token(id: str, caller: ByCaller, services: WithServices) -> None:
    await services.access.delete_token(caller.principal, id)


@router.get("/audit", operation_id="getAudit", summary="The audit trail, newest first")
async def get_audit(
    services: WithServices,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> AuditPage:
    entries, next_cursor = await services.access.audit(limit=limit, cursor=cursor)
    return AuditPage(entries=[AuditEntryAnswer.of(entry) for entry in entries], next_cursor=next_cursor)
