"""The session supervisor: which connections should run, and one door to all of them.

    declarations ──bind──► reconcile(connections, bindings) ──► one Session a connection, in one TaskGroup
                                                                   │ batches, events ──► bus
    api ──status, browse, fingerprint, trust──►  Supervisor        │
    control ──write, read_back─────────────────► Supervisor ──────►┘

`reconcile` compares what should run with what runs and touches only the difference; call it as often as you like.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from headrace.connect.binding import explain
from headrace.connect.session import Session, blank_batches
from headrace.connect.surroundings import Surroundings
from headrace.connect.trust import TrustStore
from headrace.model import quality as q
from headrace.model.batch import Batch, Value
from headrace.model.errors import Conflict, NotFound, Refused, Unavailable
from headrace.model.plant import Connection
from headrace.sdk.driver import BrowseNode, DriverContext, DriverType, PointBinding, Trusting
from headrace.sdk.field import LinkCounters, LinkState, LinkStatus

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Link:
    """One declared connection; `session` is None while it is disabled or cannot be opened."""

    connection: Connection
    points: tuple[PointBinding, ...]
    counters: LinkCounters
    settings: BaseModel | None = None
    session: Session | None = None
    task: asyncio.Task[None] | None = None
    status: LinkStatus | None = None


class Supervisor:
    """`Links` and `DeviceWriter`. Run `run` in the platform's TaskGroup; `stop` ends it in order."""

    def __init__(self, drivers: Mapping[str, DriverType], around: Surroundings, trust: TrustStore) -> None:
        self._drivers, self._around, self._trust = drivers, around, trust
        self._links: dict[str, _Link] = {}
        self._by_path: dict[str, tuple[str, PointBinding]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._stop = asyncio.Event()
        self._reconciling = asyncio.Lock()

    async def run(self) -> None:
        """Start what has been declared so far, and live until `stop`."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for link in self._links.values():
                self._start(link)
            await self._stop.wait()
            await asyncio.gather(*(self._end(link) for link in self._links.values()))
            self._group = None

    def stop(self) -> None:
        """Close every session; what is buffered is still published. `run` returns when that is done."""
        self._stop.set()

    async def reconcile(
        self, connections: Mapping[str, Connection], bindings: Mapping[str, Sequence[PointBinding]]
    ) -> None:
        """Make the running sessions what is declared. `bindings` by connection name; see `binding.bind`.

        A connection that cannot be opened (unknown driver, wrong settings) becomes REFUSED with the reason, its
        points BadConfigurationError; a disabled one BadOutOfService; the others go on.
        """
        async with self._reconciling:
            gone = [name for name in self._links if name not in connections]
            await asyncio.gather(*(self._end(self._links.pop(name)) for name in gone))
            for name, connection in connections.items():
                await self._adopt(connection, tuple(bindings.get(name, ())))
            self._by_path = {point.path: (name, point) for name, link in self._links.items() for point in link.points}

    # --- Links ----------------------------------------------------------------------------------------------------

    def status(self) -> Sequence[LinkStatus]:
        return [self._status(self._links[name]) for name in sorted(self._links)]

    async def browse(self, connection: str, parent: Mapping[str, Any] | None) -> AsyncGenerator[BrowseNode, None]:
        async with aclosing(self._session(connection).errands.browse(parent)) as nodes:
            async for node in nodes:
                yield node

    async def fingerprint(self, connection: str) -> str:
        link = self._link(connection)
        if link.settings is None:
            raise Unavailable(f"'{connection}' cannot be opened: {self._status(link).error}")
        driver_type = self._drivers[link.connection.driver]
        directory, around = self._around.state_dir / driver_type.name, self._around
        context = DriverContext(
            connection,
            around.clock,
            directory,
            secrets=around.secrets,
            reach=around.reach_of(connection),
            references=around.references_of(connection),
        )
        driver = driver_type.open(link.settings, context)
        try:
            if not isinstance(driver, Trusting):
                raise Unavailable(f"'{connection}' has no certificate to trust: {driver_type.title} knows none")
            async with asyncio.timeout(self._around.policy.connect_timeout_s):
                return await driver.fingerprint()
        except TimeoutError:
            raise Unavailable(f"'{connection}' does not answer, so it shows no certificate; is it running?") from None
        finally:
            await driver.close()

    async def trust(self, connection: str, fingerprint: str) -> None:
        shown = await self.fingerprint(connection)
        if shown != fingerprint:
            raise Conflict(
                f"'{connection}' now shows another certificate, {shown}: compare it again before you trust it"
            )
        await asyncio.to_thread(self._trust.remember, connection, fingerprint)
        session = self._link(connection).session
        if session is not None:
            session.retry()

    # --- DeviceWriter ---------------------------------------------------------------------------------------------

    async def write(self, path: str, value: Value) -> None:
        session, point = self._writable(path)
        await session.errands.write(point, value)

    async def read_back(self, path: str) -> Batch:
        session, point = self._writable(path)
        return await session.read_back(point)

    # --- reconciling ----------------------------------------------------------------------------------------------

    async def _adopt(self, connection: Connection, points: tuple[PointBinding, ...]) -> None:
        link = self._links.get(connection.name)
        if link is None:
            link = self._links[connection.name] = _Link(connection, points, LinkCounters())
        elif _opens_alike(link.connection, connection):
            link.connection = connection
            if link.points != points:
                link.points = points
                if link.session is not None:
                    link.session.set_points(points)
                elif link.status is not None:
                    await self._cannot_run(link, link.status.state, link.status.error)
            return
        else:
            await self._end(link)
            link.connection, link.points = connection, points
        link.settings = link.status = None
        if not connection.enabled:
            await self._cannot_run(link, LinkState.DISABLED, "")
            return
        driver_type = self._drivers.get(connection.driver)
        if driver_type is None:
            known = ", ".join(sorted(self._drivers))
            await self._cannot_run(link, LinkState.REFUSED, f"there is no driver '{connection.driver}'; use {known}")
            return
        try:
            link.settings = driver_type.settings.model_validate(dict(connection.settings))
        except ValidationError as error:
            await self._cannot_run(link, LinkState.REFUSED, explain(error))
            return
        self._start(link)

    def _start(self, link: _Link) -> None:
        if self._group is None or link.settings is None or link.session is not None:
            return
        name = link.connection.name
        driver_type = self._drivers[link.connection.driver]
        link.session = Session(
            name, driver_type, link.settings, link.points, self._around, link.counters, lambda: self._trust.get(name)
        )
        link.task = self._group.create_task(link.session.run(), name=f"session {name}")

    async def _end(self, link: _Link) -> None:
        """Let a session finish what it does; one that hangs is cancelled."""
        session, task, link.session, link.task = link.session, link.task, None, None
        if session is None or task is None:
            return
        session.stop()
        policy = self._around.policy
        _, still_running = await asyncio.wait({task}, timeout=policy.request_timeout_s + policy.close_timeout_s)
        if still_running:
            logger.error("%s: did not stop; cancelled", session.name)
            task.cancel()
            await asyncio.wait({task})

    async def _cannot_run(self, link: _Link, state: LinkState, error: str) -> None:
        connection = link.connection
        now_ns = self._around.clock.now_ns()
        link.status = LinkStatus(
            connection.name, connection.driver, state, now_ns, len(link.points), error, None, link.counters
        )
        quality = q.BAD_OUT_OF_SERVICE if state is LinkState.DISABLED else q.BAD_CONFIGURATION_ERROR
        if link.points:
            await self._around.publish(blank_batches(link.points, now_ns, quality))

    # --- looking up -----------------------------------------------------------------------------------------------

    def _status(self, link: _Link) -> LinkStatus:
        if link.session is not None:
            return link.session.status()
        if link.status is not None:
            return dataclasses.replace(link.status, points=len(link.points))
        name, driver = link.connection.name, link.connection.driver
        return LinkStatus(name, driver, LinkState.WAITING, 0, len(link.points), "starting", None, link.counters)

    def _link(self, connection: str) -> _Link:
        try:
            return self._links[connection]
        except KeyError:
            raise NotFound(f"there is no connection '{connection}'") from None

    def _session(self, connection: str) -> Session:
        link = self._link(connection)
        if link.session is None:
            status = self._status(link)
            raise Unavailable(f"'{connection}' is not running: {status.error or status.state.value}")
        return link.session

    def _writable(self, path: str) -> tuple[Session, PointBinding]:
        try:
            connection, point = self._by_path[path]
        except KeyError:
            raise NotFound(f"no device has a point '{path}'") from None
        if not point.writable:
            raise Refused(f"'{path}' is declared read-only; give it 'access: read-write' to write to it")
        return self._session(connection), point


def _opens_alike(left: Connection, right: Connection) -> bool:
    """Whether the one session would do for both: titles do not matter."""
    return (left.driver, left.enabled, dict(left.settings)) == (right.driver, right.enabled, dict(right.settings))
