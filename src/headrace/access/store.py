"""Tenants, users, sessions and tokens in SQL. Each method is one transaction, run in a thread; durable on return."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Executable, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from headrace.access.factor_tables import forget_user
from headrace.access.tables import grants, parts, roles, sessions, tenants, tokens, users
from headrace.model.errors import Conflict, Unavailable
from headrace.sdk.access import Action
from headrace.sdk.accounts import OwnRole, Part, PartnerGrant, Tenant, TenantPolicy, Token, User

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
    id: str
    peer: str
    agent: str
    proved: str
    proved_ns: int


@dataclass(slots=True)
class TokenKey:
    """A token and what recognises it."""

    token: Token
    secret_hash: str
    saved_ns: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything, as it stands in the tables. `roles` are pairs of tenant and role."""

    accounts: Sequence[Account]
    sessions: Sequence[Session]
    tokens: Sequence[TokenKey]
    tenants: Sequence[Tenant]
    roles: Sequence[tuple[str, OwnRole]]
    partner_grants: Sequence[PartnerGrant]


def fingerprint(secret: str) -> str:
    """SHA-256, hex. Plain SHA-256 is enough for secrets of 256 random bits; passwords get Argon2id."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class AccessStore:
    """Raises: Unavailable where the database does not answer; Conflict for a key in use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def load(self) -> Loaded:
        return await self._run(self._load)

    async def add_account(self, *accounts: Account) -> None:
        await self._execute(
            *(insert(users).values(**_account_columns(one)) for one in accounts),
            *(_insert_parts(one.user) for one in accounts if one.user.parts),
        )

    async def set_account(self, account: Account) -> None:
        user = account.user
        await self._execute(
            update(users).where(users.c.name == user.name).values(**_account_columns(account)),
            delete(parts).where(parts.c.user == user.name),
            *([_insert_parts(user)] if user.parts else []),
        )

    async def delete_account(self, name: str) -> None:
        await self._execute(
            delete(sessions).where(sessions.c.user == name),
            *forget_user(name),
            delete(parts).where(parts.c.user == name),
            delete(users).where(users.c.name == name),
        )

    async def add_tenant(self, tenant: Tenant, accounts: Sequence[Account]) -> None:
        """With its first accounts, or not at all."""
        await self._execute(
            insert(tenants).values(**_tenant_columns(tenant)),
            *(insert(users).values(**_account_columns(one)) for one in accounts),
        )

    async def set_tenant(self, tenant: Tenant) -> None:
        columns = _tenant_columns(tenant)
        await self._execute(delete(tenants).where(tenants.c.name == tenant.name), insert(tenants).values(**columns))

    async def set_role(self, tenant: str, role: OwnRole) -> None:
        row = {"tenant": tenant, "name": role.name, "title": role.title, "actions": json.dumps(role.actions)}
        await self._execute(_delete_role(tenant, role.name), insert(roles).values(**row))

    async def delete_role(self, tenant: str, name: str) -> None:
        await self._execute(_delete_role(tenant, name))

    async def add_grant(self, grant: PartnerGrant) -> None:
        await self._execute(insert(grants).values(**{**asdict(grant), "patterns": json.dumps(grant.patterns)}))

    async def end_grant(self, grant: PartnerGrant) -> None:
        ended = {"revoked_ns": grant.revoked_ns, "revoked_by": grant.revoked_by}
        await self._execute(update(grants).where(grants.c.id == grant.id).values(**ended))

    async def add_session(self, session: Session) -> None:
        await self._execute(
            insert(sessions).values(
                secret_hash=session.secret_hash,
                user=session.user,
                created_ns=session.created_ns,
                last_used_ns=session.last_used_ns,
                id=session.id,
                peer=session.peer,
                agent=session.agent,
                proved=session.proved,
                proved_ns=session.proved_ns,
            )
        )

    async def renew_session(self, former_hash: str, session: Session) -> None:
        renewed = {"secret_hash": session.secret_hash, "proved": session.proved, "proved_ns": session.proved_ns}
        await self._execute(update(sessions).where(sessions.c.secret_hash == former_hash).values(**renewed))

    async def touch_session(self, secret_hash: str, used_ns: int) -> None:
        await self._execute(update(sessions).where(sessions.c.secret_hash == secret_hash).values(last_used_ns=used_ns))

    async def delete_sessions(self, secret_hashes: Sequence[str]) -> None:
        await self._execute(delete(sessions).where(sessions.c.secret_hash.in_(list(secret_hashes))))

    async def add_token(self, key: TokenKey) -> None:
        token = key.token
        await self._execute(
            insert(tokens).values(
                id=token.id,
                secret_hash=key.secret_hash,
                name=token.name,
                tenant=token.tenant,
                role=token.role,
                paths=json.dumps(token.paths),
                actions=json.dumps(token.actions),
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

    def _load(self) -> Loaded:
        with self._engine.connect() as connection:
            return Loaded(
                _accounts(connection),
                [_session(row) for row in connection.execute(select(sessions))],
                [
                    TokenKey(_token(row), row.secret_hash, row.last_used_ns or 0)
                    for row in connection.execute(select(tokens))
                ],
                [_tenant(row) for row in connection.execute(select(tenants))],
                [
                    (row.tenant, OwnRole(row.name, row.title, _actions(json.loads(row.actions))))
                    for row in connection.execute(select(roles))
                ],
                [_grant(row) for row in connection.execute(select(grants))],
            )


def _accounts(connection: Connection) -> Sequence[Account]:
    held: dict[str, list[Part]] = {}
    for row in connection.execute(select(parts).order_by(parts.c.user, parts.c.path, parts.c.role)):
        held.setdefault(row.user, []).append(Part(row.role, row.path, row.expires_ns))
    return [
        Account(
            User(
                row.name,
                row.role,
                bool(row.disabled),
                bool(row.must_change_password),
                row.created_ns,
                row.tenant,
                tuple(held.get(row.name, ())),
            ),
            row.password_hash,
        )
        for row in connection.execute(select(users))
    ]


def _session(row: Row[Any]) -> Session:
    return Session(
        row.secret_hash,
        row.user,
        row.created_ns,
        row.last_used_ns,
        row.last_used_ns,
        row.id,
        row.peer,
        row.agent,
        row.proved,
        row.proved_ns,
    )


def _token(row: Row[Any]) -> Token:
    return Token(
        row.id,
        row.name,
        row.role,
        row.created_by,
        row.created_ns,
        row.expires_ns,
        row.last_used_ns,
        row.tenant,
        tuple(json.loads(row.paths)),
        _actions(json.loads(row.actions)),
    )


def _tenant(row: Row[Any]) -> Tenant:
    known = {field.name for field in fields(TenantPolicy)}
    policy = TenantPolicy(**{name: value for name, value in json.loads(row.policy).items() if name in known})
    return Tenant(row.name, row.title, tuple(json.loads(row.roots)), policy, bool(row.disabled), row.created_ns)


def _grant(row: Row[Any]) -> PartnerGrant:
    columns = {field.name: getattr(row, field.name) for field in fields(PartnerGrant)}
    return PartnerGrant(**{**columns, "patterns": tuple(json.loads(row.patterns)), "revoked_by": row.revoked_by or ""})


def _actions(names: Iterable[str]) -> tuple[Action, ...]:
    """Those that this version knows."""
    found = []
    for name in names:
        with suppress(ValueError):
            found.append(Action(name))
    return tuple(found)


def _insert_parts(user: User) -> Executable:
    rows = [
        {"user": user.name, "role": part.role, "path": part.path, "expires_ns": part.expires_ns} for part in user.parts
    ]
    return insert(parts).values(rows)


def _delete_role(tenant: str, name: str) -> Executable:
    return delete(roles).where(roles.c.tenant == tenant, roles.c.name == name)


def _tenant_columns(tenant: Tenant) -> dict[str, Any]:
    return {
        "name": tenant.name,
        "title": tenant.title,
        "roots": json.dumps(tenant.roots),
        "policy": json.dumps(asdict(tenant.policy)),
        "disabled": tenant.disabled,
        "created_ns": tenant.created_ns,
    }


def _account_columns(account: Account) -> dict[str, Any]:
    user = account.user
    return {
        "name": user.name,
        "tenant": user.tenant,
        "role": user.role,
        "password_hash": account.password_hash,
        "disabled": user.disabled,
        "must_change_password": user.must_change_password,
        "created_ns": user.created_ns,
    }
