"""Sessions of people and tokens of programs: who holds this secret? Answered from memory, revoked at once.

secret ─► SHA-256 ─► open sessions | tokens (all in memory) ─► still valid? ─► Principal
                                                                └─ use noted in the database every few minutes
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from headrace.access.store import AccessStore, Grant, Session, fingerprint
from headrace.model.errors import AccessError, Unavailable
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS
from headrace.sdk.clock import Clock
from headrace.sdk.services import Token

TOKEN_PREFIX: Final = "hr_"
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class KeySettings:
    session_idle_ns: int = 12 * HOUR_NS
    session_life_ns: int = 7 * DAY_NS
    sessions_per_user: int = 50
    save_every_ns: int = 5 * MINUTE_NS


class KeyRing:
    """What is in memory is what counts; each change is durable before it is here, each removal gone before that."""

    def __init__(self, store: AccessStore, clock: Clock, settings: KeySettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._grants: dict[str, Grant] = {}

    def load(self, sessions: Iterable[Session], grants: Iterable[Grant]) -> None:
        self._sessions = {session.secret_hash: session for session in sessions}
        self._grants = {grant.secret_hash: grant for grant in grants}

    async def open_session(self, user: str) -> str:
        """A new secret; the user's oldest sessions end where there are too many, as do all that have expired."""
        now_ns = self._clock.now_ns()
        own = sorted((one for one in self._sessions.values() if one.user == user), key=lambda one: one.last_used_ns)
        surplus = own[: max(len(own) + 1 - self._settings.sessions_per_user, 0)]
        expired = [one for one in self._sessions.values() if self._expired(one, now_ns)]
        await self._end([one.secret_hash for one in {id(one): one for one in (*surplus, *expired)}.values()])
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        session = Session(fingerprint(secret), user, now_ns, now_ns, now_ns)
        await self._store.add_session(session)
        self._sessions[session.secret_hash] = session
        return secret

    async def session_user(self, secret: str) -> str:
        """Raises: AccessError(authenticated=False)."""
        session = self._sessions.get(fingerprint(secret))
        now_ns = self._clock.now_ns()
        if session is None:
            raise AccessError("sign in first", authenticated=False)
        if self._expired(session, now_ns):
            await self._end([session.secret_hash])
            raise AccessError("the session has ended; sign in again", authenticated=False)
        session.last_used_ns = max(session.last_used_ns, now_ns)
        if now_ns - session.saved_ns >= self._settings.save_every_ns:
            session.saved_ns = now_ns
            with suppress(Unavailable):  # only when it was last used; asked again in a few minutes
                await self._store.touch_session(session.secret_hash, now_ns)
            if session.secret_hash not in self._sessions:
                raise AccessError("the session has ended; sign in again", authenticated=False)
        return session.user

    async def end_session(self, secret: str) -> str | None:
        """The user whose session it was."""
        session = self._sessions.get(fingerprint(secret))
        if session is None:
            return None
        await self._end([session.secret_hash])
        return session.user

    async def end_sessions(self, user: str, *, keep: str | None = None) -> None:
        kept = None if keep is None else fingerprint(keep)
        await self._end(
            [one.secret_hash for one in self._sessions.values() if one.user == user and one.secret_hash != kept]
        )

    def forget_sessions(self, user: str) -> None:
        """Those of a user whom the database has forgotten already."""
        self._sessions = {key: one for key, one in self._sessions.items() if one.user != user}

    def tokens(self) -> Sequence[Token]:
        return sorted((grant.token for grant in self._grants.values()), key=lambda token: (token.created_ns, token.id))

    async def add_token(self, name: str, role: str, created_by: str, expires_ns: int | None) -> tuple[Token, str]:
        secret = TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        token = Token(str(uuid4()), name, role, created_by, self._clock.now_ns(), expires_ns)
        grant = Grant(token, fingerprint(secret), 0)
        await self._store.add_token(grant)
        self._grants[grant.secret_hash] = grant
        return token, secret

    def known_token(self, secret: str) -> Token:
        """From memory; its use is noted, and saved with a later one. Raises: AccessError(authenticated=False)."""
        grant = self._grants.get(fingerprint(secret))
        now_ns = self._clock.now_ns()
        if grant is None:
            raise AccessError("the token is not known here, or was withdrawn", authenticated=False)
        if grant.token.expires_ns is not None and now_ns >= grant.token.expires_ns:
            raise AccessError(f"the token '{grant.token.name}' has expired", authenticated=False)
        grant.token = replace(grant.token, last_used_ns=now_ns)
        return grant.token

    async def token_of(self, secret: str) -> Token:
        """Raises: AccessError(authenticated=False)."""
        self.known_token(secret)
        key = fingerprint(secret)
        grant = self._grants[key]
        now_ns = self._clock.now_ns()
        if now_ns - grant.saved_ns >= self._settings.save_every_ns:
            grant.saved_ns = now_ns
            with suppress(Unavailable):
                await self._store.touch_token(grant.token.id, now_ns)
            if key not in self._grants:
                raise AccessError("the token is not known here, or was withdrawn", authenticated=False)
        return grant.token

    async def delete_token(self, id: str) -> Token | None:
        for key, grant in self._grants.items():
            if grant.token.id == id:
                del self._grants[key]
                await self._store.delete_token(id)
                return grant.token
        return None

    def _expired(self, session: Session, now_ns: int) -> bool:
        idle, life = self._settings.session_idle_ns, self._settings.session_life_ns
        return now_ns - session.last_used_ns >= idle or now_ns - session.created_ns >= life

    async def _end(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._sessions.pop(key, None)
        if keys:
            await self._store.delete_sessions(keys)
