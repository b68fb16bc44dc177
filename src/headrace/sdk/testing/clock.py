"""A clock that a test moves: sleepers wake when time is advanced, in order, never because real time passed."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from headrace.model.time import SECOND_NS

START_NS = 1_780_000_000 * SECOND_NS


class FakeClock:
    """`advance` moves both clocks; `jump_wall` moves only the wall clock, as NTP or a person would."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self._now_ns = now_ns
        self._monotonic_s = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_s(self) -> float:
        return self._monotonic_s

    async def sleep(self, delay_s: float) -> None:
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic_s + delay_s, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many tasks wait for this clock."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def jump_wall(self, by_s: float) -> None:
        self._now_ns += round(by_s * SECOND_NS)

    async def advance(self, by_s: float) -> None:
        """Move on, wake each sleeper at its own moment, and let the loop run between them."""
        end_s = self._monotonic_s + by_s
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            at_s, _, woken = heapq.heappop(self._sleepers)
            self._move_to(at_s)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self._move_to(end_s)
        await settle()

    def _move_to(self, at_s: float) -> None:
        if at_s > self._monotonic_s:
            self._now_ns += round((at_s - self._monotonic_s) * SECOND_NS)
            self._monotonic_s = at_s


async def settle(rounds: int = 20) -> None:
    """Let every task that can run do so."""
    for _ in range(rounds):
        await asyncio.sleep(0)
