"""History as somebody sees it who does not see all of it: the last door before the samples.

    handles asked for ─► all seen? else as if they were not there ─► a partner's: both trails are told, durably
    raw, scan   ─► rows outside a shared point's own span are left out
    downsample  ─► buckets that are not wholly inside it are empty

Source: IEC 62443-3-3 SR 2.1, SR 2.8, SR 5.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

import numpy as np

from headrace.api.sight import TIME_MAX, TIME_MIN, Window
from headrace.model.batch import Batch, Handles
from headrace.model.errors import NotFound
from headrace.sdk.access import Shared
from headrace.sdk.store import Aggregate, Buckets, HistoryReader, Interpolation, Page, StoreStats

Told = Callable[[Shared, Sequence[str], int | None, int | None], Awaitable[None]]
"""(grant, paths, start_ns, end_ns): durable before anything is read."""
_DEFAULT: Final = (Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN)


class NarrowedStore:
    """Implements `sdk.store.HistoryReader` over another store. `seen` are the handles and their paths."""

    def __init__(
        self, store: HistoryReader, seen: Mapping[int, str], windows: Mapping[str, Window], tell: Told
    ) -> None:
        self._store, self._seen, self._tell = store, seen, tell
        self._windows = {handle: windows[path] for handle, path in seen.items() if path in windows} if windows else {}
        self._top = max(self._windows, default=-1) + 1
        self._from = np.full(self._top + 1, TIME_MIN, np.int64)
        self._until = np.full(self._top + 1, TIME_MAX, np.int64)
        for handle, window in self._windows.items():
            self._from[handle], self._until[handle] = window.start_ns, window.end_ns

    def paths(self) -> Mapping[int, str]:
        return self._seen

    async def stats(self) -> StoreStats:
        return await self._store.stats()

    async def raw(
        self, handles: Handles, start_ns: int, end_ns: int, *, limit: int = 100_000, cursor: str | None = None
    ) -> Page:
        await self._admit(handles, start_ns, end_ns)
        start_ns, end_ns = self._clip(handles, start_ns, end_ns)
        if start_ns >= end_ns:
            return Page([], None)
        page = await self._store.raw(handles, start_ns, end_ns, limit=limit, cursor=cursor)
        return Page([kept for batch in page.batches if len(kept := self._kept(batch))], page.next_cursor)

    async def downsample(
        self,
        handles: Handles,
        start_ns: int,
        end_ns: int,
        *,
        width_ns: int | None = None,
        count: int | None = None,
        aggregates: Sequence[Aggregate] = _DEFAULT,
        interpolation: Interpolation = Interpolation.NONE,
        good_only: bool = True,
    ) -> Buckets:
        await self._admit(handles, start_ns, end_ns)
        found = await self._store.downsample(
            handles, start_ns, end_ns, width_ns=width_ns, count=count, aggregates=aggregates,
            interpolation=interpolation, good_only=good_only,
        )  # fmt: skip
        first, last = self._bounds(handles)
        ends = np.minimum(found.start_ns + found.width_ns, end_ns)
        hidden = (found.start_ns[None, :] < first[:, None]) | (ends[None, :] > last[:, None])
        if not hidden.any():
            return found
        columns = {}
        for name, column in found.columns.items():
            shown = np.array(column, np.float64)
            shown[hidden] = 0.0 if name is Aggregate.COUNT else np.nan
            columns[name] = shown
        return Buckets(found.handles, found.start_ns, found.width_ns, columns)

    async def scan(
        self, handles: Handles | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> AsyncIterator[Batch]:
        asked = handles if handles is not None else np.array(sorted(self._seen), np.uint32)
        await self._admit(asked, start_ns, end_ns)
        inner = self._store.scan(asked, start_ns, end_ns)
        async with aclosing(cast(Any, inner)):
            async for batch in inner:
                kept = self._kept(batch)
                if len(kept):
                    yield kept

    def _bounds(self, handles: Handles) -> tuple[Any, Any]:
        at = np.minimum(handles, self._top).astype(np.int64)
        return self._from[at], self._until[at]

    def _clip(self, handles: Handles, start_ns: int, end_ns: int) -> tuple[int, int]:
        if not len(handles):
            return start_ns, end_ns
        first, last = self._bounds(handles)
        return max(start_ns, int(first.min())), min(end_ns, int(last.max()))

    def _kept(self, batch: Batch) -> Batch:
        first, last = self._bounds(batch.handles)
        inside = (batch.source_ns >= first) & (batch.source_ns < last)
        return batch if inside.all() else batch.take(inside)

    async def _admit(self, handles: Iterable[int], start_ns: int | None, end_ns: int | None) -> None:
        """Raises: NotFound for a point that is not seen, as for one that never was."""
        read: dict[str, tuple[Shared, list[str]]] = {}
        for handle in map(int, handles):
            path = self._seen.get(handle)
            if path is None:
                raise NotFound("there is no such point")
            window = self._windows.get(handle)
            if window is not None:
                read.setdefault(window.grant.grant, (window.grant, []))[1].append(path)
        for grant, paths in read.values():
            await self._tell(grant, paths, start_ns, end_ns)
