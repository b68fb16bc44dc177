"""E-mail: one session a message, one envelope a recipient, so nobody reads who else was told.

EHLO … AUTH ──► for each of `to`: taken ─► remembered until all have it    sent again, it goes to the others alone
                                  never (5xx) ─► returned
                                  later (4xx) ─► the others first, then Unreachable or LimitReached

Declared as:

channels:
  shift-mail:
    kind: email
    settings: {host: smtp.acme.example, user: headrace, password: "file:smtp", from: headrace@acme.example}
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headrace.connect.calling import client_tls
from headrace.connect.messengers.mail import Mailbox, written
from headrace.connect.messengers.smtp import Server, SmtpSession
from headrace.connect.settings import SecretReference, duration
from headrace.model.errors import HeadraceError, LimitReached, Refused, Unreachable
from headrace.model.time import SECOND_NS
from headrace.sdk.messenger import Message, MessengerContext, MessengerType, Recipient
from headrace.sdk.reach import is_loopback

REMEMBERED_MAX: Final = 256


class Security(StrEnum):
    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


_PORTS: Final = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}


def check_address(address: str) -> str:
    try:
        Mailbox.of(address)
    except ValueError as error:
        return str(error)
    return ""


def _checked(address: str) -> str:
    Mailbox.of(address)
    return address


MailAddress = Annotated[str, Field(max_length=254), AfterValidator(_checked)]


class Settings(BaseModel):
    """One mail server that sends for us. Durations are text (`5s`) in a declaration and nanoseconds here."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    host: str = Field(min_length=1, max_length=253, description="name or address of the mail server")
    port: int = Field(0, ge=0, le=65_535, description="587 for starttls, 465 for tls, 25 for none, unless given")
    tls: Security = Field(Security.STARTTLS, description="how it is encrypted; `none` only to a server on this machine")
    ca: Path | None = Field(None, description="certificates that vouch for the server; the system's unless given")
    user: str | None = Field(None, min_length=1, max_length=254, description="account at the server")
    password: SecretReference | None = Field(None, description="where its password is: env:NAME or file:/path")
    sender: MailAddress = Field(alias="from", description="address that messages come from")
    sender_name: str = Field("Headrace", alias="from_name", max_length=100, description="name shown with it")
    reply_to: MailAddress | None = Field(None, description="address that answers go to, where it is another")
    timeout_ns: Annotated[int, duration("100ms", "60s")] = Field(
        20 * SECOND_NS, alias="timeout", description="how long one answer may take"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("'user' and 'password' go together; leave out both for a server that asks for none")
        if self.tls is Security.NONE and not is_loopback(self.host):
            raise ValueError("'tls: none' tells everybody on the way: use starttls or tls, or a server on this machine")
        if self.tls is Security.NONE and self.ca is not None:
            raise ValueError("'ca' is for TLS: say 'tls: starttls' or 'tls: tls'")
        return self


class EmailMessenger:
    def __init__(self, settings: Settings, context: MessengerContext) -> None:
        self._settings, self._context = settings, context
        self._sender = Mailbox.of(settings.sender)
        self._reply_to = None if settings.reply_to is None else Mailbox.of(settings.reply_to)
        #: Who has a message already that others have not: bounded, oldest out.
        self._had: OrderedDict[str, set[str]] = OrderedDict()

    async def send(self, message: Message, to: Sequence[Recipient]) -> Sequence[Recipient]:
        never = [one for one in to if check_address(one.address)]
        had = self._had.get(message.key, set())
        open_to = [one for one in to if one not in never and one.address not in had]
        if open_to:
            session = SmtpSession(await asyncio.to_thread(self._server), self._context.reach)
            try:
                await session.open()
                never += await self._deliver_all(session, message, open_to)
            finally:
                await session.close()
        self._had.pop(message.key, None)
        return never

    async def close(self) -> None:
        self._had.clear()

    async def _deliver_all(
        self, session: SmtpSession, message: Message, to: Sequence[Recipient]
    ) -> Sequence[Recipient]:
        """Those whom it will never reach. Raises: what the first said whom it may reach later."""
        never: list[Recipient] = []
        later: HeadraceError | None = None
        refusal: Refused | None = None
        taken = 0
        for at, recipient in enumerate(to):
            if at and (later or refusal):
                await session.reset()
            try:
                if await self._deliver(session, message, recipient):
                    taken += 1
                    self._remember(message.key, recipient.address)
                else:
                    never.append(recipient)
            except (Unreachable, LimitReached) as error:
                later = later or error
                if not session.alive:
                    break
            except Refused as error:
                refusal = refusal or error
                never.append(recipient)
        if later is not None:
            raise later
        if refusal is not None and not taken:
            raise refusal
        return never

    async def _deliver(self, session: SmtpSession, message: Message, recipient: Recipient) -> bool:
        box = Mailbox.of(recipient.address)
        utf8 = not (box.ascii and self._sender.ascii and (self._reply_to is None or self._reply_to.ascii))
        if utf8 and not session.utf8:
            if self._sender.ascii and (self._reply_to is None or self._reply_to.ascii):
                return False
            raise Refused(f"{self._settings.host} takes no addresses beyond ASCII; change 'from' or 'reply_to'")
        sender, now_ns = self._sender.named(self._settings.sender_name), self._context.clock.now_ns()
        data = written(message, sender, self._reply_to, box.named(recipient.name), message.sent_ns or now_ns, utf8=utf8)
        return await session.deliver(str(self._sender), str(box), data, utf8)

    def _remember(self, key: str, address: str) -> None:
        self._had.setdefault(key, set()).add(address)
        self._had.move_to_end(key)
        while len(self._had) > REMEMBERED_MAX:
            self._had.popitem(last=False)

    def _server(self) -> Server:
        """Reads files. Raises: Refused, ConfigError."""
        settings = self._settings
        return Server(
            settings.host,
            settings.port or _PORTS[settings.tls],
            settings.timeout_ns / SECOND_NS,
            None if settings.tls is Security.NONE else client_tls(settings.ca),
            settings.tls is Security.STARTTLS,
            settings.user or "",
            "" if settings.password is None else self._context.references.read(settings.password),
        )


MESSENGER: Final = MessengerType(
    "email", "E-mail (SMTP)", Settings, EmailMessenger, address="email", check_address=check_address
)
