"""What robots of group chats share: one POST of JSON, and an answer with a code of its own.

message, whom to mention ──service.request──► URL, JSON ──POST──► {"errcode": 0}
                                                             └──► what the service's own table says of the code

| answer                              | what it means here                                     |
|-------------------------------------|--------------------------------------------------------|
| 2xx and code 0                      | taken                                                  |
| a code of the table                 | as it says there                                       |
| any code, said to be too frequent   | LimitReached                                           |
| another code                        | Refused                                                |
| no code                             | by its status (`webhook.judge`); Garbled where that is 2xx |

The key of a robot is in its URL, so no URL is ever shown or logged.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import orjson
from pydantic import Field

from headrace.connect.messengers.caller import Caller, HttpSettings
from headrace.connect.messengers.webhook import judge
from headrace.connect.messengers.words import hidden
from headrace.connect.posting import ANSWER_BYTES_MAX, Answer
from headrace.connect.settings import SecretReference
from headrace.model.errors import Garbled, HeadraceError, LimitReached, Refused
from headrace.sdk.messenger import Message, MessengerContext, Recipient

MENTIONED_MAX: Final = 20
_KEY: Final = re.compile(r"[A-Za-z0-9._~-]{1,256}")
_TOO_FREQUENT: Final = re.compile(r"too (many|fast|frequent)|frequency|freq out|rate limit|限流|频率", re.IGNORECASE)


class RobotSettings(HttpSettings):
    """Durations are text (`5s`) in a declaration and nanoseconds here."""

    key: SecretReference = Field(
        description="where the robot's key is, the last part of its address: env:NAME or file:/path"
    )

    @property
    def address(self) -> str:
        """The URL without the key."""
        return ""

    @property
    def signing(self) -> str | None:
        """What refers to the secret that signs, where there is one."""
        return None


@dataclass(frozen=True, slots=True)
class Secrets:
    key: str
    signing: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    url: str
    body: Mapping[str, Any]


Meaning = tuple[type[HeadraceError], str]


@dataclass(frozen=True, slots=True)
class Service:
    """`request` is pure: settings, secrets, message, addresses to mention, now. `meanings` adds what to do next."""

    name: str
    code: str
    text: str
    request: Callable[[Any, Secrets, Message, Sequence[str], int], Request]
    check_address: Callable[[str], str]
    meanings: Mapping[int, Meaning]


class RobotMessenger:
    def __init__(self, service: Service, settings: RobotSettings, context: MessengerContext) -> None:
        self._service, self._settings, self._context = service, settings, context
        self._caller = Caller(settings, context)
        self._called = f"the robot of {service.name} at {urlsplit(settings.address).hostname}"

    async def send(self, message: Message, to: Sequence[Recipient]) -> Sequence[Recipient]:
        """Returns whom it cannot mention: the group has the message all the same."""
        secrets = await self._secrets()
        with_address = [one for one in to if one.address]
        wrong = [one for one in with_address if self._service.check_address(one.address)]
        good = dict.fromkeys(one.address for one in with_address if one not in wrong)
        mentioned = list(good)[:MENTIONED_MAX]
        request = self._service.request(self._settings, secrets, message, mentioned, self._context.clock.now_ns())
        poster = await self._caller.poster()
        answer = await poster.post(
            request.url,
            orjson.dumps(request.body),
            {"content-type": "application/json; charset=utf-8"},
            called=self._called,
            answer_bytes_max=ANSWER_BYTES_MAX,
        )
        self._judge(answer, secrets)
        return wrong

    async def close(self) -> None:
        await self._caller.close()

    async def _secrets(self) -> Secrets:
        """Raises: Refused."""
        key = await self._caller.secret(self._settings.key)
        if not _KEY.fullmatch(key):
            raise Refused(
                f"{self._settings.key} holds no key of a robot: keep there only the last part of its address, "
                "after '=' or the last '/'"
            )
        return Secrets(key, await self._caller.secret(self._settings.signing))

    def _judge(self, answer: Answer, secrets: Secrets) -> None:
        """Raises: what the answer means, unless it was taken."""
        said = _document(answer.body)
        code = said.get(self._service.code)
        if not isinstance(code, int) or isinstance(code, bool):
            judge(self._called, answer.status)
            raise Garbled(f"{self._called} answers without '{self._service.code}'; check the address")
        if code == 0:
            return judge(self._called, answer.status)
        kind, hint = self._service.meanings.get(code, (Refused, ""))
        text = said.get(self._service.text)
        text = hidden(text, (secrets.key, secrets.signing)) if isinstance(text, str) else ""
        if answer.status == 429 or _TOO_FREQUENT.search(text):
            kind, hint = LimitReached, ""
        raise kind(f"{self._called} answers {code}: {text}" + (f"; {hint}" if hint else ""))


def signature(key: str, text: str) -> str:
    """Base64 of HMAC-SHA-256."""
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha256")).decode()


def in_query(text: str) -> str:
    return quote(text, safe="")


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return cast("Mapping[str, Any]", said) if isinstance(said, dict) else {}
