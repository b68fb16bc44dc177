"""The webhook: one POST an event, or a bunch of samples.

| answer                             | what it means here                                           |
|------------------------------------|--------------------------------------------------------------|
| 2xx                                | taken                                                        |
| 408, 425, 429, 5xx, silence        | again later: Unreachable                                     |
| 400, 413, 415, 422                 | never: given up and counted, the next one goes on            |
| 3xx (never followed), other 4xx    | Refused: a person has to look; what waits stays              |

Only the declared URL is ever called, at an address that was judged (`connect/posting.py`): no redirects, no proxy of
the environment, and nothing of an answer but its status is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from headrace.connect.calling import client_tls
from headrace.connect.cloud_events import headers, of_event
from headrace.connect.outlets.webhook.config import Settings, samples, wants
from headrace.connect.outlets.webhook.message import ident_of, of_samples, seconds
from headrace.connect.posting import Poster
from headrace.model.batch import Batch
from headrace.model.errors import Garbled, Refused, Unreachable
from headrace.model.events import Event
from headrace.model.time import SECOND_NS
from headrace.sdk.outlet import OutletContext, OutletType, View

AGAIN: Final = frozenset((408, 425, 429))
NEVER: Final = frozenset((400, 413, 415, 422))


class WebhookOutlet:
    """`TakesEvents`."""

    def __init__(self, settings: Settings, context: OutletContext) -> None:
        self._settings, self._context = settings, context
        self._poster: Poster | None = None
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
        tls = await asyncio.to_thread(client_tls, settings.ca)
        self._poster = Poster(tls, self._context.reach, settings.timeout_ns / SECOND_NS, more)

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
        if self._poster is not None:
            await self._poster.close()

    async def _post(self, ident: str, body: bytes) -> bool:
        """Whether it was taken; False where it never will be. Raises: Unreachable, Refused."""
        assert self._poster is not None
        url = self._settings.url
        signed = headers(ident, body, seconds(self._context.clock.now_ns()), self._secret)
        try:
            status = (await self._poster.post(url, body, signed)).status
        except Garbled as error:  # what comes up behind an address may say anything for a while
            raise Unreachable(error.message, detail=error.detail) from None
        if 200 <= status < 300:
            return True
        if status in NEVER:
            return False
        if status in AGAIN or status >= 500:
            raise Unreachable(f"{url} answers {status}: it takes nothing now")
        if 300 <= status < 400:
            raise Refused(f"{url} answers {status}: redirects are not followed; declare the address that it leads to")
        raise Refused(f"{url} answers {status}: check the address, 'token' and 'secret'")


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
