"""The app's memory: settings, ledger and what is on disk, held together.

    samples ─► changes alone ─┐
    people ─► entries ────────┴─► rows on disk (durable) ─► ledger ─► cells
    start ─► rows in the order of their coming, closed again where they were closed ─► ledger
    points that are new ─► their past, from when figures begin, out of history, part by part ─► facts

Only changes of a state and of a count become facts. A sample that comes late may fall between two that were equal:
then history is asked for the one that followed it, so that nothing stands longer than it did.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.operations import store
from headrace.apps.operations.config import Config, read_config
from headrace.apps.operations.identities import identity_of
from headrace.apps.operations.lane import COUNTER
from headrace.apps.operations.ledger import Facts, Ledger
from headrace.apps.operations.orders import Job
from headrace.apps.operations.series import ALWAYS_NS
from headrace.apps.operations.signals import numbers_of
from headrace.apps.operations.store import Entry
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS, HOUR_NS, SECOND_NS, SOURCE_AHEAD_MAX_NS, SOURCE_TIME_MIN_NS, parse_time_ns
from headrace.sdk.apps import Context, Samples, Statement

Found = tuple[NDArray[np.int64], NDArray[np.float64]]
Past = tuple[int, int | None]
"""From when on history was taken, and up to where; None, all of it."""

CAUGHT_UP_MAX: Final = 300_000
"""Samples of the past in one call."""


class Book:
    """Make one with `open_book`. Everything that changes it goes through it, one at a time. `wild`: samples by point
    that were left out because of their time.
    """

    def __init__(self, config: Config, jobs: Sequence[Job], past: Mapping[str, Past]) -> None:
        self.config, self._past = config, dict(past)
        self.jobs = list(jobs)
        self.ledger = Ledger(config.units, jobs, config.reasons)
        self.words = store.Words(config, jobs)
        self.wild: Counter[str] = Counter()
        self._last: dict[tuple[int, int], tuple[int, float]] = {}
        self._turn = asyncio.Lock()

    def unit(self, path: str) -> int:
        """Raises: DataError where no work unit is of that path."""
        for at, unit in enumerate(self.config.units):
            if unit.path == path:
                return at
        raise DataError(f"'{path[:200]}' is no work unit; the settings of the app say which machines are")

    async def take(self, ctx: Context, samples: Samples) -> None:
        """Samples as they come."""
        async with self._turn:
            entries: list[Entry] = []
            for batch in samples.batches:
                values = numbers_of(batch)
                for handle in np.unique(batch.handles).tolist():
                    path = samples.paths[handle]
                    for unit, slot in self.config.inputs.get(path, ()):
                        mine = batch.handles == handle
                        entries += await self._changes(ctx, unit, slot, path, (batch.source_ns[mine], values[mine]))
            await self._put(ctx, entries)

    async def catch_up(self, ctx: Context) -> bool:
        """The next part of what history has of points whose past was not taken yet; whether that was all."""
        left = CAUGHT_UP_MAX
        async with self._turn:
            now_ns = ctx.now_ns()
            for path, feeds in self.config.inputs.items():
                since_ns = min(self.config.units[unit].since_ns for unit, _ in feeds)
                held_ns, at_ns = self._past.get(path, (ALWAYS_NS, None))
                if held_ns > since_ns:
                    at_ns = since_ns
                while at_ns is not None and at_ns < now_ns:
                    until_ns = min(at_ns + DAY_NS, now_ns)
                    left -= await self._past_of(ctx, path, feeds, at_ns, until_ns, first=at_ns == since_ns)
                    at_ns = until_ns if until_ns < now_ns else None
                    self._past[path] = since_ns, at_ns
                    await ctx.tables.write(Statement(store.CAUGHT_UP, (path, since_ns, at_ns)))
                    if left <= 0:
                        return False
        return True

    async def _past_of(
        self, ctx: Context, path: str, feeds: Sequence[tuple[int, int]], start_ns: int, end_ns: int, *, first: bool
    ) -> int:
        """What changed in a span, and what stood when the first of them began; how many samples that were."""
        stood = await ctx.history.latest([path], start_ns - 1)
        before = [(batch.source_ns, numbers_of(batch)) for batch in stood.batches]
        parts = list(before) if first else []
        async for part in ctx.history.samples([path], start_ns, end_ns):
            parts += [(batch.source_ns, numbers_of(batch)) for batch in part.batches]
        if not parts:
            return 1
        found = np.concatenate([times for times, _ in parts]), np.concatenate([values for _, values in parts])
        entries: list[Entry] = []
        for unit, slot in feeds:
            times, values = self._believed(ctx, path, slot, found)
            changed = _changed(values, None if first or not before else float(before[0][1][-1]))
            entries += self._entries(unit, path, times[changed], values[changed])
            if len(times) and times[-1] > self._last.get((unit, slot), (-ALWAYS_NS, 0.0))[0]:
                self._last[unit, slot] = int(times[-1]), float(values[-1])
        await self._put(ctx, entries)
        return len(found[0])

    async def enter(self, ctx: Context, entries: Sequence[Entry], *more: Statement) -> int:
        """What people and programs enter; how many of it were new."""
        async with self._turn:
            return await self._put(ctx, entries, *more)

    async def set_job(self, ctx: Context, job: Job, due_ns: int | None) -> int:
        """An order's operation, new or corrected: its number."""
        async with self._turn:
            known = {store.job_word(one): at for at, one in enumerate(self.jobs)}
            number = known.get(store.job_word(job), len(self.jobs))
            await ctx.tables.write(store.job_statement(number, job, due_ns))
            self.jobs[number : number + 1] = [job]
            self.ledger.set_job(number, job, ctx.now_ns())
            self.words = store.Words(self.config, self.jobs)
            return number

    def advance(self, now_ns: int) -> None:
        """Figures up to now."""
        self.ledger.advance(now_ns)

    async def close(self, ctx: Context, until_ns: int) -> None:
        """Figures up to this time are told from now on."""
        async with self._turn:
            now_ns = ctx.now_ns()
            self.advance(now_ns)
            if until_ns // HOUR_NS * HOUR_NS <= self.ledger.closed_ns:
                return
            await ctx.tables.write(
                Statement(
                    "INSERT OR IGNORE INTO closes SELECT ?, coalesce(max(id), 0), ? FROM facts", (until_ns, now_ns)
                )
            )
            self.ledger.close(until_ns)

    async def _put(self, ctx: Context, entries: Sequence[Entry], *more: Statement) -> int:
        if not entries and not more:
            return 0
        now_ns = ctx.now_ns()
        facts = store.facts_of(entries, self.words)
        self.ledger.check(facts)  # before anything is on disk
        statements = [store.insertion(entries, now_ns)] if entries else []
        await ctx.tables.write(*statements, *more)
        return self.ledger.add(facts, now_ns, now_ns)

    async def _changes(self, ctx: Context, unit: int, slot: int, path: str, found: Found) -> list[Entry]:
        """Of the samples of a point, those that change something."""
        times, values = self._believed(ctx, path, slot, found)
        if not len(times):
            return []
        last_ns, last = self._last.get((unit, slot), (-ALWAYS_NS, float("nan")))
        late = times <= last_ns
        entries = []
        if np.any(late):
            entries = await self._late(ctx, unit, slot, path, (times[late], values[late]))
        times, values = times[~late], values[~late]
        if len(times):
            changed = _changed(values, last) if last_ns > -ALWAYS_NS else _changed(values)
            entries += self._entries(unit, path, times[changed], values[changed])
            self._last[unit, slot] = int(times[-1]), float(values[-1])
        return entries

    def _believed(self, ctx: Context, path: str, slot: int, found: Found) -> Found:
        """In order of time, without what no clock can have meant; a count that was not read is none."""
        times, values = found
        keep = (times >= SOURCE_TIME_MIN_NS) & (times <= ctx.now_ns() + SOURCE_AHEAD_MAX_NS)
        wild = len(keep) - int(np.count_nonzero(keep))
        if wild and not self.wild[path]:
            ctx.log(f"{path}: samples of a time that cannot be are left out; check its clock")
        self.wild[path] += wild
        if slot >= COUNTER:
            keep &= ~np.isnan(values)
        times, values = times[keep], values[keep]
        order = np.argsort(times, kind="stable")
        return times[order], values[order]

    async def _late(self, ctx: Context, unit: int, slot: int, path: str, found: Found) -> list[Entry]:
        """Late samples, and with them what history has from the first of them up to the next that is a fact: what was
        left out because nothing changed may be a change now.
        """
        times, values = found
        series = self.ledger.lanes[unit].series.get(slot)
        next_ns = series.after(int(times[-1])) if series else ALWAYS_NS
        end_ns = max(min(next_ns, ctx.now_ns() + SECOND_NS), int(times[-1]) + 1)
        all_times, all_values = [times], [values]
        async for part in ctx.history.samples([path], int(times[0]), end_ns):
            for batch in part.batches:
                numbers = numbers_of(batch)
                keep = ~np.isnan(numbers) if slot >= COUNTER else np.ones(len(numbers), np.bool_)
                all_times.append(batch.source_ns[keep])
                all_values.append(numbers[keep])
        times, at = np.unique(np.concatenate(all_times), return_index=True)
        values = np.concatenate(all_values)[at]
        changed = _changed(values)
        return self._entries(unit, path, times[changed], values[changed])

    def _entries(self, unit: int, path: str, times: NDArray[np.int64], values: NDArray[np.float64]) -> list[Entry]:
        rows = zip(times.tolist(), values.tolist(), strict=True)
        return [self._entry(unit, path, time_ns, value) for time_ns, value in rows]

    def _entry(self, unit: int, path: str, time_ns: int, value: float) -> Entry:
        name = self.config.units[unit].path
        high, _ = identity_of(f"{name}\n{path}")
        missing = bool(np.isnan(value))
        return Entry(
            (high, time_ns % (1 << 64)), name, f"point:{path}", time_ns, time_ns, None if missing else value
        )  # fmt: skip

    async def replay(self, ctx: Context) -> None:
        """Everything on disk, in the order in which it came, closed where it was closed."""
        closes = await ctx.tables.query("SELECT until_ns, last_fact, at_ns FROM closes ORDER BY until_ns")
        waiting: list[tuple[Any, ...]] = list(closes.rows)
        async for chapter in store.chapters(ctx, self.words):
            done = 0
            while waiting and int(waiting[0][1]) < int(chapter.row[-1]):
                until_ns, last, at_ns = waiting.pop(0)
                upto = int(np.searchsorted(chapter.row, last, "right"))
                self._replayed(chapter.facts.take(slice(done, upto)), chapter.came_ns[done:upto])
                self.ledger.advance(int(at_ns))
                self.ledger.close(int(until_ns))
                done = max(done, upto)
            self._replayed(chapter.facts.take(slice(done, None)), chapter.came_ns[done:])
        for until_ns, _, at_ns in waiting:
            self.ledger.advance(int(at_ns))
            self.ledger.close(int(until_ns))
        for unit, lane in enumerate(self.ledger.lanes):
            for slot, series in lane.series.items():
                if len(series):
                    self._last[unit, slot] = int(series.time_ns[-1]), float(series.value[-1])
        self.advance(ctx.now_ns())

    def _replayed(self, facts: Facts, came_ns: NDArray[np.int64]) -> None:
        """Those that came after their hour was closed one coming after the other, so that each restates when it did."""
        late = facts.time_ns < self.ledger.closed_ns
        if np.any(~late):
            self.ledger.add(facts.take(~late), int(came_ns[~late].max()))
        for came in np.unique(came_ns[late]).tolist():
            self.ledger.add(facts.take(late & (came_ns == came)), came)


def _changed(values: NDArray[np.float64], before: float | None = None) -> NDArray[np.bool_]:
    """Which differ from the one before; the first does where nothing was before. Shape: (samples,)."""
    earlier = np.concatenate([[np.nan if before is None else before], values[:-1]])
    changed: NDArray[np.bool_] = (values != earlier) & ~(np.isnan(values) & np.isnan(earlier))
    if before is None and len(values):
        changed[0] = True
    return changed


async def open_book(ctx: Context) -> Book:
    """Settings, and what is on disk. Raises: ConfigError."""
    points = {point.path: point for point in await ctx.model.points()}
    now_ns = ctx.now_ns()
    rows = ctx.settings["units"]
    given = ctx.settings["since"]
    if rows:
        begin_ns = now_ns // HOUR_NS * HOUR_NS
        await ctx.tables.write(
            Statement("INSERT OR IGNORE INTO units VALUES (?, ?)", many=[(row["asset"], begin_ns) for row in rows])
        )
    found = await ctx.tables.query("SELECT path, since_ns FROM units")
    since = {str(path): int(since_ns or 0) for path, since_ns in found.rows}
    if given:
        since = dict.fromkeys(since, parse_time_ns(given))
    kept_ns = (now_ns - ctx.settings["keep"] * DAY_NS) // HOUR_NS * HOUR_NS
    since = {path: max(since_ns, kept_ns) for path, since_ns in since.items()}
    config = read_config(ctx.settings, points, since)
    book = Book(config, await store.read_jobs(ctx), await store.read_caught_up(ctx))
    await book.replay(ctx)
    return book
