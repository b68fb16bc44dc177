"""Shared utilities: chilled water, compressed air, electricity, shifts.

    press coolers + moulds ─► heat load ─► chiller ─► water temperature ─► presses and moulds (the loop closes)
    stations + ejectors ─► air demand ─► receiver ─► load / unload

Water: C dT/dt = load + pump − Q; Q = 120 kW·health·u, u from PI; electric power = Q/COP + pump, COP falls with heat.
Receiver: V dp/dt = delivered − demand; loads below set − 0.2 bar, unloads above set + 0.2 bar.
"""

from __future__ import annotations

import math

import numpy as np

from headrace_plants.layout import Block
from headrace_plants.ledger import Ledger
from headrace_plants.physics.production import Floats, lag

WATER_KJ_PER_K = 900.0
CHILLER_KW = 120.0
PUMP_KW = 2.2
RECEIVER_M3 = 2.0
DELIVERY_M3_MIN = 6.2


class Chiller:
    def __init__(self, block: Block) -> None:
        self.block = block
        self.condition: dict[str, Floats] = {"fouling": np.zeros(1)}
        self.supply_cel = np.full(1, 15.0)
        self.return_cel = np.full(1, 17.0)
        self.integral = np.full(1, 0.35)
        self.output = np.full(1, 0.4)
        self.power_kw = np.zeros(1)
        self.heat_kj = np.zeros(1)
        block["tank.level"] = 78.0
        block["energy.total"] = 812_400.0
        block["water.pressure"] = 3.4

    def step(self, dt_s: float, load_kw: float, day_fraction: float) -> None:
        b = self.block
        running = b["setpoint.run"] > 0.5
        ambient = 24.0 + 5.0 * math.sin(2.0 * math.pi * (day_fraction - 0.375))
        error = self.supply_cel - b["setpoint.supply.temperature"]
        wanted = 0.15 * error + self.integral
        limited = np.clip(wanted, 0.0, 1.0)
        self.integral += np.where(np.abs(wanted - limited) < 1e-9, 0.15 / 60.0 * error * dt_s, 0.0)
        lag(self.output, limited * running, dt_s, 6.0)
        cooling = (
            CHILLER_KW * (1.0 - self.condition["fouling"]) * self.output * np.clip(self.supply_cel / 5.0, 0.0, 1.0)
        )
        net_kw = load_kw + PUMP_KW - cooling - 0.15 * (self.supply_cel - ambient)
        self.supply_cel += net_kw * dt_s / WATER_KJ_PER_K
        self.heat_kj += net_kw * dt_s
        flow_kg_s = 5.5
        lag(self.return_cel, self.supply_cel + load_kw / (flow_kg_s * 4.19), dt_s, 10.0)
        condensing = ambient + 10.0 + 12.0 * self.output * (1.0 + 1.5 * self.condition["fouling"])
        performance = np.clip(7.5 - 0.09 * (condensing - self.supply_cel), 1.5, 8.0)
        drawn = np.where(running, cooling / performance + 1.2, 0.2) + PUMP_KW
        lag(self.power_kw, drawn, dt_s, 2.0)
        b["energy.total"] += self.power_kw * dt_s / 3600.0
        b["supply.temperature"] = self.supply_cel
        b["return.temperature"] = self.return_cel
        b["water.flow"] = flow_kg_s * 3.6
        b["cooling.power"] = cooling
        b["heat.load"] = load_kw
        b["compressor.output"] = 100.0 * self.output
        b["condenser.temperature"] = condensing
        b["evaporator.temperature"] = self.supply_cel - 4.0 - 3.0 * self.output
        b["ambient.temperature"] = ambient
        b["bearing.vibration"] = 0.7 + 0.9 * self.output
        b["motor.power"] = self.power_kw
        b["performance"] = performance
        b["machine.state"] = np.where(running, 2, 0)

    def repair(self, condition: str, machine: int) -> None:
        """Cleaning leaves nothing behind."""


class Compressor:
    def __init__(self, block: Block) -> None:
        self.block = block
        self.condition: dict[str, Floats] = {"wear": np.zeros(1), "leak": np.zeros(1)}
        self.pressure_bar = np.full(1, 7.0)
        self.loaded = np.ones(1, dtype=bool)
        self.power_kw = np.full(1, 30.0)
        self.oil_cel = np.full(1, 76.0)
        self.wear = np.full(1, 0.1)
        self.flow = np.full(1, DELIVERY_M3_MIN)
        block["energy.total"] = 1_204_511.0
        block["hours.running"] = 30_412.0
        block["filter.pressure.drop"] = 24.0

    def step(self, dt_s: float, demand_m3_min: float) -> None:
        b = self.block
        running = b["setpoint.run"] > 0.5
        demand = (demand_m3_min + 6.0 * self.condition["leak"]) * np.clip(self.pressure_bar / 7.0, 0.0, 1.2)
        wanted = b["setpoint.pressure"]
        self.loaded = running & np.where(
            self.loaded, self.pressure_bar < wanted + 0.2, self.pressure_bar < wanted - 0.2
        )
        lag(self.flow, np.where(self.loaded, DELIVERY_M3_MIN, 0.0), dt_s, 1.0)
        self.pressure_bar = np.clip(
            self.pressure_bar + (self.flow - demand) / 60.0 / RECEIVER_M3 * 1.013 * dt_s, 0.0, 10.0
        )
        lag(
            self.power_kw,
            np.where(self.loaded, 30.0 + 2.0 * (self.pressure_bar - 7.0), np.where(running, 9.0, 0.3)),
            dt_s,
            1.5,
        )
        toward = np.maximum(self.condition["wear"] - self.wear, 0.0)
        self.wear = np.minimum(self.wear + (1e-8 + toward / 15.0) * dt_s, 1.0)
        lag(self.oil_cel, 50.0 + 0.95 * self.power_kw, dt_s, 90.0)
        b["energy.total"] += self.power_kw * dt_s / 3600.0
        b["hours.running"] += running * dt_s / 3600.0
        b["air.pressure"] = self.pressure_bar
        b["air.flow"] = self.flow
        b["air.demand"] = demand
        b["air.dew.point"] = 3.0 + 0.4 * self.flow
        b["discharge.temperature"] = self.oil_cel + 8.0
        b["oil.temperature"] = self.oil_cel
        b["bearing.vibration"] = 0.8 + 8.0 * self.wear**1.3
        b["motor.power"] = self.power_kw
        b["motor.current"] = self.power_kw / (1.732 * 0.4 * 0.87)
        b["loaded"] = self.loaded
        b["machine.state"] = np.where(running, 2, 0)

    def repair(self, condition: str, machine: int) -> None:
        if condition == "wear":
            self.wear[machine] = 0.06


class Meters:
    """Feeders of the presses. Voltage wanders with the grid, sags with the load; apparent² = active² + reactive²."""

    def __init__(self, block: Block, rng: np.random.Generator) -> None:
        self.block, self.rng = block, rng
        self.grid = np.zeros(4)
        self.window_kw = np.zeros(block.count)
        block["energy.import"] = 41_000.0 + 9_000.0 * np.arange(block.count)

    def step(self, dt_s: float, load_kw: Floats) -> None:
        b = self.block
        self.grid += self.rng.standard_normal(4) * 0.05 * math.sqrt(dt_s) - self.grid * dt_s / 120.0
        power = load_kw + 0.6
        factor = np.clip(0.62 + 0.25 * power / (power + 4.0), 0.0, 1.0)
        apparent = power / factor
        for phase, line in enumerate(("l1", "l2", "l3")):
            voltage = 230.5 + self.grid[phase] * 2.0 - 0.03 * power
            b[f"voltage.{line}"] = voltage
            b[f"current.{line}"] = apparent * 1000.0 / 3.0 / voltage
        b["power"] = power
        b["power.apparent"] = apparent
        b["power.reactive"] = np.sqrt(apparent**2 - power**2)
        b["power.factor"] = factor
        b["frequency"] = 50.0 + 0.02 * self.grid[3]
        b["distortion"] = 3.0 + 4.0 * power / 60.0
        b["energy.import"] += power * dt_s / 3600.0
        lag(self.window_kw, power, dt_s, 15.0)
        np.maximum(b["power.peak"], self.window_kw, out=b["power.peak"])


class Shifts:
    """Three shifts of eight hours, from 06:00, 14:00 and 22:00 local time (UTC+8)."""

    NAMES = ("early", "late", "night")
    LEADERS = ("Shen Yu", "Gao Ning", "Tang Rui")
    PEOPLE = (11, 10, 6)

    def __init__(self, block: Block, ledger: Ledger) -> None:
        self.block, self.ledger, self.shift = block, ledger, -1

    def step(self, local_s: float) -> bool:
        """`local_s` seconds since local midnight. Returns whether a new shift began."""
        since = (local_s - 6 * 3600.0) % 86_400.0
        shift = int(since // 28_800.0)
        self.block["time.remaining"] = (28_800.0 - since % 28_800.0) / 60.0
        if shift == self.shift:
            return False
        self.shift = shift
        self.block.text("name")[:] = self.NAMES[shift]
        self.block.text("leader")[:] = self.LEADERS[shift]
        self.block["people.present"] = self.PEOPLE[shift]
        self.ledger.add("shift", "shift", name=self.NAMES[shift], leader=self.LEADERS[shift])
        return True
