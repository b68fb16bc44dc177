"""The ways in, and the sessions they lead to.

sign_in (desk.py) ─► enter ─► no second factor: session
                          └─► one: Pending (random, once, 5 min, 5 tries) ─► complete ─► session
passkey_options ─► passkey_sign_in (the device makes sure of the person) ─► session
prove_again ─► the same session, fresh for five minutes, under a new secret

Source: IEC 62443-3-3 SR 1.1 RE 2, SR 1.11 (tries), SR 2.5-2.7, SR 3.8; GB/T 22239-2019 8.1.4.1.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence

from headrace.access.passkeys import request_options
from headrace.access.proofs import TRIES_MAX, Proofs, Waiting
from headrace.access.room import lookup
from headrace.access.store import Account, Session
from headrace.model.errors import AccessError, DataError, HeadraceError
from headrace.sdk.access import Action, Principal
from headrace.sdk.entry import Factor, FreshProofNeeded, Json, Pending, Proof, SecondFactorNeeded, Seen, SessionInfo


class Entering(Proofs, ABC):
    # --- a second factor after the first ------------------------------------------------------------------------

    async def _enter(self, account: Account, proved: str, seen: Seen) -> str:
        """After a right first proof: a session's secret. Raises: SecondFactorNeeded."""
        user = account.user
        if self._has_factor(user.name) and not proved.endswith("+provider"):
            secret = secrets.token_urlsafe(32)
            self._waiting.put(secret, Waiting(user.name, account.password_hash, proved))
            raise SecondFactorNeeded(await self.pending(secret, seen))
        return await self._open(user.name, proved, seen)

    async def pending(self, secret: str, seen: Seen) -> Pending:
        await self._load()
        waiting = self._look(secret)
        kinds = self._kinds(waiting.user, seen)
        if Factor.PASSKEY not in kinds:
            return Pending(secret, waiting.user, kinds)
        waiting.challenge = secrets.token_bytes(32)
        own = [key for key in self._factors.keys_of(waiting.user, seen.host) if key.blocked_ns is None]
        return Pending(secret, waiting.user, kinds, request_options(waiting.challenge, own, seen))

    async def complete(self, pending: str, proof: Proof, seen: Seen) -> tuple[str, str]:
        await self._load()
        waiting = self._look(pending)
        self._by_peer.check(seen.peer)
        self._by_peer.begin(seen.peer)
        waiting.tries += 1
        challenge, waiting.challenge = waiting.challenge, None  # one answer to a question
        if waiting.tries >= TRIES_MAX:
            self._waiting.take(pending)
        try:
            kind = await self._check_second(waiting.user, challenge, proof, seen)
        except HeadraceError as error:
            await self._refused(waiting.user, seen, "second-factor", error)
            raise
        if waiting.tries < TRIES_MAX and self._waiting.take(pending) is None:
            raise AccessError("this sign-in was completed already", authenticated=False)
        account = self._live_account(waiting.user)
        if account.password_hash != waiting.password_hash:
            raise AccessError("the account was changed meanwhile; sign in again", authenticated=False)
        self._by_peer.take_back(seen.peer)
        self._by_code.forgive(waiting.user)
        return await self._open(waiting.user, f"{waiting.proved}+{kind.value}", seen), waiting.user

    # --- a passkey alone ----------------------------------------------------------------------------------------

    async def passkey_options(self, seen: Seen) -> tuple[str, Json]:
        await self._load()
        self._by_peer.check(seen.peer)
        name, challenge = secrets.token_urlsafe(24), secrets.token_bytes(32)
        options = request_options(challenge, None, seen)
        self._strangers.put(name, challenge)
        return name, options

    async def passkey_sign_in(self, challenge: str, answer: Json, seen: Seen) -> tuple[str, str]:
        await self._load()
        self._by_peer.check(seen.peer)
        self._by_peer.begin(seen.peer)
        question = self._strangers.take(challenge)
        try:
            key = await self._check_passkey(None, question, answer, seen, person=True)
            account = self._live_account(key.user)
        except HeadraceError as error:
            await self._refused("passkey", seen, "sign-in", error)
            raise
        self._by_peer.take_back(seen.peer)
        return await self._open(account.user.name, Factor.PASSKEY.value, seen), account.user.name

    # --- the session at hand ------------------------------------------------------------------------------------

    def check_fresh(self, session: str) -> None:
        self._keys.check_fresh(session)

    async def proof_options(self, session: str, seen: Seen) -> Json | None:
        await self._load()
        found = self._keys.session(session)
        return self._passkey_question(f"proof:{found.id}", found.user, seen)

    async def prove_again(self, session: str, proof: Proof, seen: Seen) -> str:
        """A passkey; or the password, and a code where the user has a second factor."""
        await self._load()
        found = self._keys.session(session)
        user = found.user
        self._by_peer.check(seen.peer)
        try:
            proved = await self._prove_more(found, proof, seen)
        except HeadraceError as error:
            await self._refused(user, seen, "session.proof", error)
            raise
        renewed = await self._keys.renew(session, proved=proved)
        await self.record(user, "session.proof", found.id, "done", {"proved": proved}, tenant=self._tenant_of(user))
        return renewed

    async def _prove_more(self, found: Session, proof: Proof, seen: Seen) -> str:
        account = self._live_account(found.user)
        if proof.passkey is not None:
            challenge = self._challenges.take(f"proof:{found.id}")
            await self._check_passkey(found.user, challenge, proof.passkey, seen, person=False)
            if proof.password is None and account.password_hash:
                raise DataError("give your password, too")
            kinds = [Factor.PASSKEY.value]
        elif proof.code is not None:
            kinds = [(await self._check_code(found.user, proof.code)).value]
        elif self._has_factor(found.user) or not account.password_hash:
            raise DataError("give a code, or the answer of a passkey")
        else:
            kinds = []
        if account.password_hash:
            if proof.password is None:
                raise DataError("give your password")
            # Against the session, in words that are no name: guesses at the door keep nobody inside from proving it.
            await self._prove(found.user, proof.password, seen.peer, counted=f"Session {found.id}")
            kinds.insert(0, "password")
        self._by_code.forgive(found.user)
        return "+".join(kinds)

    async def renew(self, session: str) -> str:
        await self._load()
        return await self._keys.renew(session)

    async def sessions(self, user: str) -> Sequence[SessionInfo]:
        await self._load()
        return [info_of(one) for one in self._keys.sessions_of(lookup(user))]

    def session(self, secret: str) -> SessionInfo:
        return info_of(self._keys.session(secret))

    async def end_session(self, actor: Principal, user: str, id: str) -> None:
        await self._load()
        name = self._whose(actor, user)
        await self._keys.end_named(name, id)
        await self.record(actor.name, "session.end", name, "done", {"session": id}, tenant=self._tenant_of(name))

    async def end_sessions(self, actor: Principal, user: str, *, keep: str | None = None) -> int:
        await self._load()
        name = self._whose(actor, user)
        ended = await self._keys.end_sessions(name, keep=keep)
        await self.record(actor.name, "session.end", name, "done", {"sessions": ended}, tenant=self._tenant_of(name))
        return ended

    # --- within -------------------------------------------------------------------------------------------------

    def _whose(self, actor: Principal, user: str) -> str:
        """Raises: NotFound, AccessError."""
        if actor.via == "session" and actor.name == lookup(user):
            return actor.name
        self.check(actor, Action.SECURE, "")
        return self._account(user, actor.tenant).user.name

    def _look(self, pending: str) -> Waiting:
        waiting = self._waiting.look(pending)
        if waiting is None:
            raise AccessError("no sign-in waits for this, or no longer; sign in again", authenticated=False)
        self._live_account(waiting.user)
        return waiting

    async def _open(self, user: str, proved: str, seen: Seen) -> str:
        secret = await self._keys.open_session(user, seen, proved)
        data = {"peer": seen.peer, "proved": proved}
        await self.record(user, "sign-in", user, "done", data, tenant=self._tenant_of(user))
        return secret

    async def _refused(self, user: str, seen: Seen, action: str, error: HeadraceError) -> None:
        if isinstance(error, FreshProofNeeded | SecondFactorNeeded):
            return
        data = {"peer": seen.peer, "why": error.message[:200]}
        await self.record(user, action, user, "refused", data, tenant=self._tenant_of(user))

    @abstractmethod
    async def _prove(self, name: str, password: str, peer: str | None, *, counted: str | None = None) -> Account:
        """The account, if the password is right: desk.py, which owns passwords. Raises: AccessError, LimitReached."""


def info_of(session: Session) -> SessionInfo:
    return SessionInfo(
        session.id,
        session.user,
        session.created_ns,
        session.last_used_ns,
        session.peer,
        session.agent,
        session.proved,
        session.proved_ns,
    )
