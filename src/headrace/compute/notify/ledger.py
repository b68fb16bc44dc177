"""What is known of notifications, in memory as it is on disk.

decided ─► commit: on disk, then in memory      nothing is told that is not written down
happened ─► record: in memory, then on disk     what was sent is not sent again because the disk was full
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace

from headrace.compute.notify.cases import Case
from headrace.compute.notify.journal import Change, NotifyJournal
from headrace.compute.notify.notices import Notice, State
from headrace.model.errors import Unavailable
from headrace.sdk.notify import NotifyCounters

log = logging.getLogger(__name__)


class Ledger:
    """`lock` is held by whoever reads it, decides and commits."""

    def __init__(self, journal: NotifyJournal) -> None:
        self.counters = NotifyCounters()
        self.lock = asyncio.Lock()
        self.cases: dict[str, Case] = {}
        self.pending: dict[str, Notice] = {}
        self.floods: dict[str, int] = {}
        self.position = 0
        self._journal = journal
        self._unwritten: deque[Change] = deque()  # at most one for each notice that was pending
        self._failing = False

    @property
    def behind(self) -> bool:
        """Whether something that happened is not on disk yet; nothing more may happen meanwhile."""
        return bool(self._unwritten)

    async def load(self) -> None:
        """Raises: Unavailable."""
        loaded = await self._journal.load()
        self.cases, self.pending, self.floods = dict(loaded.cases), dict(loaded.pending), dict(loaded.floods)
        if loaded.position is None:
            self.position = await self._journal.newest()
            await self._journal.write(Change(position=self.position))
        else:
            self.position = loaded.position
        self._count()

    async def commit(self, change: Change) -> None:
        """Raises: Unavailable; nothing has changed then."""
        await self.flush()
        await self._journal.write(change)
        self._apply(change)

    async def record(self, change: Change) -> None:
        """Never raises for a disk that fails: it is written as soon as it can be."""
        self._apply(change)
        self._unwritten.append(change)
        try:
            await self.flush()
        except Unavailable as error:
            self.note(error)

    async def flush(self) -> None:
        """Raises: Unavailable."""
        while self._unwritten:
            await self._journal.write(self._unwritten[0])
            self._unwritten.popleft()

    def note(self, error: Unavailable) -> None:
        """Once for each time that it begins."""
        if not self._failing:
            log.error("notifications wait: %s (%s)", error.message, error.detail)
        self._failing = True

    def recovered(self) -> None:
        if self._failing:
            log.warning("notifications are recorded again")
        self._failing = False

    def forward(self, cases: tuple[str, ...], change: Change, now_ns: int) -> None:
        """The next step now, where there is one: repeating what reaches nobody would help nobody."""
        for key in cases:
            case = change.cases.get(key) or self.cases.get(key)
            if case is not None and case.due_ns is not None and case.repeats == 0:
                change.cases[key] = replace(case, due_ns=min(case.due_ns, now_ns))

    def next_step_ns(self, cases: tuple[str, ...]) -> int | None:
        """When the first of these is due that still waits for somebody."""
        waiting = [case for key in cases if (case := self.cases.get(key)) is not None and case.waits]
        return min((case.due_ns for case in waiting if case.due_ns is not None), default=None)

    def _apply(self, change: Change) -> None:
        for key, case in change.cases.items():
            if case is None:
                self.cases.pop(key, None)
            else:
                self.cases[key] = case
        for notice in [*change.added, *change.done]:
            if notice.state is State.PENDING:
                self.pending[notice.key] = notice
            else:
                self.pending.pop(notice.key, None)
        self.floods.update(change.floods)
        if change.position is not None:
            self.position = change.position
        self._count()

    def _count(self) -> None:
        self.counters.open_cases, self.counters.pending = len(self.cases), len(self.pending)
