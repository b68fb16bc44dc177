"""The hub's end of a connection that a web server passes on: HTTP/1.1 Upgrade, then the same TLS as everybody.

    GET /edge · Connection: Upgrade · Upgrade: headrace ─► 101 Switching Protocols ─► TLS 1.3 with the edge ─► frames

For nginx: `proxy_pass http://127.0.0.1:8473; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection upgrade; proxy_read_timeout 1h;`. Source: RFC 9110 §7.8.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final

from headrace.exchange.link.channel import Channel
from headrace.exchange.link.dial import PROTOCOL

_HEAD_BYTES_MAX: Final = 16 * 1024
_SWITCHING: Final = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n\r\n".encode()
_NO: Final = (
    f"HTTP/1.1 426 Upgrade Required\r\nUpgrade: {PROTOCOL}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
)


class Upgraded(asyncio.Protocol):
    """Reads one request; `accept` makes the channel that takes over."""

    def __init__(self, accept: Callable[[], Channel], context: ssl.SSLContext, timeout_s: float) -> None:
        self._accept, self._context, self._timeout_s = accept, context, timeout_s
        self._transport: Any = None
        self._head = b""
        self._timer: asyncio.TimerHandle | None = None
        self._switching: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._switching is not None:
            return
        self._head += data
        if b"\r\n\r\n" not in self._head:
            if len(self._head) > _HEAD_BYTES_MAX:
                self._transport.abort()
            return
        if not asks_for_upgrade(self._head):
            self._transport.write(_NO)
            self._transport.close()
            return
        self._transport.write(_SWITCHING)
        self._switching = asyncio.create_task(self._switch(), name="edge-upgrade")

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def _switch(self) -> None:
        channel = self._accept()
        try:
            inner = await asyncio.get_running_loop().start_tls(
                self._transport, channel, self._context, server_side=True, ssl_handshake_timeout=self._timeout_s
            )
        except (OSError, ssl.SSLError):
            self._transport.abort()
            return
        finally:
            if self._timer is not None:
                self._timer.cancel()
        if inner is not None:
            channel.connection_made(inner)


def asks_for_upgrade(head: bytes) -> bool:
    """Whether it is `GET … HTTP/1.1` with `Connection: upgrade` and `Upgrade: headrace`."""
    first, *lines = head.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(":", 1) for line in lines if ":" in line)
    connection = [token.strip() for token in headers.get("connection", "").split(",")]
    wanted = [token.strip() for token in headers.get("upgrade", "").split(",")]
    return first.startswith("GET ") and first.endswith(" HTTP/1.1") and "upgrade" in connection and PROTOCOL in wanted
