"""Facts on disk: rows in the order in which they came, and back into columns.

A fact names its unit by path and its input by name, so that settings may change around it: what no setting names any
more stays on disk and is not counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headrace.apps.operations.config import Config
from headrace.apps.operations.elements import GIVEN, Quantity
from headrace.apps.operations.lane import AMOUNT, LEVEL, ORDER, REASON, STATE
from headrace.apps.operations.ledger import VOID, Facts
from headrace.apps.operations.orders import NO_JOB, Job
from headrace.sdk.apps import Context, Statement

PAGE: Final = 80_000
_INSERT: Final = (
    "INSERT OR IGNORE INTO facts (high, low, unit, input, time_ns, value, word, recorded_ns, came_ns, replaces_high,"
    " replaces_low, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT: Final = (
    "SELECT id, high, low, unit, input, time_ns, value, word, recorded_ns, came_ns, replaces_high, replaces_low"
    " FROM facts WHERE id > ? ORDER BY id LIMIT ?"
)
_FORGET_ROWS: Final = 20_000
_FORGET: Final = (
    "DELETE FROM facts WHERE id IN (SELECT id FROM facts WHERE time_ns < ? AND replaces_high = 0 AND replaces_low = 0"
    " AND (high, low) NOT IN (SELECT replaces_high, replaces_low FROM facts)"
    " AND id NOT IN (SELECT id FROM (SELECT id, max(time_ns) FROM facts WHERE time_ns < ? GROUP BY unit, input))"
    " LIMIT ?)"
)
_JOB: Final = (
    "INSERT INTO jobs (number, order_id, operation, product, pri_ns, quantity, scrap, first, due_ns)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET product = excluded.product,"
    " pri_ns = excluded.pri_ns, quantity = excluded.quantity, scrap = excluded.scrap, first = excluded.first,"
    " due_ns = excluded.due_ns"
)
CAUGHT_UP: Final = (
    "INSERT INTO caught_up VALUES (?, ?, ?)"
    " ON CONFLICT (path) DO UPDATE SET since_ns = excluded.since_ns, until_ns = excluded.until_ns"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact as it is written. `value` None is a sample that says nothing; `word`: an order's job, a reason."""

    identity: tuple[int, int]
    unit: str
    input: str
    time_ns: int
    recorded_ns: int
    value: float | None = None
    word: str | None = None
    replaces: tuple[int, int] = (0, 0)
    actor: str = ""


def job_word(job: Job) -> str:
    return f"{job.order}\n{job.operation}"


def insertion(entries: Sequence[Entry], came_ns: int) -> Statement:
    """What writes them; those that are there already are left as they are."""
    rows = [
        (
            *map(_signed, one.identity), one.unit, one.input, one.time_ns, one.value, one.word, one.recorded_ns,
            came_ns, *map(_signed, one.replaces), one.actor,
        )
        for one in entries
    ]  # fmt: skip
    return Statement(_INSERT, many=rows)


def job_statement(number: int, job: Job, due_ns: int | None) -> Statement:
    values = (job.order, job.operation, job.product, job.pri_ns, job.quantity, job.scrap, int(job.first), due_ns)
    return Statement(_JOB, (number, *values))


async def read_jobs(ctx: Context) -> list[Job]:
    found = await ctx.tables.query(
        "SELECT order_id, operation, product, pri_ns, quantity, scrap, first FROM jobs ORDER BY number"
    )
    return [Job(str(o), str(op), str(p), pri, q, s, bool(f)) for o, op, p, pri, q, s, f in found.rows]  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Chapter:
    """Facts in the order of their coming. Shape of `row` and `came_ns`: (facts,)."""

    facts: Facts
    row: Any
    came_ns: Any


class Words:
    """From names on disk to numbers of the ledger."""

    def __init__(self, config: Config, jobs: Sequence[Job]) -> None:
        self._config = config
        self._units = {unit.path: at for at, unit in enumerate(config.units)}
        self._jobs = {job_word(job): at for at, job in enumerate(jobs)}

    def number(self, unit: str, input_: str, value: float | None, word: str | None) -> tuple[int, int, float] | None:
        """Unit, slot and value; None for what no setting names any more."""
        at = self._units.get(unit)
        if at is None:
            return None
        kind, _, name = input_.partition(":")
        number = float("nan") if value is None else value
        if kind == "point":
            slot = self._config.slot(at, name)
            return None if slot is None or (slot >= LEVEL and value is None) else (at, slot, number)
        if kind == "order":
            return at, ORDER, float(self._jobs.get(word or "", NO_JOB))
        if kind == "reason":
            return at, REASON, float(self._config.reasons.numbers.get(word or "", -1))
        if kind == "amount" and name in Quantity.__members__ and Quantity[name] in GIVEN:
            derived = "GQ" if self._config.units[at].counts == "produced" else "PQ"
            return None if name == derived else (at, AMOUNT + Quantity[name], number)
        if kind == "state":
            return None if self._config.units[at].rule.inputs != ("state",) else (at, STATE, number)
        return {"level": (at, LEVEL, number), "void": (at, VOID, 0.0)}.get(kind)


async def chapters(ctx: Context, words: Words) -> AsyncIterator[Chapter]:
    """All facts, in parts."""
    last = 0
    while True:
        found = await ctx.tables.query(_SELECT, last, PAGE)
        if not len(found):
            return
        last = int(found.rows[-1][0] or 0)
        rows: list[tuple[Any, ...]] = []
        for row, high, low, unit, input_, time_ns, value, word, recorded, came, rhigh, rlow in found.rows:
            number = words.number(str(unit), str(input_), value, word)  # type: ignore[arg-type]
            if number is not None:
                rows.append((row, came, *number, time_ns, high, low, recorded, rhigh, rlow))
        if rows:
            yield _chapter(rows)


def facts_of(entries: Sequence[Entry], words: Words) -> Facts:
    """Entries as columns; what no setting names is left out."""
    rows = []
    for one in entries:
        number = words.number(one.unit, one.input, one.value, one.word)
        if number is not None:
            signed = (*map(_signed, one.identity), one.recorded_ns, *map(_signed, one.replaces))
            rows.append((0, 0, *number, one.time_ns, *signed))
    return _chapter(rows).facts


def _chapter(rows: Sequence[tuple[Any, ...]]) -> Chapter:
    types = (*(np.int64,) * 2, np.int32, np.int16, np.float64, *(np.int64,) * 6)
    columns: list[Any] = [np.array([row[at] for row in rows], kind) for at, kind in enumerate(types)]
    row, came, unit, slot, value, time_ns, high, low, recorded, rhigh, rlow = columns
    ids = [column.view(np.uint64) for column in (high, low, rhigh, rlow)]
    return Chapter(Facts.of(unit, slot, time_ns, value, ids[0], ids[1], recorded, (ids[2], ids[3])), row, came)


async def forget(ctx: Context, before_ns: int) -> int:
    """Facts of before that time, people's hours and inspections leave; how many facts. The newest of each input stays,
    as what stood then, and so does whatever corrects or was corrected.
    """
    gone = 0
    while True:
        (count,) = await ctx.tables.write(Statement(_FORGET, (before_ns, before_ns, _FORGET_ROWS)))
        gone += count
        if count < _FORGET_ROWS:
            break
    await ctx.tables.write(
        Statement("DELETE FROM hours WHERE end_ns < ?", (before_ns,)),
        Statement("DELETE FROM inspections WHERE time_ns < ?", (before_ns,)),
    )
    return gone


def _signed(half: int) -> int:
    return half - (1 << 64) if half >= 1 << 63 else half


async def read_caught_up(ctx: Context) -> dict[str, tuple[int, int | None]]:
    """Of each point, from when on and up to where its past was taken; None, all of it."""
    found = await ctx.tables.query("SELECT path, since_ns, until_ns FROM caught_up")
    return {str(path): (int(since or 0), None if until is None else int(until)) for path, since, until in found.rows}
