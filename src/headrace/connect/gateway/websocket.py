"""MQTT over WebSocket: a layer between a socket and a connection, which takes it for a transport.

    TCP or TLS ─► WebSocketLine ─ handshake, frames (websockets, without I/O) ─► Connection.data_received
               ◄─ one binary frame a write ────────────────────────────────────── Connection.transport.write

Source: MQTT 5 §6 (sub-protocol `mqtt`, binary frames, packets across frames) and RFC 6455.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

_SUBPROTOCOL = Subprotocol("mqtt")
_HANDSHAKE_S = 10.0
_CLOSE_S = 1.0


class WebSocketLine(asyncio.Protocol):
    """The protocol of the socket; `make` gives the connection once the handshake is done."""

    def __init__(self, make: Callable[[], asyncio.Protocol], bytes_max: int) -> None:
        self._make = make
        self._protocol = ServerProtocol(subprotocols=[_SUBPROTOCOL], max_size=bytes_max)
        self._transport: asyncio.Transport | None = None
        self._inner: asyncio.Protocol | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(_HANDSHAKE_S, self._transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_timer()
        if self._inner is not None:
            self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def data_received(self, data: bytes) -> None:
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Request):
                self._shake_hands(event)
            elif not isinstance(event, Frame):
                continue
            elif event.opcode in (Opcode.BINARY, Opcode.CONT) and self._inner is not None:
                self._inner.data_received(bytes(event.data))
            elif event.opcode is Opcode.TEXT:  # [MQTT-6.0.0-1]
                protocol.fail(CloseCode.UNSUPPORTED_DATA, "MQTT is binary")
        self.flush()

    def _shake_hands(self, request: Request) -> None:
        """A client that does not offer `mqtt` is none of ours [MQTT-6.0.0-3]."""
        try:
            response = self._protocol.accept(request)
            if response.status_code == 101 and self._protocol.subprotocol != _SUBPROTOCOL:
                response = self._protocol.reject(400, "This is MQTT: offer the sub-protocol 'mqtt'.\n")
        except InvalidHandshake:
            response = self._protocol.reject(400, "This is MQTT over WebSocket.\n")
        self._protocol.send_response(response)
        if self._protocol.state is State.OPEN:
            self._stop_timer()
            self._inner = self._make()
            self.flush()
            self._inner.connection_made(_Carrier(self))

    def flush(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            else:  # the end of what we say
                transport.close()
        if self._protocol.close_expected() and not transport.is_closing():
            asyncio.get_running_loop().call_later(_CLOSE_S, transport.abort)

    def send(self, data: bytes) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_binary(data)
            self.flush()

    def say_goodbye(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self.flush()

    @property
    def carrier(self) -> asyncio.Transport | None:
        return self._transport

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Carrier(asyncio.Transport):
    """What a connection writes to: frames of the line, over the transport below."""

    def __init__(self, line: WebSocketLine) -> None:
        super().__init__()
        self._line = line

    @property
    def _below(self) -> asyncio.Transport:
        assert self._line.carrier is not None
        return self._line.carrier

    def write(self, data: Any) -> None:
        self._line.send(bytes(data))

    def close(self) -> None:
        self._line.say_goodbye()

    def abort(self) -> None:
        self._below.abort()

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._below.get_extra_info(name, default)
