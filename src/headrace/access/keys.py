"""Tokens of programs, beside sessions of people (sessions.py): who holds this secret? Answered from memory.

secret ─► SHA-256 ─► open sessions | tokens (all in memory) ─► still valid? ─► Principal
                                                                └─ use noted in the database every few minutes
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final
from uuid import uuid4

from headrace.access.sessions import SECRET_BYTES, KeySettings, Sessions
from headrace.access.store import AccessStore, Session, TokenKey, fingerprint
from headrace.model.errors import AccessError, Unavailable
from headrace.sdk.access import Action
from headrace.sdk.accounts import Token
from headrace.sdk.clock import Clock

__all__ = ["TOKEN_PREFIX", "KeyRing", "KeySettings"]

TOKEN_PREFIX: Final = "hr_"


class KeyRing(Sessions):
    """What is in memory is what counts; each change is durable before it is here, each removal gone before that."""

    def __init__(self, store: AccessStore, clock: Clock, settings: KeySettings) -> None:
        super().__init__(store, clock, settings)
        self._tokens: dict[str, TokenKey] = {}
        self._by_id: dict[str, TokenKey] = {}

    def load(self, sessions: Iterable[Session], keys: Iterable[TokenKey]) -> None:
        self.load_sessions(sessions)
        self._tokens = {key.secret_hash: key for key in keys}
        self._by_id = {key.token.id: key for key in self._tokens.values()}

    def tokens(self) -> Sequence[Token]:
        return sorted((key.token for key in self._tokens.values()), key=lambda token: (token.created_ns, token.id))

    async def add_token(
        self,
        name: str,
        role: str,
        created_by: str,
        expires_ns: int | None,
        *,
        tenant: str,
        paths: tuple[str, ...] = (),
        actions: tuple[Action, ...] = (),
    ) -> tuple[Token, str]:
        secret = TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        now_ns = self._clock.now_ns()
        token = Token(str(uuid4()), name, role, created_by, now_ns, expires_ns, None, tenant, paths, actions)
        key = TokenKey(token, fingerprint(secret), 0)
        await self._store.add_token(key)
        self._tokens[key.secret_hash] = self._by_id[token.id] = key
        return token, secret

    def known_token(self, secret: str) -> Token:
        """From memory; its use is noted, and saved with a later one. Raises: AccessError(authenticated=False)."""
        key = self._tokens.get(fingerprint(secret))
        now_ns = self._clock.now_ns()
        if key is None:
            raise AccessError("the token is not known here, or was withdrawn", authenticated=False)
        if key.token.expires_ns is not None and now_ns >= key.token.expires_ns:
            raise AccessError(f"the token '{key.token.name}' has expired", authenticated=False)
        key.token = replace(key.token, last_used_ns=now_ns)
        return key.token

    async def token_of(self, secret: str) -> Token:
        """Raises: AccessError(authenticated=False)."""
        self.known_token(secret)
        recognised = fingerprint(secret)
        key = self._tokens[recognised]
        now_ns = self._clock.now_ns()
        if now_ns - key.saved_ns >= self._settings.save_every_ns:
            key.saved_ns = now_ns
            with suppress(Unavailable):
                await self._store.touch_token(key.token.id, now_ns)
            if recognised not in self._tokens:
                raise AccessError("the token is not known here, or was withdrawn", authenticated=False)
        return key.token

    def token(self, id: str, *, expired: bool = False) -> Token | None:
        """None also for one that has expired, unless `expired` are wanted, too."""
        key = self._by_id.get(id)
        if key is None:
            return None
        if not expired and (key.token.expires_ns is not None and self._clock.now_ns() >= key.token.expires_ns):
            return None
        return key.token

    async def delete_token(self, id: str) -> Token | None:
        key = self._by_id.pop(id, None)
        if key is None:
            return None
        del self._tokens[key.secret_hash]
        await self._store.delete_token(id)
        return key.token
