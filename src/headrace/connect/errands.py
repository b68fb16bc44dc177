"""What callers want from a device, queued for the one task that owns its session.

    control ──write, read back──► urgent  ─┐
    api ─────browse, a step each─► patient ─┴──► the session's task runs them one by one; see session.py
                                                 (urgent ones at once, where the driver stands for many devices)

A caller who gives up does not interrupt what is already on the wire. When the session ends, whoever waits is told.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from headrace.model.batch import Batch, Value
from headrace.model.errors import Garbled, HeadraceError, LimitReached, Refused, Unavailable, Unreachable
from headrace.sdk.driver import Browsable, BrowseNode, Driver, PointBinding, Writable
from headrace.sdk.field import LinkCounters

Action = Callable[[Driver], Awaitable[Any]]

ERRANDS_MAX: Final = 256


class _Errand:
    __slots__ = ("action", "outcome")

    def __init__(self, action: Action, outcome: asyncio.Future[Any]) -> None:
        self.action, self.outcome = action, outcome

    def fail(self, error: Exception) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


class Errands:
    """Open while the session is connected; `wake` tells its task that there is something to do."""

    def __init__(
        self, name: str, title: str, counters: LinkCounters, wake: Callable[[], None], timeout_s: float
    ) -> None:
        self._name, self._title, self._counters, self._wake, self._timeout_s = name, title, counters, wake, timeout_s
        self._open, self._reason = False, "connecting"
        self.urgent: deque[_Errand] = deque()
        self.patient: deque[_Errand] = deque()
        self._beside: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        self._open = True

    def close(self, error: Exception | None) -> None:
        """Refuse what comes and fail what waits, until the next `open`."""
        self._open = False
        self._reason = str(error) if isinstance(error, HeadraceError) else "the session ended"
        for queue in (self.urgent, self.patient):
            while queue:
                queue.popleft().fail(self._not_connected())

    # --- for callers ----------------------------------------------------------------------------------------------

    async def write(self, point: PointBinding, value: Value) -> None:
        """Raises: Unavailable, Refused, Unreachable, Garbled, DataError."""

        async def action(driver: Driver) -> None:
            await self._writable(driver).write(point, value)

        await self._ask(self.urgent, action)

    async def read_back(self, point: PointBinding) -> Batch:
        """Raises: as `write`."""

        async def action(driver: Driver) -> Batch:
            return await self._writable(driver).read_back(point)

        batch: Batch = await self._ask(self.urgent, action)
        return batch

    async def browse(self, parent: Mapping[str, Any] | None) -> AsyncGenerator[BrowseNode, None]:
        """Raises: Unavailable, DeviceError."""
        nodes: AsyncIterator[BrowseNode] | None = None
        owner: Driver | None = None

        async def step(driver: Driver) -> BrowseNode | None:
            nonlocal nodes, owner
            if nodes is None:
                if not isinstance(driver, Browsable):
                    raise Unavailable(f"'{self._name}' cannot be browsed: {self._title} has no directory")
                owner, nodes = driver, driver.browse(parent)
            if driver is not owner:
                raise Unavailable(f"'{self._name}' was lost while it was browsed; browse again")
            return await anext(nodes, None)

        async def finish(_: Driver) -> None:
            if isinstance(nodes, AsyncGenerator):
                await nodes.aclose()

        try:
            while (node := await self._ask(self.patient, step)) is not None:
                yield node
        finally:  # a caller who has seen enough: let the driver release what it holds, in its own task
            if self._open and owner is not None:
                self._put(self.patient, finish)

    async def _ask(self, queue: deque[_Errand], action: Action) -> Any:
        if not self._open:
            raise self._not_connected()
        if len(queue) + len(self._beside) >= ERRANDS_MAX:
            raise LimitReached(f"'{self._name}' has {ERRANDS_MAX} requests under way; try again in a moment")
        return await self._put(queue, action)

    def _put(self, queue: deque[_Errand], action: Action) -> asyncio.Future[Any]:
        errand = _Errand(action, asyncio.get_running_loop().create_future())
        queue.append(errand)
        self._wake()
        return errand.outcome

    def _not_connected(self) -> Unavailable:
        return Unavailable(f"'{self._name}' is not connected: {self._reason}")

    def _writable(self, driver: Driver) -> Writable:
        if not isinstance(driver, Writable):
            raise Refused(f"'{self._name}' cannot be written to: {self._title} only reads")
        return driver

    # --- for the session's task -----------------------------------------------------------------------------------

    async def run_urgent(self, driver: Driver) -> None:
        await self._run(driver, self.urgent.popleft())

    async def run_patient(self, driver: Driver) -> None:
        await self._run(driver, self.patient.popleft())

    def run_beside(self, driver: Driver, lost: Callable[[Exception], None]) -> None:
        """Start everything urgent at once, for a driver that stands for many devices: one that does not answer is no
        reason to drop the others. `lost` is told of a fault of the driver."""
        while self.urgent:
            task = asyncio.create_task(self._run(driver, self.urgent.popleft()), name=f"errand {self._name}")
            self._beside.add(task)
            task.add_done_callback(functools.partial(self._done_beside, lost))

    def _done_beside(self, lost: Callable[[Exception], None], task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and not isinstance(error, HeadraceError):
            lost(error)

    async def end_beside(self) -> None:
        """The session is over: none of them goes on."""
        for task in self._beside:
            task.cancel()
        if self._beside:
            await asyncio.wait(self._beside)

    async def _run(self, driver: Driver, errand: _Errand) -> None:
        """Give the caller the outcome; only what ends the session is raised here too."""
        if errand.outcome.done():
            return
        self._counters.requests += 1
        try:
            answer = await bounded(self._name, self._timeout_s, "answering", errand.action(driver))
        except HeadraceError as error:
            self._counters.failures += 1
            errand.fail(error)
            if isinstance(error, (Unreachable, Garbled)):
                raise
        except BaseException:
            self._counters.failures += 1
            errand.fail(Unreachable(f"'{self._name}' was lost while it was asked; what it did is not known"))
            raise
        else:
            if not errand.outcome.done():
                errand.outcome.set_result(answer)


async def bounded(name: str, limit_s: float, doing: str, work: Awaitable[Any]) -> Any:
    """The last resort against a driver that hangs. Raises: Unreachable after `limit_s`."""
    try:
        async with asyncio.timeout(limit_s) as limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise Unreachable(f"'{name}' gave no answer in {limit_s:g} s while {doing}") from None
        raise
