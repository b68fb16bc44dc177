"""Feeds of the platform's own: a stretch of history, and the bus with what was missed of it.

live:   subscribe to the bus ─► history, from when samples can still matter ─► what the bus has given since
                                └ samples that are known already change nothing: a point has one value a moment

A function that is too slow slows nobody: its queue drops the oldest, and the feed ends with Unavailable. Whoever starts
the job again has it take up from history what was dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from headrace.compute.streams.rows import NEVER
from headrace.model.batch import Handles
from headrace.model.errors import Unavailable
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.bus import Bus, Overflow
from headrace.sdk.clock import Clock
from headrace.sdk.feed import Piece
from headrace.sdk.store import HistoryReader

WIDTHS_NS: Final = (HOUR_NS, 10 * MINUTE_NS, MINUTE_NS)
SLICE_SAMPLES: Final = 2_000_000
"""Beyond so many samples in a slice, slices get shorter."""
Wanted = Callable[[Mapping[int, str]], Handles]


class HistoryFeed:
    """Samples of `[start, end)` in slices of time; the position is where the next slice begins."""

    def __init__(self, store: HistoryReader, start_ns: int, end_ns: int, wanted: Wanted | None = None) -> None:
        self._store, self._start_ns, self._end_ns, self._wanted = store, start_ns, end_ns, wanted

    def paths(self) -> Mapping[int, str]:
        return self._store.paths()

    async def pieces(self, position: str, needed_ns: int) -> AsyncIterator[Piece]:
        del needed_ns
        start_ns = int(position) if position else self._start_ns
        handles = None if self._wanted is None else self._wanted(self._store.paths())
        width = 0
        while start_ns < self._end_ns:
            until_ns = min((start_ns // WIDTHS_NS[width] + 1) * WIDTHS_NS[width], self._end_ns)
            batches = [batch async for batch in self._store.scan(handles, start_ns, until_ns)]
            if sum(map(len, batches)) > SLICE_SAMPLES:
                width = min(width + 1, len(WIDTHS_NS) - 1)
            yield Piece(batches, str(until_ns), stretch=True, over_ns=until_ns)
            start_ns = until_ns


class LiveFeed:
    """Subscribes at once, so nothing published after construction is missed. Ends when the bus is closed."""

    def __init__(
        self, name: str, bus: Bus, store: HistoryReader, clock: Clock, *, capacity: int, quiet_s: float = 10.0,
        settle_s: float = 0.0, owns: Callable[[str], bool] | None = None,
    ) -> None:  # fmt: skip
        """`settle_s`: how long after it was published a sample may come into history. `owns`: points that are given;
        others' are not there."""
        self._queue = bus.subscribe(name, capacity=capacity, overflow=Overflow.DROP_OLDEST)
        self._store, self._clock, self._quiet_s, self._settle_s = store, clock, quiet_s, settle_s
        self._owns, self._known, self._own = owns, 0, dict[int, str]()

    def paths(self) -> Mapping[int, str]:
        every = self._store.paths()
        if self._owns is None:
            return every
        if len(every) != self._known:
            self._own = {handle: path for handle, path in every.items() if self._owns(path)}
            self._known = len(every)
        return self._own

    async def pieces(self, position: str, needed_ns: int) -> AsyncIterator[Piece]:
        """Raises: Unavailable where it fell behind."""
        if position and needed_ns > NEVER:
            await self._clock.sleep(self._settle_s)
            async for missed in HistoryFeed(self._store, needed_ns, self._clock.now_ns() + 1).pieces("", needed_ns):
                yield Piece(missed.batches, "live", stretch=True)
        heard_s = self._clock.monotonic_s()
        waiting = asyncio.ensure_future(self._queue.__anext__())
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=self._quiet_s)
                if not done:
                    yield Piece([], "live", quiet_ns=int((self._clock.monotonic_s() - heard_s) * SECOND_NS))
                    continue
                try:
                    batches = waiting.result()
                except StopAsyncIteration:
                    return
                if self._queue.counters.dropped:
                    raise Unavailable("a stream function fell behind; it takes up from history what it missed")
                heard_s = self._clock.monotonic_s()
                yield Piece(batches, "live")
                waiting = asyncio.ensure_future(self._queue.__anext__())
        finally:
            waiting.cancel()

    async def close(self) -> None:
        """Ends it after what is queued."""
        await self._queue.close()
