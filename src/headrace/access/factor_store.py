"""Second factors in SQL and in memory. Each change is durable before it is told; what is in memory is what counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Engine, Executable, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from headrace.access.factor_tables import identities, passkeys, recovery, totp
from headrace.access.passkeys import Passkey
from headrace.model.errors import Conflict, Unavailable


@dataclass(frozen=True, slots=True)
class Totp:
    user: str
    sealed: bytes
    last_step: int
    created_ns: int


@dataclass(frozen=True, slots=True)
class Link:
    """An account elsewhere (`issuer`, `subject`) that opens `user` here."""

    issuer: str
    subject: str
    provider: str
    user: str
    email: str
    managed: bool
    created_ns: int


class FactorStore:
    """Raises: Unavailable where the database does not answer; Conflict for a key that is there already."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.totp: dict[str, Totp] = {}
        self.recovery: dict[str, set[str]] = {}
        self.passkeys: dict[str, Passkey] = {}
        self.links: dict[tuple[str, str], Link] = {}

    async def load(self) -> None:
        await self._run(self._load)

    def keys_of(self, user: str, host: str | None = None) -> list[Passkey]:
        """Also those that are blocked."""
        keys = (key for key in self.passkeys.values() if key.user == user and host in (None, key.host))
        return sorted(keys, key=lambda key: key.created_ns)

    def links_of(self, user: str) -> list[Link]:
        return [link for link in self.links.values() if link.user == user]

    def forget(self, user: str) -> None:
        """From memory, when the tables have forgotten."""
        self.totp.pop(user, None)
        self.recovery.pop(user, None)
        self.passkeys = {id: key for id, key in self.passkeys.items() if key.user != user}
        self.links = {id: link for id, link in self.links.items() if link.user != user}

    async def forget_factors(self, user: str) -> None:
        """Codes and keys; accounts elsewhere still open this one."""
        await self._execute(*(delete(table).where(table.c.user == user) for table in (totp, recovery, passkeys)))
        links = self.links
        self.forget(user)
        self.links = links

    async def set_totp(self, made: Totp) -> None:
        await self._execute(delete(totp).where(totp.c.user == made.user), insert(totp).values(**asdict(made)))
        self.totp[made.user] = made

    async def spend_step(self, user: str, step: int) -> None:
        """No code up to this step is good again; at once in memory, so that two requests cannot both use it."""
        self.totp[user] = replace(self.totp[user], last_step=step)
        await self._execute(update(totp).where(totp.c.user == user).values(last_step=step))

    async def delete_totp(self, user: str) -> None:
        await self._execute(delete(totp).where(totp.c.user == user))
        self.totp.pop(user, None)

    async def set_recovery(self, user: str, hashes: Sequence[str]) -> None:
        rows = [{"user": user, "code_hash": one} for one in hashes]
        await self._execute(
            delete(recovery).where(recovery.c.user == user), *([insert(recovery).values(rows)] if rows else [])
        )
        self.recovery[user] = set(hashes)

    async def spend_recovery(self, user: str, code_hash: str) -> bool:
        """Whether it was one; it is none any more."""
        left = self.recovery.get(user, set())
        if code_hash not in left:
            return False
        left.discard(code_hash)
        await self._execute(delete(recovery).where(recovery.c.user == user, recovery.c.code_hash == code_hash))
        return True

    async def add_passkey(self, key: Passkey) -> None:
        row = {**asdict(key), "transports": json.dumps(key.transports)}
        await self._execute(insert(passkeys).values(**row))
        self.passkeys[key.id] = key

    async def change_passkey(self, key: Passkey) -> None:
        """Its counter, its last use, whether it is blocked; at once in memory, as for a step."""
        self.passkeys[key.id] = key
        changed = {"count": key.count, "last_used_ns": key.last_used_ns, "blocked_ns": key.blocked_ns}
        await self._execute(update(passkeys).where(passkeys.c.id == key.id).values(**changed))

    async def delete_passkey(self, id: str) -> None:
        await self._execute(delete(passkeys).where(passkeys.c.id == id))
        self.passkeys.pop(id, None)

    async def add_link(self, link: Link) -> None:
        await self._execute(insert(identities).values(**asdict(link)))
        self.links[link.issuer, link.subject] = link

    async def delete_links(self, user: str, provider: str) -> None:
        await self._execute(delete(identities).where(identities.c.user == user, identities.c.provider == provider))
        self.links = {id: link for id, link in self.links.items() if (link.user, link.provider) != (user, provider)}

    async def _execute(self, *statements: Executable) -> None:
        def work() -> None:
            with self._engine.begin() as connection:
                for statement in statements:
                    connection.execute(statement)

        await self._run(work)

    async def _run(self, work: object) -> None:
        assert callable(work)
        try:
            await asyncio.to_thread(work)
        except IntegrityError as error:
            raise Conflict("this key or account is in use already", detail=str(error)) from error
        except SQLAlchemyError as error:
            raise Unavailable("second factors cannot be read or changed now; try again", detail=str(error)) from error

    def _load(self) -> None:
        with self._engine.connect() as connection:
            self.totp = {row.user: Totp(**row._mapping) for row in connection.execute(select(totp))}
            self.recovery = {}
            for row in connection.execute(select(recovery)):
                self.recovery.setdefault(row.user, set()).add(row.code_hash)
            self.passkeys = {
                row.id: Passkey(**{**row._mapping, "transports": tuple(json.loads(row.transports))})
                for row in connection.execute(select(passkeys))
            }
            self.links = {
                (row.issuer, row.subject): Link(**row._mapping) for row in connection.execute(select(identities))
            }
