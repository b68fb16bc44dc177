"""Reads summaries: the groups that hold the points asked for, decoded as far as the question needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history import rows as r
from headrace.history.catalog import DAY_HOURS, Section
from headrace.history.minutes import only
from headrace.history.segment import SegmentStore
from headrace.history.segment_file import SegmentFileReader
from headrace.history.summaries import (
    COLUMNS,
    NEED,
    RUN_COLUMNS,
    Columns,
    Directory,
    columns_behind,
    decode_directory,
    decode_group,
    group_bytes,
    groups_of,
    rows_of,
)
from headrace.history.view import View
from headrace.model.batch import Handles
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS

PERIOD_DAYS: Final = 30
"""Days whose summaries become one, and are in one file."""

_KEPT_GROUPS: Final = 4  # a question about more would push everything else out of the cache


def period_of(section: Section) -> int:
    return section.hour // DAY_HOURS // PERIOD_DAYS


class SummaryReader:
    def __init__(self, segments: SegmentStore) -> None:
        self._segments = segments

    def read(
        self, view: View, section: Section, handles: Handles, need: frozenset[str]
    ) -> tuple[r.Rows, NDArray[np.bool_]] | None:
        """Rows by (point, hour) of all its days, and which are of texts; None where it has none of these points.

        `handles` sorted. Raises: DataError naming the file.
        """
        names = columns_behind(need)
        with self._segments.opened(view, section) as file:
            directory = self._directory(file, section)
            groups = groups_of(directory, handles)
            parts = []
            for group in groups.tolist():
                columns = self._group(file, section, directory, group, names, keep=len(groups) <= _KEPT_GROUPS)
                parts.append(only(columns, handles, RUN_COLUMNS))
            parts = [part for part in parts if len(part["hour"])]
            if not parts:
                return None
            columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
            return rows_of(columns, section, need)

    def handles(self, view: View, section: Section) -> Handles:
        """Its points, sorted."""
        with self._segments.opened(view, section) as file:
            directory = self._directory(file, section)
            found = [
                self._group(file, section, directory, group, frozenset({"handle", "rows"}), keep=False)["handle"]
                for group in range(len(directory))
            ]
        return np.concatenate(found).astype(np.uint32) if found else np.empty(0, np.uint32)

    def placed(self, view: View, section: Section) -> tuple[Section, int]:
        """A section with what its rows tell of it, and its largest point: for a catalog that was lost. All of it is
        read. Raises: DataError naming the file."""
        samples, largest, days = 0, -1, 0
        first_ns, last_ns = (1 << 63) - 1, -(1 << 63)
        with self._segments.opened(view, section) as file:
            directory = self._directory(file, section)
            for group in range(len(directory)):
                columns = self._group(file, section, directory, group, frozenset(COLUMNS), keep=False)
                rows, _ = rows_of(columns, section, NEED)
                samples += int(rows["count"].sum())
                largest = max(largest, int(rows["handle"].max()))
                first_ns, last_ns = min(first_ns, int(rows["first_ns"].min())), max(last_ns, int(rows["last_ns"].max()))
                for day in np.unique(rows["first_ns"] // DAY_NS - section.day).tolist():
                    if not 0 <= day < PERIOD_DAYS:
                        raise DataError("it holds hours of other days than its own")
                    days |= 1 << day
        whole = replace(section, samples=samples, first_ns=first_ns, last_ns=last_ns, days=days, sole=days)
        return whole, largest

    def _directory(self, file: SegmentFileReader, section: Section) -> Directory:
        def read() -> Directory:
            return decode_directory(file.pread(section.position + section.rollup_offset, section.rollup_length))

        directory: Directory = self._segments.cached((section.file, section.hour, "hours"), read)
        return directory

    def _group(
        self,
        file: SegmentFileReader,
        section: Section,
        directory: Directory,
        group: int,
        names: frozenset[str],
        *,
        keep: bool,
    ) -> Columns:
        def read() -> Columns:
            offset, length = group_bytes(directory[group])
            return decode_group(directory[group], file.pread(section.position + offset, length), names)

        if not keep:
            return read()
        columns: Columns = self._segments.cached((section.file, section.hour, "hours", group, names), read)
        return columns
