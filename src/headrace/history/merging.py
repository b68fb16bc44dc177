"""The sections of an hour become one. What can stay as it is, is copied; few samples are ever decoded again.

    sections ─┬─ chunks on time, large enough ─────────────────────────────────► frames as they are
              ├─ late and small chunks ─► decoded, by (point, time) ───────────► one new chunk a point
              ├─ roll-ups ─► joined (`joining.py`) ────────────────────────────► roll-ups
              └─ points with the same moment twice, deletions, texts ─► decoded, sorted, encoded, summarised

A section that was merged may hold chunks of one point that overlap in time, but no moment of a point twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.catalog import Section
from headrace.history.chunks import RANKED, ChunkTable
from headrace.history.columns import sort_unique
from headrace.history.joining import Columns, join
from headrace.history.minutes import only
from headrace.history.reader import Reader
from headrace.history.rollups import COLUMNS, narrow
from headrace.history.segment import SegmentStore, SegmentWriter
from headrace.history.view import View
from headrace.model.batch import Batch, Handles, TimesNs, ValueKind

_COPY_BYTES: Final = 2 * 1024 * 1024
_JOIN_ROWS: Final = 200_000

Flags = NDArray[np.bool_]


@dataclass(slots=True)
class _Piece:
    """A section that is merged: its index, and which of its chunks are copied or told again in new ones."""

    section: Section
    table: ChunkTable
    copied: Flags
    again: Flags


class HourMerger:
    """Used by the keeper's thread only. `pause` is called between slices and may raise to give up."""

    def __init__(self, segments: SegmentStore, reader: Reader, copied_samples: int, pause: Callable[[], None]) -> None:
        self._segments, self._reader, self._copied_samples, self._pause = segments, reader, copied_samples, pause

    def merge(self, writer: SegmentWriter, view: View, hour: int, held: Sequence[Section], moments: TimesNs) -> None:
        """Everything of some raw sections of one class; deletions are applied. The writer's section has begun."""
        tables = [self._segments.chunk_table(view, section) for section in held]
        asked = [_deleted(view, held), _texts(tables)]
        for kind, columns in self._rollups(view, held):
            for part in self._slices_of_rows(columns):
                joined, unfit = join(part)
                if len(joined["handle"]):
                    writer.add_rollups(kind, joined)
                asked.append(unfit)
                self._pause()
        unfit = np.unique(np.concatenate(asked))
        writer.drop_rollups(unfit)
        pieces = [
            self._piece(view, section, table, unfit, moments) for section, table in zip(held, tables, strict=True)
        ]
        for piece in pieces:
            self._copy(writer, view, piece)
        self._tell_again(writer, view, pieces)
        self._merge_samples(writer, view, hour, held, tables, unfit)

    # --- roll-ups -------------------------------------------------------------------------------------------------

    def _rollups(self, view: View, held: Sequence[Section]) -> Iterator[tuple[ValueKind, list[Columns]]]:
        """By kind, the columns of each section that has some; in as few bytes as hold them, for a fleet has millions
        of rows an hour."""
        kinds: dict[ValueKind, list[Columns]] = {}
        for section in held:
            for kind in self._segments.rollup_columns(view, section, set()):
                kinds.setdefault(kind, [])
        kinds.pop(ValueKind.TEXT, None)
        for kind in sorted(kinds):
            parts: list[Columns] = []
            for section in held:
                columns: Columns = {}
                for name in COLUMNS:
                    found = self._segments.rollup_columns(view, section, {name}).get(kind)
                    if found is not None:
                        columns[name] = narrow(found[name])
                if columns:
                    parts.append(columns)
            yield kind, parts

    def _slices_of_rows(self, parts: Sequence[Columns]) -> Iterator[list[Columns]]:
        """Some points at a time."""
        points = np.unique(np.concatenate([part["handle"].astype(np.int64) for part in parts]))
        rows = sum(len(part["minute"]) for part in parts)
        if not rows:  # all that a merge before this one wrote was dropped again: those points are told by samples
            return
        for some in np.array_split(points, max(1, -(-rows // _JOIN_ROWS))):
            chosen = [only(part, some) for part in parts]
            yield [
                {name: column.astype(np.int64) for name, column in part.items()}
                for part in chosen
                if len(part["handle"])
            ]

    # --- chunks ---------------------------------------------------------------------------------------------------

    def _piece(self, view: View, section: Section, table: ChunkTable, unfit: Handles, moments: TimesNs) -> _Piece:
        fit = ~np.isin(table["handle"], unfit)
        own = self._segments.moments(view, section)
        copied = fit & (table["count"] >= self._copied_samples) & _keeps_places(table, own, moments)
        return _Piece(section, table, copied, fit & ~copied)

    def _copy(self, writer: SegmentWriter, view: View, piece: _Piece) -> None:
        """In the order of the file, so that neighbours are read and written together."""
        rows = np.flatnonzero(piece.copied)
        rows = rows[np.argsort(piece.table["offset"][rows], kind="stable")]
        group = np.cumsum(piece.table["length"][rows].astype(np.int64)) // _COPY_BYTES
        for some in np.split(rows, np.flatnonzero(np.diff(group)) + 1) if len(rows) else ():
            chosen = {name: column[some] for name, column in piece.table.items()}
            writer.copy_chunks(chosen, self._segments.frames(view, piece.section, chosen))
            self._pause()

    def _tell_again(self, writer: SegmentWriter, view: View, pieces: Sequence[_Piece]) -> None:
        """Late and small chunks, point by point: no moment of them is anywhere twice, so order is all they lack."""
        points, counts = _counts([(piece.table, piece.again) for piece in pieces])
        for handles in self._slices(points, counts):
            kinds: dict[ValueKind, list[Batch]] = {}
            for piece in pieces:
                low, high = np.searchsorted(piece.table["handle"], [handles[0], int(handles[-1]) + 1]).tolist()
                rows = np.flatnonzero(piece.again[low:high]) + low
                for batch in self._segments.chunks(view, piece.section, rows):
                    kinds.setdefault(batch.kind, []).append(batch)
            for kind in sorted(kinds):
                writer.add(sort_unique(Batch.concat(kinds[kind])), summarised=True)
            self._pause()

    def _merge_samples(
        self, writer: SegmentWriter, view: View, hour: int, held: Sequence[Section], tables: Sequence[ChunkTable],
        unfit: Handles,
    ) -> None:  # fmt: skip
        """Of equal samples the newest, without what deletions hide."""
        points, counts = _counts([(table, np.isin(table["handle"], unfit)) for table in tables])
        for handles in self._slices(points, counts):
            for batch in self._reader.hour(view, hour, handles, sections=held, memory=False):
                writer.add(batch)
            self._pause()

    def _slices(self, points: Handles, counts: NDArray[np.int64]) -> list[Handles]:
        """Points in groups that decode to about `slice_samples`."""
        if not len(points):
            return []
        group = (np.cumsum(counts) - counts) // self._segments.slice_samples
        return np.split(points, np.flatnonzero(group[1:] != group[:-1]) + 1)


def _deleted(view: View, held: Sequence[Section]) -> Handles:
    """Points of which a deletion may hide samples."""
    stones = [stone.handles for stone in view.tombstones if any(stone.touches(section) for section in held)]
    return np.unique(np.concatenate(stones)) if stones else np.empty(0, np.uint32)


def _texts(tables: Sequence[ChunkTable]) -> Handles:
    """Points with texts: they have no roll-ups that say which moments there are."""
    return np.unique(np.concatenate([table["handle"][table["kind"] == ValueKind.TEXT] for table in tables]))


def _counts(chosen: Sequence[tuple[ChunkTable, Flags]]) -> tuple[Handles, NDArray[np.int64]]:
    """Points of the chosen chunks, and how many samples they have in them."""
    points, where = np.unique(np.concatenate([table["handle"][rows] for table, rows in chosen]), return_inverse=True)
    counts = np.bincount(where, np.concatenate([table["count"][rows] for table, rows in chosen]), len(points))
    return points.astype(np.uint32), counts.astype(np.int64)


def _keeps_places(table: ChunkTable, own: TimesNs, moments: TimesNs) -> Flags:
    """Chunks whose places in their section's table lead to the same moments in the table of the whole hour.

    They do where, from the first place to the last that a chunk may name, the one table is a stretch of the other.
    """
    ranked = (table["time_unit"] == RANKED) | (table["delay_unit"] == RANKED)
    if not ranked.any() or (len(own) == len(moments) and bool((own == moments).all())):
        return np.ones(len(ranked), np.bool_)
    shift = np.searchsorted(moments, own) - np.arange(len(own))
    turns = np.concatenate([[0], np.cumsum(shift[1:] != shift[:-1])])
    first, last = np.searchsorted(own, table["first_ns"]), np.searchsorted(own, table["last_ns"])
    lagging = table["delay_unit"] == RANKED
    base = np.where(lagging, table["delay_base"], 0)
    width = np.where(lagging, table["delay_width"], 0).astype(np.int64)
    reach = np.where(width < 4, (1 << 8 * np.minimum(width, 3)) - 1, len(own))
    low = np.maximum(first + np.minimum(base, 0), 0)
    high = np.minimum(last + np.maximum(base + reach, 0), len(own) - 1)
    inside = (last < len(own)) & (low <= high)
    at = np.minimum(low, len(own) - 1)
    same = turns[at] == turns[np.maximum(high, 0)]
    same &= np.searchsorted(moments, table["first_ns"]) - first == shift[at]
    kept: Flags = ~ranked | (inside & same)
    return kept
