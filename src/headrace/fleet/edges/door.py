"""The door that edges come to: a token once, then a certificate, a newer one from time to time.

    enrol   throttle(peer) ─► token good? ─► request good? ─► certificate ─► token spent, in one transaction
              asked again with the same key, because the answer was lost ─► the same answer, until it first connects
    admit   certificate known, not revoked, not ended ─► Edge;  the first use of a new one ends the one before it
    renew   over a link that stands: the old certificate is good until the new one was used

Times are the wall clock's: while it is wrong, tokens and certificates may be refused, and nothing is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from headrace.fleet.edges.authority import Authority, Issued
from headrace.fleet.edges.requests import Request, check_request
from headrace.fleet.edges.roll import EdgeRoll
from headrace.fleet.edges.store import EdgeStore, Enrolled, Token
from headrace.model.errors import AccessError, DataError, HeadraceError
from headrace.sdk.access import DEFAULT_TENANT, AuditLog, Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.edges import Edge, EdgeToken, HubIdentity
from headrace.sdk.fleet import EdgeState
from headrace.sdk.tenancy import ONE_TENANT
from headrace.sdk.throttle import Throttle, ThrottleLimits

#: A token has 256 random bits: this only keeps noise down.
PEER_LIMITS: Final = ThrottleLimits(free=10, locked_after=100, delay_max_s=10.0, lock_s=60.0)
_NO_TOKEN: Final = "this enrolment token is not known here, was spent, or has expired; make a new one on the hub"


class Door:
    """Implements `sdk.edges.EdgeDoor`. `enrolled` is called under the lock when an edge has come in."""

    def __init__(
        self, roll: EdgeRoll, store: EdgeStore, authority: Authority, clock: Clock, audit: AuditLog,
        changing: asyncio.Lock, enrolled: Callable[[str], Awaitable[None]], tenants: Tenants = ONE_TENANT,
    ) -> None:  # fmt: skip
        self._tenants = tenants
        self._roll, self._store, self._authority = roll, store, authority
        self._clock, self._audit, self._changing, self._enrolled = clock, audit, changing, enrolled
        self._by_peer = Throttle(PEER_LIMITS, clock)

    async def identity(self) -> HubIdentity:
        return await asyncio.to_thread(self._authority.identity, self._clock.now_ns())

    async def enrol(self, token: str, request: bytes, peer: str) -> tuple[Edge, bytes]:
        self._by_peer.check(peer)
        try:
            async with self._changing:
                edge, chain = await self._spend(token, request)
        except HeadraceError as error:
            if isinstance(error, AccessError | DataError):
                self._by_peer.begin(peer)
                who = _edge_in(token)
                await self._audit.record(
                    peer[:64], "edge.enrol", who, "refused", {"why": str(error)}, tenant=self._tenant_of(who)
                )
            raise
        data = {"certificate": edge.certificate}
        await self._audit.record(peer[:64], "edge.enrol", edge.name, "done", data, tenant=edge.tenant)
        return edge, chain

    async def renew(self, edge: Edge, request: bytes) -> bytes:
        async with self._changing:
            held = self._roll.find(edge.name)
            if held is None or held.state is not EdgeState.ENROLLED or edge.certificate != held.certificate:
                raise AccessError(f"edge '{edge.name}' may not renew: it was revoked, or another took its place")
            issued = await self._issue(edge.name, check_request(request, edge.name))
            renewed = replace(held, next_certificate=issued.fingerprint, next_certificate_ends_ns=issued.ends_ns)
            await self._store.change(renewed)
            self._roll.put(renewed)
        data = {"certificate": issued.fingerprint}
        await self._audit.record(f"edge:{edge.name}", "edge.renew", edge.name, "done", data, tenant=edge.tenant)
        return issued.chain

    async def admit(self, certificate: str) -> Edge:
        edge = self._roll.of_certificate(certificate)
        if edge is None:
            raise AccessError("this edge is not known here; enrol it with a token made on the hub", authenticated=False)
        if edge.state is not EdgeState.ENROLLED:
            raise AccessError(f"edge '{edge.name}' was revoked; enrol it again with a token made on the hub")
        if self._tenants.tenant_of(edge.prefix) != edge.tenant:
            raise AccessError(f"edge '{edge.name}' is for '{edge.prefix}', which is another's now; enrol it anew")
        newer = certificate == edge.next_certificate
        ends_ns = edge.next_certificate_ends_ns if newer else edge.certificate_ends_ns
        if ends_ns is not None and ends_ns <= self._clock.now_ns():
            raise AccessError(f"the certificate of edge '{edge.name}' has ended; enrol it again with a new token")
        if newer or self._roll.tokens_of(edge.name, spent=True):
            edge = await self._settle(edge.name, certificate)
        return _edge(edge)

    # --- within -----------------------------------------------------------------------------------------------------

    async def _spend(self, text: str, request: bytes) -> tuple[Edge, bytes]:
        kept = self._good_token(text)
        asked = check_request(request, kept.edge)
        edge = self._roll.get(kept.edge)
        if kept.spent_ns is not None and kept.chain is not None:
            if kept.key_digest != asked.key_digest:
                raise AccessError(_NO_TOKEN, authenticated=False)
            return _edge(edge), kept.chain.encode()  # the answer was lost on its way
        issued = await self._issue(edge.name, asked)
        now_ns = self._clock.now_ns()
        enrolled = replace(
            edge, prefix=kept.prefix, state=EdgeState.ENROLLED, enrolled_ns=now_ns,
            certificate=issued.fingerprint, certificate_ends_ns=issued.ends_ns,
            next_certificate=None, next_certificate_ends_ns=None,
        )  # fmt: skip
        spent = replace(kept, spent_ns=now_ns, key_digest=asked.key_digest, chain=issued.chain.decode())
        if not await self._store.enrol(enrolled, spent):
            raise AccessError(_NO_TOKEN, authenticated=False)
        self._roll.put_token(spent)
        self._roll.put(enrolled)
        await self._enrolled(edge.name)
        return _edge(enrolled), issued.chain

    def _good_token(self, text: str) -> Token:
        """Raises: AccessError, in the same words whatever is wrong."""
        try:
            token = EdgeToken.parse(text)
        except DataError:
            raise AccessError(_NO_TOKEN, authenticated=False) from None
        kept = self._roll.token(token.secret)
        if kept is None or kept.edge != token.edge or kept.expires_ns <= self._clock.now_ns():
            raise AccessError(_NO_TOKEN, authenticated=False)
        return kept

    def _tenant_of(self, name: str) -> str:
        held = self._roll.find(name)
        return DEFAULT_TENANT if held is None else held.tenant

    async def _issue(self, name: str, asked: Request) -> Issued:
        return await asyncio.to_thread(self._authority.issue, name, asked.public_key, self._clock.now_ns())

    async def _settle(self, name: str, certificate: str) -> Enrolled:
        """A certificate was used for the first time: the one before it, and the token that brought it, are done."""
        async with self._changing:
            edge = self._roll.get(name)
            if certificate == edge.next_certificate:
                edge = replace(
                    edge, certificate=edge.next_certificate, certificate_ends_ns=edge.next_certificate_ends_ns,
                    next_certificate=None, next_certificate_ends_ns=None,
                )  # fmt: skip
                await self._store.change(edge)
                self._roll.put(edge)
            if self._roll.tokens_of(name, spent=True):
                await self._store.drop_spent(name)
                self._roll.drop_spent(name)
        return edge


def _edge(held: Enrolled) -> Edge:
    assert held.certificate is not None
    return Edge(held.name, held.prefix, held.certificate, held.tenant)


def _edge_in(token: str) -> str:
    """Whom a token that is no good was for, as far as it says."""
    try:
        return EdgeToken.parse(token).edge[:60]
    except DataError:
        return "unknown"
