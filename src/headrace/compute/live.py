"""The newest sample of every point, in dense columns indexed by handle; no object per sample but for text.

batches ──► one row a point (newest source time) ──► newer than what is held? ──► columns, version + 1
                                                                                     │
                                             get(handles), changed(handles, since) ◄─┘

Newest means source time, with one exception: what we say about a link beats what a device's clock says. A bad
sample that we made ourselves (its source time is its received time), and whatever follows one, goes by received
time; so does a sample of a wild clock. Without it a device one hour behind would look dead for an hour after each
reconnect, and one five minutes ahead would look alive for five minutes after its cable was pulled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import LimitReached
from headrace.model.time import SOURCE_AHEAD_MAX_NS, SOURCE_TIME_MIN_NS
from headrace.sdk.services import LiveColumns

HANDLES_MAX: Final = 1 << 26
_NEVER: Final = np.iinfo(np.int64).min
_UNSEEN: Final = 0


class LiveTable:
    """Implements `sdk.services.LiveValues`. About 40 bytes a point; belongs to one event loop."""

    def __init__(self, capacity: int = 1024) -> None:
        self.version = 0
        self._capacity = 0
        self._source_ns = np.empty(0, np.int64)
        self._received_ns = np.empty(0, np.int64)
        self._quality = np.empty(0, np.uint32)
        self._kind = np.empty(0, np.uint8)
        self._bits = np.empty(0, np.int64)  # a float64 by its bits, an int64 or bool as it is
        self._moved = np.empty(0, np.int64)  # the version that brought the row
        self._place = np.empty(0, np.int64)  # scratch: which row of a batch wrote last
        self._text: dict[int, str] = {}
        self._grow(max(capacity, 1))

    def update(self, batches: Sequence[Batch]) -> None:
        """Take newer samples; `version` grows by one where anything moved. Raises: LimitReached for a wild handle."""
        version = self.version + 1
        moved = False
        for batch in batches:
            if len(batch):
                moved = self._update(batch, version) or moved
        if moved:
            self.version = version

    def get(self, handles: Handles) -> LiveColumns:
        """Points never seen have value None, times 0 and quality BadWaitingForInitialData. Shape: as `handles`."""
        asked = np.atleast_1d(np.asarray(handles, dtype=np.uint32))
        known = asked < self._capacity
        at = np.where(known, asked, 0).astype(np.intp)
        kind = np.where(known, self._kind[at], np.uint8(_UNSEEN))
        seen = kind != _UNSEEN
        waiting = np.uint32(q.BAD_WAITING_FOR_INITIAL_DATA)
        return LiveColumns(
            asked,
            np.where(seen, self._source_ns[at], 0),
            np.where(seen, self._received_ns[at], 0),
            self._values(at, kind),
            np.where(seen, self._quality[at], waiting),
            self.version,
        )

    def changed(self, handles: Handles, since_version: int) -> LiveColumns:
        """Those of `handles` that took a sample after `since_version`, in their order."""
        asked = np.atleast_1d(np.asarray(handles, dtype=np.uint32))
        inside = asked[asked < self._capacity]
        return self.get(inside[self._moved[inside] > since_version])

    def _values(self, at: NDArray[np.intp], kind: NDArray[np.uint8]) -> NDArray[Any]:
        values = np.full(len(at), None, dtype=object)
        for wanted in np.unique(kind):
            if wanted == _UNSEEN:
                continue
            rows = np.flatnonzero(kind == wanted)
            if wanted == ValueKind.TEXT:
                for row in rows:
                    values[row] = self._text[int(at[row])]
                continue
            bits = self._bits[at[rows]]
            if wanted == ValueKind.FLOAT64:
                values[rows] = bits.view(np.float64).astype(object)
            elif wanted == ValueKind.BOOL:
                values[rows] = bits.astype(np.bool_).astype(object)
            else:
                values[rows] = bits.astype(object)
        return values

    def _update(self, batch: Batch, version: int) -> bool:
        handles = batch.handles
        top = int(handles.max())
        if top >= self._capacity:
            self._grow(top + 1)
        order = np.arange(len(handles))
        self._place[handles] = order
        if not np.array_equal(self._place[handles], order):  # a point comes twice
            batch = batch.take(_newest_of_each(batch))
            handles = batch.handles
        source, received = batch.source_ns, batch.received_ns
        fresh = source >= self._source_ns[handles]
        if not fresh.all():
            older = np.flatnonzero(~fresh)
            fresh[older] = self._wins_although_older(batch.take(older))
            batch = batch.take(fresh)
            handles, source, received = batch.handles, batch.source_ns, batch.received_ns
            if not len(handles):
                return False
        self._source_ns[handles] = source
        self._received_ns[handles] = received
        self._quality[handles] = batch.quality
        self._kind[handles] = batch.kind
        self._moved[handles] = version
        if batch.kind is ValueKind.TEXT:
            self._text.update(zip(handles.tolist(), batch.values.tolist(), strict=True))
        elif batch.kind is ValueKind.FLOAT64:
            self._bits[handles] = np.ascontiguousarray(batch.values).view(np.int64)
        else:
            self._bits[handles] = batch.values
        return True

    def _wins_although_older(self, batch: Batch) -> NDArray[np.bool_]:
        """Where received time decides (see the top of the file). Shape: as `batch`."""
        held_source, held_received = self._source_ns[batch.handles], self._received_ns[batch.handles]
        marking = q.is_bad(batch.quality) & (batch.source_ns == batch.received_ns)
        held_bad = q.is_bad(self._quality[batch.handles])
        held_wild = held_source > held_received + SOURCE_AHEAD_MAX_NS
        wild = batch.source_ns < SOURCE_TIME_MIN_NS
        wins: NDArray[np.bool_] = (batch.received_ns >= held_received) & (marking | held_bad | held_wild | wild)
        return wins

    def _grow(self, needed: int) -> None:
        if needed > HANDLES_MAX:
            raise LimitReached(f"a point has number {needed - 1}; live values hold {HANDLES_MAX} points")
        capacity = max(needed, 2 * self._capacity)
        more = capacity - self._capacity
        self._source_ns = np.concatenate([self._source_ns, np.full(more, _NEVER)])
        self._received_ns = np.concatenate([self._received_ns, np.full(more, _NEVER)])
        self._quality = np.concatenate([self._quality, np.zeros(more, np.uint32)])
        self._kind = np.concatenate([self._kind, np.zeros(more, np.uint8)])
        self._bits = np.concatenate([self._bits, np.zeros(more, np.int64)])
        self._moved = np.concatenate([self._moved, np.full(more, -1)])
        self._place = np.empty(capacity, np.int64)
        self._capacity = capacity


def _newest_of_each(batch: Batch) -> NDArray[np.intp]:
    """The row of each point with the largest source time, the last of equals."""
    order = np.lexsort((batch.source_ns, batch.handles))
    handles = batch.handles[order]
    last = np.append(handles[1:] != handles[:-1], True)
    newest: NDArray[np.intp] = order[last]
    return newest
