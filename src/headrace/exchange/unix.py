"""The bus of another process on this machine: `sdk.bus.Bus` over a Unix socket. `unix_server.py` is the other side.

    async with UnixBus.connect(path, numbering, name="scorer") as bus:
        queue = bus.subscribe("scorer", capacity=100_000, overflow=Overflow.DROP_OLDEST)
        async for batches in queue: …

A step of the iteration asks for all that is queued; what comes later waits on the other side, within the capacity that
was asked for. When the other process goes, whoever waits gets `Unavailable`; nothing here tries again.

What it promises less than `LocalBus`: counters are those of the last answer, a name that another client took is told
at the first step (names carry the client's name in front, so that does not happen by accident), and a call that is
cancelled may have been carried out.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from headrace.exchange.frames import STORED, VERSION, Frame, Kind, json_frame, read_frame
from headrace.exchange.numbering import Heard, Numbering, Told
from headrace.exchange.unix_server import CALLS_MAX, error_of
from headrace.model.batch import Batch
from headrace.model.errors import Conflict, DataError, HeadraceError, Unavailable
from headrace.model.events import Event
from headrace.model.packing import pack, pack_events, unpack, unpack_events
from headrace.sdk.bus import Overflow, QueueCounters

Item = TypeVar("Item")


class UnixBus:
    """Implements `sdk.bus.Bus`. Make one with `connect`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, numbering: Numbering, name: str
    ) -> None:
        self._reader, self._writer, self._name = reader, writer, name
        self._told, self._heard = Told(numbering), Heard(numbering)
        self._numbers = itertools.count(1)
        self._calls: dict[int, asyncio.Future[None]] = {}
        self._queues: dict[int, RemoteSubscription[Any]] = {}
        self._turn = asyncio.Semaphore(CALLS_MAX)
        self._closed = False
        self._lost: HeadraceError | None = None

    @classmethod
    @asynccontextmanager
    async def connect(cls, path: Path, numbering: Numbering, *, name: str) -> AsyncIterator[UnixBus]:
        """Raises: Unavailable where nobody listens there."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(path))
        except OSError as error:
            raise Unavailable(f"no platform listens on '{path}': {error.strerror or error}") from None
        bus = cls(reader, writer, numbering, name)
        bus._send(json_frame(Kind.HELLO, VERSION, {"name": name}))
        listening = asyncio.create_task(bus._listen(), name=f"bus of {name}")
        try:
            yield bus
        finally:
            listening.cancel()
            writer.close()
            await asyncio.gather(listening, return_exceptions=True)

    async def publish(self, batches: Sequence[Batch], *, stored: bool = False) -> None:
        """Raises: Unavailable once closed or lost; DataError for points that are not declared there, the rest went."""
        full = [batch for batch in batches if len(batch)]
        self._check_open()
        if full:
            await self._call(Kind.PUBLISH, lambda: pack(full, self._told.fresh(full), STORED if stored else 0))

    async def publish_events(self, events: Sequence[Event]) -> None:
        """Raises: Unavailable once closed or lost."""
        self._check_open()
        if events:
            await self._call(Kind.EVENTS, lambda: pack_events(events))

    def subscribe(
        self, name: str, *, capacity: int, overflow: Overflow, stored: bool = True
    ) -> RemoteSubscription[Batch]:
        """Raises: Conflict for a name in use; Unavailable once closed or lost."""
        return self._subscribe(name, capacity, overflow, stored, False)

    def subscribe_events(self, name: str, *, capacity: int, overflow: Overflow) -> RemoteSubscription[Event]:
        """Raises: Conflict for a name in use; Unavailable once closed or lost."""
        return self._subscribe(name, capacity, overflow, True, True)

    async def close(self) -> None:
        """No more publishing from here; queues end once they are drained."""
        if not self._closed and self._lost is None:
            self._closed = True
            await self._call(Kind.FINISH, lambda: b"")

    def counters(self) -> dict[str, QueueCounters]:
        return {queue.name: queue.counters for queue in self._queues.values() if not queue.left}

    async def settled(self) -> None:
        """Returns when the other side has taken up everything that was sent before."""
        await self._call(Kind.LEAVE, lambda: b"{}")

    # --- for the subscriptions ------------------------------------------------------------------------------------

    async def read(self, queue: RemoteSubscription[Any]) -> Sequence[Any]:
        """All that is queued. Raises: StopAsyncIteration, Unavailable."""
        while True:
            if queue.answer is None:  # else a step that was cancelled left its answer for this one
                if self._lost is not None:
                    raise self._lost
                queue.answer = asyncio.get_running_loop().create_future()
                self._send(Frame(Kind.READ, queue.number))
            taken = await asyncio.shield(queue.answer)
            if taken is None:
                raise StopAsyncIteration
            queue.answer = None
            if taken:
                return taken

    async def leave(self, queue: RemoteSubscription[Any]) -> None:
        if self._lost is None:
            await self._call(Kind.LEAVE, lambda: json_frame(Kind.LEAVE, 0, {"queue": queue.number}).body)

    # --- the connection -------------------------------------------------------------------------------------------

    def _subscribe(
        self, name: str, capacity: int, overflow: Overflow, stored: bool, events: bool
    ) -> RemoteSubscription[Any]:
        self._check_open()
        if name in self.counters():
            raise Conflict(f"the bus has a subscriber '{name}' already")
        queue = RemoteSubscription[Any](self, next(self._numbers), name, events)
        self._queues[queue.number] = queue
        said = {"name": name, "capacity": capacity, "overflow": overflow, "stored": stored, "events": events}
        self._send(json_frame(Kind.SUBSCRIBE, queue.number, said))
        return queue

    async def _call(self, kind: Kind, body: Any) -> None:
        """`body` is made when it is this call's turn: a dictionary must go out in the order in which it was made."""
        async with self._turn:
            if self._lost is not None:
                raise self._lost
            number = next(self._numbers)
            answer = self._calls[number] = asyncio.get_running_loop().create_future()
            try:
                self._send(Frame(kind, number, body()))
                await self._writer.drain()
                await answer
            except asyncio.CancelledError:
                self._send(Frame(Kind.CANCEL, number))
                raise
            except ConnectionError as error:
                raise Unavailable(f"the platform has gone: {error}") from None
            finally:
                self._calls.pop(number, None)

    async def _listen(self) -> None:
        lost: HeadraceError = Unavailable("the platform has gone; connect again when it is back")
        try:
            while (frame := await read_frame(self._reader)) is not None:
                self._take(frame)
        except OSError as error:
            lost.detail = str(error)
        except HeadraceError as error:
            lost = Unavailable(f"the platform sent what is no answer: {error}")
        finally:
            self._lost = lost
            for answer in (*self._calls.values(), *(queue.answer for queue in self._queues.values())):
                if answer is not None and not answer.done():
                    answer.set_exception(lost)
                    answer.exception()  # nobody may be waiting any more

    def _take(self, frame: Frame) -> None:
        """Raises: DataError."""
        if frame.kind is Kind.HELLO:
            return
        if frame.kind is Kind.DONE:
            said = frame.json()
            for number, counters in said.get("counters", {}).items():
                self._count(int(number), counters)
            answer = self._calls.get(frame.number)
            if answer is not None and not answer.done():
                answer.set_exception(error_of(said["error"])) if "error" in said else answer.set_result(None)
            return
        queue = self._queues.get(frame.number)
        if queue is None:
            raise DataError(f"there is no queue {frame.number} here")
        if frame.kind is Kind.DATA:
            if queue.events:
                queue.coming += unpack_events(frame.body)
            else:
                packed = unpack(frame.body)
                self._heard.learn(packed.paths)
                queue.coming += self._heard.ours(packed.batches)
            return
        said = frame.json()
        self._count(frame.number, said.get("counters", {}))
        taken: Sequence[Any] | None = queue.coming if frame.kind is Kind.END else None
        queue.coming = []
        if queue.answer is None:
            queue.answer = asyncio.get_running_loop().create_future()
        if "error" in said:
            queue.answer.set_exception(error_of(said["error"]))
        elif not queue.answer.done():
            queue.answer.set_result(taken)

    def _count(self, number: int, said: dict[str, int]) -> None:
        if number in self._queues:
            for name, value in said.items():
                setattr(self._queues[number].counters, name, int(value))

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the bus is closed; nothing more can be published")
        if self._lost is not None:
            raise self._lost

    def _send(self, frame: Frame) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame.to_bytes())


class RemoteSubscription(Generic[Item]):
    """One queue on the other side. Iterate from one task only."""

    def __init__(self, bus: UnixBus, number: int, name: str, events: bool = False) -> None:
        self.name, self.number, self.events = name, number, events
        self.counters = QueueCounters()
        self.left = False
        self.coming: list[Any] = []
        self.answer: asyncio.Future[Sequence[Any] | None] | None = None
        self._bus = bus

    def __aiter__(self) -> RemoteSubscription[Item]:
        return self

    async def __anext__(self) -> Sequence[Item]:
        return await self._bus.read(self)

    async def close(self) -> None:
        """Leave; iteration ends after what is queued, and waiting publishers go on without this queue."""
        self.left = True
        await self._bus.leave(self)
