"""Readings of meters from the history of the plant: what came, and the last good one before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from headrace.apps.energy.meters import Meter, MeterTree
from headrace.apps.energy.readings import Readings
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS, HOUR_NS
from headrace.sdk.apps import Context, Samples

#: How far back a good reading is looked for, where the newest one is bad.
BACK_NS = (HOUR_NS, DAY_NS, 31 * DAY_NS)


async def problems_of(ctx: Context, meters: Sequence[Meter]) -> dict[str, str]:
    """Meters whose point cannot be read, and why: one wrong name does not stop the others."""
    found: dict[str, str] = {}
    for meter in meters:
        points = {point.path: point for point in await ctx.model.points(meter.point)}
        if meter.point not in points:
            found[meter.name] = f"there is no point {meter.point} that the app may see"
        elif points[meter.point].kind not in (ValueKind.FLOAT64, ValueKind.INT64):
            found[meter.name] = f"{meter.point} is {points[meter.point].kind.label}, and a meter reads numbers"
    return found


async def read(ctx: Context, tree: MeterTree, begins: Mapping[str, int], until_ns: int) -> dict[str, Readings]:
    """Samples of each meter from its beginning on. Those that begin together are read together."""
    groups: dict[int, list[str]] = {}
    for name, begin in begins.items():
        groups.setdefault(begin, []).append(name)
    found: dict[str, Readings] = {}
    for begin, names in groups.items():
        points = {tree[name].point: name for name in names}
        parts = [part async for part in ctx.history.samples(list(points), begin, until_ns)]
        found.update(_sorted_out(parts, points))
    return found


async def read_on(ctx: Context, tree: MeterTree, begins: Mapping[str, int], until_ns: int) -> dict[str, Readings]:
    """As `read`, with the last good reading before each beginning."""
    before, here = await last_good(ctx, tree, begins), await read(ctx, tree, begins, until_ns)
    return {name: _joined([before[name], here[name]]) for name in begins}


async def last_good(ctx: Context, tree: MeterTree, befores: Mapping[str, int]) -> dict[str, Readings]:
    """The newest good reading of each meter before a moment, a month back at most; none where there is none."""
    groups: dict[int, list[str]] = {}
    for name, before in befores.items():
        groups.setdefault(before, []).append(name)
    found: dict[str, Readings] = {}
    for before, names in groups.items():
        points = {tree[name].point: name for name in names}
        held = _sorted_out([await ctx.history.latest(list(points), before - 1)], points)
        for name in names:
            newest = held[name]
            if len(newest.time_ns) and not len(newest.good().time_ns):
                newest = await _further_back(ctx, tree[name].point, before)
            found[name] = newest
    return found


async def _further_back(ctx: Context, point: str, before: int) -> Readings:
    for back_ns in BACK_NS:
        parts = [part async for part in ctx.history.samples([point], before - back_ns, before)]
        good = _sorted_out(parts, {point: point})[point].good()
        if len(good.time_ns):
            return Readings(good.time_ns[-1:], good.value[-1:], good.quality[-1:])
    return Readings.of([], [])


def _sorted_out(parts: Iterable[Samples], points: Mapping[str, str]) -> dict[str, Readings]:
    """Readings by what `points` names each path. Raises: DataError for samples that are no numbers."""
    columns: dict[str, list[Readings]] = {name: [] for name in points.values()}
    for part in parts:
        for batch in part.batches:
            for handle in np.unique(batch.handles).tolist():
                path, mine = part.paths[handle], batch.handles == handle
                if batch.kind not in (ValueKind.FLOAT64, ValueKind.INT64):
                    raise DataError(f"a meter reads numbers, and {path} was {batch.kind.label}; name another point")
                columns[points[path]].append(
                    Readings.of(batch.source_ns[mine], batch.values[mine], batch.quality[mine])
                )
    return {name: _joined(held) for name, held in columns.items()}


def _joined(parts: Iterable[Readings]) -> Readings:
    held = list(parts)
    if not held:
        return Readings.of([], [])
    return Readings(
        np.concatenate([part.time_ns for part in held]),
        np.concatenate([part.value for part in held]),
        np.concatenate([part.quality for part in held]),
    )
