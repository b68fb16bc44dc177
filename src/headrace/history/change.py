"""The one rule that makes the store crash-safe, in one place: files first, then one transaction, then the view.

    write files, synced ─► catalog transaction ─► view ─► unlink what nobody reads any more

A crash before the transaction leaves files that the next start deletes; after it, logs and files that it deletes too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from headrace.history.catalog import Catalog, Edit, Section, SegmentFile
from headrace.history.latest import LastValues
from headrace.history.segment import SegmentStore, SegmentWriter
from headrace.history.view import View, Views
from headrace.history.wal import log_path
from headrace.model.errors import Unavailable


class Changes:
    """Used by the keeper's thread only."""

    def __init__(
        self,
        directory: Path,
        catalog: Catalog,
        views: Views,
        segments: SegmentStore,
        latest: LastValues,
        committed_ns: Callable[[], int],
    ) -> None:
        self._logs, self._catalog, self._views = directory / "wal", catalog, views
        self._segments, self._latest, self._committed_ns = segments, latest, committed_ns

    def write(self, first_hour: int, fill: Callable[[SegmentWriter], None]) -> tuple[SegmentFile | None, list[Section]]:
        """A new file, durable; None where nothing was put into it. Raises: Unavailable where the disk refuses."""
        writer = None
        try:
            writer = self._segments.writer(self._catalog.take_file_number(), first_hour)
            fill(writer)
            if not writer.sections:
                writer.abandon()
                return None, []
            return writer.finish(), writer.sections
        except BaseException as error:
            if writer is not None:
                writer.abandon()
            if isinstance(error, OSError):
                raise Unavailable(f"a history segment cannot be written: {error.strerror}") from error
            raise

    def apply(
        self,
        files: Sequence[SegmentFile],
        sections: Sequence[Section],
        drop: Sequence[Section] = (),
        *,
        flushed: int | None = None,
    ) -> None:
        """Put `sections` in the place of `drop`; `flushed` is the generation that the log need not keep any more."""
        view = self._views.current
        drop_files = view.files_without(drop)
        shards = self._latest.take_dirty() if flushed is not None else {}
        try:
            self._catalog.commit(
                Edit(
                    add_files=files,
                    add_sections=sections,
                    drop_sections=drop,
                    drop_files=drop_files,
                    position=None if flushed is None else flushed + 1,
                    committed_ns=self._committed_ns(),
                    latest=shards,
                )
            )
        except BaseException:
            self._latest.mark_dirty(list(shards))
            raise
        trash = [self._segments.directory / view.files[number].name for number in drop_files]
        if flushed is not None:
            trash.append(log_path(self._logs, flushed))

        def change(view: View) -> View:
            after = view.with_sections(sections, drop, files, drop_files)
            kept = [memtable for memtable in view.memtables if flushed is None or memtable.generation > flushed]
            return replace(after, memtables=tuple(kept))

        self._views.change(change, trash)
        self._segments.forget(drop_files)

    def drop_tombstones(self) -> None:
        """Forget deletions that everything they could hide was cleaned of."""
        view = self._views.current
        oldest = min(memtable.generation for memtable in view.memtables)
        done = [
            stone.id
            for stone in view.tombstones
            if stone.generation < oldest
            and not any(
                stone.hides(s.generation, s.applied) and s.first_ns < stone.end_ns and s.last_ns >= stone.start_ns
                for held in view.sections.values()
                for s in held
            )
        ]
        if done:
            self._catalog.commit(Edit(drop_tombstones=done))
            self._views.change(
                lambda view: replace(view, tombstones=tuple(t for t in view.tombstones if t.id not in done))
            )
