"""What calculated points need of history: stretches of their inputs with what stood before them, and going over again.

again(points, start, end):   samples before ─► slice ─► slice ─► …  ─► Calculator of its own ─► results in [start, end)

A result at a moment needs samples from `memory` before it, and a few that are older still: the value that stood then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.compute.points.calculator import Calculator
from headrace.compute.points.groups import Group
from headrace.model.batch import Batch, Handles
from headrace.model.calculations import Calculation
from headrace.model.points import Point
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.sdk.store import Page

SLICE_NS: Final = HOUR_NS
AT_ONCE: Final = 4_000_000
"""Samples that are held at a time, however fast a plant samples."""
WARM_MAX_NS: Final = 24 * HOUR_NS
"""Conditions of alarms wait for this to be read."""
OLDER_EACH_MAX: Final = 16
"""Samples of a point older than a stretch that are looked for; an expression needs more only in odd cases."""


class Past(Protocol):
    """What is asked of a historian."""

    async def raw(
        self, handles: Handles, start_ns: int, end_ns: int, *, limit: int = ..., cursor: str | None = None
    ) -> Page: ...

    def scan(
        self, handles: Handles | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> AsyncIterator[Batch]: ...

    async def latest(self, handles: Handles, at_ns: int | None = None) -> Sequence[Batch]: ...


@dataclass(frozen=True, slots=True)
class Need:
    """How far back points look, through all that they are made of."""

    memory_ns: int
    samples: int


def need_of(path: str, calculations: Mapping[str, Calculation]) -> Need:
    """Of a point and of those among `calculations` that it is made of; none goes in a circle."""
    known: dict[str, Need] = {}
    stack = [path]
    while stack:
        at = stack[-1]
        one = calculations[at]
        made = [name for name in one.inputs.values() if name in calculations]
        missing = [name for name in made if name not in known]
        if missing:
            stack.extend(missing)
            continue
        known[at] = Need(
            one.memory_ns + max((known[name].memory_ns for name in made), default=0),
            one.program.samples + max((known[name].samples for name in made), default=0),
        )
        stack.pop()
    return known[path]


async def slices(
    past: Past, handles: Handles, start_ns: int, end_ns: int
) -> AsyncIterator[tuple[int, int, list[Batch]]]:  # fmt: skip
    """All samples of these points in [start, end), in slices of time: (from, to, samples).

    A slice with more than `AT_ONCE` samples is given up half-way and halved, down to a second.
    """
    at, width = start_ns, SLICE_NS
    while at < end_ns:
        upto = min(at + width, end_ns)
        batches, count = list[Batch](), 0
        async for batch in past.scan(handles, at, upto):
            batches.append(batch)
            count += len(batch)
            if count > AT_ONCE and width > SECOND_NS:
                break
        if count > AT_ONCE and width > SECOND_NS:
            width = max(width // 2, SECOND_NS)
            continue
        yield at, upto, batches
        at = upto
        if count * 4 < AT_ONCE:
            width = min(width * 2, SLICE_NS)


async def older(past: Past, handles: Handles, before_ns: int, samples: int) -> list[Batch]:
    """The newest `samples` of each point before a moment."""
    found = list(await past.latest(handles, before_ns - 1))
    newest = newest_of(found)
    for _ in range(min(samples, OLDER_EACH_MAX) - 1):
        further: dict[int, int] = {}
        for handle, at in newest.items():
            for batch in await past.latest(np.array([handle], np.uint32), at - 1):
                found.append(batch)
                further[handle] = int(batch.source_ns[0])
        newest = further
    return found


async def warm(
    past: Past, calculator: Calculator, calculations: Mapping[str, Calculation], handles: Mapping[str, int]
) -> None:
    """Let those that begin with nothing see what stood before, and as far back as they look, `WARM_MAX_NS` at most."""
    for group in calculator.groups():
        own = {path: calculations[path] for path in group.fresh}
        inputs = input_handles(own, handles)
        newest = newest_of(await past.latest(inputs)) if own else {}
        if not newest:
            continue
        end = max(newest.values()) + 1
        begin = end - min(max(one.memory_ns for one in own.values()), WARM_MAX_NS) - 1
        calculator.feed(group, await older(past, inputs, begin, group.program.samples), own)
        async for _, _, batches in slices(past, inputs, begin, end):
            calculator.feed(group, batches, own)


async def again(
    past: Past,
    calculations: Mapping[str, Calculation],
    points: Mapping[str, Point],
    handles: Mapping[str, int],
    start_ns: int,
    end_ns: int,
    calculator: Calculator | None = None,
) -> AsyncGenerator[tuple[int, list[Batch]], None]:
    """Work these points out anew over [start, end): (up to when, results), slice by slice.

    What they are made of is read from history, but for those that are among them; so is the state in which a machine
    was before. `calculator`: a new one of these, for who looks at it afterwards.
    """
    calculator = calculator or Calculator(calculations, points, handles)
    for path, one in calculations.items():
        if one.machine is not None:
            await begin_machine(past, calculator.group_of(path), path, one, handles[path], start_ns)
    inputs = input_handles(calculations, handles)
    needs = [need_of(path, calculations) for path in calculations]
    begin = start_ns - max(need.memory_ns for need in needs)
    calculator.take(await older(past, inputs, begin, max(need.samples for need in needs)))
    async for _, upto, batches in slices(past, inputs, begin, end_ns):
        made = calculator.take(batches)
        if upto > start_ns:
            yield upto, [kept for batch in made if len(kept := _from(batch, start_ns))]


async def outdated(past: Past, handle: int, start_ns: int, end_ns: int, made: Sequence[Batch]) -> list[Batch]:
    """What history has of a machine at moments that it was not told of this time, as it is now."""
    if not made:
        return []
    times = np.concatenate([batch.source_ns for batch in made])
    order = np.argsort(times, kind="stable")
    times, values = times[order], np.concatenate([batch.values for batch in made])[order]
    quality = np.concatenate([batch.quality for batch in made])[order]
    handles = np.array([handle], np.uint32)
    found = [batch.source_ns async for batch in past.scan(handles, start_ns, end_ns)]
    old = np.setdiff1d(np.concatenate(found), times) if found else times[:0]
    at = np.searchsorted(times, old, "right") - 1
    old, at = old[at >= 0], at[at >= 0]
    return [Batch.of(made[0].kind, handles.repeat(len(old)), old, values[at], quality[at])] if len(old) else []


async def begin_machine(past: Past, group: Group, path: str, one: Calculation, handle: int, from_ns: int) -> None:
    """A machine goes on from the state that history has just before a moment; from its first where there is none."""
    assert group.machines is not None
    found = await _stood(past, handle, from_ns, one.memory_ns)
    if found is None:
        group.machines.begin_at(group.place[path], from_ns)
    else:
        group.machines.begin(group.place[path], *found, from_ns)


async def _stood(past: Past, handle: int, before_ns: int, memory_ns: int) -> tuple[str, int] | None:
    """The state before a moment and since when it was entered, as far back as matters."""
    handles, start_ns = np.array([handle], np.uint32), before_ns - memory_ns
    newest = await past.latest(handles, before_ns - 1)
    if not newest:
        return None
    state, entered_ns = str(newest[0].values[0]), int(newest[0].source_ns[0])
    rows = [
        (at, value)
        async for batch in past.scan(handles, start_ns, before_ns)
        for at, value in zip(batch.source_ns.tolist(), batch.values.tolist(), strict=True)
    ]
    for at, value in sorted(rows, reverse=True):
        if value != state:
            return state, entered_ns
        entered_ns = at
    stood = await past.latest(handles, start_ns - 1)
    return state, start_ns if stood and str(stood[0].values[0]) == state else entered_ns


def input_handles(calculations: Mapping[str, Calculation], handles: Mapping[str, int]) -> Handles:
    """Handles of the points that these are made of, but for those among them."""
    paths = {path for one in calculations.values() for path in one.inputs.values() if path not in calculations}
    return np.array(sorted(handles[path] for path in paths), np.uint32)


def newest_of(batches: Sequence[Batch]) -> dict[int, int]:
    """By handle the source time of its newest sample."""
    found: dict[int, int] = {}
    for batch in batches:
        for handle, at in zip(batch.handles.tolist(), batch.source_ns.tolist(), strict=True):
            found[handle] = max(at, found.get(handle, at))
    return found


def _from(batch: Batch, start_ns: int) -> Batch:
    keep: NDArray[np.bool_] = batch.source_ns >= start_ns
    return batch if keep.all() else batch.take(keep)
