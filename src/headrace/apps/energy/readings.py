"""From readings to flows: counters that wrap, reset and are exchanged; power; amounts of intervals.

    counter  1000 ─► 1003 ─► 5 (wrapped at 1008) ─► (exchanged: 5 ─► 7, new one from 0) ─► 2
    rate     trapezia between neighbours that are near enough, nothing across a gap
    interval an amount for the time before each reading

A bad or missing reading is no zero: its time is unknown, or bridged where a counter tells what went by. A reading that
falls and comes back at once is a mistake of the line and is left out. What cannot have happened (more than the meter
can measure) is not believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.energy.flows import BRIDGED, MEASURED, Floats, Flow, Times, empty
from headrace.model.errors import DataError
from headrace.model.quality import is_good
from headrace.model.time import HOUR_NS, SECOND_NS, format_time

#: A wrap leaves the reading before it in the last quarter of the counter, and the one behind it in the first …
_WRAP_SHARE: Final = 0.25
#: … and so many readings in a row can be a mistake that passes.
_DIP_LENGTH_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Readings:
    """Shape: (count,) each: source time in ns, value in the unit of the point, quality (OPC UA StatusCode)."""

    time_ns: Times
    value: Floats
    quality: NDArray[np.uint32]

    @classmethod
    def of(cls, time_ns: object, value: object, quality: object | None = None) -> Readings:
        """From anything NumPy takes; without a quality all are good. Raises: DataError for columns of unequal
        length."""
        times, values = np.asarray(time_ns, np.int64), np.asarray(value, np.float64)
        codes = np.zeros(len(times), np.uint32) if quality is None else np.asarray(quality, np.uint32)
        if not len(times) == len(values) == len(codes):
            raise DataError(f"readings need equal columns, not {len(times)} times and {len(values)} values")
        return cls(times, values, codes)

    def good(self) -> Readings:
        """Good numbers alone, in order of time; of an equal time the last that was given."""
        keep = is_good(self.quality) & np.isfinite(self.value)
        times, values, codes = self.time_ns[keep], self.value[keep], self.quality[keep]
        order = np.argsort(times, kind="stable")
        times, values, codes = times[order], values[order], codes[order]
        last = np.append(times[1:] != times[:-1], True) if len(times) else np.zeros(0, bool)
        return Readings(times[last], values[last], codes[last])


@dataclass(frozen=True, slots=True)
class Exchange:
    """A meter was taken out with one reading, and another put in with its own, in the unit of the point."""

    at_ns: int
    last: float
    first: float = 0.0


@dataclass(frozen=True, slots=True)
class Register:
    """How a point is read. `gap_ns`: neighbours further apart are bridged (counter) or unknown (rate).

    `ratio` turns the point's unit into the flow's (transformer ratios included); `modulus` is where a counter wraps;
    `rate_max`, in units of the flow an hour, is more than can pass.
    """

    source: str
    unit: str
    gap_ns: int
    ratio: float = 1.0
    modulus: float | None = None
    rate_max: float | None = None
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class Oddities:
    """What was not believed, counted: for people who look after the meters."""

    dips: int = 0
    resets: int = 0
    wraps: int = 0
    impossible: int = 0


def counter_flow(readings: Readings, register: Register) -> tuple[Flow, Oddities]:
    """The flow of a register that counts up.

    A fall is a wrap where a modulus is declared and the step across it is plausible, else a reset: of its stretch
    nothing is known. Raises: DataError for an exchange that contradicts the readings.
    """
    good = readings.good()
    good, dips = _without_dips(good, register)
    if len(good.time_ns) < 2:
        return empty(register.source, register.unit), Oddities(dips=dips)
    start, end = good.time_ns[:-1], good.time_ns[1:]
    step = np.diff(good.value)
    fell = step < 0
    fell &= ~_exchanged(step, good, register)
    wraps = np.zeros(len(step), bool)
    if register.modulus is not None:
        low, high = _WRAP_SHARE * register.modulus, (1 - _WRAP_SHARE) * register.modulus
        wraps = fell & (good.value[:-1] >= high) & (good.value[:-1] < register.modulus) & (good.value[1:] <= low)
        step = np.where(wraps, step + register.modulus, step)
    amount = step * register.ratio
    hours = (end - start) / HOUR_NS
    impossible = np.zeros(len(step), bool)
    if register.rate_max is not None:
        impossible = (amount > register.rate_max * hours * (1 + 1e-9)) & ~(fell & ~wraps)
    resets = step < 0
    keep = ~resets & ~impossible
    grade = np.where(end - start > register.gap_ns, BRIDGED, MEASURED).astype(np.uint8)
    flow = Flow(register.source, register.unit, start[keep], end[keep], amount[keep], grade[keep])
    return flow, Oddities(dips, int(resets.sum()), int((wraps & keep).sum()), int(impossible.sum()))


def rate_flow(readings: Readings, register: Register, *, rate_ns: int = HOUR_NS) -> tuple[Flow, Oddities]:
    """The flow of a power or flow rate: kW gives kW.h with `rate_ns` of an hour, L/min gives L with that of a minute.

    A trapezium between neighbours no further apart than `gap_ns`; a bad reading ends what its neighbours know.
    """
    order = np.argsort(readings.time_ns, kind="stable")
    times = readings.time_ns[order]
    fine = (is_good(readings.quality) & np.isfinite(readings.value))[order]
    values = readings.value[order] * register.ratio
    if len(times):
        last = np.append(times[1:] != times[:-1], True)
        times, fine, values = times[last], fine[last], values[last]
    limit = np.inf if register.rate_max is None else register.rate_max * rate_ns / HOUR_NS
    possible = np.abs(np.where(fine, values, 0.0)) <= limit
    start, end = times[:-1], times[1:]
    known = (fine & possible)[:-1] & (fine & possible)[1:] & (end - start <= register.gap_ns)
    held = np.where(fine, values, 0.0)
    amount = (held[:-1] + held[1:]) / 2 * ((end - start) / rate_ns)
    flow = Flow(
        register.source,
        register.unit,
        start[known],
        end[known],
        amount[known],
        np.full(int(known.sum()), MEASURED, np.uint8),
    )
    return flow, Oddities(impossible=int((fine & ~possible).sum()))


def interval_flow(readings: Readings, register: Register, *, interval_ns: int) -> tuple[Flow, Oddities]:
    """The flow of amounts, each for the `interval_ns` before its time. Raises: DataError where two overlap."""
    good = readings.good()
    amount = good.value * register.ratio
    limit = np.inf if register.rate_max is None else register.rate_max * interval_ns / HOUR_NS
    keep = np.abs(amount) <= limit
    end = good.time_ns[keep]
    start = end - interval_ns
    early = np.flatnonzero(start[1:] < end[:-1])
    if len(early):
        raise DataError(
            f"two amounts of {register.source} near {format_time(int(end[early[0]]))} are nearer than the interval "
            f"of {interval_ns / SECOND_NS:g} s that each is for; correct the interval of the meter"
        )
    grade = np.full(len(end), MEASURED, np.uint8)
    return Flow(register.source, register.unit, start, end, amount[keep], grade), Oddities(
        impossible=int((~keep).sum())
    )


def _without_dips(good: Readings, register: Register) -> tuple[Readings, int]:
    """Leaves out readings that fall below the one before and come back at once: mistakes of the line, not of the meter.

    A run of a few counts where one step leads back above, larger than all that was counted in the run. A meter that
    was exchanged falls for a reason.
    """
    value = good.value
    keep = np.ones(len(value), bool)
    exchanged = {int(np.searchsorted(good.time_ns, exchange.at_ns, side="right")) for exchange in register.exchanges}
    done = 0
    for fall in (np.flatnonzero(np.diff(value) < 0) + 1).tolist():
        if fall < done or fall in exchanged:
            continue
        run = value[fall : fall + _DIP_LENGTH_MAX + 1]
        back = np.flatnonzero(run >= value[fall - 1])
        if not len(back):
            continue
        lasts = int(back[0])
        if any(fall < place <= fall + lasts for place in exchanged):
            continue
        if run[lasts] - run[lasts - 1] > run[:lasts].max() - run[:lasts].min():
            keep[fall : fall + lasts] = False
            done = fall + lasts
    return Readings(good.time_ns[keep], value[keep], good.quality[keep]), int((~keep).sum())


def _exchanged(step: Floats, good: Readings, register: Register) -> NDArray[np.bool_]:
    """Corrects, in place, the steps in which a meter was exchanged; true where one was."""
    touched = np.zeros(len(step), bool)
    for exchange in register.exchanges:
        place = int(np.searchsorted(good.time_ns, exchange.at_ns, side="right")) - 1
        if not 0 <= place < len(step):
            continue
        if touched[place]:
            raise DataError(
                f"{register.source} was exchanged twice between two readings, near {format_time(exchange.at_ns)}; "
                "give the reading between"
            )
        before = float(good.value[place])
        if exchange.last < before or good.value[place + 1] < exchange.first:
            raise DataError(
                f"the exchange of {register.source} at {format_time(exchange.at_ns)} contradicts the readings beside "
                f"it: {before} then {exchange.last}, {exchange.first} then {good.value[place + 1]}"
            )
        step[place] = (exchange.last - before) + (good.value[place + 1] - exchange.first)
        touched[place] = True
    return touched
