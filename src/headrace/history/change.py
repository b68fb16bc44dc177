"""The one rule that makes the store crash-safe, in one place: files first, then one transaction, then the view.

    write files, synced ─► catalog transaction ─► view ─► unlink what nobody reads any more

A crash before the transaction leaves files that the next start deletes; after it, logs and files that it deletes too.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from headrace.history.catalog import DAY_HOURS, Catalog, Edit, Section, SegmentFile
from headrace.history.latest import LastValues
from headrace.history.marks import MarkTable
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
        marks: MarkTable,
    ) -> None:
        self._logs, self._catalog, self._views = directory / "wal", catalog, views
        self._segments, self._latest, self._committed_ns = segments, latest, committed_ns
        self._marks = marks

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
        changed: bool = False,
    ) -> None:
        """Put `sections` in the place of `drop`; `flushed` is the generation that the log need not keep any more.

        Where that changes what an hour says (a flush does; a merge only if `changed`), the summaries of its day speak
        of it no more from the same transaction on.
        """
        view = self._views.current
        if flushed is not None or changed:
            after, former = _without_days(view, [*sections, *drop])
        else:
            after, former = _alone(view, sections, drop)
        sections, drop = [*sections, *after], [*drop, *former]
        drop_files = view.files_without(drop, sections)
        shards = self._latest.take_dirty() if flushed is not None else {}
        marks = self._marks.take_dirty() if flushed is not None else {}
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
                    marks=marks,
                )
            )
        except BaseException as error:
            self._latest.mark_dirty(list(shards))
            self._marks.mark_dirty(marks)
            if is_full(error):
                # What the catalog had no room for gives its own back at once, for the next try needs it. Only then:
                # after any other error the transaction may yet turn out to be on disk, and the files are in it.
                self.discard(files)
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

    def discard(self, files: Sequence[SegmentFile]) -> None:
        """Files that were written for nothing."""
        self._views.change(lambda view: view, [self._segments.directory / file.name for file in files])

    def drop_tombstones(self) -> None:
        """Forget deletions that everything they could hide was cleaned of."""
        view = self._views.current
        oldest = min(memtable.generation for memtable in view.memtables)
        done = [
            stone.id
            for stone in view.tombstones
            if stone.generation < oldest
            and not any(stone.touches(s) for held in view.sections.values() for s in held)
            and not any(stone.touches_day(s, day) for s in view.summaries for day in s.covered())
        ]
        if done:
            self._catalog.commit(Edit(drop_tombstones=done))
            self._views.change(
                lambda view: replace(view, tombstones=tuple(t for t in view.tombstones if t.id not in done))
            )


def _alone(view: View, sections: Sequence[Section], drop: Sequence[Section]) -> tuple[list[Section], list[Section]]:
    """Summaries of days that lose their last section, which are alone from now on, as they will be and as they were."""
    gone, after = set(drop), dict[Section, int]()
    left = {(each.retention, each.day) for each in sections if not each.summary}
    for retention, day in {(each.retention, each.day) for each in drop if not each.summary} - left:
        summary = view.days.get((retention, day))
        if summary is None or summary in gone:
            continue
        hours = range(day * DAY_HOURS, (day + 1) * DAY_HOURS)
        held = (each for hour in hours for each in view.sections.get(hour, ()) if each.retention == retention)
        if all(each in gone for each in held):
            after[summary] = after.get(summary, summary.sole) | 1 << (day - summary.day)
    return [replace(summary, sole=sole) for summary, sole in after.items()], list(after)


def is_full(error: BaseException) -> bool:
    """Whether the disk had no room for a file or for the catalog."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode == sqlite3.SQLITE_FULL


def _without_days(view: View, changed: Sequence[Section]) -> tuple[list[Section], list[Section]]:
    """Summaries that must not speak of the changed hours' days any more, as they will be and as they were.

    Days of which nothing else is left stay: what is new there is told beside them.
    """
    after: dict[Section, int] = {}
    for day in {(each.retention, each.day) for each in changed if not each.summary}:
        summary = view.days.get(day)
        if summary is not None and summary not in changed and not summary.is_sole(day[1]):
            after[summary] = after.get(summary, summary.days) & ~(1 << (day[1] - summary.day))
    return [replace(summary, days=days) for summary, days in after.items() if days], list(after)
