"""SMTP: one session with one server, as bytes (`Replies`) and as steps (`SmtpSession`).

call ──► [TLS] ──► 220 ──► EHLO ──► [STARTTLS ──► EHLO] ──► [AUTH] ──► (MAIL, RCPT, DATA)… ──► QUIT

The socket goes to an address that was judged; the certificate is held against the declared name. What came in the
clear is never taken for an answer under TLS. The standard library's client resolves names itself, and bounds each read
but neither a reply nor a session: that is why there is one here.

| answer                 | what it means here                                                                    |
|------------------------|---------------------------------------------------------------------------------------|
| 2xx, 3xx               | go on                                                                                 |
| 452                    | LimitReached                                                                          |
| 421, other 4xx, silence| Unreachable                                                                           |
| 5xx                    | Refused; after RCPT that recipient alone                                              |

Sources: RFC 5321 (§4.2 replies, §4.5.2 dots, §4.5.3 sizes), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 8314 (TLS from
the first byte), RFC 6531 (SMTPUTF8).
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from headrace.connect.calling import call
from headrace.connect.messengers.words import hidden
from headrace.model.errors import Garbled, HeadraceError, LimitReached, Refused, Unreachable
from headrace.sdk.reach import Reach

LINE_BYTES_MAX: Final = 2_048
LINES_MAX: Final = 128
_READ_BYTES: Final = 4_096
_REPLY: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?")
_GOODBYE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    lines: Sequence[str]

    @property
    def good(self) -> bool:
        return self.code < 400


class Replies:
    """Bytes in, replies out."""

    def __init__(self) -> None:
        self._buffer, self._lines, self._code = bytearray(), list[str](), 0

    def feed(self, data: bytes) -> None:
        self._buffer += data

    @property
    def idle(self) -> bool:
        """Whether nothing is left of what was fed."""
        return not self._buffer and not self._lines

    def take(self) -> Reply | None:
        """The next whole reply. Raises: Garbled."""
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if len(line) > LINE_BYTES_MAX or len(self._lines) > LINES_MAX:
                raise Garbled("the answer is longer than SMTP allows")
            if not newline:
                return None
            self._buffer = rest
            found = _REPLY.fullmatch(line.rstrip(b"\r"))
            if found is None or self._code not in (0, int(found[1])):
                raise Garbled("what it says is no SMTP")
            self._code = int(found[1])
            self._lines.append((found[3] or b"").decode("utf-8", "replace"))
            if found[2] != b"-":
                reply = Reply(self._code, tuple(self._lines))
                self._lines, self._code = [], 0
                return reply


@dataclass(frozen=True, slots=True)
class Server:
    """`tls` is None for a session in the clear; `starttls` begins in the clear and goes no further that way."""

    host: str
    port: int
    timeout_s: float
    tls: ssl.SSLContext | None
    starttls: bool = False
    user: str = ""
    password: str = ""


class SmtpSession:
    """One after the other: `open`, any number of `deliver`, `close`. Each step is bounded by `timeout_s`."""

    def __init__(self, server: Server, reach: Reach) -> None:
        self._server, self._reach = server, reach
        self._name = f"the mail server {server.host}:{server.port}"
        self._wire: _Wire | None = None
        self._replies = Replies()
        self._abilities: dict[str, str] = {}
        #: Whether the next reply still answers the next command.
        self.alive = True
        pair = f"\0{server.user}\0{server.password}"
        self._secrets = (server.password, _base64(server.password), _base64(pair)) if server.password else ()

    @property
    def utf8(self) -> bool:
        """Whether it takes addresses beyond ASCII."""
        return "SMTPUTF8" in self._abilities

    async def open(self) -> None:
        """Raises: Unreachable, Refused, Garbled, LimitReached."""
        server = self._server
        async with self._step():
            self._wire = _Wire(await call(self._reach, server.host, server.port))
            if server.tls is not None and not server.starttls:
                await self._wire.encrypt(server.tls, server.host)
        self._check(await self._reply(), "does not greet")
        await self._hello()
        if server.tls is not None and server.starttls:
            await self._encrypt(server.tls)
            await self._hello()
        if server.user:
            await self._authenticate()

    async def deliver(self, sender: str, recipient: str, data: bytes, utf8: bool) -> bool:
        """Whether it took it; False where it never will for this recipient. `data` ends its lines with CRLF.

        Raises: as `open`; while `alive`, and after `reset`, the session may be used for the next one.
        """
        more = " BODY=8BITMIME SMTPUTF8" if utf8 else ""
        self._check(await self._command(f"MAIL FROM:<{sender}>{more}"), f"does not take mail from <{sender}>")
        reply = await self._command(f"RCPT TO:<{recipient}>")
        if reply.code >= 500 and reply.code not in (503, 530):
            await self._command("RSET")
            return False
        self._check(reply, "does not take the recipient now")
        self._check(await self._command("DATA"), "does not take the message", 354)
        stuffed = re.sub(rb"^\.", b"..", data, flags=re.MULTILINE)
        async with self._step():
            await self._line.write(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        self._check(await self._reply(), "does not take the message")
        return True

    async def reset(self) -> None:
        """After a `deliver` that raised: ready for the next. Raises: as `open`."""
        self._check(await self._command("RSET"), "does not go on")

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is None:
            return
        try:
            if self.alive:
                async with asyncio.timeout(min(self._server.timeout_s, _GOODBYE_S)):
                    await wire.write(b"QUIT\r\n")
                    await wire.read()
        except (OSError, TimeoutError):
            pass  # it is over anyway
        finally:
            wire.close()

    async def _hello(self) -> None:
        reply = await self._command(f"EHLO {self._line.own_name}")
        self._check(reply, "does not speak ESMTP with us")
        words = [line.upper().replace("AUTH=", "AUTH ").partition(" ") for line in reply.lines[1:]]
        self._abilities = {word: rest for word, _, rest in words}

    async def _encrypt(self, tls: ssl.SSLContext) -> None:
        if "STARTTLS" not in self._abilities:
            raise Refused(f"{self._name} offers no STARTTLS, and nothing is told it in the clear; try 'tls: tls'")
        self._check(await self._command("STARTTLS"), "does not begin TLS", 220)
        if not self._replies.idle:
            raise Garbled(f"{self._name} says more in the clear than it was asked; somebody may sit in between")
        async with self._step():
            await self._line.encrypt(tls, self._server.host)

    async def _authenticate(self) -> None:
        user, password = self._server.user, self._server.password
        ways = self._abilities.get("AUTH", "").split()
        if "PLAIN" in ways:
            reply = await self._command("AUTH PLAIN " + _base64(f"\0{user}\0{password}"))
        elif "LOGIN" in ways:
            reply = await self._command("AUTH LOGIN")
            for part in (user, password):
                self._check(reply, "does not let us sign in", 334)
                reply = await self._command(_base64(part))
        else:
            raise Refused(f"{self._name} offers no way to sign in that we know (PLAIN, LOGIN); leave out 'user'")
        self._check(reply, f"does not know '{user}' with this password", 235)

    @property
    def _line(self) -> _Wire:
        assert self._wire is not None, "opened before it is used"
        return self._wire

    async def _command(self, line: str) -> Reply:
        async with self._step():
            await self._line.write(line.encode() + b"\r\n")
        return await self._reply()

    async def _reply(self) -> Reply:
        async with self._step():
            while (reply := self._replies.take()) is None:
                data = await self._line.read()
                if not data:
                    raise Unreachable(f"{self._name} hung up")
                self._replies.feed(data)
        if reply.code == 421:
            self.alive = False
            raise self._error(reply, "closes the session")
        return reply

    def _check(self, reply: Reply, otherwise: str, expected: int = 0) -> None:
        """Raises: what the reply means."""
        if reply.code != expected if expected else not 200 <= reply.code < 300:
            raise self._error(reply, otherwise)

    def _error(self, reply: Reply, what: str) -> HeadraceError:
        said = f"{self._name} {what}: {reply.code} {hidden(' '.join(reply.lines), self._secrets)}".rstrip()
        if reply.good:
            return Garbled(f"{said}; that is no answer to what was asked")
        if reply.code == 452:
            return LimitReached(said)
        return Unreachable(said) if reply.code < 500 else Refused(said)

    @asynccontextmanager
    async def _step(self) -> AsyncIterator[None]:
        ended, self.alive = self.alive, False
        try:
            async with asyncio.timeout(self._server.timeout_s):
                yield
            self.alive = ended
        except TimeoutError:
            raise Unreachable(f"{self._name} does not answer within {self._server.timeout_s:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise Refused(f"the certificate of {self._name} is not trusted: {error.verify_message}") from None
        except ssl.SSLError as error:
            if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                raise Unreachable(f"{self._name} hung up") from None
            raise Garbled(f"{self._name} speaks no TLS here; check 'port' and 'tls'", detail=str(error)) from None
        except OSError as error:
            raise Unreachable(f"{self._name} cannot be reached: {error.strerror or error}") from None
        except Garbled as error:
            if self._name in error.message:
                raise
            raise Garbled(f"{self._name}: {error.message}; check 'host' and 'port'") from None


class _Wire:
    """A socket; from `encrypt` on TLS over it. In the clear it reads nothing ahead: that stays with the system."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        own = str(sock.getsockname()[0]).partition("%")[0]
        self.own_name = f"[IPv6:{own}]" if ":" in own else f"[{own}]"

    async def encrypt(self, tls: ssl.SSLContext, name: str) -> None:
        self._reader, self._writer = await asyncio.open_connection(sock=self._sock, ssl=tls, server_hostname=name)

    async def read(self) -> bytes:
        if self._reader is not None:
            return await self._reader.read(_READ_BYTES)
        return await asyncio.get_running_loop().sock_recv(self._sock, _READ_BYTES)

    async def write(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)
            await self._writer.drain()
        else:
            await asyncio.get_running_loop().sock_sendall(self._sock, data)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        else:
            self._sock.close()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
