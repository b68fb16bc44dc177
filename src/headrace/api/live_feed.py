"""The live feed: WebSocket `/api/v1/live`. Messages: schemas/live.py; frames: live_frames.py; a client: live_client.py.

          ┌─ ticker: 100 looks a second at the live version, and only while somebody watches ──► Client.tick
LiveFeed ─┤
          └─ alarms: each transition at once ──► Client.push_alarms

socket ─► Origin ─► accept ─► cookie, or first message {"token"} ─► receive ∥ send ∥ watch ─► close with a code

A look at an integer is cheaper than a signal through the bus and holds for any wiring; it adds 5 ms in the middle.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from headrace.api.columns import json_bytes
from headrace.api.context import Context
from headrace.api.cookies import session_of
from headrace.api.errors import Forbidden, describe, validation_message
from headrace.api.live_client import Client, Watch
from headrace.api.live_frames import Channels
from headrace.api.rates import Buckets
from headrace.api.rights import Reach, Right
from headrace.api.schemas.alarms import TransitionAnswer
from headrace.api.schemas.live import LiveSignIn, LiveSubscribe
from headrace.api.security import Caller
from headrace.api.sight import Sight
from headrace.model.errors import AccessError, HeadraceError, LimitReached
from headrace.sdk.access import Action, Principal, Rights

log = logging.getLogger(__name__)

TICK_S: Final = 0.01
_CLOSE_TIMEOUT_S: Final = 2.0
_RIGHT: Final = Right(Action.VIEW, reach=Reach.ANYWHERE)

Prove = Callable[[], Awaitable[Caller]]
"""Tells who the client is, again each time: a session ends, a token is withdrawn."""

#: How soon a right that was taken away, or a grant that ended, is felt.
RIGHTS_CHECK_S: Final = 0.2
Shape = TypeVar("Shape", bound=BaseModel)

SIGN_IN, NOT_ALLOWED, BROKEN, SLOW, FULL = 4401, 4403, 4400, 4408, 4429


class _Close(Exception):
    """End this socket. `code` None: the peer is gone, or would not take a close frame."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(slots=True)
class _Visit:
    """One socket: who it is, what it asked for last, and the rights that this was answered by."""

    client: Client
    prove: Prove
    principal: Principal
    request: LiveSubscribe | None = None
    rights: Rights | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class LiveFeed:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._services, self._settings = context.services, context.settings
        self._channels = Channels(context.services.live, context.services.clock)
        self._clients: set[Client] = set()
        self._somebody = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled; a bug in it ends the platform rather than the feed alone."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick_forever(), name="live feed ticker")
            group.create_task(self._alarms_forever(), name="live feed alarms")

    async def _tick_forever(self) -> None:
        live, clock = self._services.live, self._services.clock
        while True:
            await self._somebody.wait()
            version, now_s = live.version, clock.monotonic_s()
            for client in self._clients:
                client.tick(version, now_s)
            await clock.sleep(TICK_S)

    async def _alarms_forever(self) -> None:
        async for steps in self._services.alarms.transitions():
            watching = [client for client in self._clients if client.wants_alarms]
            if watching:
                plant = await self._services.registry.model()
                shown = [
                    (step.rule.rpartition(":")[0], TransitionAnswer.of(step, plant).model_dump()) for step in steps
                ]
                for client in watching:
                    own = [answer for point, answer in shown if client.sees(point)]
                    if own:
                        client.push_alarms(own)

    async def endpoint(self, socket: WebSocket) -> None:
        """One connection, from its handshake to its close."""
        try:
            self._context.door.check_origin(socket)
        except Forbidden:
            await socket.close(1008)  # before accept: the handshake is answered 403
            return
        await socket.accept()
        try:
            if self._services.feed.clients >= self._settings.live_clients_max:
                raise _Close(FULL, "too many live clients; try again later")
            await self._serve(socket, await self._sign_in(socket))
        except _Close as close:
            if close.code is not None:
                with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
                    async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                        await socket.close(close.code, close.reason)

    async def _sign_in(self, socket: WebSocket) -> Prove:
        door = self._context.door
        try:
            session = session_of(socket, self._settings)
            if "authorization" in socket.headers:
                prove: Prove = partial(door.identify, socket)
            elif session:
                # By its name from here on: a new secret for the same session does not close what it let in.
                await door.by_session(session)
                prove = partial(door.by_session_id, self._services.access.session(session).id)
            else:
                async with asyncio.timeout(self._settings.live_sign_in_s):
                    prove = partial(door.by_token, (await _message(socket, LiveSignIn)).token)
        except TimeoutError:
            raise _Close(SIGN_IN, "no token came in time") from None
        except (ValidationError, ValueError):
            raise _Close(SIGN_IN, 'the first message must be {"token": "…"}') from None
        except HeadraceError as error:
            raise _closing(error) from None
        return prove

    async def _serve(self, socket: WebSocket, prove: Prove) -> None:
        client = Client(self._services.clock, self._services.feed)
        since = await self._services.access.changed()  # before the look: what changes meanwhile is heard, too
        visit = _Visit(client, prove, await self._admit(prove))
        end: _Close | None = None
        self._attach(client)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive(socket, visit))
                group.create_task(self._send(socket, client))
                group.create_task(self._watch(visit))
                group.create_task(self._hear(visit, since))
        except* _Close as closes:
            end = _first(closes)
        finally:
            self._detach(client)
        if end is not None:
            raise end

    async def _receive(self, socket: WebSocket, visit: _Visit) -> None:
        """One message at a time: the next is read when the answer to the last was taken, and not too soon."""
        client, clock, settings = visit.client, self._services.clock, self._settings
        pace = Buckets(settings.live_messages_per_s, settings.live_messages_burst, clock.monotonic_s, 1)
        while True:
            while wait_s := pace.take(""):
                await clock.sleep(wait_s)
            try:
                request = await _message(socket, LiveSubscribe)
                async with visit.turn:
                    await self._subscribe(visit, request)
            except ValidationError as error:
                await client.answer(_error("invalid-request", validation_message(error.errors())))
            except orjson.JSONDecodeError:
                await client.answer(_error("invalid-request", "the message is not JSON"))
            except HeadraceError as error:
                await client.answer(_error(describe(error)[1], error.message))

    async def _subscribe(self, visit: _Visit, request: LiveSubscribe) -> None:
        client, limit = visit.client, self._settings.live_points_max
        if len(request.subscribe) > limit:
            raise LimitReached(f"a client may watch {limit} points; subscribe to what is on the screen")
        context = self._context
        visit.rights = self._services.access.rights(visit.principal)
        sight = Sight.of(visit.rights, visit.principal.tenant)
        index = await context.plants.seen_by(sight)
        asked = list(dict.fromkeys(request.subscribe))
        known = index.now([path for path in asked if index.knows(path)], self._services.clock.now_ns())
        there = set(known)
        unknown = [path for path in asked if path not in there]
        await context.tell_shared_points(visit.principal, "live", index, known)
        channel = self._channels.of(index.handles(known))
        visit.request, client.sees = request, sight.area.covers
        text = json_bytes({"type": "points", "paths": known, "unknown": unknown}).decode()
        await client.answer(text, Watch(channel, request.alarms, 1.0 / request.max_hz))

    async def _send(self, socket: WebSocket, client: Client) -> None:
        async def send(text: str) -> None:
            await socket.send_text(text)

        try:
            await client.send_forever(send)
        except WebSocketDisconnect:
            raise _Close(None) from None

    async def _watch(self, visit: _Visit) -> None:
        """Close a client that takes nothing, or that may no longer see; narrow what it watches as its rights are."""
        client, settings, clock = visit.client, self._settings, self._services.clock
        check_s = settings.live_session_check_s
        next_check_s = clock.monotonic_s() + check_s
        while True:
            await clock.sleep(min(check_s, settings.live_slow_close_s / 4, RIGHTS_CHECK_S))
            now_s = clock.monotonic_s()
            if client.stuck_s(now_s) > settings.live_slow_close_s:
                self._services.feed.slow_closed += 1
                raise _Close(None)
            changed = self._services.access.rights(visit.principal) is not visit.rights
            if changed or now_s >= next_check_s:
                next_check_s = now_s + check_s
                visit.principal = await self._admit(visit.prove)
            if changed:
                await self._narrow(visit)

    async def _hear(self, visit: _Visit, since: int) -> None:
        """Look again as soon as rights change or a session ends anywhere: what is taken away closes at once."""
        access = self._services.access
        while True:
            since = await access.changed(since)
            visit.principal = await self._admit(visit.prove)
            if access.rights(visit.principal) is not visit.rights:
                await self._narrow(visit)

    async def _narrow(self, visit: _Visit) -> None:
        """What it may see has changed: nothing of before is sent any more, and it is answered anew."""
        async with visit.turn:
            before, visit.rights = visit.rights, self._services.access.rights(visit.principal)
            same = before is not None and _sight(visit, before) == _sight(visit, visit.rights)
            if visit.request is None or (same and not visit.rights.shared):
                return
            visit.client.forget()
            try:
                async with asyncio.timeout(self._settings.live_slow_close_s):
                    await self._subscribe(visit, visit.request)
            except TimeoutError:
                self._services.feed.slow_closed += 1
                raise _Close(None) from None
            except HeadraceError as error:
                raise _closing(error) from None

    async def _admit(self, prove: Prove) -> Principal:
        try:
            caller = await prove()
            self._context.door.check(caller, _RIGHT)
        except HeadraceError as error:
            raise _closing(error) from None
        return caller.principal

    def _attach(self, client: Client) -> None:
        self._clients = {*self._clients, client}  # the ticker may be inside its loop
        self._services.feed.clients = len(self._clients)
        self._somebody.set()

    def _detach(self, client: Client) -> None:
        self._clients = self._clients - {client}
        self._services.feed.clients = len(self._clients)
        if not self._clients:
            self._somebody.clear()


def _sight(visit: _Visit, rights: Rights) -> Sight:
    return Sight.of(rights, visit.principal.tenant)


def _first(closes: BaseExceptionGroup[_Close]) -> _Close:
    one = closes.exceptions[0]
    return one if isinstance(one, _Close) else _first(one)


def _closing(error: HeadraceError) -> _Close:
    if isinstance(error, AccessError):
        return _Close(SIGN_IN if not error.authenticated else NOT_ALLOWED, error.message[:100])
    return _Close(1013, error.message[:100])


async def _message(socket: WebSocket, shape: type[Shape]) -> Shape:
    """Raises: _Close when the peer went, orjson.JSONDecodeError (a ValueError), ValidationError."""
    try:
        received: Mapping[str, Any] = await socket.receive()
    except RuntimeError:
        raise _Close(None) from None
    if received["type"] == "websocket.disconnect":
        raise _Close(None)
    return shape.model_validate(orjson.loads(received.get("text") or received.get("bytes") or b""))


def _error(code: str, message: str) -> str:
    return json_bytes({"type": "error", "error": {"code": code, "message": message, "hint": None}}).decode()
