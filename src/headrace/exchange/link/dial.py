"""How an edge reaches its hub: straight, through a proxy of its site, or through a web server in front of the hub.

    hub.example:8472                 TCP ─────────────────────────────► TLS 1.3 with the hub ─► frames
    … and proxy http://proxy:3128    TCP ─► CONNECT hub.example:8472 ─► TLS 1.3 with the hub ─► frames
    https://hub.example/edge         TCP ─► TLS with the web server ─► GET, Upgrade: headrace ─► TLS 1.3 … ─► frames

Whatever stands between, the TLS that counts ends at the hub, with the certificates of both; so a proxy carries bytes
and is trusted with nothing. Sources: RFC 9110 §9.3.6 (CONNECT), §7.8 (Upgrade).
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from headrace.exchange.link.channel import Channel
from headrace.model.errors import ConfigError, Unreachable
from headrace.sdk.edges import HUB_NAME

PROTOCOL: Final = "headrace"
_HEAD_BYTES_MAX: Final = 16 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n")


@dataclass(frozen=True, slots=True)
class Address:
    """`path` is set where a web server stands in front; `secure` then says whether TLS is spoken with it."""

    host: str
    port: int
    path: str = ""
    secure: bool = False

    @classmethod
    def parse(cls, text: str) -> Address:
        """`HOST:PORT`, `[::1]:8472`, or `https://HOST[:PORT]/PATH`. Raises: ConfigError."""
        web = text.startswith(("https://", "http://"))
        try:
            parts = urlsplit(text if web else f"//{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if web and host and not (parts.username or parts.query or parts.fragment):
            secure = parts.scheme == "https"
            return cls(host, port or (443 if secure else 80), parts.path or "/", secure)
        if not web and host and port and not parts.path and "@" not in text:
            return cls(host, port)
        raise ConfigError(
            f"'{text}' is no address of a hub; write HOST:PORT, or https://HOST/PATH through a web server"
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = ("https://" if self.secure else "http://") if self.path else ""
        return f"{scheme}{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Proxy:
    host: str
    port: int
    authorisation: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """`http://[USER:PASSWORD@]HOST:PORT`. Raises: ConfigError."""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
            parts = urlsplit("")
        if parts.scheme != "http" or not host:
            raise ConfigError("a proxy is written http://HOST:PORT, with USER:PASSWORD@ before the host where it asks")
        login = ""
        if parts.username is not None:
            plain = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            login = "Basic " + base64.b64encode(plain.encode()).decode()
        return cls(host, port or 3128, login)


async def dial(
    address: Address,
    context: ssl.SSLContext,
    channel: Channel,
    *,
    proxy: Proxy | None,
    connect_s: float,
    handshake_s: float,
) -> None:
    """Connect the channel. Raises: Unreachable, saying where it ended."""
    loop = asyncio.get_running_loop()
    target = (address.host, address.port) if proxy is None else (proxy.host, proxy.port)
    doing = f"connecting to {target[0]}:{target[1]}"
    try:
        async with asyncio.timeout(connect_s):
            found = await _open_socket(*target)
        try:
            async with asyncio.timeout(handshake_s):
                if proxy is not None:
                    doing = f"asking the proxy {proxy.host}:{proxy.port} for {address}"
                    await _ask(found, _connect_request(address, proxy), b"200")
                if not address.path:
                    doing = f"the TLS handshake with {address}"
                    await loop.create_connection(lambda: channel, sock=found, ssl=context, server_hostname=HUB_NAME)
                    return
                doing = f"asking the web server at {address} to pass on"
                await _through_web_server(found, address, context, channel)
        except BaseException:
            found.close()
            raise
    except TimeoutError:
        raise Unreachable(f"{doing} took too long") from None
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or "it hung up"
        raise Unreachable(f"{doing} failed: {reason}") from None


async def _open_socket(host: str, port: int) -> socket.socket:
    """The first address of the name that answers. Raises: OSError."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"'{host}' has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        found = socket.socket(family, kind, protocol)
        try:
            found.setblocking(False)
            await loop.sock_connect(found, address)
            return found
        except OSError as error:
            found.close()
            failure = error
        except BaseException:
            found.close()
            raise
    raise failure


def _connect_request(address: Address, proxy: Proxy) -> bytes:
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"CONNECT {host}:{address.port} HTTP/1.1", f"Host: {host}:{address.port}"]
    if proxy.authorisation:
        lines.append(f"Proxy-Authorization: {proxy.authorisation}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _upgrade_request(address: Address) -> bytes:
    default = 443 if address.secure else 80
    host = address.host if address.port == default else f"{address.host}:{address.port}"
    return (
        f"GET {address.path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n"
        f"Headrace-Key: {secrets.token_hex(8)}\r\n\r\n"
    ).encode()


async def _ask(found: socket.socket, request: bytes, wanted: bytes) -> None:
    """One request and the head of its answer; nobody speaks behind it before we do. Raises: OSError."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(found, request)
    head = b""
    while b"\r\n\r\n" not in head:
        part = await loop.sock_recv(found, 4096)
        if not part or len(head) > _HEAD_BYTES_MAX:
            raise OSError("it hung up, or does not speak HTTP")
        head += part
    check_answer(head, wanted)


def check_answer(head: bytes, wanted: bytes) -> None:
    """Raises: OSError with what the answer says, where it is not the wanted one."""
    status = _STATUS.match(head)
    if status is None:
        raise OSError("it does not speak HTTP")
    if status[1] != wanted:
        raise OSError(f"it answered {status[1].decode()} {(status[2] or b'').decode('latin-1')}".rstrip())


async def _through_web_server(
    found: socket.socket, address: Address, context: ssl.SSLContext, channel: Channel
) -> None:
    loop = asyncio.get_running_loop()
    outer = ssl.create_default_context() if address.secure else None
    asking = _Upgrading(_upgrade_request(address))
    transport, _ = await loop.create_connection(
        lambda: asking, sock=found, ssl=outer, server_hostname=address.host if address.secure else None
    )
    try:
        await asking.answered
        inner = await loop.start_tls(transport, channel, context, server_hostname=HUB_NAME)
    except BaseException:
        transport.abort()
        raise
    if inner is None:
        raise OSError("it hung up during the TLS handshake with the hub")
    channel.connection_made(inner)


class _Upgrading(asyncio.Protocol):
    def __init__(self, request: bytes) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request, self._head = request, b""

    def connection_made(self, transport: Any) -> None:
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self.answered.done():
            return
        if len(self._head) > _HEAD_BYTES_MAX:
            self.answered.set_exception(OSError("its answer has no end"))
        elif b"\r\n\r\n" in self._head:
            try:
                check_answer(self._head, b"101")
                self.answered.set_result(None)
            except OSError as error:
                self.answered.set_exception(error)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(error or OSError("it hung up"))
