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
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from headrace.api.columns import json_bytes
from headrace.api.context import Context
from headrace.api.errors import Forbidden, describe, validation_message
from headrace.api.live_client import Client, Watch
from headrace.api.live_frames import Channels
from headrace.api.rights import Right
from headrace.api.schemas.alarms import TransitionAnswer
from headrace.api.schemas.live import LiveSignIn, LiveSubscribe
from headrace.api.security import COOKIE, Caller
from headrace.model.errors import AccessError, HeadraceError, LimitReached
from headrace.sdk.access import Action

log = logging.getLogger(__name__)

TICK_S: Final = 0.01
_CLOSE_TIMEOUT_S: Final = 2.0
_RIGHT: Final = Right(Action.VIEW)

Prove = Callable[[], Awaitable[Caller]]
"""Tells who the client is, again each time: a session ends, a token is withdrawn."""
Shape = TypeVar("Shape", bound=BaseModel)

SIGN_IN, NOT_ALLOWED, BROKEN, SLOW, FULL = 4401, 4403, 4400, 4408, 4429


class _Close(Exception):
    """End this socket. `code` None: the peer is gone, or would not take a close frame."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


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
                shown = [TransitionAnswer.of(step, plant).model_dump() for step in steps]
                for client in watching:
                    client.push_alarms(shown)

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
            if "authorization" in socket.headers or socket.cookies.get(COOKIE):
                prove: Prove = partial(door.identify, socket)
            else:
                async with asyncio.timeout(self._settings.live_sign_in_s):
                    prove = partial(door.by_token, (await _message(socket, LiveSignIn)).token)
        except TimeoutError:
            raise _Close(SIGN_IN, "no token came in time") from None
        except (ValidationError, ValueError):
            raise _Close(SIGN_IN, 'the first message must be {"token": "…"}') from None
        await self._admit(prove)
        return prove

    async def _serve(self, socket: WebSocket, prove: Prove) -> None:
        client = Client(self._services.clock, self._services.feed)
        end: _Close | None = None
        self._attach(client)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive(socket, client))
                group.create_task(self._send(socket, client))
                group.create_task(self._watch(client, prove))
        except* _Close as closes:
            end = _first(closes)
        finally:
            self._detach(client)
        if end is not None:
            raise end

    async def _receive(self, socket: WebSocket, client: Client) -> None:
        """One message at a time: the next is read when the answer to the last was taken."""
        while True:
            try:
                request = await _message(socket, LiveSubscribe)
                await self._subscribe(client, request)
            except ValidationError as error:
                await client.answer(_error("invalid-request", validation_message(error.errors())))
            except orjson.JSONDecodeError:
                await client.answer(_error("invalid-request", "the message is not JSON"))
            except HeadraceError as error:
                await client.answer(_error(describe(error)[1], error.message))

    async def _subscribe(self, client: Client, request: LiveSubscribe) -> None:
        limit = self._settings.live_points_max
        if len(request.subscribe) > limit:
            raise LimitReached(f"a client may watch {limit} points; subscribe to what is on the screen")
        index = await self._context.plants.current()
        asked = list(dict.fromkeys(request.subscribe))
        known = [path for path in asked if index.knows(path)]
        unknown = [path for path in asked if not index.knows(path)]
        channel = self._channels.of(index.handles(known))
        text = json_bytes({"type": "points", "paths": known, "unknown": unknown}).decode()
        await client.answer(text, Watch(channel, request.alarms, 1.0 / request.max_hz))

    async def _send(self, socket: WebSocket, client: Client) -> None:
        async def send(text: str) -> None:
            await socket.send_text(text)

        try:
            await client.send_forever(send)
        except WebSocketDisconnect:
            raise _Close(None) from None

    async def _watch(self, client: Client, prove: Prove) -> None:
        """Close a client that takes nothing, or that may no longer see."""
        settings, clock = self._settings, self._services.clock
        check_s = settings.live_session_check_s
        next_check_s = clock.monotonic_s() + check_s
        while True:
            await clock.sleep(min(check_s, settings.live_slow_close_s / 4))
            now_s = clock.monotonic_s()
            if client.stuck_s(now_s) > settings.live_slow_close_s:
                self._services.feed.slow_closed += 1
                raise _Close(None)
            if now_s >= next_check_s:
                next_check_s = now_s + check_s
                await self._admit(prove)

    async def _admit(self, prove: Prove) -> None:
        try:
            self._context.door.check(await prove(), _RIGHT)
        except HeadraceError as error:
            raise _closing(error) from None

    def _attach(self, client: Client) -> None:
        self._clients = {*self._clients, client}  # the ticker may be inside its loop
        self._services.feed.clients = len(self._clients)
        self._somebody.set()

    def _detach(self, client: Client) -> None:
        self._clients = self._clients - {client}
        self._services.feed.clients = len(self._clients)
        if not self._clients:
            self._somebody.clear()


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
