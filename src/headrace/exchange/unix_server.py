"""The bus of this process for other processes on the machine, over a Unix socket.

    client ──PUBLISH──► as a task ──► LocalBus.publish ──► DONE       waits as long as a full queue makes it wait
    client ──SUBSCRIBE► a queue of LocalBus, here ◄── everybody publishes
    client ──READ─────► all that is queued, or the next to come ──DATA, END──► client

A reader's queue lives on this side, so BLOCK holds back publishers and DROP_OLDEST drops exactly as for a reader in
this process; the socket only carries what was taken out. A client that goes away leaves its queues; one that stops
reading holds back whoever publishes to its BLOCK queues, as a reader here would: give BLOCK to those you trust.

The socket belongs to its owner alone (mode 600), and a peer of another account is turned away.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from headrace.exchange.frames import STORED, VERSION, Frame, Kind, json_frame, read_frame
from headrace.exchange.local import LocalBus, LocalSubscription
from headrace.exchange.numbering import Heard, Numbering, Told
from headrace.model import errors
from headrace.model.batch import Batch
from headrace.model.errors import ConfigError, DataError, HeadraceError, LimitReached
from headrace.model.packing import pack, pack_events, unpack, unpack_events
from headrace.sdk.bus import Overflow

log = logging.getLogger(__name__)

CALLS_MAX: Final = 64  # publishes of one client that wait at the same time
QUEUES_MAX: Final = 64
CLIENTS_MAX: Final = 64
_SLICE_SAMPLES: Final = 400_000  # of one DATA frame; text may make it smaller
_SOCKET_BYTES: Final = 1 << 20


class BusServer:
    """Use as `async with BusServer(bus, numbering, path)`. Raises: ConfigError for a path that cannot be used."""

    def __init__(self, bus: LocalBus, numbering: Numbering, path: Path) -> None:
        self._bus, self._numbering, self._path = bus, numbering, path
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            self._path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(self._path))
            self._path.chmod(0o600)
        except OSError as error:
            raise ConfigError(f"cannot listen on '{self._path}': {error.strerror}") from None
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=_SOCKET_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clients that still drain their queues are given up; close the bus first and let them finish."""
        assert self._server is not None
        self._server.close()
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if len(self._clients) <= CLIENTS_MAX and _same_account(writer):
                await _Client(self._bus, self._numbering, reader, writer).serve()
        except (DataError, LimitReached) as error:
            log.warning("a client of the bus was closed: %s", error)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            writer.close()


class _Queue:
    """One subscription of a client. At most one read waits at a time."""

    def __init__(self, subscription: LocalSubscription[Any], events: bool) -> None:
        self.subscription, self.events = subscription, events
        self.reading: asyncio.Task[None] | None = None


class _Client:
    """One connection, from hello to its end."""

    def __init__(
        self, bus: LocalBus, numbering: Numbering, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._bus, self._reader, self._writer = bus, reader, writer
        self._told, self._heard = Told(numbering), Heard(numbering)
        self._name = ""
        self._queues: dict[int, _Queue] = {}
        self._calls: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Until the client goes. Raises: DataError, LimitReached for one that breaks the rules."""
        hello = await read_frame(self._reader)
        if hello is None:
            return
        if hello.kind is not Kind.HELLO or hello.number != VERSION:
            raise DataError(f"it speaks version {hello.number} of the bus, this process speaks {VERSION}")
        self._name = str(hello.json().get("name", ""))[:60]
        self._send(Frame(Kind.HELLO, VERSION))
        try:
            async with asyncio.TaskGroup() as group:
                while (frame := await read_frame(self._reader)) is not None:
                    self._take(frame, group)
                for task in list(self._calls.values()):
                    task.cancel()
                for queue in self._queues.values():
                    if queue.reading is not None:
                        queue.reading.cancel()
        except* HeadraceError as found:
            raise found.exceptions[0] from None
        finally:
            for queue in self._queues.values():
                await queue.subscription.close()

    def _take(self, frame: Frame, group: asyncio.TaskGroup) -> None:
        """Calls begin in the order in which they came: a task begins where its predecessors have begun."""
        if frame.kind in (Kind.PUBLISH, Kind.EVENTS):
            if len(self._calls) >= CALLS_MAX or frame.number in self._calls:
                raise LimitReached(f"more than {CALLS_MAX} publishes wait, or two have one number")
            work = self._publish(frame) if frame.kind is Kind.PUBLISH else self._publish_events(frame)
            self._calls[frame.number] = group.create_task(self._call(frame.number, work))
        elif frame.kind is Kind.CANCEL:
            if frame.number in self._calls:
                self._calls[frame.number].cancel()
        elif frame.kind is Kind.SUBSCRIBE:
            self._subscribe(frame)
        elif frame.kind is Kind.READ:
            queue = self._queue(frame.number)
            if queue.reading is not None:
                raise DataError("a queue is read twice at the same time")
            queue.reading = group.create_task(self._read(frame.number, queue))
        elif frame.kind is Kind.LEAVE:
            group.create_task(self._leave(frame))
        elif frame.kind is Kind.FINISH:
            for queue in self._queues.values():
                queue.subscription.finish()
            self._done(frame.number)
        else:
            raise DataError(f"a client does not send {frame.kind.name}")

    def _subscribe(self, frame: Frame) -> None:
        said = frame.json()
        try:
            name, capacity, overflow = str(said["name"]), int(said["capacity"]), Overflow(said["overflow"])
            stored, events = bool(said["stored"]), bool(said["events"])
        except (KeyError, ValueError, TypeError):
            raise DataError("a subscription has name, capacity, overflow, stored and events") from None
        if len(self._queues) >= QUEUES_MAX or frame.number in self._queues:
            raise LimitReached(f"more than {QUEUES_MAX} queues, or two with one number")
        whole_name = f"{self._name}/{name}" if self._name else name
        subscription: LocalSubscription[Any]
        try:
            if events:
                subscription = self._bus.subscribe_events(whole_name, capacity=capacity, overflow=overflow)
            else:
                subscription = self._bus.subscribe(whole_name, capacity=capacity, overflow=overflow, stored=stored)
        except HeadraceError as error:
            self._send(json_frame(Kind.OVER, frame.number, {"error": _told(error)}))
            return
        self._queues[frame.number] = _Queue(subscription, events)

    async def _call(self, number: int, work: Any) -> None:
        error: HeadraceError | None = None
        try:
            await work
        except HeadraceError as known:
            error = known
        finally:
            del self._calls[number]
        self._done(number, error)

    async def _publish(self, frame: Frame) -> None:
        packed = unpack(frame.body)
        self._heard.learn(packed.paths)
        before = self._heard.unknown
        ours = self._heard.ours(packed.batches)
        await self._bus.publish(ours, stored=bool(packed.flags & STORED))
        missed = self._heard.unknown - before
        if missed:
            such = self._heard.missing()
            raise DataError(f"{missed} samples were left out: their points, such as '{such}', are not declared here")

    async def _publish_events(self, frame: Frame) -> None:
        await self._bus.publish_events(unpack_events(frame.body))

    async def _read(self, number: int, queue: _Queue) -> None:
        try:
            taken = await anext(queue.subscription)
        except StopAsyncIteration:
            self._send(json_frame(Kind.OVER, number, {"counters": _counted(queue)}))
            return
        finally:
            queue.reading = None
        for body in [pack_events(taken)] if queue.events else self._packed(taken):
            self._send(Frame(Kind.DATA, number, body))
            await self._writer.drain()
        self._send(json_frame(Kind.END, number, {"counters": _counted(queue)}))

    def _packed(self, batches: Sequence[Batch]) -> list[bytes]:
        """In slices that fit into frames."""
        bodies, waiting, size = [], list[Batch](), 0
        for batch in batches:
            if waiting and size + len(batch) > _SLICE_SAMPLES:
                bodies.append(pack(waiting, self._told.fresh(waiting)))
                waiting, size = [], 0
            waiting.append(batch)
            size += len(batch)
        if waiting:
            bodies.append(pack(waiting, self._told.fresh(waiting)))
        return bodies

    async def _leave(self, frame: Frame) -> None:
        number = frame.json().get("queue")
        if number in self._queues:
            await self._queues[number].subscription.close()
        self._done(frame.number)

    def _queue(self, number: int) -> _Queue:
        try:
            return self._queues[number]
        except KeyError:
            raise DataError(f"there is no queue {number} on this connection") from None

    def _done(self, number: int, error: HeadraceError | None = None) -> None:
        said: dict[str, Any] = {"counters": {str(at): _counted(queue) for at, queue in self._queues.items()}}
        if error is not None:
            said["error"] = _told(error)
        self._send(json_frame(Kind.DONE, number, said))

    def _send(self, frame: Frame) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame.to_bytes())


def _counted(queue: _Queue) -> dict[str, int]:
    return asdict(queue.subscription.counters)


def _told(error: HeadraceError) -> dict[str, str]:
    return {"kind": type(error).__name__, "message": str(error)}


def error_of(said: dict[str, Any]) -> HeadraceError:
    """What `_told` said, on the other side."""
    kind = getattr(errors, str(said.get("kind")), HeadraceError)
    message = str(said.get("message", "the bus refused"))
    return kind(message) if isinstance(kind, type) and issubclass(kind, HeadraceError) else HeadraceError(message)


def _same_account(writer: asyncio.StreamWriter) -> bool:
    """Source: unix(7), SO_PEERCRED: struct ucred {pid, uid, gid}."""
    peer = writer.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the file's mode has to do
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", raw)[1]
    return uid in (os.getuid(), 0)
