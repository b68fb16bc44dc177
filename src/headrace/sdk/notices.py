"""Names told to whoever watches: each name once however often it is told, so that a slow watcher costs no memory."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator


class Notices:
    """`watch` hears all that is told from its call on; watchers that nobody holds any more are forgotten."""

    def __init__(self) -> None:
        self._watches: weakref.WeakSet[_Watch] = weakref.WeakSet()
        self._closed = False

    def watch(self) -> AsyncIterator[str]:
        watch = _Watch(self._closed)
        self._watches.add(watch)
        return watch

    def tell(self, *names: str) -> None:
        for watch in self._watches:
            watch.tell(names)

    def close(self) -> None:
        """Every watch ends after what it was told."""
        self._closed = True
        for watch in self._watches:
            watch.end()


class _Watch:
    def __init__(self, ended: bool) -> None:
        self._told: dict[str, None] = {}
        self._ended = ended
        self._something = asyncio.Event()

    def tell(self, names: tuple[str, ...]) -> None:
        self._told.update(dict.fromkeys(names))
        self._something.set()

    def end(self) -> None:
        self._ended = True
        self._something.set()

    def __aiter__(self) -> _Watch:
        return self

    async def __anext__(self) -> str:
        while not self._told:
            if self._ended:
                raise StopAsyncIteration
            self._something.clear()
            await self._something.wait()
        name = next(iter(self._told))
        del self._told[name]
        return name
