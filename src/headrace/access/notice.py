"""Something changed in who may do what: those who wait are woken at once, and look again."""

from __future__ import annotations

import asyncio


class Notice:
    """`version` grows with every change; nobody who waits misses one, and nobody holds it up."""

    def __init__(self) -> None:
        self.version = 0
        self._next = asyncio.Event()

    def tell(self) -> None:
        self.version += 1
        waiting, self._next = self._next, asyncio.Event()
        waiting.set()

    async def after(self, version: int) -> int:
        """The version, as soon as it is another one."""
        while self.version == version:
            await self._next.wait()
        return self.version
