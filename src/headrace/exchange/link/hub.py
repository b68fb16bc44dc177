"""The hub's end of all links: one listener, one session a connection, one connection an edge.

    edges ══ TLS 1.3, certificates of both ══► EdgeSession ─► intake.take ─► history, screens, alarms
    through a web server ══ Upgrade, then the same ══►  │  ▲
    desk.changes ─► what an edge should run, or its end │  │ write, read_back ◄─ control, through `platform/`
    once a second ◄─ LinkQuality ───────────────────────┘

A new HELLO ends the older connection of the same edge, and waits until nothing of it can reach the store any more; its
epoch would be refused there all the same. So a half-dead connection never holds up its successor for long.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from headrace.exchange.link.channel import Channel
from headrace.exchange.link.lanes import PublishEvents
from headrace.exchange.link.points import Dictionary
from headrace.exchange.link.session import EdgeSession
from headrace.exchange.link.settings import HubSettings
from headrace.exchange.link.upgrade import Upgraded
from headrace.model.batch import Batch, Value
from headrace.model.errors import AccessError, ConfigError, LimitReached, Unavailable
from headrace.model.events import Event
from headrace.sdk.access import Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.edges import Edge, EdgeDesk, EdgeDoor
from headrace.sdk.intake import Intake
from headrace.sdk.secret_files import load_own
from headrace.sdk.store import SampleStore
from headrace.sdk.tenancy import ONE_TENANT, tenant_of_event, tenant_of_name

_logger = logging.getLogger(__name__)
_IDENTITY_EACH_S: Final = 3600.0
_FENCE_S_MAX: Final = 30.0
_COMMAND_TIMEOUT_S: Final = 5.0
_DICTIONARIES_MAX: Final = 10_000
_BACKLOG: Final = 512


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens; `web_port` is None where nothing stands in front."""

    host: str
    port: int
    web_port: int | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class EdgeHub:
    def __init__(
        self,
        store: SampleStore,
        intake: Intake,
        door: EdgeDoor,
        desk: EdgeDesk,
        publish_events: PublishEvents,
        clock: Clock,
        settings: HubSettings | None = None,
        tenants: Tenants = ONE_TENANT,
    ) -> None:
        self._tenants = tenants
        self.store, self.intake, self.door, self.desk = store, intake, door, desk
        self.publish_events, self.clock, self.settings = publish_events, clock, settings or HubSettings()
        self._sessions: dict[str, EdgeSession] = {}
        self._dictionaries: dict[str, Dictionary] = {}
        self._connections: set[EdgeSession] = set()
        self._strangers = 0
        self._group: asyncio.TaskGroup | None = None
        self._context: ssl.SSLContext | None = None
        self.refused = self.fenced = 0
        self.where: Listening | None = None

    @asynccontextmanager
    async def listening(self, host: str, port: int, web: tuple[str, int] | None = None) -> AsyncIterator[Listening]:
        """`web` is where a web server in front may pass connections on, in the clear. Raises: ConfigError."""
        self._context = await self._new_context()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                server = await loop.create_server(
                    self._accept, host, port, ssl=self._context, backlog=_BACKLOG,
                    ssl_handshake_timeout=self.settings.handshake_timeout_s,
                )  # fmt: skip
                web_server = None
                if web is not None:
                    web_server = await loop.create_server(self._accept_upgrade, *web, backlog=_BACKLOG)
            except OSError as error:
                raise ConfigError(f"edges cannot be listened for at {host}:{port}: {error.strerror or error}") from None
            helpers = [
                group.create_task(self._follow_changes(), name="edge-changes"),
                group.create_task(self._measure(), name="edge-quality"),
                group.create_task(self._renew_identity(), name="edge-identity"),
            ]
            try:
                web_port = None if web_server is None else web_server.sockets[0].getsockname()[1]
                self.where = Listening(host, server.sockets[0].getsockname()[1], web_port)
                yield self.where
            finally:
                self.where = None
                for each in (server, web_server):
                    if each is not None:
                        each.close()
                for session in list(self._connections):
                    session.channel.close("the hub stops", 0.2)
                for helper in helpers:
                    helper.cancel()
                self._group = None

    # --- for the rooms above ------------------------------------------------------------------------------------------

    async def write(self, edge: str, path: str, value: Value, timeout_s: float = _COMMAND_TIMEOUT_S) -> None:
        """As `sdk.field.DeviceWriter`, at an edge. Raises: Unavailable where it is not connected, and as there."""
        await self._session(edge, path).order(path, value, timeout_s)

    async def read_back(self, edge: str, path: str, timeout_s: float = _COMMAND_TIMEOUT_S) -> Batch:
        sample = await self._session(edge, path).order(path, None, timeout_s)
        if sample is None:
            raise Unavailable(f"edge '{edge}' gave no value for '{path}'")
        return sample

    def _session(self, edge: str, path: str) -> EdgeSession:
        session = self._sessions.get(edge)
        if session is None or not session.ready:
            raise Unavailable(f"'{path}' is at edge '{edge}', which is not connected now")
        return session

    def connected(self) -> dict[str, EdgeSession]:
        return {name: session for name, session in self._sessions.items() if session.ready}

    # --- connections --------------------------------------------------------------------------------------------------

    def _accept(self) -> Channel:
        session = EdgeSession(self)
        session.channel.on_made = lambda: self._begin(session)
        return session.channel

    def _accept_upgrade(self) -> Upgraded:
        assert self._context is not None
        return Upgraded(self._accept, self._context, self.settings.handshake_timeout_s)

    def _begin(self, session: EdgeSession) -> None:
        if self._group is None or len(self._connections) >= self.settings.connections_max:
            self.refused += 1
            session.channel.abort("too many connections")
            return
        self._connections.add(session)
        session.connected()
        task = self._group.create_task(session.run(), name="edge-session")
        task.add_done_callback(lambda _: self._end(session))

    def _end(self, session: EdgeSession) -> None:
        self._connections.discard(session)
        name = session.edge.name if session.edge is not None else ""
        if name and self._sessions.get(name) is session:
            del self._sessions[name]
            if session.incoming is not None:
                self.desk.measured(name, replace(session.quality(self.clock.now_ns()), connected=False))
            _logger.info("edge '%s' is gone: %s", name, session.channel.lost.result())

    @property
    @contextmanager
    def strangers(self) -> Iterator[None]:
        """For connections without a certificate. Raises: LimitReached."""
        if self._strangers >= self.settings.strangers_max:
            raise LimitReached("too many at the door; try again in a moment")
        self._strangers += 1
        try:
            yield
        finally:
            self._strangers -= 1

    async def fence(self, session: EdgeSession) -> None:
        """From now on `session` is the one of its edge. Raises: Unavailable where the older one cannot be ended."""
        assert session.edge is not None
        name = session.edge.name
        older, self._sessions[name] = self._sessions.get(name), session
        if older is None:
            _logger.info("edge '%s' is here", name)
            return
        self.fenced += 1
        _logger.warning("edge '%s' has connected anew; its older connection is ended", name)
        older.channel.close("this edge has connected anew", self.settings.fenced_retry_s)
        session.older = older
        try:
            async with asyncio.timeout(_FENCE_S_MAX):
                while session.older is not None:  # and those that it has ended itself, and still waits for
                    await session.older.ended.wait()
                    session.older = session.older.older
        except TimeoutError:
            raise Unavailable("the older connection of this edge is still being stored; try again") from None

    def owns(self, edge: Edge, event: Event) -> bool:
        """Whether an edge may tell of this: of paths below its prefix, and of connections that are its tenant's."""
        subject = event.subject
        if subject == edge.prefix or subject.startswith(f"{edge.prefix}/"):
            return tenant_of_event(self._tenants, event.source, subject) == edge.tenant
        about_connection = event.source.rpartition("/")[2] == "connect" and "/" not in subject
        return about_connection and tenant_of_name(self._tenants, subject) == edge.tenant

    def dictionary(self, edge: str) -> Dictionary:
        """Shared by the sessions of an edge, one after the other."""
        while len(self._dictionaries) >= _DICTIONARIES_MAX:
            del self._dictionaries[next(iter(self._dictionaries))]
        return self._dictionaries.get(edge, Dictionary())

    def remember(self, edge: str, dictionary: Dictionary) -> None:
        self._dictionaries[edge] = dictionary

    # --- by the clock -------------------------------------------------------------------------------------------------

    async def _follow_changes(self) -> None:
        async for name in self.desk.changes():
            session = self._sessions.get(name)
            if session is None or session.edge is None:
                continue
            try:
                await self.door.admit(session.edge.certificate)
                session.send_desired()
            except AccessError as error:
                session.channel.close(error.message, 30.0)

    async def _measure(self) -> None:
        while True:
            await self.clock.sleep(self.settings.beat_s)
            now_ns = self.clock.now_ns()
            for name, session in self.connected().items():
                self.desk.measured(name, session.quality(now_ns))

    async def _renew_identity(self) -> None:
        """The context goes on; connections that come later see the newer certificate."""
        while True:
            await self.clock.sleep(_IDENTITY_EACH_S)
            identity = await self.door.identity()
            assert self._context is not None
            load_own(self._context, identity.chain, identity.key, "the hub's certificate")

    async def _new_context(self) -> ssl.SSLContext:
        identity = await self.door.identity()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_OPTIONAL  # who has none may enrol, and nothing else
        context.num_tickets = 0  # each connection shows its certificate
        load_own(context, identity.chain, identity.key, "the hub's certificate")
        context.load_verify_locations(cadata=identity.authority.decode())
        return context
