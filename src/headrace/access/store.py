"""Users, sessions and tokens in SQL. Each method is one transaction, run in a thread; durable on return."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Engine, Executable, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from headrace.access.tables import sessions, tokens, users
from headrace.model.errors import Conflict, Unavailable
from headrace.sdk.services import Token, User

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Account:
    user: User
    password_hash: str


@dataclass(slots=True)
class Session:
    """`saved_ns` is the last use that the database knows of."""

    secret_hash: str
    user: str
    created_ns: int
    last_used_ns: int
    saved_ns: int


@dataclass(slots=True)
class Grant:
    """A token and what recognises it."""

    token: Token
    secret_hash: str
    saved_ns: int


def fingerprint(secret: str) -> str:
    """SHA-256, hex. Plain SHA-256 is enough for secrets of 256 random bits; passwords get Argon2id."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class AccessStore:
    """Raises: Unavailable where the database does not answer; Conflict for a key in use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def load(self) -> tuple[Sequence[Account], Sequence[Session], Sequence[Grant]]:
        return await self._run(self._load)

    async def add_account(self, account: Account) -> None:
        await self._execute(insert(users).values(**_account_columns(account)))

    async def set_account(self, account: Account) -> None:
        user = account.user
        await self._execute(update(users).where(users.c.name == user.name).values(**_account_columns(account)))

    async def delete_account(self, name: str) -> None:
        await self._execute(delete(sessions).where(sessions.c.user == name), delete(users).where(users.c.name == name))

    async def add_session(self, session: Session) -> None:
        await self._execute(
            insert(sessions).values(
                secret_hash=session.secret_hash,
                user=session.user,
                created_ns=session.created_ns,
                last_used_ns=session.last_used_ns,
            )
        )

    async def touch_session(self, secret_hash: str, used_ns: int) -> None:
        await self._execute(update(sessions).where(sessions.c.secret_hash == secret_hash).values(last_used_ns=used_ns))

    async def delete_sessions(self, secret_hashes: Sequence[str]) -> None:
        await self._execute(delete(sessions).where(sessions.c.secret_hash.in_(list(secret_hashes))))

    async def add_token(self, grant: Grant) -> None:
        token = grant.token
        await self._execute(
            insert(tokens).values(
                id=token.id,
                secret_hash=grant.secret_hash,
                name=token.name,
                role=token.role,
                created_by=token.created_by,
                created_ns=token.created_ns,
                expires_ns=token.expires_ns,
                last_used_ns=token.last_used_ns,
            )
        )

    async def touch_token(self, id: str, used_ns: int) -> None:
        await self._execute(update(tokens).where(tokens.c.id == id).values(last_used_ns=used_ns))

    async def delete_token(self, id: str) -> None:
        await self._execute(delete(tokens).where(tokens.c.id == id))

    async def _execute(self, *statements: Executable) -> None:
        def work() -> None:
            with self._engine.begin() as connection:
                for statement in statements:
                    connection.execute(statement)

        await self._run(work)

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except IntegrityError as error:
            raise Conflict("that name is in use already", detail=str(error)) from error
        except SQLAlchemyError as error:
            raise Unavailable("users cannot be read or changed now; try again", detail=str(error)) from error

    def _load(self) -> tuple[Sequence[Account], Sequence[Session], Sequence[Grant]]:
        with self._engine.connect() as connection:
            accounts = [
                Account(
                    User(row.name, row.role, bool(row.disabled), bool(row.must_change_password), row.created_ns),
                    row.password_hash,
                )
                for row in connection.execute(select(users))
            ]
            open_sessions = [
                Session(row.secret_hash, row.user, row.created_ns, row.last_used_ns, row.last_used_ns)
                for row in connection.execute(select(sessions))
            ]
            grants = [
                Grant(
                    Token(
                        row.id,
                        row.name,
                        row.role,
                        row.created_by,
                        row.created_ns,
                        row.expires_ns,
                        row.last_used_ns,
                    ),
                    row.secret_hash,
                    row.last_used_ns or 0,
                )
                for row in connection.execute(select(tokens))
            ]
        return accounts, open_sessions, grants


def _account_columns(account: Account) -> dict[str, Any]:
    user = account.user
    return {
        "name": user.name,
        "role": user.role,
        "password_hash": account.password_hash,
        "disabled": user.disabled,
        "must_change_password": user.must_change_password,
        "created_ns": user.created_ns,
    }
