"""Segments: where frozen memtables will go. Until then everything is answered from the log and memory."""

from __future__ import annotations

from pathlib import Path

from headrace.history.catalog import Section
from headrace.history.disk import Disk
from headrace.history.settings import HistorySettings
from headrace.history.view import View
from headrace.model.batch import Batch, Handles


class SegmentStore:
    def __init__(self, directory: Path, disk: Disk, settings: HistorySettings) -> None:
        self._directory, self._disk, self._settings = directory, disk, settings
        self.cache_bytes = 0

    def read(self, view: View, section: Section, handles: Handles | None, start_ns: int, end_ns: int) -> list[Batch]:
        return []
