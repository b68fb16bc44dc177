"""uvicorn's HTTP connection, bounded in what it holds and how long it waits before a request is whole.

bytes ─► parser ─► body ─► application
            └ head, chunk sizes, trailers: at most `head_bytes_max` beyond the body, else 431 and closed
            └ a head that does not come within `head_timeout_s`: closed          (slow bodies: `guard.py`)

The parser (llhttp) itself knows no limit: a header line without end would grow until memory is gone.
Sources: RFC 9110 §15.5 (431), RFC 9112 §9.8; IEC 62443-3-3 SR 7.1.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Chunks of one byte each are bad manners and no attack: six bytes are sent for one.
_OVERHEAD: Final = 8


def _refusal(status: bytes, code: bytes, message: bytes) -> bytes:
    """An answer in the one shape of errors, and the end of the connection."""
    body = b'{"error":{"code":"%b","message":"%b"}}' % (code, message)
    return (
        b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n"
        b"x-content-type-options: nosniff\r\n\r\n%b" % (status, len(body), body)
    )


_TOO_LARGE: Final = _refusal(
    b"431 Request Header Fields Too Large", b"too-large", b"the head of the request is too large; send less in it"
)
_NOT_HTTP: Final = _refusal(b"400 Bad Request", b"bad-request", b"this is no request of HTTP/1.1; see RFC 9112")


def bounded_protocol(head_bytes_max: int, head_timeout_s: float) -> type[asyncio.Protocol]:
    """The class that uvicorn makes each connection of."""

    class BoundedProtocol(HttpToolsProtocol):
        def __init__(self, *args: Any, **keywords: Any) -> None:
            super().__init__(*args, **keywords)
            self._raw_bytes = self._body_bytes = 0
            self._head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._raw_bytes += len(data)
            super().data_received(data)
            if self._raw_bytes - (1 + _OVERHEAD) * self._body_bytes > head_bytes_max and self._is_http():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # said to a log that strangers do not fill
            self.transport.write(_NOT_HTTP)
            self.transport.close()

        def on_message_begin(self) -> None:
            # What came in the same piece belongs to the message before; a piece is bounded by the socket's buffer.
            self._raw_bytes = self._body_bytes = 0
            if self._head_timer is None:
                self._await_head()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._stop_waiting()
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._body_bytes += len(body)
            super().on_body(body)

        def handle_websocket_upgrade(self) -> None:
            self._stop_waiting()
            super().handle_websocket_upgrade()

        def _is_http(self) -> bool:
            return not self.transport.is_closing() and self in self.connections

        def _await_head(self) -> None:
            self._head_timer = self.loop.call_later(head_timeout_s, self._head_did_not_come)

        def _stop_waiting(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _head_did_not_come(self) -> None:
            self._head_timer = None
            self.transport.abort()

    return BoundedProtocol
