"""One connection as frames: bytes of the transport in, frames to whoever owns it, and back, with back-pressure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final

from headrace.exchange.link.messages import Close
from headrace.exchange.link.wire import BYTES_MAX, Kind, Reader, frame
from headrace.model.errors import DataError

OnFrame = Callable[[Kind, memoryview], None]
_HIGH_BYTES, _LOW_BYTES = 64 * 1024, 16 * 1024
_DEAF_BYTES_MAX: Final = 2 * BYTES_MAX[Kind.DESIRED]  # waits for a peer that does not read: then it is gone


class Channel(asyncio.Protocol):
    """`on_frame` is called for each frame as it comes; what it raises as DataError ends the connection with a CLOSE."""

    def __init__(self, allowed: Collection[Kind], on_frame: OnFrame) -> None:
        self.reader = Reader(allowed)
        self.on_frame = on_frame
        self.on_close: Callable[[Close], None] = lambda _: None
        self.on_made: Callable[[], None] = lambda: None
        self.transport: Any = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done, with the reason in plain words, once the connection is over."""
        self.received_bytes = self.sent_bytes = 0
        self.heard_s = asyncio.get_running_loop().time()
        self._writable = asyncio.Event()
        self._writable.set()
        self._reason = ""

    # --- as a protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(_HIGH_BYTES, _LOW_BYTES)
        self.on_made()

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self.heard_s = asyncio.get_running_loop().time()
        try:
            for kind, payload in self.reader.feed(data):
                if self._reason:
                    return
                if kind is Kind.CLOSE:
                    close = Close.of(payload)
                    self.on_close(close)
                    self.abort(f"the other end closed: {close.reason}")
                else:
                    self.on_frame(kind, payload)
        except DataError as error:
            self.close(f"what came cannot be understood: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._writable.set()
        if not self.lost.done():
            self.lost.set_result(self._reason or (str(error) if error else "") or "the connection was closed")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # --- for its owner ------------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        return self.lost.done() or bool(self._reason)

    def send(self, kind: Kind, payload: bytes = b"") -> None:
        """Raises: DataError for what is too long. After the end nothing happens."""
        data = frame(kind, payload)
        if self.over or self.transport is None:
            return
        self.sent_bytes += len(data)
        self.transport.write(data)
        if self.transport.get_write_buffer_size() > _DEAF_BYTES_MAX:
            self.abort("the other end does not read what it is sent")

    async def writable(self) -> None:
        """Returns when little waits to be sent, or the connection is over."""
        await self._writable.wait()

    @property
    def crowded(self) -> bool:
        """Whether so much waits to be sent that only what cannot wait should be added."""
        return not self._writable.is_set()

    def pause_reading(self) -> None:
        if not self.over:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.over:
            self.transport.resume_reading()

    def silent_s(self) -> float:
        """How long nothing has come."""
        return asyncio.get_running_loop().time() - self.heard_s

    def close(self, reason: str, retry_s: float = 0.0) -> None:
        """Tell the other end why, and end; what it still sends is not looked at."""
        if not self.over:
            self.send(Kind.CLOSE, Close(reason, retry_s).payload())
            self._reason = reason
            if self.transport is not None:
                self.transport.close()
        self._end()

    def abort(self, reason: str) -> None:
        """End at once."""
        if not self.over:
            self._reason = reason
            if self.transport is not None:
                self.transport.abort()
        self._end()

    def _end(self) -> None:
        """Whoever waits need not wait for the transport, which may wait for a peer that is gone."""
        self._writable.set()
        if not self.lost.done():
            self.lost.set_result(self._reason)
