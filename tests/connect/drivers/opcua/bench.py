"""What the tests of this driver share: bindings, open drivers, and a place where samples arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from headrace.connect.drivers.opcua.config import Address, Settings
from headrace.connect.drivers.opcua.driver import DRIVER, OpcUaDriver
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.clock import SystemClock
from headrace.sdk.driver import DriverContext, PointBinding

PATIENCE_S = 20.0
FAST_NS = 20_000_000


def bind(
    handle: int, node: str, kind: ValueKind, *, index: int | None = None, interval_ns: int = FAST_NS
) -> PointBinding:
    return PointBinding(handle, f"cell/{handle}", kind, Address(node=node, index=index), interval_ns)


def ours(handle: int, name: str, kind: ValueKind, **more: Any) -> PointBinding:
    """A variable of our simulator."""
    return bind(handle, f"nsu=urn:headrace:simulator;s={name}", kind, **more)


def make(url: str, state_dir: Path, *, trusted: str | None = None, **settings: Any) -> OpcUaDriver:
    given = {"url": url, "security": "none", "timeout": "5s", **settings}
    context = DriverContext("cell-a", SystemClock(), state_dir, trusted)
    driver = DRIVER.open(Settings.model_validate(given), context)
    assert isinstance(driver, OpcUaDriver)
    return driver


@asynccontextmanager
async def connected(url: str, state_dir: Path, **settings: Any) -> AsyncIterator[OpcUaDriver]:
    driver = make(url, state_dir, **settings)
    async with asyncio.timeout(PATIENCE_S):
        try:
            await driver.connect()
            yield driver
        finally:
            await driver.close()


class Inbox:
    """Every sample by handle, in order of arrival: (value, quality, source_ns)."""

    def __init__(self) -> None:
        self.samples: dict[int, list[tuple[Any, int, int]]] = {}
        self.deliveries: list[Sequence[Batch]] = []
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()

    def deliver(self, batches: Sequence[Batch]) -> None:
        self.deliveries.append(batches)
        for batch in batches:
            columns = (batch.handles, batch.values, batch.quality, batch.source_ns)
            for handle, value, quality, source in zip(*(column.tolist() for column in columns), strict=True):
                self.samples.setdefault(handle, []).append((value, quality, source))
        self._changed.set()

    def on_lost(self, error: Exception) -> None:
        assert not self.lost.done(), "lost is told once"
        self.lost.set_result(error)
        self._changed.set()

    async def until(self, holds: Callable[[Inbox], bool]) -> None:
        """Waits for it; a session that is lost meanwhile tells why at once: nothing will arrive any more."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds(self):
                if self.lost.done():
                    raise AssertionError("the session was lost") from self.lost.result()
                self._changed.clear()
                await self._changed.wait()

    def last(self, handle: int) -> tuple[Any, int, int]:
        return self.samples[handle][-1]

    async def last_is(self, handle: int, value: Any) -> None:
        await self.until(lambda box: handle in box.samples and box.last(handle)[0] == value)


@asynccontextmanager
async def subscribed(
    url: str, state_dir: Path, points: Sequence[PointBinding], **settings: Any
) -> AsyncIterator[tuple[OpcUaDriver, Inbox]]:
    async with connected(url, state_dir, **settings) as driver:
        inbox = Inbox()
        await driver.subscribe(points, inbox.deliver, inbox.on_lost)
        yield driver, inbox
