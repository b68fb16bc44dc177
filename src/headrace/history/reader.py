"""Samples back out: every hour is the merge of its sections and the memtables, newest write first in rank.

    hour   sections, oldest write first ─┐
           memtables, oldest first ──────┴─► minus tombstones ─► stable sort by (point, time) ─► last of equals

`raw`, `latest_at`, scans, compaction and those downsamples that roll-ups cannot answer all stand on `hour`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from headrace.history.catalog import Section
from headrace.history.columns import sort_unique
from headrace.history.view import View
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError
from headrace.model.time import HOUR_NS
from headrace.sdk.store import Page

EARLIEST_NS, LATEST_NS = -(1 << 63), (1 << 63) - 1


class SectionReader(Protocol):
    def read(
        self,
        view: View,
        section: Section,
        handles: Handles | None,
        start_ns: int,
        end_ns: int,
        *,
        received: bool = True,
    ) -> list[Batch]:
        """Samples of one section, one batch a kind, each by (point, time)."""
        ...


class Reader:
    def __init__(self, segments: SectionReader) -> None:
        self._segments = segments

    def hour(
        self,
        view: View,
        hour: int,
        handles: Handles | None,
        start_ns: int = EARLIEST_NS,
        end_ns: int = LATEST_NS,
        *,
        sections: Sequence[Section] | None = None,
        memory: bool = True,
        received: bool = True,
    ) -> list[Batch]:
        """One batch a kind, by (point, time), one sample each. `handles` sorted, None for all.

        With `sections` only those are merged, without `memory` no memtables: what compaction needs. Without `received`
        nobody looks at receive times, and they are not decoded.
        """
        start_ns, end_ns = max(start_ns, hour * HOUR_NS), min(end_ns, (hour + 1) * HOUR_NS)
        parts: dict[ValueKind, list[Batch]] = {}
        for section in view.sections.get(hour, ()) if sections is None else sections:
            if section.raw and section.first_ns < end_ns and section.last_ns >= start_ns:
                for batch in self._segments.read(view, section, handles, start_ns, end_ns, received=received):
                    _collect(parts, view, batch, section.generation, section.applied)
        sources = {kind: len(batches) for kind, batches in parts.items()}
        for memtable in view.memtables if memory else ():
            if hour in memtable.hours:
                for kind in memtable.kinds():
                    for batch in memtable.select(kind, handles, start_ns, end_ns):
                        _collect(parts, view, batch, memtable.generation, 0)
                        sources[kind] = 2  # a memtable is not sorted
        merged = []
        for kind in sorted(parts):
            batch = Batch.concat(parts[kind])
            merged.append(sort_unique(batch) if sources[kind] > 1 else batch)
        return [batch for batch in merged if len(batch)]

    def raw(self, view: View, handles: Handles, start_ns: int, end_ns: int, limit: int, cursor: str | None) -> Page:
        """Point by point, hour by hour, until the page is full."""
        handles = np.unique(handles)
        at = _parse_cursor(cursor) if cursor is not None else None
        if at is not None:
            handles = handles[handles >= at[0]]
        hours = view.hours(start_ns, end_ns)
        found: list[Batch] = []
        left = max(limit, 1)
        for handle in handles.tolist():
            resume = at if at is not None and at[0] == handle else None
            for hour in hours:
                if resume is not None and hour < resume[2] // HOUR_NS:
                    continue
                for batch in self.hour(view, hour, np.array([handle], np.uint32), start_ns, end_ns):
                    if resume is not None and hour == resume[2] // HOUR_NS:
                        if batch.kind < resume[1]:
                            continue
                        if batch.kind == resume[1]:
                            batch = batch.take(slice(int(np.searchsorted(batch.source_ns, resume[2])), None))
                    if len(batch) > left:
                        found.append(batch.take(slice(0, left)))
                        following = f"{handle}.{int(batch.kind)}.{int(batch.source_ns[left])}"
                        return Page(_joined(found), following)
                    found.append(batch)
                    left -= len(batch)
        return Page(_joined(found), None)

    def latest_at(self, view: View, handles: Handles, at_ns: int, earliest_ns: int = EARLIEST_NS) -> list[Batch]:
        """The newest sample of each point at or before `at_ns`, looking back hour by hour to `earliest_ns`."""
        missing, found = np.unique(handles), []
        end_ns = min(at_ns, LATEST_NS - 1) + 1
        for hour in reversed(view.hours(earliest_ns, end_ns)):
            if not len(missing):
                break
            newest = newest_of_point(self.hour(view, hour, missing, earliest_ns, end_ns))
            found += newest
            for batch in newest:
                missing = np.setdiff1d(missing, batch.handles, assume_unique=True)
        by_kind: dict[ValueKind, list[Batch]] = {}
        for batch in found:
            by_kind.setdefault(batch.kind, []).append(batch)
        return [Batch.concat(by_kind[kind]) for kind in sorted(by_kind)]


def newest_of_point(batches: Iterable[Batch]) -> list[Batch]:
    """Of sorted batches, one a kind, the newest sample of each point; a point appears in one of them only."""
    last = []
    for batch in batches:
        ends = np.flatnonzero(np.append(batch.handles[1:] != batch.handles[:-1], True))
        last.append(batch.take(ends))
    if len(last) < 2:
        return last
    handles = np.concatenate([batch.handles for batch in last])
    times = np.concatenate([batch.source_ns for batch in last])
    order = np.lexsort((times, handles))
    newest = np.zeros(len(handles), np.bool_)
    newest[order[np.append(handles[order][1:] != handles[order][:-1], True)]] = True
    kept, at = [], 0
    for batch in last:
        kept.append(batch.take(newest[at : at + len(batch)]))
        at += len(batch)
    return [batch for batch in kept if len(batch)]


def _collect(parts: dict[ValueKind, list[Batch]], view: View, batch: Batch, generation: int, applied: int) -> None:
    for tombstone in view.tombstones:
        if tombstone.hides(generation, applied):
            batch = tombstone.keep(batch)
    if len(batch):
        parts.setdefault(batch.kind, []).append(batch)


def _joined(batches: Sequence[Batch]) -> list[Batch]:
    """Neighbours of one kind become one batch."""
    runs: list[list[Batch]] = []
    for batch in batches:
        if not len(batch):
            continue
        if runs and runs[-1][0].kind is batch.kind:
            runs[-1].append(batch)
        else:
            runs.append([batch])
    return [Batch.concat(run) for run in runs]


def _parse_cursor(cursor: str) -> tuple[int, int, int]:
    try:
        handle, kind, time_ns = cursor.split(".")
        return int(handle), int(kind), int(time_ns)
    except ValueError:
        raise DataError(f"'{cursor[:40]}' is no cursor of this store; begin again without one") from None
