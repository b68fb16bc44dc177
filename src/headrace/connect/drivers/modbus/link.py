"""One socket to a Modbus device: requests out, answers matched to them. It never retries; once broken it stays so.

ask([request, …]) ──window of in_flight──► frames ──► socket ──► frames ──transaction, unit──► answers
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from headrace.connect.calling import call
from headrace.connect.drivers.modbus.codec import (
    ModbusException,
    Request,
    RtuFrames,
    TcpFrames,
    answer_length,
    payload_of,
    rtu_frame,
    tcp_frame,
)
from headrace.connect.drivers.modbus.config import Framing, Settings
from headrace.model.errors import DeviceError, Garbled, Unreachable
from headrace.sdk.reach import Reach

Answer = bytes | ModbusException
_ABANDONED_MAX: Final = 64


class ModbusLink(asyncio.Protocol):
    """Has one owner: one `ask` at a time."""

    def __init__(self, name: str, settings: Settings, reach: Reach) -> None:
        self._who = f"'{name}' ({settings.host}:{settings.port}, unit {settings.unit})"
        self._settings, self._reach = settings, reach
        self._is_tcp = settings.framing is Framing.TCP
        self._frames: TcpFrames | RtuFrames = TcpFrames() if self._is_tcp else RtuFrames(answer_length)
        self._frame = tcp_frame if self._is_tcp else rtu_frame
        self._transport: asyncio.Transport | None = None
        self._transaction = 0
        self._pending: dict[int, tuple[int, Request]] = {}
        self._abandoned: dict[int, None] = {}
        self._answers: list[Answer] = []
        self._waiter: asyncio.Future[None] | None = None
        self._broken: DeviceError | None = None

    async def open(self) -> None:
        """Raises: Unreachable, Refused."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout_s):
                sock = await call(self._reach, settings.host, settings.port)
                await asyncio.get_running_loop().create_connection(lambda: self, sock=sock)
        except TimeoutError:
            raise Unreachable(f"{self._who} did not take the connection in {settings.timeout_s:g} s") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise Unreachable(f"{self._who} cannot be reached: {reason}", detail=repr(error)) from None

    def close(self) -> None:
        self._break(Unreachable(f"{self._who}: the session was closed"))

    async def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers in the order of the requests; an exception answer is a value. Raises: Unreachable, Garbled."""
        window = self._settings.in_flight
        if len(requests) <= window:
            return await self._ask_window(requests)
        answers: list[Answer] = []
        for first in range(0, len(requests), window):
            answers += await self._ask_window(requests[first : first + window])
        return answers

    async def _ask_window(self, requests: Sequence[Request]) -> list[Answer]:
        if self._broken is not None:
            raise self._broken
        if self._transport is None or self._waiter is not None:
            raise RuntimeError("a Modbus link is asked once it is open, and by one owner")
        loop = asyncio.get_running_loop()
        answers: list[Answer] = [b""] * len(requests)
        frames = []
        for slot, request in enumerate(requests):
            if self._is_tcp:
                self._transaction = (self._transaction + 1) & 0xFFFF
            self._pending[self._transaction] = (slot, request)
            frames.append(self._frame(self._transaction, self._settings.unit, request.pdu))
        self._answers = answers
        self._waiter = loop.create_future()
        alarm = loop.call_later(self._settings.timeout_s, self._timed_out)
        self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._abandon()
            raise
        finally:
            alarm.cancel()
            self._waiter = None
        return answers

    def _timed_out(self) -> None:
        self._break(Unreachable(f"{self._who} gave no answer in {self._settings.timeout_s:g} s"))

    def _abandon(self) -> None:
        """The caller went away: answers under way are known by their transaction; RTU has none, so it ends here."""
        if not self._is_tcp and self._pending:
            self._break(Unreachable(f"{self._who}: an answer was given up"))
        self._abandoned.update(dict.fromkeys(self._pending))
        self._pending.clear()
        while len(self._abandoned) > _ABANDONED_MAX:
            del self._abandoned[next(iter(self._abandoned))]

    def _break(self, error: DeviceError) -> None:
        if self._broken is None:
            self._broken = error
        self._pending.clear()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self._broken)
        if self._transport is not None:
            self._transport.abort()

    # --- what asyncio calls ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are none by class

    def data_received(self, data: bytes) -> None:
        try:
            for transaction, unit, pdu in self._frames.feed(data):
                self._take(transaction, unit, pdu)
        except Garbled as error:
            self._break(Garbled(f"{self._who} sent {error.message}"))

    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        found = self._pending.pop(transaction, None)
        if found is None:
            if transaction in self._abandoned:
                del self._abandoned[transaction]
                return
            raise Garbled(f"an answer that nobody asked for (transaction {transaction})")
        if unit != self._settings.unit:
            raise Garbled(f"an answer of unit {unit}")
        slot, request = found
        try:
            self._answers[slot] = payload_of(request, pdu)
        except ModbusException as refusal:
            self._answers[slot] = refusal
        if not self._pending and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        reason = f": {error}" if error is not None else ""
        self._break(Unreachable(f"{self._who} closed the connection{reason}"))
