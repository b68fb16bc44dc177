"""The works in simulated time.

    faults due ─► step (0.1 s) × n ─► truth ─► sensors (noise, resolution, saturation, stuck, drift) ─► measured
                     ▲                                                                                 │
    write(path) ─────┘ setpoints                                    servers / simulate() columns ◄─────┘

The step path works on arrays: no Python object a point. One seed, one history: process and sensor noise have their
own generators, and each draws a fixed amount a step. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import Value, ValueKind
from headrace.model.errors import DataError, NotFound, Refused
from headrace.model.time import SECOND_NS
from headrace_plants.faults import MACHINE_FAULTS, Fault, parse_fault
from headrace_plants.layout import MACHINES, NUMBERS, POINT_BY_PATH, POINTS, TEXTS, Block
from headrace_plants.ledger import Ledger
from headrace_plants.physics.assembly import Stations
from headrace_plants.physics.moulder import Moulders
from headrace_plants.physics.press import Presses
from headrace_plants.physics.utilities import Chiller, Compressor, Meters, Shifts

STEP_S = 0.1
EPOCH_NS = 1_767_564_000 * SECOND_NS  # 2026-01-05T06:00+08:00, the start of an early shift
LOCAL_OFFSET_S = 8 * 3600
#: What makes the first minutes worth watching; `scenario="quiet"` leaves it out.
SHOWCASE = (
    "press-3:cooler@0s,severity=0.85",
    "press-2:bearing-wear@12s,severity=0.55",
    "press-4:filter@10s,severity=0.85",
)


class Simulation:
    """`epoch_ns` is the wall-clock time of simulated second 0; it decides the shift."""

    def __init__(
        self,
        seed: int = 1,
        *,
        epoch_ns: int = EPOCH_NS,
        scenario: str = "showcase",
        faults: Sequence[Fault] = (),
        ledger_path: Path | None = None,
    ) -> None:
        self.seed, self.epoch_ns = seed, epoch_ns
        self.ledger = Ledger(seed, epoch_ns, ledger_path)
        process, moulding, assembly, meters, self._sensor_rng = (
            np.random.Generator(np.random.PCG64(part)) for part in np.random.SeedSequence(seed).spawn(5)
        )
        self.truth: NDArray[np.float64] = np.zeros(NUMBERS)
        self.texts: NDArray[np.object_] = np.full(TEXTS, "", dtype=object)
        self.steps = 0
        blocks = {name: Block(name, self.truth, self.texts) for name in {m.sheet.name for m in MACHINES}}
        self.ledger.add("plant.start", "works", scenario=scenario)
        self.presses = Presses(blocks["hydraulic-press"], self.ledger, process)
        self.moulders = Moulders(blocks["injection-moulder"], self.truth, self.ledger, moulding)
        self.stations = Stations(blocks["assembly-station"], self.truth, self.ledger, assembly)
        self.compressor = Compressor(blocks["air-compressor"])
        self.chiller = Chiller(blocks["chiller"])
        self.meters = Meters(blocks["energy-meter"], meters)
        self.shifts = Shifts(blocks["shift"], self.ledger)
        self._models: dict[str, Any] = {
            "hydraulic-press": self.presses,
            "injection-moulder": self.moulders,
            "assembly-station": self.stations,
            "air-compressor": self.compressor,
            "chiller": self.chiller,
        }
        self._sensors = _Sensors(self._sensor_rng)
        self._due: list[Fault] = []
        self.active: list[tuple[Fault, float | None]] = []
        if scenario == "showcase":
            # The cooler of press 3 has been fouling for days: its oil is already near the limit.
            self.presses.oil_cel[2] = 64.8
            self.presses.fouling[2] = 0.85
            self._due += [parse_fault(text) for text in SHOWCASE]
        self._due += [fault if fault.start_s is not None else replace(fault, start_s=0.0) for fault in faults]
        self.measured: NDArray[np.float64] = self.truth.copy()
        self.step_once()
        self.measure()

    @property
    def t_s(self) -> float:
        return self.steps * STEP_S

    @property
    def now_ns(self) -> int:
        """Simulated wall-clock time."""
        return self.epoch_ns + self.steps * round(STEP_S * SECOND_NS)

    def advance(self, seconds: float) -> None:
        """Step to `seconds` later (a multiple of the step), then read the sensors."""
        for _ in range(round(seconds / STEP_S)):
            self.step_once()
        self.measure()

    def step_once(self) -> None:
        self.steps += 1
        self.ledger.t_s = self.t_s
        if self._due or self.active:
            self._run_faults()
        local_s = (self.now_ns / SECOND_NS + LOCAL_OFFSET_S) % 86_400.0
        if self.shifts.step(local_s):
            for group in (self.presses, self.moulders, self.stations):
                group.new_shift(self.shifts.shift)
        water_cel = float(self.chiller.supply_cel[0])
        self.presses.step(STEP_S, water_cel)
        self.moulders.step(STEP_S, water_cel)
        self.stations.step(STEP_S, float(self.compressor.pressure_bar[0]))
        load_kw = float(self.presses.cooler_kw.sum() + self.moulders.heat_to_water_kw.sum())
        self.chiller.step(STEP_S, load_kw, local_s / 86_400.0)
        ejecting = float(np.count_nonzero(self.presses.phase == 4)) * 0.35
        self.compressor.step(STEP_S, 1.6 + ejecting + float(self.stations.air_use_m3_min.sum()))
        self.meters.step(STEP_S, self.presses.block["motor.power"])

    def measure(self) -> None:
        self.measured = self._sensors.read(self.truth, self.t_s)

    # --- what people and programs do ---------------------------------------------------------------------------------

    def value(self, path: str) -> Value:
        """What the sensor says now. Raises: NotFound."""
        point = _point(path)
        if point.row.kind is ValueKind.TEXT:
            return str(self.texts[point.index])
        return as_value(point.row.kind, float(self.measured[point.index]))

    def write(self, path: str, value: Value) -> None:
        """Set a setpoint. Raises: NotFound, Refused beyond its limits, DataError for another kind."""
        point = _point(path)
        row = point.row
        if row.write is None:
            raise Refused(f"{path} is not a setpoint: the machine only reports it")
        if isinstance(value, str) or (row.kind is ValueKind.BOOL and not isinstance(value, bool)):
            raise DataError(f"{path} takes {row.kind.label}, not {value!r}")
        low, high = row.write
        if not low <= float(value) <= high:
            raise Refused(f"{path} takes {low:g} to {high:g} {row.unit}; the machine keeps its limits")
        self.truth[point.index] = self.measured[point.index] = float(value)
        self.ledger.add("write", point.machine.name, point=path, value=value)

    def inject(self, fault: Fault) -> None:
        """Now, or at its start time."""
        self._due.append(fault if fault.start_s is not None else replace(fault, start_s=self.t_s))

    def clear(self, target: str, kind: str | None = None) -> int:
        """End the faults of a target (all kinds if None), due ones included. Returns how many."""

        def hit(fault: Fault) -> bool:
            return fault.target == target and kind in (None, fault.kind)

        ended = [entry for entry in self.active if hit(entry[0])]
        waiting = [fault for fault in self._due if hit(fault)]
        self._due = [fault for fault in self._due if not hit(fault)]
        for entry in ended:
            self._stop(entry)
        return len(ended) + len(waiting)

    def server_faults(self, server: str) -> list[Fault]:
        return [fault for fault, _ in self.active if fault.target == server]

    # --- faults ------------------------------------------------------------------------------------------------------

    def _run_faults(self) -> None:
        now = self.t_s
        for fault in [fault for fault in self._due if (fault.start_s or 0.0) <= now]:
            self._due.remove(fault)
            self._start(fault, now)
        for entry in [entry for entry in self.active if entry[1] is not None and entry[1] <= now]:
            self._stop(entry)

    def _start(self, fault: Fault, now: float) -> None:
        for entry in [
            entry for entry in self.active if entry[0].target == fault.target and entry[0].kind == fault.kind
        ]:
            self.active.remove(entry)  # the newer one takes over
        self.active.append((fault, None if fault.duration_s is None else now + fault.duration_s))
        self._set(fault, fault.amount)
        self.ledger.add("fault.start", fault.machine, target=fault.target, kind=fault.kind, amount=fault.amount)

    def _stop(self, entry: tuple[Fault, float | None]) -> None:
        fault = entry[0]
        self.active.remove(entry)
        self._set(fault, None)
        self.ledger.add("fault.stop", fault.machine, target=fault.target, kind=fault.kind)

    def _set(self, fault: Fault, amount: float | None) -> None:
        if fault.on_server:
            return
        if "/" in fault.target:
            index = POINT_BY_PATH[fault.point_path].index
            self._sensors.disturb(index, fault.kind, amount, self.measured[index], self.t_s)
            return
        machine = next(machine for machine in MACHINES if machine.name == fault.target)
        condition = MACHINE_FAULTS[machine.sheet.name][fault.kind]
        model = self._models[machine.sheet.name]
        model.condition[condition][machine.place] = amount or 0.0
        if amount is None:
            model.repair(condition, machine.place)


class _Sensors:
    """From truth to what a transmitter reports: noise, drift, saturation, resolution, stuck."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        measured = [p for p in POINTS if p.row.kind is ValueKind.FLOAT64 and not p.row.writable]
        self._noisy = np.array([p.index for p in measured if p.row.noise > 0], dtype=np.intp)
        self._noise = np.array([p.row.noise for p in measured if p.row.noise > 0])
        self._index = np.array([p.index for p in measured], dtype=np.intp)
        self._low = np.array([p.row.low for p in measured])
        self._high = np.array([p.row.high for p in measured])
        self._steps = np.array([10.0**p.row.decimals for p in measured])
        self._stuck: dict[int, float] = {}
        self._drift: dict[int, tuple[float, float]] = {}

    def read(self, truth: NDArray[np.float64], t_s: float) -> NDArray[np.float64]:
        seen = truth.copy()
        seen[self._noisy] += self._noise * self._rng.standard_normal(len(self._noisy))
        for index, (rate, since_s) in self._drift.items():
            seen[index] += rate * (t_s - since_s)
        readings = np.clip(seen[self._index], self._low, self._high)
        seen[self._index] = np.rint(readings * self._steps) / self._steps + 0.0  # no negative zero
        for index, value in self._stuck.items():
            seen[index] = value
        return seen

    def disturb(self, index: int, kind: str, amount: float | None, value: float, t_s: float) -> None:
        table: dict[int, Any] = self._stuck if kind == "stuck" else self._drift
        if amount is None:
            table.pop(index, None)
        else:
            table[index] = float(value) if kind == "stuck" else (amount, t_s)


def _point(path: str) -> Any:
    point = POINT_BY_PATH.get(path)
    if point is None:
        raise NotFound(f"the works has no point '{path}'")
    return point


def as_value(kind: ValueKind, number: float) -> Value:
    if kind is ValueKind.FLOAT64:
        return number
    return bool(number) if kind is ValueKind.BOOL else int(number)


def simulate(
    seconds: float, seed: int = 1, *, sample_s: float = 1.0, scenario: str = "showcase", faults: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Run without servers. Returns one column a point by path, typed by its kind, and `time_ns`.

    Shape: (round(seconds / sample_s),) each.
    """
    plant = Simulation(seed, scenario=scenario, faults=[parse_fault(text) for text in faults])
    rows = round(seconds / sample_s)
    numbers = np.empty((rows, NUMBERS))
    texts = np.empty((rows, TEXTS), dtype=object)
    times = np.empty(rows, dtype=np.int64)
    for row in range(rows):
        plant.advance(sample_s)
        numbers[row], texts[row], times[row] = plant.measured, plant.texts, plant.now_ns
    columns: dict[str, NDArray[Any]] = {"time_ns": times}
    for point in POINTS:
        source = texts if point.row.kind is ValueKind.TEXT else numbers
        columns[point.path] = source[:, point.index].astype(point.row.kind.dtype)
    return columns
