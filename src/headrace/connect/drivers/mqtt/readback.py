"""What points that can be written said last, and whether they have said something since a write.

write ──expects──► (the device does it, and tells) ──see──► the read-back that waits has its sample
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import numpy as np

from headrace.model.batch import Batch
from headrace.model.errors import Unreachable
from headrace.sdk.driver import PointBinding


class ReadBack:
    """Newest samples of writable points only; nobody asks for the others."""

    def __init__(self) -> None:
        self._handles = np.zeros(0, np.uint32)
        self._latest: dict[int, Batch] = {}
        self._waiting: dict[int, asyncio.Event] = {}

    def watch(self, points: Iterable[PointBinding]) -> None:
        handles = sorted(point.handle for point in points if point.writable)
        self._handles = np.array(handles, np.uint32)
        self._latest = {handle: self._latest[handle] for handle in handles if handle in self._latest}

    def see(self, batches: Sequence[Batch]) -> None:
        """Whatever has been told."""
        if not len(self._handles):
            return
        for batch in batches:
            for at in np.flatnonzero(np.isin(batch.handles, self._handles)).tolist():
                handle = int(batch.handles[at])
                self._latest[handle] = batch.take(slice(at, at + 1))
                waiting = self._waiting.pop(handle, None)
                if waiting is not None:
                    waiting.set()

    def expect(self, point: PointBinding) -> None:
        """A write is on its way: what is known is old."""
        self._waiting.setdefault(point.handle, asyncio.Event())

    async def sample(self, point: PointBinding, timeout_s: float) -> Batch:
        """What the point has told since the last write, or last of all. Raises: Unreachable where it never has."""
        waiting = self._waiting.get(point.handle)
        if waiting is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await waiting.wait()
            except TimeoutError:
                pass
        found = self._latest.get(point.handle)
        if found is None:
            raise Unreachable(f"'{point.path}' has told no value so far; is its device connected to the broker?")
        return found
