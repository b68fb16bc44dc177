"""Whether the plant is as a write needs it: each interlock against the newest sample, and against the time before.

    now     newest sample: there? good? fresh? fulfils it?                  at once, from memory
    for 5s  every sample of the last 5 s, and the one that stood before     from history

Whatever is not known does not hold. Age is counted from the older of source and received time: a device whose clock
is behind looks old, one whose clock is ahead looks no younger than its telegram.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from headrace.model import quality as q
from headrace.model.batch import Batch, Value
from headrace.model.errors import HeadraceError
from headrace.model.guards import Comparison, Interlock
from headrace.model.points import Point
from headrace.model.time import format_duration
from headrace.sdk.clock import Clock
from headrace.sdk.commands import InterlockState
from headrace.sdk.field import PlantReader

_WORDS: Final = {Comparison.IS: "be", Comparison.BELOW: "be below", Comparison.ABOVE: "be above"}


class Interlocks:
    def __init__(self, plant: PlantReader, clock: Clock) -> None:
        self._plant, self._clock = plant, clock

    def why_not(self, point: Point) -> str | None:
        """The first that does not hold now, for the person who asked; None where all do. Waits for nothing."""
        for interlock in point.guard.interlocks:
            why = self._why_not_now(interlock)
            if why:
                return _refusal(interlock, why)
        return None

    async def why_not_before(self, point: Point) -> str | None:
        """The first that has not held for as long as it must; None where all have."""
        for interlock in point.guard.interlocks:
            if interlock.for_ns:
                why = await self._why_not_for(interlock)
                if why:
                    return _refusal(interlock, why)
        return None

    async def states(self, point: Point) -> Sequence[InterlockState]:
        states = []
        for interlock in point.guard.interlocks:
            why = self._why_not_now(interlock)
            if not why and interlock.for_ns:
                why = await self._why_not_for(interlock)
            newest = self._plant.newest(interlock.point)
            states.append(InterlockState(interlock, None if newest is None else newest.value, not why, why))
        return states

    def _why_not_now(self, interlock: Interlock) -> str:
        newest = self._plant.newest(interlock.point)
        name = f"'{interlock.point}'"
        if newest is None or newest.value is None:
            return f"{name} has no value"
        if q.severity(newest.quality) != "good":
            return f"{name} is {q.name_of(newest.quality)}"
        if self._clock.now_ns() - min(newest.source_ns, newest.received_ns) > interlock.fresh_ns:
            return f"{name} has no value younger than {format_duration(interlock.fresh_ns)}"
        if not interlock.accepts(newest.value):
            return f"{name} must {_wanted(interlock)}, and is {_shown(newest.value)}"
        return ""

    async def _why_not_for(self, interlock: Interlock) -> str:
        now_ns = self._clock.now_ns()
        since_ns = now_ns - interlock.for_ns
        try:
            batches = await self._plant.span(interlock.point, since_ns - interlock.fresh_ns, now_ns + 1)
        except HeadraceError as error:
            return (
                f"the last {format_duration(interlock.for_ns)} of '{interlock.point}' cannot be read: {error.message}"
            )
        if held_since(interlock, batches, since_ns, now_ns):
            return ""
        return f"'{interlock.point}' has not been so for {format_duration(interlock.for_ns)}"


def held_since(interlock: Interlock, batches: Sequence[Batch], since_ns: int, now_ns: int) -> bool:
    """Whether every sample since then, and the one that stood at that moment, is good and fulfils it, without a gap.

    `batches` have one point. A gap longer than the age bound is a time of which nobody knows.
    """
    parts = [batch for batch in batches if len(batch)]
    if not parts:
        return False
    times = np.concatenate([batch.source_ns for batch in parts])
    good = np.concatenate([q.is_good(batch.quality) for batch in parts])
    fulfils = np.array([interlock.accepts(value) for batch in parts for value in batch.values.tolist()], bool)
    order = np.argsort(times, kind="stable")
    times, right = times[order], (good & fulfils)[order]
    first = int(np.searchsorted(times, since_ns, side="right")) - 1
    if first < 0 or not right[first:].all():
        return False
    gaps = np.diff(np.append(times[first:], now_ns))
    return bool((gaps <= interlock.fresh_ns).all())


def _refusal(interlock: Interlock, why: str) -> str:
    text = interlock.text.get("en") or next(iter(interlock.text.values()), "")
    return f"interlock: {text} ({why})" if text else f"interlock: {why}"


def _wanted(interlock: Interlock) -> str:
    if interlock.comparison is Comparison.BETWEEN:
        return f"be between {interlock.low:g} and {interlock.high:g}"
    return f"{_WORDS[interlock.comparison]} {_shown(interlock.limit)}"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else repr(value)[:60]
