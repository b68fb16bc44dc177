"""The sockets of a gateway: TCP, TLS over it, WebSocket over either. Bound first, opened when the platform is ready."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final

from headrace.model.errors import Refused, Unreachable

BACKLOG: Final = 4096
HANDSHAKE_S: Final = 10.0


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket; `shared` lets other processes listen on the same port (SO_REUSEPORT).

    Raises: Unreachable where the port is taken for now; Refused where it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a peer that vanished, where MQTT has no ping
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            sock.setblocking(False)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
    except socket.gaierror as error:
        raise Refused(f"cannot listen on '{host}': there is no such address ({error.strerror})") from None
    except OSError as error:
        said = f"cannot listen on {host}:{port}: {error.strerror}"
        if error.errno == errno.EADDRINUSE:
            raise Unreachable(f"{said}; is another server running there?") from None
        raise Refused(f"{said}; choose another address or port") from None
    return sock


class Listener:
    """One bound socket and what is made of each connection to it."""

    def __init__(self, sock: socket.socket, make: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None) -> None:
        self._sock, self._make, self._tls = sock, make, tls
        self._server: asyncio.Server | None = None
        self.port: int = sock.getsockname()[1]

    async def open(self) -> None:
        """Let devices in."""
        handshake_s = HANDSHAKE_S if self._tls is not None else None
        self._server = await asyncio.get_running_loop().create_server(
            self._make, sock=self._sock, ssl=self._tls, backlog=BACKLOG, ssl_handshake_timeout=handshake_s
        )

    def close(self) -> None:
        """No more connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
        self._sock.close()
