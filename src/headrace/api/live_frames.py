"""Frames of the live feed: made once for all clients that watch the same points and saw the same version.

LiveValues.changed(handles, since) ─► columns i, v, t, q ─► JSON text, kept while the live version stands
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from headrace.api.columns import json_bytes, mixed_values, seen_ms
from headrace.model.batch import Handles
from headrace.model.time import MILLISECOND_NS
from headrace.sdk.clock import Clock
from headrace.sdk.services import LiveColumns, LiveValues


@dataclass(frozen=True, slots=True)
class Frame:
    """`text` is None where none of the points moved; `version` is what a client has seen after it."""

    text: str | None
    version: int


class Channel:
    """One ordered set of points. Shape: (points,) uint32; a point's position is its index in the feed."""

    def __init__(self, live: LiveValues, clock: Clock, handles: Handles) -> None:
        self._live, self._clock, self._handles = live, clock, handles
        self._order = np.argsort(handles)
        self._sorted = handles[self._order]
        self._kept: dict[int | None, Frame] = {}
        self._kept_version = -1

    def frame(self, since: int | None) -> Frame:
        """What moved since a version; everything for None."""
        if self._kept_version != self._live.version:
            self._kept.clear()
            self._kept_version = self._live.version
        kept = self._kept.get(since)
        if kept is None:
            kept = self._kept[since] = self._make(since)
        return kept

    def _make(self, since: int | None) -> Frame:
        version = self._live.version
        if since is None:
            return Frame(self._text(self._live.get(self._handles), np.arange(len(self._handles))), version)
        moved = self._live.changed(self._handles, since)
        if not len(moved.handles):
            return Frame(None, version)
        return Frame(self._text(moved, self._order[np.searchsorted(self._sorted, moved.handles)]), version)

    def _text(self, columns: LiveColumns, index: Any) -> str:
        return json_bytes(
            {
                "type": "changes",
                "time_ms": self._clock.now_ns() / MILLISECOND_NS,
                "i": index,
                "v": mixed_values(columns.values),
                "t": seen_ms(columns.source_ns, columns.quality),
                "q": np.ascontiguousarray(columns.quality),
            }
        ).decode()


class Channels:
    """The channels in use; one ends with its last client."""

    def __init__(self, live: LiveValues, clock: Clock) -> None:
        self._live, self._clock = live, clock
        self._open: WeakValueDictionary[bytes, Channel] = WeakValueDictionary()

    def of(self, handles: Handles) -> Channel:
        key = handles.tobytes()
        channel = self._open.get(key)
        if channel is None:
            channel = self._open[key] = Channel(self._live, self._clock, handles)
        return channel

    def __len__(self) -> int:
        return len(self._open)
