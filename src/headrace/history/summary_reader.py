"""Reads summaries: the groups that hold the points asked for, decoded as far as the question needs."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.history import rows as r
from headrace.history.catalog import DAY_HOURS, Section
from headrace.history.minutes import only
from headrace.history.segment import SegmentStore
from headrace.history.segment_file import SegmentFileReader
from headrace.history.summaries import (
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
