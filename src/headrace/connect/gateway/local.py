"""The platform's side of a gateway, in the same process: what messages mean, who devices are, what is waited for.

take ──► payload.decode ──► batches ──► stored (screened, counted, fsynced) ──► Outcome
                               └──► whoever waits for a point's next value (a write that is to be confirmed)
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from headrace.connect.gateway.upstream import Gone, Outcome
from headrace.connect.payload.contract import Decoded, Message, Payload
from headrace.model.batch import Batch
from headrace.sdk.clock import Clock
from headrace.sdk.devices import Admission, Claim, DeviceDoor, Enrolment, Preview
from headrace.sdk.driver import Stored

log = logging.getLogger(__name__)

_WATCHED_MAX: Final = 1024


class LocalUpstream:
    """`enrolment` is the gateway's policy for devices that nobody knows."""

    def __init__(
        self,
        name: str,
        payload: Payload,
        door: DeviceDoor,
        stored: Stored,
        clock: Clock,
        enrolment: Enrolment | None = None,
    ) -> None:
        self._name, self._payload, self._door, self._stored, self._clock = name, payload, door, stored, clock
        self._enrolment = enrolment
        self.watches = Watches()

    async def admit(self, claim: Claim) -> Admission:
        return await self._door.admit(replace(claim, enrolment=self._enrolment))

    def preview(self, device: str, preview: Preview) -> None:
        self._door.preview(device, preview)

    def seen(self, device: str, online: bool, messages: int = 0, refused: int = 0) -> None:
        self._door.seen(device, self._clock.now_ns(), online, messages=messages, refused=refused)

    async def take(self, messages: Sequence[Message], gone: Sequence[Gone]) -> Outcome:
        batches: list[Batch] = []
        outcome = Outcome()
        refused: dict[int, str] = {}
        replies = []
        first = 0
        for end in [*gone, None]:  # a device that went is gone after what it sent before, and before what it sends then
            last = len(messages) if end is None else end.before
            if last > first:
                decoded = self._payload.decode(messages if last - first == len(messages) else messages[first:last])
                batches += decoded.batches
                replies += decoded.replies
                outcome.ignored += decoded.ignored
                refused.update({first + at: error.message for at, error in decoded.refused if at >= 0})
                self._say(decoded)
                first = last
            if end is not None:
                batches += self._payload.gone(end.device, self._clock.now_ns())
        outcome.refused, outcome.replies = refused, replies
        await self._store(batches)
        return outcome

    async def tick(self) -> Outcome:
        """What time alone brings. Raises: Unavailable."""
        decoded = self._payload.tick(self._clock.now_ns())
        self._say(decoded)
        await self._store(decoded.batches)
        return Outcome(replies=decoded.replies)

    async def _store(self, batches: Sequence[Batch]) -> None:
        if batches:
            await self._stored(batches)
            self.watches.notice(batches)

    def _say(self, decoded: Decoded) -> None:
        for notice in decoded.notices:
            log.warning("%s: %s", self._name, notice)


class Watches:
    """The newest sample of each watched point since the watch began; the watches that were used last are kept."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, Batch | None] = OrderedDict()
        self._handles = np.empty(0, np.uint32)
        self._news = asyncio.Event()

    def begin(self, handle: int) -> None:
        """From now on; what was seen before is forgotten."""
        self._held[handle] = None
        self._held.move_to_end(handle)
        while len(self._held) > _WATCHED_MAX:
            self._held.popitem(last=False)
        self._handles = np.fromiter(self._held, np.uint32, len(self._held))

    def __contains__(self, handle: int) -> bool:
        return handle in self._held

    async def sample(self, handle: int) -> Batch:
        """The newest one, at once where there is any."""
        while (seen := self._held.get(handle)) is None:
            self._news.clear()
            await self._news.wait()
        return seen

    def notice(self, batches: Sequence[Batch]) -> None:
        if not self._held:
            return
        found = False
        for batch in batches:
            for place in np.flatnonzero(np.isin(batch.handles, self._handles)).tolist():
                self._held[int(batch.handles[place])] = batch.take(slice(place, place + 1))
                found = True
        if found:
            self._news.set()
