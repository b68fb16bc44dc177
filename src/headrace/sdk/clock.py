"""Time is passed in: a room that needs a clock is given one, so simulation comes free."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now_ns(self) -> int:
        """Wall clock, ns since 1970, UTC; may jump."""
        ...

    def monotonic_s(self) -> float:
        """Never goes back; for deadlines and intervals."""
        ...

    async def sleep(self, delay_s: float) -> None: ...


class SystemClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
