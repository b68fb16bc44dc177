"""The Sparkplug edge node on a real broker.

    open    bdSeq, durable ─► CONNECT with the will ─► subscribe ─► births, or wait for the primary host
    send    batches ─► EdgeNode.data ─► NDATA, DDATA                in order: sequence numbers count
    hear    rebirth asked for ─► births     commands ─► OutletContext.write, with the rights of the declared token

Source: Sparkplug 3.0.0 §6.4; the state machine and its clauses are in `connect/sparkplug/edge.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from headrace.connect.mqtt.packets import Publish as Packet
from headrace.connect.mqtt.packets import Will
from headrace.connect.outlets.broker import BrokerSession
from headrace.connect.outlets.sparkplug.config import Settings
from headrace.connect.payload.contract import Publish
from headrace.connect.sparkplug.edge import EdgeMetric, EdgeNode, EdgeSettings, Write
from headrace.model.batch import Batch
from headrace.model.errors import AccessError, ConfigError, DataError, HeadraceError, Refused, Unreachable
from headrace.model.points import Point
from headrace.sdk.access import Principal
from headrace.sdk.outlet import OutletContext, OutletType, View

logger = logging.getLogger(__name__)


class SparkplugOutlet:
    """`Mirrors`, `Ends`."""

    def __init__(self, settings: Settings, context: OutletContext) -> None:
        self._settings, self._context = settings, context
        self._session = BrokerSession(settings, context)
        self._node: EdgeNode | None = None
        self._view = View()
        self._turn = asyncio.Lock()  # sequence numbers go out in the order in which they were given
        self._writing: set[asyncio.Task[None]] = set()

    async def open(self, view: View) -> None:
        self._view = view
        settings = self._settings
        remembered = self._context.state_dir / "bd-seq"
        node = self._node = EdgeNode(
            EdgeSettings(settings.group, settings.node, settings.primary_host, settings.aliases),
            _metrics(view),
            await asyncio.to_thread(_remembered, remembered),
        )
        node.know(self._context.newest(list(view.points)))
        will = node.will(self._now_ns)
        await asyncio.to_thread(_remember, remembered, node.bd_seq)
        await self._session.open(Will(will.topic, will.payload, will.qos, will.retain))
        await self._session.listen(node.filters(), 1)
        await self._say(node.opened(self._now_ns))

    async def send(self, batches: Sequence[Batch]) -> int:
        async with self._turn:
            await self._say(self._open_node.data(batches, self._now_ns))
        return 0

    async def change(self, view: View) -> None:
        self._view = view
        async with self._turn:
            newest = self._context.newest(list(view.points))
            try:
                await self._say(self._open_node.change(_metrics(view), newest, self._now_ns))
            except DataError as error:
                raise ConfigError(error.message) from None

    async def ended(self) -> None:
        await self._session.hear(self._hear)

    async def close(self) -> None:
        for task in list(self._writing):
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        if self._node is not None:
            try:
                async with asyncio.timeout(1.0):
                    await self._say(self._node.leave(self._now_ns))
            except (HeadraceError, TimeoutError, AssertionError):
                pass  # then the will says it
        await self._session.close()

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _hear(self, packet: Packet) -> None:
        async with self._turn:
            heard = self._open_node.hear(packet.topic, packet.payload, self._now_ns)
            await self._say(heard.publishes)
        for write in heard.writes:
            task = asyncio.create_task(self._write(write), name=f"command through {self._context.outlet}")
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        if heard.leave:
            raise Unreachable("the primary host is offline; waiting for it to come back")

    async def _write(self, asked: Write) -> None:
        point = self._view.points.get(asked.handle)
        principal = self._writer()
        if point is None or principal is None:
            return
        reason = f"commanded by a Sparkplug host through '{self._context.outlet}'"
        try:
            await self._context.write(point.path, asked.value, principal, reason)
        except HeadraceError as error:
            logger.warning(
                "outlet %s: a command for %s was not carried out: %s", self._context.outlet, point.path, error
            )

    def _writer(self) -> Principal | None:
        if self._settings.writes_as is None:
            return None
        try:
            return self._context.authenticate(self._context.references.read(self._settings.writes_as))
        except (AccessError, Refused) as error:
            logger.warning("outlet %s: commands are not carried out: %s", self._context.outlet, error)
            return None

    async def _say(self, publishes: Sequence[Publish]) -> None:
        for said in publishes:
            await self._session.client.publish(said.topic, said.payload, qos=said.qos, retain=said.retain)

    @property
    def _open_node(self) -> EdgeNode:
        assert self._node is not None, "opened before it is used"
        return self._node

    @property
    def _now_ns(self) -> int:
        return self._context.clock.now_ns()


def _metrics(view: View) -> list[EdgeMetric]:
    """By path, so that aliases are the same after a restart."""
    ordered = sorted(view.points.items(), key=lambda one: one[1].path)
    return [_metric(handle, point) for handle, point in ordered]


def _metric(handle: int, point: Point) -> EdgeMetric:
    span = None if point.range is None else (point.range.low, point.range.high)
    unit = None if point.unit == "1" else point.unit
    device = point.asset_path.replace("/", ":")
    return EdgeMetric(handle, point.name, point.kind, device, unit, span, point.writable)


def _remembered(path: Path) -> int:
    """The last bdSeq, −1 for a node that never was. Blocks."""
    try:
        return int(path.read_text("ascii")) % 256
    except (OSError, ValueError):
        return -1


def _remember(path: Path, bd_seq: int) -> None:
    """Durable on return; blocks. Raises: ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(str(bd_seq))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"the session number of a Sparkplug node cannot be kept: {error.strerror}") from None


OUTLET: Final = OutletType(
    name="sparkplug", title="Sparkplug B edge node", settings=Settings, open=SparkplugOutlet, newest_only=True
)
