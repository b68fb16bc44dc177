"""The OPC UA driver: its abilities, each a few lines over the module that does the work.

connect ─► Session ─┬─ subscribe ─► Subscriber, or Poller where the server grants no subscription
                    ├─ read ──────► Reader
                    ├─ write, read_back ─► Writer, Reader
                    └─ browse
fingerprint ─► Session.server_certificate (no session is opened)

asyncua takes 69 MB and a second to import: it is imported, off the event loop, when a session is first opened.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headrace.connect.drivers.opcua.config import Address, Settings
from headrace.connect.drivers.opcua.nodes import Nodes
from headrace.connect.drivers.opcua.trust import fingerprint_of
from headrace.model.batch import Batch, Value
from headrace.model.errors import Unreachable
from headrace.sdk.driver import BrowseNode, Deliver, DriverContext, DriverType, Lost, PointBinding, ReadRequest

if TYPE_CHECKING:
    from headrace.connect.drivers.opcua.polling import Poller
    from headrace.connect.drivers.opcua.session import Session
    from headrace.connect.drivers.opcua.subscription import Subscriber

_OWN: Final = "headrace.connect.drivers.opcua"


@dataclass(slots=True, eq=False)
class _Plan:
    """The token of a read: its nodes, and the session's requests for them once they are built."""

    nodes: Nodes
    reader: Any = None


class OpcUaDriver:
    """Polled, Subscribed, Writable, Browsable, Trusting."""

    def __init__(self, settings: Settings, context: DriverContext) -> None:
        self._settings, self._context = settings, context
        self._open_session: Session | None = None
        self._watching: Subscriber | Poller | None = None
        self._writer: Any = None
        self._lost: Lost | None = None

    # --- Driver ---------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        module = await _module("session")
        self._open_session = module.Session(self._settings, self._context)
        await self._session.open()

    async def close(self) -> None:
        session, self._open_session = self._open_session, None
        if self._watching is not None:
            await self._watching.stop()
        if session is not None:
            await session.close()

    @property
    def _session(self) -> Session:
        if self._open_session is None:
            raise Unreachable(f"{self._context.connection} has no open session")
        return self._open_session

    # --- Polled ---------------------------------------------------------------------------------------------------

    def plan(self, points: Sequence[PointBinding]) -> Sequence[ReadRequest]:
        whole = Nodes(points)
        size = self._settings.nodes_per_read
        requests = []
        for at in range(0, len(whole), size):
            part = Nodes([point for group in whole.points[at : at + size] for point in group])
            requests.append(ReadRequest(part.handles, _Plan(part)))
        return requests

    async def read(self, request: ReadRequest) -> Sequence[Batch]:
        plan: _Plan = request.token
        if plan.reader is None or plan.reader.session is not self._session:
            polling = await _module("polling")
            plan.reader = polling.Reader(self._session, plan.nodes)
        batches: Sequence[Batch] = await plan.reader.read()
        return batches

    # --- Subscribed -----------------------------------------------------------------------------------------------

    async def subscribe(self, points: Sequence[PointBinding], deliver: Deliver, lost: Lost) -> None:
        session = self._session
        subscription, polling = await _module("subscription"), await _module("polling")
        self._watching = subscription.Subscriber(session, Nodes(points), deliver)
        try:
            await self._watching.start()
        except subscription.SubscriptionsRefused:
            self._watching = polling.Poller(session, points, deliver)
            await self._watching.start()
        if session.failure is not None:
            raise session.failure
        session.on_lost = lost

    # --- Writable -------------------------------------------------------------------------------------------------

    async def write(self, point: PointBinding, value: Value) -> None:
        session = self._session
        if self._writer is None:
            self._writer = (await _module("writing")).Writer(session)
        await self._writer.write(point, value)

    async def read_back(self, point: PointBinding) -> Batch:
        polling = await _module("polling")
        batches: list[Batch] = await polling.Reader(self._session, Nodes([point])).read()
        return batches[0]

    # --- Browsable, Trusting --------------------------------------------------------------------------------------

    async def browse(self, parent: Mapping[str, Any] | None) -> AsyncIterator[BrowseNode]:
        browsing = await _module("browsing")
        async with aclosing(browsing.browse(self._session, parent)) as nodes:
            async for node in nodes:
                yield node

    async def fingerprint(self) -> str:
        module = await _module("session")
        return fingerprint_of(await module.Session(self._settings, self._context).server_certificate())


async def _module(name: str) -> Any:
    """One of ours that imports asyncua: at once where it is loaded, else in a thread so that the loop keeps running."""
    return await asyncio.to_thread(importlib.import_module, f"{_OWN}.{name}")


DRIVER: Final = DriverType(name="opcua", title="OPC UA", settings=Settings, address=Address, open=OpcUaDriver)
