"""A real mail server (aiosmtpd) that can be told to misbehave, and one that says what a script says."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


def parsed(data: bytes) -> EmailMessage:
    mail = message_from_bytes(data, policy=SMTPUTF8)
    assert isinstance(mail, EmailMessage)
    return mail


class SmtpSide:
    """Implements `Side`; also the handler of aiosmtpd. `says` answers RCPT by address, before what `mails` takes."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        utf8: bool = True,
        password: str = "",
    ) -> None:
        self._more, self._tls, self._implicit, self._utf8 = settings, tls, implicit, utf8
        self._password = password
        self.taken: list[str] = []
        self.mails: list[tuple[str, Sequence[str], bytes]] = []
        self.says: dict[str, str] = {}
        self.to_data: list[str] = []
        self.to_mail = ""
        self.heard: list[str] = []
        self.sessions = 0
        self._raw: bytes | None = None
        self._stalled = False
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"host": "127.0.0.1", "port": self.port, "from": "headrace@acme.example", **self._more}

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        tls = self._tls if self._implicit else None
        self._server = await loop.create_server(self._protocol, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def refuse(self) -> None:
        everything = [*self.heard, *(base64.b64encode(one.encode()).decode() for one in self.heard)]
        self.to_mail = f"550 5.7.1 no {' '.join(everything)} {self._password}"

    def be_busy(self) -> None:
        self.to_mail = "451 4.3.0 later"

    def stall(self) -> None:
        self._stalled = True

    def talk(self, nonsense: bytes) -> None:
        self._raw = nonsense

    def _protocol(self) -> asyncio.BaseProtocol:
        self.sessions += 1
        if self._stalled or self._raw is not None:
            return _Talker(self._raw)
        return SMTP(
            self,
            hostname="mail.example",
            enable_SMTPUTF8=self._utf8,
            tls_context=None if self._implicit else self._tls,
            require_starttls=self._tls is not None and not self._implicit,
            authenticator=self._authenticate if self._password else None,
            auth_required=bool(self._password),
            auth_require_tls=self._tls is not None and not self._implicit,
        )

    def _authenticate(self, server: SMTP, session: Session, envelope: Envelope, way: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        user, password = data.login.decode(), data.password.decode()
        self.heard += [user, password, f"\0{user}\0{password}"]
        return AuthResult(success=password == self._password, handled=False)

    async def handle_MAIL(self, _s: Any, _session: Any, envelope: Envelope, address: str, options: list[str]) -> str:
        if self.to_mail:
            return self.to_mail
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 ok"

    async def handle_RCPT(self, _s: Any, _session: Any, envelope: Envelope, address: str, options: list[str]) -> str:
        if address in self.says:
            return self.says[address]
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        if self.to_data:
            return self.to_data.pop(0)
        data = envelope.original_content
        assert data is not None
        assert envelope.mail_from is not None
        mail = parsed(data)
        self.mails.append((envelope.mail_from, tuple(envelope.rcpt_tos), data))
        body = mail.get_body(("plain",))
        assert body is not None
        self.taken.append(f"{mail['subject']}\n{body.get_content()}")
        return "250 taken"


class _Talker(asyncio.Protocol):
    """Says one thing and hangs up, or says nothing at all."""

    def __init__(self, said: bytes | None) -> None:
        self._said = said

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._said is not None:
            writing = cast("asyncio.Transport", transport)
            writing.write(self._said)
            writing.close()


@asynccontextmanager
async def smtp_side(settings: Mapping[str, Any], **more: Any) -> AsyncIterator[SmtpSide]:
    side = SmtpSide(settings, **more)
    await side.start()
    try:
        yield side
    finally:
        await side.stop()


@asynccontextmanager
async def scripted(answer: Callable[[str], bytes | None], greeting: bytes = b"220 hi\r\n") -> AsyncIterator[int]:
    """A server that answers each line by a function; None hangs up. Yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(greeting)
            while line := await reader.readline():
                said = answer(line.decode("latin-1").rstrip("\r\n"))
                if said is None:
                    break
                writer.write(said)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
