"""Frames between the platform and a worker process: a length, then one tuple in Python's own marshal form.

    call(kind, …) ──► (kind, number, …) ──► the other end's `on_call` ──► (ANSWER, number, result) ──► awaited
    tell(kind, …) ──► (kind, 0, …)      ──► the other end's `on_tell`

A socket pair that no other process can reach; both ends are the same program. Marshal knows numbers, text, bytes,
tuples and dicts: nothing that comes over a link is ever executed.
"""

from __future__ import annotations

import asyncio
import marshal
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from headrace.model.errors import (
    AccessError,
    DataError,
    HeadraceError,
    LimitReached,
    Refused,
    Unavailable,
    Unreachable,
)

_LENGTH: Final = struct.Struct("<I")
_ANSWER, _FAILED = "answer", "failed"
_ERRORS: Final = {
    kind.__name__: kind for kind in (AccessError, DataError, LimitReached, Refused, Unavailable, Unreachable)
}

OnCall = Callable[[str, tuple[Any, ...]], Awaitable[Any]]
OnTell = Callable[[str, tuple[Any, ...]], None]


class Link(asyncio.Protocol):
    """One end. `on_lost` is called once, when the other end has gone."""

    def __init__(self, on_call: OnCall, on_tell: OnTell, on_lost: Callable[[], None]) -> None:
        self._on_call, self._on_tell, self._on_lost = on_call, on_tell, on_lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._room.set()

    async def call(self, kind: str, *fields: Any) -> Any:
        """Raises: what the other end raised; Unavailable where it has gone."""
        if self._transport is None:
            raise Unavailable("the other process has gone")
        self._next += 1
        number, answer = self._next, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._room.wait()
            self._send((kind, number, *fields))
            return await answer
        finally:
            self._waiting.pop(number, None)

    def tell(self, kind: str, *fields: Any) -> None:
        self._send((kind, 0, *fields))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _send(self, frame: tuple[Any, ...]) -> None:
        if self._transport is not None:
            data = marshal.dumps(frame)
            self._transport.write(_LENGTH.pack(len(data)) + data)

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=4 << 20)

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._transport = None
        self._room.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unavailable("the other process has gone"))
        self._on_lost()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(buffer, at)
            if len(buffer) - at - _LENGTH.size < size:
                break
            first = at + _LENGTH.size
            self._on_frame(marshal.loads(buffer[first : first + size]))
            at = first + size
        if at:
            del buffer[:at]

    def _on_frame(self, frame: tuple[Any, ...]) -> None:
        kind, number, *fields = frame
        if kind in (_ANSWER, _FAILED):
            answer = self._waiting.get(number)
            if answer is not None and not answer.done():
                if kind == _ANSWER:
                    answer.set_result(fields[0])
                else:
                    answer.set_exception(_error(*fields))
        elif number:
            task = asyncio.create_task(self._answer(kind, number, tuple(fields)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._on_tell(kind, tuple(fields))

    async def _answer(self, kind: str, number: int, fields: tuple[Any, ...]) -> None:
        try:
            result = await self._on_call(kind, fields)
        except HeadraceError as error:
            authenticated = not isinstance(error, AccessError) or error.authenticated
            self._send((_FAILED, number, type(error).__name__, error.message, authenticated))
        else:
            self._send((_ANSWER, number, result))


def _error(name: str, message: str, authenticated: bool) -> HeadraceError:
    if name == AccessError.__name__:
        return AccessError(message, authenticated=authenticated)
    return _ERRORS.get(name, Unavailable)(message)
