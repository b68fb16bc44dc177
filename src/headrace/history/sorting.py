"""From write order to order by (point, time), slice by slice of points, each column moved once.

    joined columns, in write order ─► where the samples of each point are ─► slice of points: their places, by time
                                                                                  └─► one gather of each column

A plant is read round by round: nearly every sample belongs to a *round* in which point numbers go up. Rounds × points
is then a table of places, and turning that table gives the order by point without sorting anything. What is out of its
round, such as a late sample, is sorted by itself and put where it belongs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from headrace.history.columns import order_by_point, write_order
from headrace.history.moments import Stamps
from headrace.model.batch import TEXT_DTYPE, Batch, Handles, TimesNs

_Place = NDArray[np.int64]
_NOWHERE: Final = -1
_ROUND_MIN: Final = 16  # samples; fewer in a row make no round
_FILL_MIN: Final = 0.5  # of the table; an emptier one is dearer than sorting
_PIECE: Final = 1 << 17  # samples that are put into the table at a time
_SPARE, _SMALL = 8, 1 << 16  # a workspace much larger than what is needed is given back, unless it is small
_LATE_SHARE: Final = 8  # with more than an eighth out of their round, everything is sorted


class Workspace:
    """Memory that every flush needs again: to ask the system for it each time costs a seventh of a flush."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, np.dtype[Any]], NDArray[Any]] = {}

    def column(self, name: str, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        """Room that the next call with the same name takes away."""
        held = self._held.get((name, dtype))
        if held is None or not count <= len(held) <= max(_SPARE * count, _SMALL):
            self._held[name, dtype] = held = np.empty(count, dtype)
        return held[:count]


class Joined:
    """Samples of one kind in write order. They are good until the next is joined in the same workspace."""

    def __init__(self, parts: Sequence[Batch], workspace: Workspace) -> None:
        self.kind, self._parts, self.workspace = parts[0].kind, parts, workspace
        self.count = sum(map(len, parts))
        self.handles: Handles = self._join("handles")
        self.source_ns: TimesNs = self._join("source_ns")
        self.values = self._join("values")
        first = parts[0].quality[0]
        same = all(bool((part.quality == first).all()) for part in parts)
        self._quality: NDArray[np.uint32] = parts[0].quality[:1] if same else self._join("quality")

    def received_ns(self) -> TimesNs:
        """Only joined where somebody looks at them."""
        return self._join("received_ns")

    def quality_of(self, places: _Place) -> NDArray[np.uint32]:
        return self._quality[places] if len(self._quality) > 1 else np.broadcast_to(self._quality[0], len(places))

    def _join(self, name: str) -> NDArray[Any]:
        columns = [getattr(part, name) for part in self._parts]
        if len(columns) == 1:
            return cast("NDArray[Any]", columns[0])
        dtype = columns[0].dtype
        if dtype == TEXT_DTYPE:
            return np.concatenate(columns)
        return np.concatenate(columns, out=self.workspace.column(name, dtype, self.count))


def sorted_slices(
    samples: Joined, outside: NDArray[np.bool_] | None, stamps: Stamps | None, slice_samples: int
) -> Iterator[tuple[Batch, Stamps | None]]:
    """Those that are not `outside`, about `slice_samples` at a time, one each: of equal (point, time) the last.

    A point is in one slice only. With the samples come their `stamps`; where these tell every received time, the
    batches have source times in its place.
    """
    received = None if stamps is not None and stamps.told is None else samples.received_ns()
    for places, handles, source in _in_order(samples, outside, slice_samples):
        repeated = (handles[1:] == handles[:-1]) & (source[1:] == source[:-1])
        if repeated.any():
            keep = np.append(~repeated, True)
            places, handles, source = places[keep], handles[keep], source[keep]
        arrived = source if received is None else received[places]
        values, quality = samples.values[places], samples.quality_of(places)
        part = Batch(samples.kind, handles, source, arrived, values, quality)
        yield part, None if stamps is None else stamps.take(places)


def _in_order(
    samples: Joined, outside: NDArray[np.bool_] | None, slice_samples: int
) -> Iterator[tuple[_Place, Handles, TimesNs]]:
    """Places, points and times by (point, time, place), slice by slice of points."""
    rounds = _Rounds.of(samples, outside)
    if rounds is not None:
        for regular, handles, others in rounds.slices(slice_samples):
            found = _merged(samples, regular, handles, others)
            yield found if found is not None else _resorted(samples, np.sort(np.append(regular, others)))
        return
    places = np.arange(samples.count) if outside is None else np.flatnonzero(~outside)
    if len(places):
        handles = samples.handles if outside is None else samples.handles[places]
        if not bool((handles[1:] >= handles[:-1]).all()):
            order = order_by_point(handles - handles.min())
            places, handles = places[order], handles[order]
        ends = np.append(np.flatnonzero(handles[1:] != handles[:-1]) + 1, len(handles))
        group = (ends - 1) // slice_samples
        begin = 0
        for end in ends[np.append(group[1:] != group[:-1], True)].tolist():
            yield _resorted(samples, places[begin:end])
            begin = end


def _resorted(samples: Joined, places: _Place) -> tuple[_Place, Handles, TimesNs]:
    """Some places, those of a point in write order, by (point, time)."""
    handles, source = samples.handles[places], samples.source_ns[places]
    order = write_order(handles, source)
    return (places, handles, source) if order is None else (places[order], handles[order], source[order])


def _merged(batch: Joined, regular: _Place, handles: Handles, others: _Place) -> tuple[_Place, Handles, TimesNs] | None:
    """Places of rounds, by (point, place), and others, by point; None where the rounds are not in order of time."""
    source = batch.source_ns[regular]
    same = handles[1:] == handles[:-1]
    if bool((same & (source[1:] < source[:-1])).any()):
        return None
    if not len(others):
        return regular, handles, source
    late, late_of = batch.source_ns[others], batch.handles[others]
    low = int(min(source.min(initial=late[0]), late.min()))
    bits = (int(max(source.max(initial=late[0]), late.max())) - low).bit_length()
    first = int(min(handles[:1].min(initial=late_of[0]), late_of[0]))
    if bits + int(max(handles[-1:].max(initial=late_of[-1]), late_of[-1]) - first).bit_length() > 63:
        return None
    key, late_key = _key(handles, source, first, low, bits), _key(late_of, late, first, low, bits)
    order = np.lexsort((others, late_key))
    others, late_key, late, late_of = others[order], late_key[order], late[order], late_of[order]
    before = np.searchsorted(key, late_key)
    at = before + np.arange(len(others))
    known = before < len(key)
    if bool((key[before[known]] == late_key[known]).any()):
        return None  # the same moment twice: which was written last decides
    total = len(regular) + len(others)
    gap = np.zeros(total, np.bool_)
    gap[at] = True
    rest = ~gap
    places, points, times = np.empty(total, np.int64), np.empty(total, np.uint32), np.empty(total, np.int64)
    places[at], points[at], times[at] = others, late_of, late
    places[rest], points[rest], times[rest] = regular, handles, source
    return places, points, times


def _key(handles: Handles, source: TimesNs, first: int, low: int, bits: int) -> NDArray[np.int64]:
    key: NDArray[np.int64] = (handles - np.uint32(first)).astype(np.int64)
    key <<= bits
    key |= source - low
    return key


class _Rounds:
    """`table` has a row a round and a column a point, and holds places; `others` are by point, then place."""

    def __init__(self, points: Handles, table: NDArray[np.int32], others: _Place, others_of: Handles) -> None:
        self._points, self._table, self._others, self._others_of = points, table, others, others_of

    @classmethod
    def of(cls, samples: Joined, outside: NDArray[np.bool_] | None) -> _Rounds | None:
        """None where the samples are in no rounds to speak of."""
        handles = samples.handles
        starts = np.concatenate([[0], np.flatnonzero(handles[1:] <= handles[:-1]) + 1])[: len(handles)]
        lengths = np.diff(np.append(starts, len(handles)))
        regular = lengths >= _ROUND_MIN
        held = int(lengths[regular].sum())
        if held == 0 or (len(handles) - held) * _LATE_SHARE > held or len(handles) > np.iinfo(np.int32).max:
            return None
        first = int(handles.min())
        known = np.zeros(int(handles.max()) - first + 1, np.bool_)
        known[handles - first] = True
        points = (np.flatnonzero(known) + first).astype(np.uint32)
        rows = int(regular.sum())
        if held < _FILL_MIN * rows * len(points):
            return None
        column = np.cumsum(known, dtype=np.int32) - 1
        table = samples.workspace.column("table", np.dtype(np.int32), rows * len(points)).reshape(rows, len(points))
        table.fill(_NOWHERE)
        short = np.zeros(len(handles), np.bool_)
        short[_spans(starts[~regular], lengths[~regular])] = True
        ends = np.cumsum(lengths)[regular]
        for low in range(0, rows, step := max(1, _PIECE // len(points))):
            high = min(low + step, rows)
            begin, end = int(ends[low] - lengths[regular][low]), int(ends[high - 1])
            places = np.flatnonzero(~short[begin:end]) + begin
            row_of = np.repeat(np.arange(low, high), lengths[regular][low:high])
            table.reshape(-1)[row_of * len(points) + column[handles[places] - first]] = places
        if outside is not None:
            gone = np.flatnonzero(outside & ~short)
            table[np.searchsorted(ends, gone, "right"), column[handles[gone] - first]] = _NOWHERE
            short &= ~outside
        others = np.flatnonzero(short)
        others_of = handles[others]
        order = np.argsort(others_of, kind="stable")
        return cls(points, table, others[order], others_of[order])

    def slices(self, samples: int) -> Iterator[tuple[_Place, Handles, _Place]]:
        """Places in the rounds by (point, place) with their points, and the other places by point."""
        width = max(1, samples // len(self._table))
        for begin in range(0, len(self._points), width):
            points = self._points[begin : begin + width]
            part = np.ascontiguousarray(self._table[:, begin : begin + width].T)
            filled = part != _NOWHERE
            low = int(np.searchsorted(self._others_of, points[0]))
            high = int(np.searchsorted(self._others_of, points[-1], "right"))
            counts = filled.sum(axis=1)
            if high > low or counts.any():
                regular = part[filled].astype(np.int64)
                yield regular, np.repeat(points, counts), self._others[low:high]


def _spans(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> _Place:
    """The places of some runs, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
