"""Users and tokens."""

from __future__ import annotations

from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.access import (
    CreatedToken,
    CreatedUser,
    NewToken,
    NewUser,
    OneTimePassword,
    TokenAnswer,
    UserAnswer,
    UserChange,
)
from headrace.api.times import time_ns_of
from headrace.model.errors import DataError

router = api_router("Access")


@router.get("/users", operation_id="listUsers", summary="All users")
async def list_users(caller: ByCaller, services: WithServices) -> list[UserAnswer]:
    """Of your tenant."""
    return [UserAnswer.of(user) for user in await services.access.users(caller.principal.tenant)]


@router.post("/users", operation_id="createUser", summary="Create a user", status_code=201)
async def create_user(body: NewUser, caller: ByCaller, services: WithServices) -> CreatedUser:
    """The one-time password is shown once."""
    now_ns = services.clock.now_ns()
    user, password = await services.access.create_user(
        caller.principal, body.name, body.role, parts=[part.part(now_ns) for part in body.parts]
    )
    return CreatedUser(user=UserAnswer.of(user), one_time_password=password)


@router.patch("/users/{name}", operation_id="updateUser", summary="Change a user's role or disable them")
async def update_user(name: str, body: UserChange, caller: ByCaller, services: WithServices) -> UserAnswer:
    if body.role is None and body.disabled is None and body.parts is None:
        raise DataError("say what to change: 'role', 'parts' or 'disabled'")
    now_ns = services.clock.now_ns()
    parts = None if body.parts is None else [part.part(now_ns) for part in body.parts]
    changed = await services.access.update_user(
        caller.principal, name, role=body.role, disabled=body.disabled, parts=parts
    )
    return UserAnswer.of(changed)


@router.post("/users/{name}/password", operation_id="resetPassword", summary="Give a user a new one-time password")
async def reset_password(name: str, caller: ByCaller, services: WithServices) -> OneTimePassword:
    """For somebody who lost theirs. Ends their sessions."""
    return OneTimePassword(one_time_password=await services.access.reset_password(caller.principal, name))


@router.delete("/users/{name}", operation_id="deleteUser", summary="Delete a user", status_code=204)
async def delete_user(name: str, caller: ByCaller, services: WithServices) -> None:
    await services.access.delete_user(caller.principal, name)


@router.get("/tokens", operation_id="listTokens", summary="All tokens")
async def list_tokens(caller: ByCaller, services: WithServices) -> list[TokenAnswer]:
    """Of your tenant."""
    return [TokenAnswer.of(token) for token in await services.access.tokens(caller.principal.tenant)]


@router.post("/tokens", operation_id="createToken", summary="Create a token", status_code=201)
async def create_token(body: NewToken, caller: ByCaller, services: WithServices) -> CreatedToken:
    """For programs. The secret is shown once. Give it no more than it needs: a role, assets, and scopes."""
    now_ns = services.clock.now_ns()
    expires_ns = None if body.expires_at is None else time_ns_of(body.expires_at, now_ns)
    if expires_ns is not None and expires_ns <= now_ns:
        raise DataError("'expires_at' is in the past")
    token, secret = await services.access.create_token(
        caller.principal, body.name, body.role, expires_ns, paths=body.paths, actions=body.actions
    )
    return CreatedToken(token=TokenAnswer.of(token), secret=secret)


@router.delete("/tokens/{id}", operation_id="deleteToken", summary="Withdraw a token", status_code=204)
async def delete_token(id: str, caller: ByCaller, services: WithServices) -> None:
    await services.access.delete_token(caller.principal, id)
