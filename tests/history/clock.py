"""A clock for tests of upkeep."""

import asyncio

from headrace.model.time import SECOND_NS


class ManualClock:
    """Stands still until a test moves it; timers never fire, so nothing happens behind a test's back."""

    def __init__(self, now_ns: int) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return self.now / SECOND_NS

    async def sleep(self, delay_s: float) -> None:
        await asyncio.Event().wait()
