"""The one way to a device: a write is asked for, checked, sent, read back, and written down at each step.

write ─► REQUESTED ─ right? reason? kind? range? free? ─► AUTHORISED ─► SENT ─► device ─► read back ─► CONFIRMED
              └───────────── no: REFUSED, nothing sent ─────────┘         └─ holds another value: FAILED

SENT is durable before the device hears of it, so after a crash the commands found in SENT are exactly those whose
outcome nobody knows. A caller that goes away does not stop a write half-way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine

from headrace.control.checks import REASON_LENGTH_MAX, as_kind, confirms, why_not
from headrace.control.journal import CommandJournal
from headrace.model import quality as q
from headrace.model.batch import TEXT_BYTES_MAX, Value
from headrace.model.commands import Command, CommandState
from headrace.model.errors import (
    AccessError,
    DataError,
    DeviceError,
    HeadraceError,
    NotFound,
    Refused,
    Unavailable,
)
from headrace.model.events import Event
from headrace.model.points import Point
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Action, AuditLog, Authorizer, Principal
from headrace.sdk.clock import Clock
from headrace.sdk.field import DeviceWriter

Emit = Callable[[Sequence[Event]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """`interval_s` is the least time between two writes that are sent to one point."""

    expiry_s: float = 10.0
    write_timeout_s: float = 5.0
    confirm_timeout_s: float = 3.0
    poll_s: float = 0.2
    interval_s: float = 0.5


class ControlDesk:
    """Implements `sdk.services.CommandDesk`. `start` before the first write, `close` after the last."""

    def __init__(
        self,
        points: Callable[[], Mapping[str, Point]],
        writer: DeviceWriter,
        authorizer: Authorizer,
        audit: AuditLog,
        engine: Engine,
        clock: Clock,
        settings: ControlSettings | None = None,
        emit: Emit | None = None,
    ) -> None:
        self._points = points
        self._writer = writer
        self._authorizer = authorizer
        self._audit = audit
        self._journal = CommandJournal(engine)
        self._clock = clock
        self._settings = settings or ControlSettings()
        self._emit = emit
        self._busy: dict[str, str] = {}  # point -> who writes to it now
        self._sent_s: dict[str, float] = {}
        self._running: set[asyncio.Task[Command]] = set()

    async def start(self) -> None:
        """Close what a crash left open: sent means nobody knows, anything earlier was never sent."""
        for command in await self._journal.unfinished():
            if command.state is CommandState.SENT:
                await self._step(command, CommandState.FAILED, "outcome unknown: platform restarted; read the device")
            else:
                await self._step(command, CommandState.REFUSED, "not sent: platform restarted")

    async def close(self) -> None:
        """Wait for writes that are under way."""
        while self._running:
            await asyncio.wait(self._running)

    async def write(self, path: str, value: Value, principal: Principal, reason: str) -> Command:
        """Raises: NotFound for an unknown point; Unavailable where nothing can be recorded (nothing is sent then)."""
        point = self._points().get(path)
        if point is None:
            raise NotFound(f"there is no point '{path}'")
        task = asyncio.create_task(self._carry(point, value, principal, reason), name=f"write {path}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def list(self, *, path: str | None = None, limit: int = 100) -> Sequence[Command]:
        return await self._journal.list(path, limit)

    async def _carry(self, point: Point, value: Value, principal: Principal, reason: str) -> Command:
        command = self._request(point, value, principal, reason)
        await self._journal.add(command)
        await self._tell(command)
        try:
            self._authorizer.check(principal, Action.WRITE, point.path)
        except AccessError as error:
            return await self._step(command, CommandState.REFUSED, error.message)
        no = why_not(point, value, reason) or self._not_now(point.path)
        if no is not None:
            return await self._step(command, CommandState.REFUSED, no)
        self._busy[point.path] = principal.name
        try:
            command = await self._step(replace(command, value=as_kind(point.kind, value)), CommandState.AUTHORISED)
            if self._clock.now_ns() >= command.expires_ns:
                return await self._step(command, CommandState.REFUSED, "expired before it could be sent")
            command = await self._step(command, CommandState.SENT)
            try:
                state, detail, held = await self._send(point, command.value)
            except Exception:
                await self._step(command, CommandState.FAILED, "outcome unknown: an internal error; read the device")
                raise
            return await self._step(replace(command, read_back=held), state, detail)
        finally:
            del self._busy[point.path]

    def _request(self, point: Point, value: Value, principal: Principal, reason: str) -> Command:
        now_ns = self._clock.now_ns()
        return Command(
            str(uuid4()),
            point.path,
            value[:TEXT_BYTES_MAX] if isinstance(value, str) else value,
            principal.name,
            reason.replace("\0", "").strip()[:REASON_LENGTH_MAX],
            now_ns,
            now_ns + int(self._settings.expiry_s * SECOND_NS),
        )

    def _not_now(self, path: str) -> str | None:
        other = self._busy.get(path)
        if other is not None:
            return f"another write to '{path}', by {other}, is under way; look at its outcome first"
        last_s = self._sent_s.get(path)
        if last_s is not None and self._clock.monotonic_s() - last_s < self._settings.interval_s:
            return f"'{path}' was written less than {self._settings.interval_s:g} s ago; try again in a moment"
        return None

    async def _send(self, point: Point, value: Value) -> tuple[CommandState, str, Value | None]:
        """How it ended, why, and what the device held."""
        self._sent_s[point.path] = self._clock.monotonic_s()
        trouble = ""
        try:
            async with asyncio.timeout(self._settings.write_timeout_s):
                await self._writer.write(point.path, value)
        except (Refused, DataError, NotFound, Unavailable) as error:
            return CommandState.REFUSED, error.message, None
        except DeviceError as error:  # perhaps it arrived, and only the answer was lost: ask the device
            trouble = error.message
        except TimeoutError:
            trouble = f"the device took longer than {self._settings.write_timeout_s:g} s to answer"
        return await self._confirm(point, value, trouble)

    async def _confirm(self, point: Point, value: Value, trouble: str) -> tuple[CommandState, str, Value | None]:
        deadline_s = self._clock.monotonic_s() + self._settings.confirm_timeout_s
        held: Value | None = None
        while True:
            try:
                async with asyncio.timeout(self._settings.write_timeout_s):
                    sample = await self._writer.read_back(point.path)
                if len(sample) == 1 and not q.is_bad(sample.quality).any():
                    held = sample.values.tolist()[0]
                    assert held is not None
                    if confirms(point, value, held):
                        return CommandState.CONFIRMED, "", held
                else:
                    trouble = trouble or "the device gave no usable value back"
            except (HeadraceError, TimeoutError) as error:
                trouble = trouble or str(error) or "the device did not answer the read-back"
            if self._clock.monotonic_s() >= deadline_s:
                break
            await self._clock.sleep(self._settings.poll_s)
        if held is not None:
            unit = "" if point.unit == "1" else f" {point.unit}"
            return CommandState.FAILED, f"device holds {held}{unit}" + (f"; {trouble}" if trouble else ""), held
        return CommandState.FAILED, f"outcome unknown: {trouble}", None

    async def _step(self, command: Command, state: CommandState, detail: str = "") -> Command:
        finished_ns = self._clock.now_ns() if state.final else None
        command = replace(command, state=state, detail=detail, finished_ns=finished_ns)
        await self._journal.set(command)
        await self._tell(command)
        return command

    async def _tell(self, command: Command) -> None:
        data: dict[str, Any] = {"command": command.id, "value": command.value, "reason": command.reason}
        if command.state.final:
            data |= {"detail": command.detail, "read_back": command.read_back}
        await self._audit.record(command.actor, "write", command.point, command.state.value, data)
        if self._emit is None:
            return
        time_ns = command.finished_ns or self._clock.now_ns()
        kind = f"command.{command.state.value}"
        try:
            await self._emit([Event(str(uuid4()), "control", kind, command.point, time_ns, {**data})])
        except Unavailable:
            pass  # the bus closes before us on the way down; the journal has it
