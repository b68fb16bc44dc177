"""The register of edges as people see it: invite, revoke, remove; each act durable and audited.

    engineer ──invite──► token ──► edge ──► Door (door.py) ──► certificate
    registry ──refresh──► Desk (desk.py) ──► what each edge should run
    edges that enrolled ──provide──► assets `system/edges/<edge>`, whose points are the quality of their links

One process owns the tables. A change is durable before it counts, but for what an edge says of itself.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from headrace.fleet.edges.authority import Authority
from headrace.fleet.edges.desk import Desk, Guests, Publish
from headrace.fleet.edges.door import Door
from headrace.fleet.edges.link import declaration
from headrace.fleet.edges.roll import EdgeRoll, secret_hash
from headrace.fleet.edges.store import EdgeStore, Enrolled, Token
from headrace.model.errors import Conflict, DataError
from headrace.model.plant import PlantModel
from headrace.model.points import check_path
from headrace.model.time import SECOND_NS
from headrace.sdk.access import DEFAULT_TENANT, AuditLog, Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.edges import Declarations, EdgeToken, check_edge_name
from headrace.sdk.fleet import EdgeRecord, EdgeState
from headrace.sdk.secret_files import PLAIN, SecretFiles
from headrace.sdk.services import SourceFile
from headrace.sdk.tenancy import ONE_TENANT, Ground

EDGES_MAX: Final = 10_000
EDGES_OF_TENANT_MAX: Final = 500
TOKEN_VALID_S: Final = (60.0, 30 * 86_400.0)

Provide = Callable[[Sequence[SourceFile]], Awaitable[None]]


class Edges:
    """Implements `sdk.fleet.EdgeRegister`; `door` and `desk` are what the hub's end of the link is given.

    `provide` takes what the platform itself declares; `handles` numbers the points that came of it; `publish` is the
    way of their samples; `guests` says which devices the gateways of an edge let in; `secrets` keeps private keys.
    """

    def __init__(
        self, engine: Engine, clock: Clock, audit: AuditLog, declarations: Declarations, folder: Path,
        *, provide: Provide, handles: Callable[[], Mapping[str, int]], publish: Publish, guests: Guests,
        tenants: Tenants = ONE_TENANT,
        secrets: SecretFiles = PLAIN,
    ) -> None:  # fmt: skip
        self._tenants = tenants
        self._store, self._clock, self._audit, self._provide = EdgeStore(engine), clock, audit, provide
        self._authority = Authority(folder, secrets)
        self._roll = EdgeRoll()
        self._model = PlantModel()
        self._changing = asyncio.Lock()
        self.desk = Desk(self._roll, self._store, clock, declarations, self._changing, handles=handles, publish=publish,
                         guests=guests)  # fmt: skip
        self.door = Door(self._roll, self._store, self._authority, clock, audit, self._changing, self._came_in, tenants)

    async def start(self) -> None:
        """Raises: Unavailable."""
        self._roll.load(*await self._store.load())
        await self._declare()

    async def run(self) -> None:
        await self.desk.run()

    async def close(self) -> None:
        self.desk.notices.close()
        await self.desk.save()

    async def refresh(self, model: PlantModel) -> None:
        """The plant was declared anew. Raises: Unavailable."""
        async with self._changing:
            if model.revision < self._model.revision:
                return  # of two who applied at once the later one was here first
            self._model = model
            await self.desk.refresh()

    def edges(self, *, tenant: str | None = None) -> Sequence[EdgeRecord]:
        return [self._record(edge) for edge in self._roll if tenant in (None, edge.tenant)]

    def get(self, name: str, *, tenant: str | None = None) -> EdgeRecord:
        return self._record(self._roll.get(name, tenant))

    def in_the_way(self, tenant: str, roots: Iterable[str]) -> Sequence[str]:
        """Edges of `default` that a new tenant would take the name or the prefix from; empty is well."""
        wanted = frozenset(roots)
        return [
            f"edge '{edge.name}'"
            for edge in self._roll
            if edge.tenant == DEFAULT_TENANT
            and (edge.name.startswith(f"{tenant}.") or edge.prefix.partition("/")[0] in wanted)
        ][:20]

    async def invite(
        self, actor: str, name: str, prefix: str, *, valid_s: float = 3_600.0, tenant: str = DEFAULT_TENANT
    ) -> tuple[EdgeRecord, str]:
        ground = Ground(self._tenants, tenant)
        name, prefix = check_edge_name(name), check_path(prefix)
        ground.check_name("edge", name)
        ground.check_path(prefix)
        if not TOKEN_VALID_S[0] <= valid_s <= TOKEN_VALID_S[1]:
            raise DataError("a token is good for at least a minute and at most 30 days")
        now_ns = self._clock.now_ns()
        token = EdgeToken(name, await asyncio.to_thread(self._authority.digest, now_ns), secrets.token_bytes(32))
        kept = Token(secret_hash(token.secret), name, prefix, actor, now_ns, now_ns + round(valid_s * SECOND_NS))
        async with self._changing:
            old = self._roll.find(name)
            if old is None and len(self._roll) >= EDGES_MAX:
                raise Conflict(f"there are {EDGES_MAX:,} edges already; remove some first")
            own = sum(edge.tenant == tenant for edge in self._roll)
            if old is None and tenant != DEFAULT_TENANT and own >= EDGES_OF_TENANT_MAX:
                raise Conflict(f"a tenant has at most {EDGES_OF_TENANT_MAX:,} edges; remove some first")
            edge = old or Enrolled(name, prefix, EdgeState.INVITED, actor, now_ns, tenant=tenant)
            if edge.state is EdgeState.INVITED:
                edge = replace(edge, prefix=prefix)
            await self._store.invite(edge, old is None, kept)
            self._roll.drop_tokens(name)
            self._roll.put(edge)
            self._roll.put_token(kept)
            await self.desk.refresh()
        told = {"prefix": prefix, "valid_s": valid_s}
        await self._audit.record(actor, "edge.invite", name, "done", told, tenant=tenant)
        return self.get(name), token.text

    async def revoke(self, actor: str, name: str, *, tenant: str | None = None) -> EdgeRecord:
        async with self._changing:
            edge = replace(self._roll.get(name, tenant), state=EdgeState.REVOKED)
            await self._store.revoke(edge)
            self._roll.drop_tokens(name)
            self._roll.put(edge)
        self._gone(name)
        await self._audit.record(actor, "edge.revoke", name, "done", tenant=edge.tenant)
        return self.get(name)

    async def remove(self, actor: str, name: str, *, tenant: str | None = None) -> None:
        async with self._changing:
            edge = self._roll.get(name, tenant)
            users = [one.name for one in self._model.connections.values() if one.edge == name]
            if users:
                raise Conflict(f"connection '{users[0]}' is declared to run on '{name}'; declare it elsewhere first")
            await self._store.remove(name)
            self._roll.drop(name)
            await self._declare()
        self._gone(name)
        await self._audit.record(actor, "edge.remove", name, "done", tenant=edge.tenant)

    # --- within -----------------------------------------------------------------------------------------------------

    async def _came_in(self, name: str) -> None:
        """Under the lock. Whoever held the name until now is closed by the hub's end, which hears of it."""
        await self._declare()
        await self.desk.refresh()
        self.desk.notices.tell(name)

    def _gone(self, name: str) -> None:
        self.desk.links.forget(name)
        self.desk.notices.tell(name)

    async def _declare(self) -> None:
        """The assets of edges that have enrolled once; their history outlives a revocation."""
        file = declaration(edge.name for edge in self._roll if edge.enrolled_ns is not None)
        await self._provide([] if file is None else [file])

    def _record(self, edge: Enrolled) -> EdgeRecord:
        quality, share, life = self.desk.quality(edge.name), self.desk.share(edge.name), edge.life
        waiting = self._roll.tokens_of(edge.name, spent=False)
        return EdgeRecord(
            name=edge.name,
            prefix=edge.prefix,
            state=edge.state,
            created_ns=edge.created_ns,
            created_by=edge.created_by,
            enrolled_ns=edge.enrolled_ns,
            certificate=edge.certificate or "",
            certificate_ends_ns=edge.certificate_ends_ns,
            token_ends_ns=max((one.expires_ns for one in waiting), default=None),
            connected=quality is not None and quality.connected,
            last_contact_ns=life.last_contact_ns,
            desired=life.desired_revision or None,
            points=share.points,
            left_out=share.left_out,
            actual=life.actual,
            quality=quality,
            tenant=edge.tenant,
        )
