"""Looks at one section of a segment file as hard as possible: what in it is whole, and what is not.

    footer ─► index ─► chunks, in groups of points; a group that fails is read point by point, then chunk by chunk
                    └► roll-ups, against the samples that they stand for        summaries are read

`check` reports what this finds and `salvage` keeps what it found whole. Memory is bounded by `_GROUP_SAMPLES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.history import rows as r
from headrace.history.catalog import Section, SegmentFile
from headrace.history.columns import sort_unique
from headrace.history.disk import Disk
from headrace.history.minutes import from_minutes, minute_columns
from headrace.history.reader import EARLIEST_NS, LATEST_NS
from headrace.history.rollups import COLUMNS
from headrace.history.segment import SegmentStore
from headrace.history.settings import HistorySettings
from headrace.history.summaries import NEED
from headrace.history.summary_reader import SummaryReader
from headrace.history.view import View
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError, HeadraceError
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS
from headrace.sdk.store import Aggregate

_GROUP_SAMPLES: Final = 250_000
_SUMMARY_POINTS: Final = 4096
_COMPARED: Final = (
    Aggregate.COUNT, Aggregate.GOOD_COUNT, Aggregate.MIN, Aggregate.MAX, Aggregate.FIRST, Aggregate.LAST, Aggregate.SUM,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lost:
    """Samples that cannot be read: `handle` None for more than one point."""

    handle: int | None
    first_ns: int
    last_ns: int
    samples: int
    why: str


@dataclass(slots=True)
class Survey:
    """`whole` is false where nothing of the section can be read; `rollups` says what is wrong with them, or nothing."""

    section: Section
    whole: bool = True
    lost: list[Lost] = field(default_factory=list)
    rollups: str = ""

    @property
    def sound(self) -> bool:
        return self.whole and not self.lost and not self.rollups


def reader_of(folder: Path) -> SegmentStore:
    """Keeps nothing in memory."""
    return SegmentStore(folder, Disk(), replace(HistorySettings(), cache_bytes=0))


def view_of(file: SegmentFile, section: Section) -> View:
    return View((), {section.hour: (section,)}, {file.number: file}, ())


def survey(store: SegmentStore, file: SegmentFile, section: Section) -> Survey:
    """Read all of a section."""
    found = Survey(section)
    for _ in samples_of(store, file, section, found, compare=True):
        pass
    return found


def samples_of(
    store: SegmentStore, file: SegmentFile, section: Section, found: Survey, *, compare: bool = False
) -> Iterator[Batch]:
    """Every sample that can be read, by (kind, point, time) within a group of points; `found` is told of the others."""
    view = view_of(file, section)
    if not section.raw:
        found.rollups = (_summary if section.summary else _rollups_alone)(store, view, section)
        found.whole = not found.rollups
        return
    try:
        table = store.chunk_table(view, section)
        _check_table(table, section)
    except HeadraceError as error:
        found.whole = False
        found.lost.append(Lost(None, section.first_ns, section.last_ns, section.samples, str(error)))
        return
    for handles in _groups(table):
        batches = list(_read(store, view, section, table, handles, found))
        if compare and not found.lost and not found.rollups:
            found.rollups = _rollups_against(store, view, section, handles, batches)
        yield from batches


def _groups(table: dict[str, NDArray[Any]]) -> list[Handles]:
    points, where = np.unique(table["handle"], return_inverse=True)
    counts = np.bincount(where, table["count"])
    group = (np.cumsum(counts) - counts) // _GROUP_SAMPLES
    return [part.astype(np.uint32) for part in np.split(points, np.flatnonzero(group[1:] != group[:-1]) + 1)]


def _check_table(table: dict[str, NDArray[Any]], section: Section) -> None:
    """Raises: DataError."""
    begin, end = section.hour * HOUR_NS, (section.hour + 1) * HOUR_NS
    if not len(table["handle"]) or int(table["count"].sum(dtype=np.int64)) != section.samples:
        raise DataError("the index does not list as many samples as the catalog knows")
    first, last = int(table["first_ns"].min()), int(table["last_ns"].max())
    if (first, last) != (section.first_ns, section.last_ns) or first < begin or last >= end:
        raise DataError("the index lists samples of another time than the catalog knows")


def _read(
    store: SegmentStore, view: View, section: Section, table: dict[str, NDArray[Any]], handles: Handles, found: Survey
) -> Iterator[Batch]:
    try:
        yield from _read_all(store, view, section, table, handles)
        return
    except HeadraceError as error:
        why = str(error)
    for handle in handles.tolist() if len(handles) > 1 else ():
        yield from _read(store, view, section, table, np.array([handle], np.uint32), found)
    if len(handles) > 1:
        return
    whole: dict[ValueKind, list[Batch]] = {}
    for row in np.flatnonzero(table["handle"] == handles[0]).tolist():
        first, last, count = (int(table[name][row]) for name in ("first_ns", "last_ns", "count"))
        try:
            (batch,) = store.chunks(view, section, np.array([row]))
            if len(batch) != count:
                raise DataError("it holds another number of samples than the index says")
            whole.setdefault(batch.kind, []).append(batch)
        except (HeadraceError, ValueError) as error:
            found.lost.append(Lost(int(handles[0]), first, last, count, str(error) if str(error) else why))
    yield from (sort_unique(Batch.concat(whole[kind])) for kind in sorted(whole))


def _read_all(
    store: SegmentStore, view: View, section: Section, table: dict[str, NDArray[Any]], handles: Handles
) -> list[Batch]:
    """Raises: DataError."""
    batches = store.read(view, section, handles, EARLIEST_NS, LATEST_NS)
    expected = int(table["count"][np.isin(table["handle"], handles)].sum(dtype=np.int64))
    if sum(map(len, batches)) != expected:
        raise DataError("its chunks hold another number of samples than the index says")
    for batch in batches:
        same = batch.handles[1:] == batch.handles[:-1]
        if not ((batch.handles[1:] > batch.handles[:-1]) | (same & (batch.source_ns[1:] > batch.source_ns[:-1]))).all():
            raise DataError("its samples are not in order")
    return batches


# --- roll-ups -----------------------------------------------------------------------------------------------------


def summary_days(store: SegmentStore, view: View, section: Section) -> dict[int, int]:
    """Samples of each day that a summary speaks of; all of it is read. Raises: DataError naming the file."""
    reader, counts = SummaryReader(store), dict[int, int]()
    points = reader.handles(view, section)
    for at in range(0, len(points), _SUMMARY_POINTS):
        read = reader.read(view, section, points[at : at + _SUMMARY_POINTS], NEED)
        if read is not None:
            days, where = np.unique(read[0]["first_ns"] // DAY_NS, return_inverse=True)
            samples = np.bincount(where, read[0]["count"]).astype(np.int64)
            for day, count in zip(days.tolist(), samples.tolist(), strict=True):
                counts[day] = counts.get(day, 0) + count
    return counts


def _summary(store: SegmentStore, view: View, section: Section) -> str:
    try:
        summary_days(store, view, section)
    except HeadraceError as error:
        return str(error)
    except (KeyError, ValueError, IndexError, OverflowError) as error:
        return f"the summary cannot be read: {error}"
    return ""


def _rollups_alone(store: SegmentStore, view: View, section: Section) -> str:
    try:
        store.rollup_columns(view, section, set(COLUMNS))
    except HeadraceError as error:
        return str(error)
    return ""


def _rollups_against(store: SegmentStore, view: View, section: Section, handles: Handles, batches: list[Batch]) -> str:
    """What is wrong with the roll-ups of some points, by their samples; empty where nothing is."""
    need = r.columns_for(_COMPARED)
    try:
        stored = store.rollup_columns(view, section, minute_columns(need))
        for batch in batches:
            if batch.kind is ValueKind.TEXT:
                continue
            kept, _ = from_minutes(batch.kind, stored[batch.kind], section.hour, handles, need, good_only=True)
            with np.errstate(all="ignore"):
                wrong = _differ(_by_minute(kept, section), _by_minute(r.from_samples(batch, need, True), section))
            if wrong:
                return f"the roll-ups do not agree with the samples in '{wrong}'"
    except HeadraceError as error:
        return str(error)
    except (KeyError, ValueError, IndexError) as error:
        return f"the roll-ups cannot be read: {error}"
    return ""


def _by_minute(rows: r.Rows, section: Section) -> r.Rows:
    rows = r.in_time_order(rows)
    minute = (rows["first_ns"] - section.hour * HOUR_NS) // MINUTE_NS
    return r.combine(rows, rows["handle"].astype(np.int64) * 60 + minute)


def _differ(kept: r.Rows, made: r.Rows) -> str:
    """The first column in which two tables of minutes differ. A sum may be rounded on its way."""
    for name in ("handle", "n", "count", "good", "first_ns", "last_ns"):
        if not np.array_equal(kept[name], made[name]):
            return name
    some = made["n"] > 0
    size = np.maximum(np.abs(made["min"]), np.abs(made["max"])) * np.maximum(made["n"], 1)
    for name in ("min", "max", "first", "last", "sum"):
        left, right = kept[name][some], made[name][some]
        near = np.abs(left - right) <= 1e-9 * size[some] if name == "sum" else left == right
        if not (near | (left == right) | (np.isnan(left) & np.isnan(right)) | ~np.isfinite(size[some])).all():
            return name
    return ""
