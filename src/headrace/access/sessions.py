"""Sessions of people: opened by a proof, kept alive by use, ended by time, by hand, or by too many beside them.

secret ─► SHA-256 ─► session ─► idle or old? ended : used ─► user
proof again, a rise in rights ─► the same session under a new secret (the former is dead)
any end ─► `notice` ─► live feeds close at once

Source: IEC 62443-3-3 SR 2.5 (idle), SR 2.6 (termination), SR 2.7 (how many), SR 3.8 RE 1-3 (a secret is
worth nothing after the end, is the session's own, and random).
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from headrace.access.notice import Notice
from headrace.access.store import AccessStore, Session, fingerprint
from headrace.model.errors import AccessError, DataError, NotFound, Unavailable
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS
from headrace.sdk.accounts import TenantPolicy
from headrace.sdk.clock import Clock
from headrace.sdk.entry import FreshProofNeeded, Seen

SECRET_BYTES: Final = 32
FRESH_NS: Final = 5 * MINUTE_NS
NOWHERE: Final = Seen("unknown")


#: What a tenant may ask for, s and number: bounded on both sides.
IDLE_S: Final = (60, 24 * 3600)
LIFE_S: Final = (300, 30 * 24 * 3600)
SESSIONS: Final = (1, 50)
NOTICE_LENGTH_MAX: Final = 2000
SECOND_FACTOR: Final = ("off", "administrators", "everyone")


@dataclass(frozen=True, slots=True)
class KeySettings:
    session_idle_ns: int = 12 * HOUR_NS
    session_life_ns: int = 7 * DAY_NS
    sessions_per_user: int = 50
    save_every_ns: int = 5 * MINUTE_NS


class Sessions:
    """`limits_of` tells what holds for a user; the settings do until it is set."""

    def __init__(self, store: AccessStore, clock: Clock, settings: KeySettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._named: dict[str, Session] = {}
        self.notice = Notice()
        self.limits_of: Callable[[str], KeySettings] = lambda _user: settings

    def load_sessions(self, sessions: Iterable[Session]) -> None:
        self._sessions = {session.secret_hash: session for session in sessions}
        self._named = {session.id: session for session in self._sessions.values()}

    async def open_session(self, user: str, seen: Seen = NOWHERE, proved: str = "password") -> str:
        """A new secret; the user's oldest sessions end where there are too many, as do all that have expired."""
        now_ns = self._clock.now_ns()
        own = sorted((one for one in self._sessions.values() if one.user == user), key=lambda one: one.last_used_ns)
        surplus = own[: max(len(own) + 1 - self.limits_of(user).sessions_per_user, 0)]
        expired = [one for one in self._sessions.values() if self._expired(one, now_ns)]
        await self._end({id(one): one for one in (*surplus, *expired)}.values())
        secret = secrets.token_urlsafe(SECRET_BYTES)
        session = Session(
            fingerprint(secret), user, now_ns, now_ns, now_ns,
            uuid4().hex, plain_text(seen.peer, 64), plain_text(seen.agent, 200), proved, now_ns,
        )  # fmt: skip
        await self._store.add_session(session)
        self._keep(session)
        return secret

    async def use_session(self, secret: str, *, quiet: bool = False) -> Session:
        """`quiet`: looked at by a program rather than used by a person. Raises: AccessError(authenticated=False)."""
        session = self._sessions.get(fingerprint(secret))
        if session is None:
            raise AccessError("sign in first", authenticated=False)
        return await self._used(session, quiet)

    async def use_named(self, id: str) -> Session:
        """By the name of a session rather than its secret: for what was let in with it. Always quiet."""
        session = self._named.get(id)
        if session is None:
            raise AccessError("the session has ended; sign in again", authenticated=False)
        return await self._used(session, quiet=True)

    def session(self, secret: str) -> Session:
        """Raises: AccessError(authenticated=False)."""
        session = self._sessions.get(fingerprint(secret))
        if session is None or self._expired(session, self._clock.now_ns()):
            raise AccessError("sign in first", authenticated=False)
        return session

    def session_named(self, id: str) -> Session | None:
        session = self._named.get(id)
        return None if session is None or self._expired(session, self._clock.now_ns()) else session

    def sessions_of(self, user: str) -> Sequence[Session]:
        """Newest use first."""
        now_ns = self._clock.now_ns()
        own = [one for one in self._sessions.values() if one.user == user and not self._expired(one, now_ns)]
        return sorted(own, key=lambda one: (-one.last_used_ns, one.id))

    def check_fresh(self, secret: str) -> Session:
        """Raises: FreshProofNeeded, AccessError(authenticated=False)."""
        session = self.session(secret)
        if not 0 <= self._clock.now_ns() - session.proved_ns < FRESH_NS:
            raise FreshProofNeeded
        return session

    async def renew(self, secret: str, *, proved: str | None = None) -> str:
        """A new secret; with `proved`, also a fresh proof. Raises: AccessError(authenticated=False)."""
        return await self._renew(self.session(secret), proved)

    async def renew_named(self, id: str, *, proved: str) -> str:
        """As `renew`, where the secret is not at hand."""
        session = self.session_named(id)
        if session is None:
            raise AccessError("the session has ended; sign in again", authenticated=False)
        return await self._renew(session, proved)

    async def _renew(self, former: Session, proved: str | None) -> str:
        renewed = secrets.token_urlsafe(SECRET_BYTES)
        session = replace(former, secret_hash=fingerprint(renewed))
        if proved is not None:
            session.proved, session.proved_ns = proved, self._clock.now_ns()
        await self._store.renew_session(former.secret_hash, session)
        if self._sessions.pop(former.secret_hash, None) is None:  # ended meanwhile: it stays ended
            await self._store.delete_sessions([session.secret_hash])
            raise AccessError("the session has ended; sign in again", authenticated=False)
        self._keep(session)
        return renewed

    async def end_session(self, secret: str) -> str | None:
        """The user whose session it was."""
        session = self._sessions.get(fingerprint(secret))
        if session is None:
            return None
        await self._end([session])
        return session.user

    async def end_named(self, user: str, id: str) -> None:
        """Raises: NotFound, for another's as for one that never was."""
        session = self._named.get(id)
        if session is None or session.user != user:
            raise NotFound("there is no such session; it may have ended")
        await self._end([session])

    async def end_sessions(self, user: str, *, keep: str | None = None) -> int:
        """How many ended."""
        kept = None if keep is None else fingerprint(keep)
        ended = [one for one in self._sessions.values() if one.user == user and one.secret_hash != kept]
        await self._end(ended)
        return len(ended)

    def forget_sessions(self, user: str) -> None:
        """Those of a user whom the database has forgotten already."""
        self.load_sessions([one for one in self._sessions.values() if one.user != user])
        self.notice.tell()

    async def _used(self, session: Session, quiet: bool) -> Session:
        now_ns = self._clock.now_ns()
        if self._expired(session, now_ns):
            await self._end([session])
            raise AccessError("the session has ended; sign in again", authenticated=False)
        if quiet:
            return session
        session.last_used_ns = max(session.last_used_ns, now_ns)
        if now_ns - session.saved_ns >= self._settings.save_every_ns:
            session.saved_ns = now_ns
            with suppress(Unavailable):  # only when it was last used; asked again in a few minutes
                await self._store.touch_session(session.secret_hash, now_ns)
            if session.id not in self._named:
                raise AccessError("the session has ended; sign in again", authenticated=False)
        return session

    def _keep(self, session: Session) -> None:
        self._sessions[session.secret_hash] = self._named[session.id] = session

    def _expired(self, session: Session, now_ns: int) -> bool:
        limits = self.limits_of(session.user)
        idle, life = limits.session_idle_ns, limits.session_life_ns
        return now_ns - session.last_used_ns >= idle or now_ns - session.created_ns >= life

    async def _end(self, sessions: Iterable[Session]) -> None:
        ended = list(sessions)
        if not ended:
            return
        for one in ended:
            self._sessions.pop(one.secret_hash, None)
            self._named.pop(one.id, None)
        self.notice.tell()
        await self._store.delete_sessions([one.secret_hash for one in ended])


def check_policy(policy: TenantPolicy) -> None:
    """Raises: DataError for what a tenant may not ask of its accounts."""
    if policy.second_factor not in SECOND_FACTOR:
        raise DataError(f"a second factor is asked of {', '.join(SECOND_FACTOR)}, not of '{policy.second_factor[:40]}'")
    bounds = (
        ("session_idle_s", policy.session_idle_s, IDLE_S),
        ("session_life_s", policy.session_life_s, LIFE_S),
        ("sessions_max", policy.sessions_max, SESSIONS),
    )
    for name, value, (least, most) in bounds:
        if value is not None and not least <= value <= most:
            raise DataError(f"'{name}' is between {least} and {most}")
    if len(policy.notice) > NOTICE_LENGTH_MAX or any(
        unicodedata.category(one).startswith("C") and one != "\n" for one in policy.notice
    ):
        raise DataError(f"a notice is plain text of at most {NOTICE_LENGTH_MAX} characters, in lines")


def plain_text(text: str, length_max: int) -> str:
    """What a stranger wrote, made fit for a list and a log: no control characters, no lines, not too long."""
    kept = "".join(" " if unicodedata.category(one).startswith(("C", "Z")) else one for one in text[: 4 * length_max])
    return " ".join(kept.split())[:length_max]
