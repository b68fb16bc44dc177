"""The webhook: a message for machines as a CloudEvent, by one POST, signed as the outlet's are.

| answer                          | what it means here                                    |
|---------------------------------|-------------------------------------------------------|
| 2xx                             | taken                                                 |
| 429                             | LimitReached                                          |
| 408, 425, 5xx, silence          | Unreachable                                           |
| 3xx (never followed), other 4xx | Refused                                               |

Sources: CloudEvents 1.0.2, JSON Event Format 1.0.2; Standard Webhooks 1.0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from pydantic import Field

from headrace.connect.cloud_events import envelope, headers
from headrace.connect.messengers.caller import Caller, HttpSettings
from headrace.connect.settings import SecretReference, WebAddress
from headrace.model.errors import LimitReached, Refused, Unreachable
from headrace.model.time import SECOND_NS
from headrace.sdk.messenger import Message, MessengerContext, MessengerType, Recipient

KIND: Final = "notification"
_PLAIN: Final = re.compile("[!-~]{1,128}")


class Settings(HttpSettings):
    """One URL that is told."""

    url: WebAddress = Field(description="where to POST; https, or http on this machine")
    secret: SecretReference | None = Field(None, description="what signs each request: env:NAME or file:/path")
    token: SecretReference | None = Field(None, description="sent as Authorization: Bearer, where the other side asks")


class WebhookMessenger:
    def __init__(self, settings: Settings, context: MessengerContext) -> None:
        self._settings, self._context = settings, context
        self._caller = Caller(settings, context)

    async def send(self, message: Message, to: Sequence[Recipient]) -> Sequence[Recipient]:
        del to  # whoever listens there decides whom to tell
        clock, settings = self._context.clock, self._settings
        secret, token = await self._caller.secret(settings.secret), await self._caller.secret(settings.token)
        source, time_ns = f"/headrace/channel/{self._context.channel}", message.sent_ns or clock.now_ns()
        ident = ident_of(message.key)
        body = envelope(ident, source, KIND, "", time_ns, dict(message.document))
        said = headers(ident, body, clock.now_ns() // SECOND_NS, secret.encode() if settings.secret else None)
        if settings.token is not None:
            said["authorization"] = f"Bearer {token}"
        poster = await self._caller.poster()
        judge(settings.url, (await poster.post(settings.url, body, said)).status)
        return ()

    async def close(self) -> None:
        await self._caller.close()


def ident_of(key: str) -> str:
    """The key, or what stands for it in a header and a CloudEvent."""
    return key if _PLAIN.fullmatch(key) else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32]


def judge(called: str, status: int) -> None:
    """Raises: LimitReached, Unreachable, Refused for what is not 2xx."""
    if 200 <= status < 300:
        return
    if status == 429:
        raise LimitReached(f"{called} answers 429: too many messages in a short time; send fewer, or later")
    if status in (408, 425) or status >= 500:
        raise Unreachable(f"{called} answers {status}: it takes nothing now")
    if 300 <= status < 400:
        raise Refused(f"{called} answers {status}: redirects are not followed; declare the address that it leads to")
    raise Refused(f"{called} answers {status}: check the address and the secrets of the channel")


MESSENGER: Final = MessengerType("webhook", "Webhook (CloudEvents)", Settings, WebhookMessenger, group=True)
