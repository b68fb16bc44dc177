"""The webhook: one POST an event, or a bunch of samples.

| answer                             | what it means here                                           |
|------------------------------------|--------------------------------------------------------------|
| 2xx                                | taken                                                        |
| 408, 425, 429, 5xx, silence        | again later: Unreachable                                     |
| 400, 413, 415, 422                 | never: given up and counted, the next one goes on            |
| 3xx (never followed), other 4xx    | Refused: a person has to look; what waits stays              |

Only the declared URL is ever called, at an address that was judged (`transport.py`): no redirects, no proxy of the
environment, and nothing of an answer but its status is read.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final

import httpx

from headrace.connect.outlets.webhook.config import Settings, samples, wants
from headrace.connect.outlets.webhook.message import headers, ident_of, of_event, of_samples, seconds
from headrace.connect.outlets.webhook.transport import JudgedTransport
from headrace.model.batch import Batch
from headrace.model.errors import ConfigError, Refused, Unreachable
from headrace.model.events import Event
from headrace.model.time import SECOND_NS
from headrace.sdk.outlet import OutletContext, OutletType, View

AGAIN: Final = frozenset((408, 425, 429))
NEVER: Final = frozenset((400, 413, 415, 422))


class WebhookOutlet:
    """`TakesEvents`."""

    def __init__(self, settings: Settings, context: OutletContext) -> None:
        self._settings, self._context = settings, context
        self._client: httpx.AsyncClient | None = None
        self._secret: bytes | None = None
        self._view = View()

    async def open(self, view: View) -> None:
        """Reads files; calls nobody before there is something to say."""
        self._view = view
        settings = self._settings
        self._secret = None if settings.secret is None else self._context.references.read(settings.secret).encode()
        more = (
            {}
            if settings.token is None
            else {"authorization": f"Bearer {self._context.references.read(settings.token)}"}
        )
        self._client = httpx.AsyncClient(
            transport=JudgedTransport(await asyncio.to_thread(self._tls), self._context.reach),
            timeout=settings.timeout_ns / SECOND_NS,
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": "Headrace", **more},
        )

    async def send(self, batches: Sequence[Batch]) -> int:
        given_up = 0
        for part in _parts(batches, self._settings.batch):
            ident = ident_of(part)
            body = of_samples(ident, part, self._view.points, self._context.clock.now_ns(), self._context.outlet)
            if not await self._post(ident, body):
                given_up += sum(map(len, part))
        return given_up

    async def send_events(self, events: Sequence[Event]) -> int:
        given_up = 0
        for event in events:
            given_up += not await self._post(event.id, of_event(event))
        return given_up

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _post(self, ident: str, body: bytes) -> bool:
        """Whether it was taken; False where it never will be. Raises: Unreachable, Refused."""
        assert self._client is not None
        url = self._settings.url
        signed = headers(ident, body, seconds(self._context.clock.now_ns()), self._secret)
        try:
            # httpx bounds each step; who answers a byte at a time, or with ever more 1xx, is bounded here.
            async with asyncio.timeout(self._settings.timeout_ns / SECOND_NS):
                async with self._client.stream("POST", url, content=body, headers=signed) as answer:
                    status = answer.status_code
        except (httpx.TimeoutException, TimeoutError):
            raise Unreachable(f"{url} does not answer within {self._settings.timeout_ns / SECOND_NS:g} s") from None
        except httpx.ConnectError as error:
            if _is_untrusted(error):
                raise Refused(f"the certificate of {url} is not trusted: {error}") from None
            raise Unreachable(f"{url} cannot be reached: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(f"{url}: {error or type(error).__name__}") from None
        if 200 <= status < 300:
            return True
        if status in NEVER:
            return False
        if status in AGAIN or status >= 500:
            raise Unreachable(f"{url} answers {status}: it takes nothing now")
        if 300 <= status < 400:
            raise Refused(f"{url} answers {status}: redirects are not followed; declare the address that it leads to")
        raise Refused(f"{url} answers {status}: check the address, 'token' and 'secret'")

    def _tls(self) -> ssl.SSLContext:
        """Raises: ConfigError."""
        try:
            context = ssl.create_default_context(cafile=self._settings.ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"'ca' cannot be used: {error}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _is_untrusted(error: BaseException) -> bool:
    """Whether a certificate is what it failed for, however deep the library wrapped that."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return True
        inner = inner.__cause__ or inner.__context__
    return False


def _parts(batches: Sequence[Batch], most: int) -> list[list[Batch]]:
    """Cut into requests of at most so many samples."""
    return [[batch.take(slice(at, at + most))] for batch in batches for at in range(0, len(batch), most)]


OUTLET: Final = OutletType(
    name="webhook",
    title="Webhook (CloudEvents)",
    settings=Settings,
    open=WebhookOutlet,
    quiet_open=True,
    samples=samples,
    events=True,
    wants=wants,
)
