"""Transitions to whoever listens: each listener has its own bounded queue and loses the oldest, counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from weakref import WeakSet

from headrace.model.alarms import AlarmTransition


class TransitionFeed:
    """An async iterator; each step gives all that is queued. Ends with `aclose` or when the desk closes."""

    def __init__(self, capacity: int) -> None:
        self.dropped = 0
        self._queue: deque[AlarmTransition] = deque(maxlen=capacity)
        self._news = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> TransitionFeed:
        return self

    async def __anext__(self) -> Sequence[AlarmTransition]:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        taken = list(self._queue)
        self._queue.clear()
        return taken

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    def put(self, made: Sequence[AlarmTransition]) -> None:
        if self._closed:
            return
        room = (self._queue.maxlen or 0) - len(self._queue)
        self.dropped += max(len(made) - room, 0)
        self._queue.extend(made)
        self._news.set()


class FeedList:
    """Listeners that somebody still holds; one that is forgotten without `aclose` costs nothing."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._feeds: WeakSet[TransitionFeed] = WeakSet()
        self._closed = False

    def open(self) -> TransitionFeed:
        feed = TransitionFeed(self._capacity)
        if self._closed:
            feed.close()
        self._feeds.add(feed)
        return feed

    def put(self, made: Sequence[AlarmTransition]) -> None:
        for feed in list(self._feeds):
            feed.put(made)

    def close(self) -> None:
        self._closed = True
        for feed in list(self._feeds):
            feed.close()
