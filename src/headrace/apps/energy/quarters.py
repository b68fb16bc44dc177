"""What meters measured, kept by quarters of an hour: worked out once, and again where samples come late.

    mark (last good reading) ──► samples since ──► flows (meters.py) ──► quarters, written over ──► mark
    days that ended: count and sum of samples ──changed?──► mark back to that day

A month of a plant is then some thousand rows, not millions of samples. A meter begins again at the last good reading
before what is new, so a counter bridges a silence also in what was written before. A virtual meter is worked out of its
parts' samples, not of their quarters. A declaration that changed is worked out anew, as far back as the historian has
samples; what is older stays as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from headrace.apps.energy.declared import Declared
from headrace.apps.energy.flows import BRIDGED, MEASURED, Flow
from headrace.apps.energy.meters import Meter, MeterTree
from headrace.apps.energy.readings import Oddities
from headrace.apps.energy.sampling import last_good, problems_of, read, read_on
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS
from headrace.sdk.apps import Context, Statement
from headrace.sdk.store import Aggregate

QUARTER_NS: Final = 15 * MINUTE_NS
#: Samples that come this much late are found at the next run; later ones when their day is looked at again.
TRAILING_NS: Final = 2 * HOUR_NS
#: How far back days are looked at for samples that came late.
LOOK_BACK_DAYS: Final = 35
CHUNK_NS: Final = 7 * DAY_NS
_ROWS_A_QUERY: Final = 150_000
_QUALITIES = (MEASURED, BRIDGED)


@dataclass(slots=True)
class Mark:
    """`last_ns`: its last good reading that was worked out. `seen_ns`: up to where was looked for a newer one."""

    last_ns: int
    seen_ns: int


async def work_up(ctx: Context, declared: Declared, first_ns: int, now_ns: int) -> int:
    """Everything up to now. How many quarters were written. `first_ns`: from when on, where a meter is new."""
    meters = [meter for meter in declared.tree if meter.point]
    marks = await _marks(ctx, declared.tree, meters, first_ns)
    for name in await problems_of(ctx, meters):
        del marks[name]
    written = 0
    at = min((mark.seen_ns for mark in marks.values()), default=now_ns)
    while at < now_ns:
        until = min(at + CHUNK_NS, now_ns)
        written += await _chunk(ctx, declared.tree, marks, until)
        at = until
    return written


async def look_again(ctx: Context, declared: Declared, first_ns: int, now_ns: int) -> int:
    """Days that ended: where count or sum of the samples are others than before, they are to be worked out again.
    How many such days there were. A day is looked at when it has ended, and for so many days after."""
    every = [meter for meter in declared.tree if meter.point]
    problems = await problems_of(ctx, every)
    meters = [meter for meter in every if meter.name not in problems]
    until = now_ns - now_ns % DAY_NS
    start = max(first_ns - first_ns % DAY_NS, until - LOOK_BACK_DAYS * DAY_NS)
    if start >= until or not meters:
        return 0
    buckets = await ctx.history.buckets(
        [meter.point for meter in meters], start, until, width_ns=DAY_NS, aggregates=(Aggregate.COUNT, Aggregate.SUM)
    )
    found = await ctx.tables.query("SELECT meter, day_ns, count, sum FROM days WHERE day_ns >= ?", start)
    seen = {(str(meter), day_ns): (count, total) for meter, day_ns, count, total in found.rows}
    rows: list[tuple[str, int, int, float | None]] = []
    for place, meter in enumerate(meters):
        counts, sums = buckets.columns[Aggregate.COUNT][place], buckets.columns[Aggregate.SUM][place]
        for day, count, total in zip(buckets.start_ns.tolist(), counts.tolist(), sums.tolist(), strict=True):
            look = (int(count), float(total) if np.isfinite(total) else None)
            if seen.get((meter.name, day)) != look:
                rows.append((meter.name, day, *look))
    await ctx.tables.write(
        Statement(
            "INSERT INTO days VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = excluded.count, sum = excluded.sum",
            many=rows,
        ),
    )
    for name in {row[0] for row in rows}:
        await rewind(ctx, name, max(first_ns, min(row[1] for row in rows if row[0] == name)))
    return len(rows)


async def rewind(ctx: Context, meter: str, to_ns: int) -> None:
    """Works a meter out again from a moment on, at the next run: from its last good reading before it."""
    await ctx.tables.write(
        Statement(
            "UPDATE marks SET last_ns = min(last_ns, ?), seen_ns = min(seen_ns, ?) WHERE meter = ?",
            (to_ns, to_ns, meter),
        )
    )


async def flows_of(ctx: Context, meters: Sequence[Meter], start_ns: int, end_ns: int) -> dict[str, Flow]:
    """The flows of meters as they were worked out, for quarters that begin in [start, end)."""
    flows: dict[str, Flow] = {}
    for meter in meters:
        rows: list[tuple[Any, ...]] = []
        at = start_ns - start_ns % QUARTER_NS
        while at < end_ns:
            until = min(end_ns, at + _ROWS_A_QUERY * QUARTER_NS)
            found = await ctx.tables.query(
                "SELECT start_ns, measured, bridged, measured_ns, bridged_ns FROM quarters "
                "WHERE meter = ? AND start_ns >= ? AND start_ns < ? ORDER BY start_ns",
                meter.name, at, until,
            )  # fmt: skip
            rows += found.rows
            at = until
        flows[meter.name] = _flow(meter, rows)
    return flows


def _flow(meter: Meter, rows: Sequence[tuple[Any, ...]]) -> Flow:
    """In a quarter, what was measured stands first, then what was bridged; what is unknown of it is its end."""
    table = np.array([row[1:3] for row in rows], np.float64).reshape(-1, 2)
    times = np.array([(row[0], row[3], row[4]) for row in rows], np.int64).reshape(-1, 3)
    middle = times[:, 0] + times[:, 1]
    starts = np.column_stack((times[:, 0], middle)).reshape(-1)
    ends = np.column_stack((middle, middle + times[:, 2])).reshape(-1)
    grades = np.tile(np.array(_QUALITIES, np.uint8), len(times))
    keep = ends > starts
    return Flow(meter.name, meter.unit, starts[keep], ends[keep], table.reshape(-1)[keep], grades[keep])


# --- working up
# --------------------------------------------------------------------------------------------------------


async def _marks(ctx: Context, tree: MeterTree, meters: Sequence[Meter], first_ns: int) -> dict[str, Mark]:
    """The mark of each measured meter. A new or changed one begins again where accounting begins, or its quarters do;
    what is declared no more is forgotten."""
    held = await ctx.tables.query("SELECT meter, last_ns, seen_ns, declared FROM marks")
    found = {str(row[0]): row for row in held.rows}
    gone = [name for name in found if name not in {meter.name for meter in meters}]
    kept = {
        str(name): _whole(start)
        for name, start in (await ctx.tables.query("SELECT meter, min(start_ns) FROM quarters GROUP BY meter")).rows
    }
    forgotten = [name for name in kept if name not in {meter.name for meter in tree}]
    digests = {meter.name: _digest(tree, meter) for meter in meters}
    changed = {
        name: min(first_ns, kept.get(name, first_ns))
        for name, digest in digests.items()
        if name not in found or found[name][3] != digest
    }
    await ctx.tables.write(
        Statement("DELETE FROM marks WHERE meter = ?", many=[(name,) for name in gone]),
        Statement("DELETE FROM days WHERE meter = ?", many=[(name,) for name in [*gone, *changed]]),
        Statement("DELETE FROM quarters WHERE meter = ?", many=[(name,) for name in forgotten]),
        Statement(
            "INSERT INTO marks VALUES (?, ?, ?, ?, '{}') ON CONFLICT DO UPDATE SET last_ns = excluded.last_ns, "
            "seen_ns = excluded.seen_ns, declared = excluded.declared, oddities = '{}'",
            many=[(name, begin, begin, digests[name]) for name, begin in changed.items()],
        ),
    )
    marks = {name: Mark(_whole(row[1]), _whole(row[2])) for name, row in found.items() if name not in gone}
    return {**marks, **{name: Mark(begin, begin) for name, begin in changed.items()}}


async def _chunk(ctx: Context, tree: MeterTree, marks: dict[str, Mark], until: int) -> int:
    """Works up what came since the marks, up to `until`, and moves them on. How many quarters were written."""
    due = {name: mark for name, mark in marks.items() if mark.seen_ns < until}
    looks = {
        name: max(min(mark.last_ns, until - TRAILING_NS), mark.seen_ns - TRAILING_NS) for name, mark in due.items()
    }
    news = await read(ctx, tree, looks, until)
    lasts = {name: good.time_ns[-1].item() for name, one in news.items() if len((good := one.good()).time_ns)}
    fresh = [name for name, last in lasts.items() if last > due[name].last_ns]
    before = await last_good(ctx, tree, {name: min(looks[name], due[name].last_ns) + 1 for name in fresh})
    begins = {
        name: _quarter(one.time_ns[-1].item() if len(one.time_ns) else news[name].good().time_ns[0].item())
        for name, one in before.items()
    }
    sums = _begins_of_sums(tree, begins)
    reads = dict(begins)
    for name, begin in sums.items():
        for leaf in _leaves(tree, name) & marks.keys():
            reads[leaf] = min(reads.get(leaf, begin), begin)
    readings = await read_on(ctx, tree, reads, until)
    flows, oddities = tree.flows({tree[name].point: one for name, one in readings.items()})
    written = 0
    statements: list[Statement] = []
    for name, begin in {**begins, **sums}.items():
        rows = _rows(flows[name], begin, until)
        written += len(rows)
        statements += [
            Statement("DELETE FROM quarters WHERE meter = ? AND start_ns >= ? AND start_ns < ?", (name, begin, until)),
            Statement("INSERT INTO quarters VALUES (?, ?, ?, ?, ?, ?)", many=rows),
        ]
    for name, mark in due.items():
        mark.last_ns, mark.seen_ns = max(mark.last_ns, lasts[name]) if name in fresh else mark.last_ns, until
        odd = json.dumps(asdict(oddities.get(name, Oddities())))
        statements.append(
            Statement(
                "UPDATE marks SET last_ns = ?, seen_ns = ?, oddities = iif(?, ?, oddities) WHERE meter = ?",
                (mark.last_ns, mark.seen_ns, name in fresh, odd, name),
            )
        )
    await ctx.tables.write(*statements)
    return written


def _quarter(time_ns: int) -> int:
    return time_ns - time_ns % QUARTER_NS


def _begins_of_sums(tree: MeterTree, fresh: Mapping[str, int]) -> dict[str, int]:
    """Virtual meters with a fresh part, and from when on they have to be worked out."""
    found: dict[str, int] = {}
    for meter in tree:
        if meter.is_virtual:
            begins = [fresh[name] for name in _leaves(tree, meter.name) if name in fresh]
            if begins:
                found[meter.name] = min(begins)
    return found


def _leaves(tree: MeterTree, name: str) -> set[str]:
    """The measured meters that a virtual one is made of."""
    found: set[str] = set()
    stack = [name]
    while stack:
        meter = tree[stack.pop()]
        if meter.is_virtual:
            stack += [part for _, part in meter.parts]
        else:
            found.add(meter.name)
    return found


def _rows(flow: Flow, begin: int, until: int) -> list[tuple[str, int, float, float, int, int]]:
    """Quarters of which something is known."""
    edges = np.arange(begin, until + QUARTER_NS, QUARTER_NS, dtype=np.int64)
    parts = []
    for grade in _QUALITIES:
        of = flow.grade == grade
        parts.append(Flow(flow.source, flow.unit, flow.start_ns[of], flow.end_ns[of], flow.amount[of], flow.grade[of]))
    measured, bridged = (part.over(edges) for part in parts)
    known = np.flatnonzero(measured.measured_ns + bridged.bridged_ns)
    columns = (edges[:-1], measured.amount, bridged.amount, measured.measured_ns, bridged.bridged_ns)
    return list(zip([flow.source] * len(known), *(column[known].tolist() for column in columns), strict=True))


def _whole(cell: object) -> int:
    """A column that is declared INTEGER NOT NULL."""
    assert isinstance(cell, int)
    return cell


def _digest(tree: MeterTree, meter: Meter) -> str:
    """Of all that its quarters, and those of sums it is in, depend on; exchanges are worked in where they are."""
    sums = sorted(
        (one.name, one.unit, one.parts) for one in tree if one.is_virtual and meter.name in _leaves(tree, one.name)
    )
    return hashlib.sha256(repr((replace(meter, exchanges=()), sums)).encode()).hexdigest()[:32]
