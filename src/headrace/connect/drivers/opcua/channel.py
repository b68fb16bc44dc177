"""asyncua's channel, fed checked frames. Its client is used for the handshakes alone.

socket ─► frames of known type and sane size ─► asyncua: decrypt, verify, join ─► the call that waits
                └ anything else ends the socket, and every waiting call learns the true reason
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

from asyncua import Client, ua
from asyncua.client.ua_client import UaClient, UaClientState, UASocketProtocol

from headrace.connect.calling import call
from headrace.model.errors import Garbled
from headrace.sdk.reach import Reach

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
CLOSE_TIMEOUT_S: Final = 1.0
_FRAME_TYPES: Final = frozenset({b"MSG", b"OPN", b"CLO", b"ACK", b"ERR"})


def quiet_asyncua() -> None:
    """A dead server costs the supervisor's one line, not a traceback of asyncua's. Set its level to hear it again."""
    logger = logging.getLogger("asyncua")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL + 1)


class CheckedProtocol(UASocketProtocol):  # type: ignore[misc]
    """asyncua's protocol, fed whole frames of known type and sane size, and failing calls with the true reason."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.octets = 0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = bytearray()
        self._message_bytes = 0
        self._parsing = False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        self.octets += len(data)
        while len(received) >= 8:
            size = int.from_bytes(received[4:8], "little")
            if bytes(received[:3]) not in _FRAME_TYPES or not 8 <= size <= FRAME_BYTES_MAX:
                return self._break("the server sent bytes that are not OPC UA")
            if len(received) < size:
                return None
            frame = bytes(received[:size])
            del received[:size]
            self._message_bytes = self._message_bytes + size if frame[3:4] == b"C" else 0
            if self._message_bytes > MESSAGE_BYTES_MAX:
                return self._break(f"the server sent a message of more than {MESSAGE_BYTES_MAX >> 20} MiB")
            self._parsing = True
            try:
                self._process_received_data(frame)
            finally:
                self._parsing = False
            if self.transport is None or self.transport.is_closing():
                return None
        return None

    def _process_received_message(self, msg: Any) -> None:
        if isinstance(msg, ua.ErrorMessage):
            self._fail_all_pending(ua.UaStatusCodeError(msg.Error.value))
            self._parsing = False
            self.disconnect_socket()
            return
        super()._process_received_message(msg)

    def disconnect_socket(self) -> None:
        if self._parsing:  # asyncua gave up on a frame
            self._fail_all_pending(Garbled("the server's message breaks OPC UA's secure channel"))
        super().disconnect_socket()

    def _break(self, reason: str) -> None:
        self._received.clear()
        self._fail_all_pending(Garbled(reason))
        if self.transport is not None:
            self.transport.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _UaClient(UaClient):  # type: ignore[misc]
    def __init__(self, timeout_s: float, reach: Reach) -> None:
        super().__init__(timeout_s)
        self._reach = reach

    async def connect_socket(self, host: str, port: int) -> None:
        """As asyncua's, to an address that was judged."""
        self._set_state(UaClientState.CONNECTING)
        try:
            async with asyncio.timeout(self._timeout):
                sock = await call(self._reach, host, port)
                await asyncio.get_running_loop().create_connection(self._make_protocol, sock=sock)
        except BaseException:
            self._set_state(UaClientState.DISCONNECTED)
            raise
        self._set_state(UaClientState.SOCKET_OPEN)

    def _make_protocol(self) -> CheckedProtocol:
        protocol = CheckedProtocol(self._timeout, security_policy=self.security_policy)
        protocol.on_connection_lost = self._on_transport_lost
        protocol.is_session_closing = self._is_session_closing
        self.protocol = protocol
        return protocol


class ChannelClient(Client):  # type: ignore[misc]
    """asyncua's client, for its handshakes alone."""

    def __init__(self, url: str, timeout_s: float, reach: Reach) -> None:
        super().__init__(url, timeout_s)
        self.uaclient = _UaClient(timeout_s, reach)
        self.name = self.description = "Headrace"
        self.product_uri = "urn:headrace"

    async def open_channel(self) -> None:
        await self.connect_socket()
        ack = await self.uaclient.send_hello(self.server_url.geturl(), self.max_messagesize, self.max_chunkcount)
        # The acknowledgement is written from the server's side: what it sends is what we receive.
        limits = self.uaclient.protocol._connection._limits
        limits.max_recv_buffer, limits.max_send_buffer = max(ack.SendBufferSize, 8192), max(ack.ReceiveBufferSize, 8192)
        await self.open_secure_channel()

    async def drop(self) -> None:
        """Ends the socket at once and waits until it is gone."""
        protocol = self.uaclient.protocol
        if isinstance(protocol, CheckedProtocol):
            protocol.abort()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await protocol.closed
        self.uaclient.disconnect_socket()
