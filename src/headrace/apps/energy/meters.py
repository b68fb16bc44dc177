"""The tree of meters: what each reads, whose part it is, and virtual meters that are sums of others.

    main ─┬─ hall-1 ─┬─ press-1 … press-4
          │          └─ (rest)         virtual: hall-1 - press-1 - … - press-4
          └─ compressors

A tree is checked once, when it is made: names, units, carriers and circles. Then `flows` turns the readings of all its
points into a flow for each meter, the virtual ones included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.apps.energy.flows import Flow, combine, empty
from headrace.apps.energy.readings import (
    Exchange,
    Oddities,
    Readings,
    Register,
    counter_flow,
    interval_flow,
    rate_flow,
)
from headrace.model.errors import ConfigError, DataError, NotFound
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.model.units import convert, definition, display, same_dimension

READS: Final = ("counter", "rate", "interval")
METERS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Meter:
    """One place where energy is measured; without a `point` it is the signed sum of its `parts`.

    `unit` and `point_unit` are UCUM; a rate's unit is that of the amount by time (kW for kW.h, m3/h for m3).
    `ratio` multiplies what is read (current transformers); `modulus` is in the unit of the point, `rate_max` in the
    unit of the meter an hour. `accuracy_percent` is its class (0.5 S is 0.5). `every_s` is how often it should be read.
    """

    name: str
    carrier: str
    unit: str = "kW.h"
    point: str = ""
    reads: str = "counter"
    point_unit: str = ""
    every_s: float = 60.0
    gap_s: float | None = None
    ratio: float = 1.0
    modulus: float | None = None
    rate_max: float | None = None
    accuracy_percent: float = 1.0
    parent: str = ""
    parts: tuple[tuple[float, str], ...] = ()
    exchanges: tuple[Exchange, ...] = ()

    @property
    def is_virtual(self) -> bool:
        return bool(self.parts)

    @property
    def gap_ns(self) -> int:
        """Neighbours further apart do not know what was between them: three readings, where nothing else is said."""
        return round((3 * self.every_s if self.gap_s is None else self.gap_s) * SECOND_NS)


class MeterTree:
    """Meters that belong together. Raises, when it is made: ConfigError naming the meter and what is wrong with it."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        if len(meters) > METERS_MAX:
            raise ConfigError(f"{len(meters)} meters are more than the {METERS_MAX} of one tree; split the plant")
        self._meters = {meter.name: meter for meter in meters}
        if len(self._meters) != len(meters):
            names = [meter.name for meter in meters]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"two meters are named {twice}; give each its own name")
        for meter in meters:
            _check(meter)
            for other in [*(name for _, name in meter.parts), *([meter.parent] if meter.parent else [])]:
                self._check_pair(meter, other)
        self._order = self._ordered(lambda meter: [name for _, name in meter.parts], "the sum")
        self._ordered(lambda meter: [meter.parent] if meter.parent else [], "the parents")

    def __iter__(self) -> Iterator[Meter]:
        return iter(self._meters.values())

    def __getitem__(self, name: str) -> Meter:
        """Raises: NotFound."""
        found = self._meters.get(name)
        if found is None:
            raise NotFound(
                f"there is no meter named {name}; there are {', '.join(sorted(self._meters)[:20]) or 'none'}"
            )
        return found

    @property
    def points(self) -> dict[str, Meter]:
        """Each point that is read, and its meter."""
        return {meter.point: meter for meter in self._meters.values() if meter.point}

    def children(self, name: str) -> list[Meter]:
        """The meters directly below, in the order of their declaration."""
        return [meter for meter in self._meters.values() if meter.parent == self[name].name]

    def roots(self) -> list[Meter]:
        """Meters that are part of no other and are measured: what enters the plant."""
        return [meter for meter in self._meters.values() if not meter.parent and not meter.is_virtual]

    def flows(self, readings: Mapping[str, Readings]) -> tuple[dict[str, Flow], dict[str, Oddities]]:
        """A flow for each meter, by name, from readings by point; one without readings has an empty flow."""
        flows: dict[str, Flow] = {}
        oddities: dict[str, Oddities] = {}
        for name in self._order:
            meter = self._meters[name]
            if meter.is_virtual:
                flows[name] = combine(name, [(sign, flows[part]) for sign, part in meter.parts])
            elif meter.point in readings:
                flows[name], oddities[name] = flow_of(meter, readings[meter.point])
            else:
                flows[name] = empty(name, meter.unit)
        return flows, oddities

    def _check_pair(self, meter: Meter, other: str) -> None:
        if other not in self._meters:
            raise ConfigError(f"meter {meter.name} names {other}, which is not there; declare it or correct the name")
        if self._meters[other].unit != meter.unit:
            raise ConfigError(
                f"meter {meter.name} counts {display(meter.unit)} and {other} counts "
                f"{display(self._meters[other].unit)}; give both one unit"
            )
        if self._meters[other].carrier != meter.carrier:
            raise ConfigError(
                f"meter {meter.name} measures {meter.carrier} and {other} measures {self._meters[other].carrier}; "
                "only meters of one carrier are parts of each other"
            )

    def _ordered(self, needs: Callable[[Meter], list[str]], what: str) -> list[str]:
        """Names so that what a meter needs comes first. Raises: ConfigError for a circle."""
        order: list[str] = []
        state: dict[str, int] = {}
        for root in self._meters:
            stack = [(root, False)]
            while stack:
                name, done = stack.pop()
                if done:
                    state[name] = 2
                    order.append(name)
                elif state.get(name) == 1:
                    raise ConfigError(f"{what} of meter {name} leads back to itself; break the circle")
                elif name not in state:
                    state[name] = 1
                    stack.append((name, True))
                    stack.extend((need, False) for need in needs(self._meters[name]) if state.get(need) != 2)
        return order


def flow_of(meter: Meter, readings: Readings) -> tuple[Flow, Oddities]:
    """The flow of one measured meter. Raises: DataError, see `readings.py`."""
    scale, rate_ns = _scale(meter)
    register = Register(
        meter.name, meter.unit, meter.gap_ns, meter.ratio * scale, meter.modulus, meter.rate_max, meter.exchanges
    )
    if meter.reads == "rate":
        return rate_flow(readings, register, rate_ns=rate_ns)
    if meter.reads == "interval":
        return interval_flow(readings, register, interval_ns=round(meter.every_s * SECOND_NS))
    return counter_flow(readings, register)


def _scale(meter: Meter) -> tuple[float, int]:
    """What turns the unit of the point into that of the meter, a rate's by the hour."""
    unit = meter.point_unit or meter.unit
    if meter.reads != "rate":
        return float(convert(1.0, unit, meter.unit)), HOUR_NS
    factor = definition(unit)[1] * 3600.0 / definition(meter.unit)[1]
    return factor, HOUR_NS


def _check(meter: Meter) -> None:
    if not meter.name:
        raise ConfigError("a meter has no name; give it one that people of the plant use")
    if bool(meter.point) == bool(meter.parts):
        raise ConfigError(f"meter {meter.name} needs a point or parts, one of the two")
    if meter.reads not in READS:
        raise ConfigError(f"meter {meter.name} reads '{meter.reads}'; it can be {', '.join(READS)}")
    for what, value in (
        ("every_s", meter.every_s),
        ("ratio", meter.ratio),
        ("accuracy_percent", meter.accuracy_percent),
    ):
        if not value > 0:
            raise ConfigError(f"{what} of meter {meter.name} is {value}; it has to be more than 0")
    try:
        if meter.reads == "rate":
            if not meter.point_unit or not same_dimension(f"{meter.point_unit}.h", meter.unit):
                raise ConfigError(
                    f"meter {meter.name} reads a rate; its point_unit has to be {display(meter.unit)} by time, "
                    f"not '{meter.point_unit}'"
                )
        elif not same_dimension(meter.point_unit or meter.unit, meter.unit):
            raise ConfigError(
                f"meter {meter.name} reads {meter.point_unit} and counts {meter.unit}; they differ in kind"
            )
    except DataError as error:
        raise ConfigError(f"a unit of meter {meter.name}: {error}") from error
