"""uvicorn inside the platform's own task group: it binds before it promises, and leaves signals to their owner.

serving(services, settings, tls) ─► bind ─► LiveFeed.run ∥ uvicorn ─► yields the address ─► drain, close
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import uvicorn

from headrace.api.app import create_app
from headrace.api.services import Services
from headrace.api.settings import ApiSettings
from headrace.api.wire import bounded_protocol
from headrace.model.errors import ConfigError, Unavailable

log = logging.getLogger(__name__)

_MESSAGE_BYTES_MAX: Final = 4 << 20
_PING_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens; `port` is the real one where 0 was asked for."""

    host: str
    port: int
    secure: bool

    @property
    def url(self) -> str:
        """For a browser on this machine."""
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        shown = f"[{name}]" if ":" in name and not name.startswith("[") else name
        return f"{'https' if self.secure else 'http'}://{shown}:{self.port}"


@asynccontextmanager
async def serving(
    services: Services, settings: ApiSettings, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Address]:
    """Serve until the block ends; a server or feed that fails ends the block with its error.

    Raises: Unavailable for a port in use; ConfigError for an address or port that cannot be used.
    """
    if settings.tls != (tls is not None):
        raise ConfigError("the settings and the context do not agree on TLS")
    app = create_app(services, settings)
    listener = _listen(settings)
    try:
        server = _Server(_config(app, settings, tls), settings)
    except BaseException:
        listener.close()
        raise
    host, port = listener.getsockname()[:2]
    if host not in ("127.0.0.1", "::1") and not settings.secure:
        log.warning("serving %s:%s without TLS: passwords cross the network in the clear", host, port)
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            feed = group.create_task(app.state.feed.run(), name="live feed")
            http = group.create_task(server.serve(sockets=[listener]), name="http server")
            try:
                await server.up.wait()
                yield Address(settings.host, port, settings.tls)
            except Exception as error:  # the block's own: passed on as it is, not in a group
                failure = error
            finally:
                server.should_exit = True
                await asyncio.wait({http})
                feed.cancel()
    finally:
        listener.close()
    if failure is not None:
        raise failure


class _Server(uvicorn.Server):
    """uvicorn that never touches signal handlers, says when it is up, and aborts what a peer does not let it close.

    A closed transport waits until its buffer is sent: a peer that stops reading would keep its socket for ever.
    """

    def __init__(self, config: uvicorn.Config, settings: ApiSettings) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._close_timeout_s, self._shutdown_timeout_s = settings.send_timeout_s, settings.shutdown_timeout_s
        self._closing_since: dict[Any, float] = {}

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def on_tick(self, counter: int) -> bool:
        """uvicorn calls this ten times a second."""
        if counter % 5 == 0:
            self._abort_stuck(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        late = asyncio.get_running_loop().call_later(self._shutdown_timeout_s, self._abort_all)
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()
            self._abort_all()

    def _abort_stuck(self, now_s: float) -> None:
        closing = [one for one in self.server_state.connections if one.transport.is_closing()]
        self._closing_since = {one: self._closing_since.get(one, now_s) for one in closing}
        for one, since_s in self._closing_since.items():
            if now_s - since_s > self._close_timeout_s:
                one.transport.abort()

    def _abort_all(self) -> None:
        for one in list(self.server_state.connections):
            one.transport.abort()


def _config(app: Any, settings: ApiSettings, tls: ssl.SSLContext | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=bounded_protocol(settings.head_bytes_max, settings.head_timeout_s),
        ws="websockets-sansio",
        ws_max_size=_MESSAGE_BYTES_MAX,
        ws_ping_interval=_PING_S,
        ws_ping_timeout=_PING_S,
        ws_per_message_deflate=False,  # changes are small and many: deflate costs more than it saves on a LAN
        lifespan="off",
        log_config=None,
        log_level=logging.ERROR,  # its warnings are a line for each wrong byte that a stranger sends
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.connections_max,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_timeout_s) + 1,
    )
    config.load()
    config.ssl = tls  # ours: its certificate changes while connections go on
    return config


def _listen(settings: ApiSettings) -> socket.socket:
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise ConfigError(f"'{settings.host}' is no address of this machine; use 127.0.0.1 or 0.0.0.0") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.send_buffer_bytes is not None:  # accepted sockets inherit it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
        listener.bind(address)
        listener.listen(256)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"port {settings.port} is taken by another program: stop it, or choose another (0 picks a free one)"
            ) from None
        if error.errno in (errno.EACCES, errno.EADDRNOTAVAIL):
            raise ConfigError(f"this process may not listen on {where}: {error.strerror}") from None
        raise
    return listener
