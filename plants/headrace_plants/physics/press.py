"""Hydraulic presses: ram, oil, heat, wear.

    pump speed ─► flow ─┬─► leak (pressure × gap ÷ viscosity)
                        └─► ram speed (approach, return) or pressure (pressing, holding) ─► force
    pump shaft power − forming work ─► oil heat ─► cooler (water of the chiller) and air
    wear ─► vibration, scrap    hot oil ─► thin oil ─► leak ─► slower ram

Phases: 0 approach, 1 pressing, 2 holding, 3 return, 4 unload and load.

Oil: C dT/dt = P_shaft − P_forming − UA·valve·health·(T − T_water) − k·(T − T_room).
Viscosity: ν = 46·exp(−0.03 (T − 40)). Leak: Q = (0.02·46/ν + 0.9·leak)·p. Pressure: dp/dt = (Q_pump − Q_leak)/K.
Shaft: P = p·Q/600/0.85 + drag.
"""

from __future__ import annotations

import numpy as np

from headrace_plants.layout import Block
from headrace_plants.ledger import Ledger
from headrace_plants.physics.production import RUNNING, Floats, Production, lag

APPROACH, PRESSING, HOLDING, RETURN, LOADING = range(5)
CONTACT_MM = 320.0
FORCE_KN_PER_BAR = 5.0  # piston area 0.05 m2
SPEED_MM_S_PER_L_MIN = 2.0  # differential circuit: small area while moving
FLOW_MAX_L_MIN = 130.0
OIL_KJ_PER_K = 180.0
COOLER_KW_PER_K = 0.45
ROOM_KW_PER_K = 0.05
ROOM_CEL = 26.0
PRODUCTS = (("bracket-a", 360), ("housing-b", 240), ("lever-c", 480))


class Presses(Production):
    def __init__(self, block: Block, ledger: Ledger, rng: np.random.Generator) -> None:
        super().__init__(
            block, ledger, rng, conditions=("wear", "leak", "cooler", "filter"), products=PRODUCTS, prefix="WO-P"
        )
        n = block.count
        self.counts(120_000, 400_000)
        self.position = np.zeros(n)
        self.pressure = np.full(n, 5.0)
        self.oil_cel = np.full(n, 47.0)
        self.water_out_cel = np.full(n, 18.0)
        self.valve = np.full(n, 0.4)
        self.level = np.full(n, 92.0)
        self.wear = np.array([0.08, 0.12, 0.10, 0.05])[:n]
        self.clog = np.array([0.22, 0.30, 0.35, 0.26])[:n]
        self.motor_cel = np.full(n, 70.0)
        self.bearing_cel = np.full(n, 55.0)
        self.vibration = np.full(n, 1.2)
        self.tool_cel = np.full(n, 60.0)
        self.leak = np.zeros(n)
        self.fouling = np.zeros(n)
        self.pressure_set = block["setpoint.pressure"].copy()
        self.peak = np.zeros(n)
        self.heat_kj = np.zeros(n)  # net heat into the oil since start: the test of the energy balance
        self.cooler_kw = np.zeros(n)
        self.cause = np.array([""] * n, dtype=object)
        block["part.thickness"] = 4.0
        self.phase = np.arange(n, dtype=np.int64) % 5
        self.position[:] = np.where(np.isin(self.phase, (PRESSING, HOLDING, RETURN)), CONTACT_MM, 0.0)

    def step(self, dt_s: float, water_cel: float) -> None:
        """One step; `water_cel` is the chilled water supply."""
        b, phase = self.block, self.phase
        draw = self.draw()
        moving = self._move(dt_s)
        flow, drain = self._pump(dt_s, moving)
        self._heat(dt_s, flow, drain, water_cel)
        self._age(dt_s)

        low_pressure = self.timer > 6.0
        done = np.select(
            [phase == APPROACH, phase == PRESSING, phase == HOLDING, phase == RETURN],
            [
                self.position >= CONTACT_MM,
                (self.pressure >= 0.97 * self.pressure_set) | low_pressure,
                self.timer >= b["setpoint.hold.time"],
                self.position <= 0.0,
            ],
            (self.timer >= 2.6) & self.ready,
        )
        self.peak = np.where(phase == HOLDING, np.maximum(self.peak, self.pressure), self.peak)
        made = (phase == HOLDING) & done
        if made.any():
            scrap = self._judge(draw[2])
            b["part.thickness"][made] = (4.0 + 0.004 * (200.0 - self.peak) + 0.01 * self.wear * draw[3])[made]
            self.finish(made, scrap & made, self.cause, draw)
            self.peak[made] = 0.0
        self.advance(done, 5, dt_s)
        hot = np.where(self.latched, self.oil_cel > 70.0, self.oil_cel > 82.0)
        self.update_state(hot, dt_s)
        self._show()

    def _move(self, dt_s: float) -> Floats:
        """Ram speed, mm/s; thin (hot) oil and internal leak slow it."""
        thin = np.exp(0.03 * (self.oil_cel - 40.0))
        efficiency = np.clip(1.0 - 0.05 * thin - 0.35 * self.leak, 0.2, 1.0)
        wanted = np.minimum(self.block["setpoint.speed"], FLOW_MAX_L_MIN * SPEED_MM_S_PER_L_MIN) * efficiency
        target = np.where(self.phase == APPROACH, wanted, np.where(self.phase == RETURN, -wanted, 0.0))
        lag(self.block["cylinder.speed"], target, dt_s, 0.12)
        speed = np.where(np.abs(target) > 0, self.block["cylinder.speed"], 0.0)
        self.position = np.clip(self.position + speed * dt_s, 0.0, CONTACT_MM)
        self.position = np.where(
            (self.phase == PRESSING) | (self.phase == HOLDING), CONTACT_MM + self.pressure * 0.01, self.position
        )
        return speed

    def _pump(self, dt_s: float, speed: Floats) -> tuple[Floats, Floats]:
        """Pump and case drain flow, L/min; sets the pressure."""
        lag(self.pressure_set, self.block["setpoint.pressure"], dt_s, 3.0)
        viscosity = 46.0 * np.exp(-0.03 * (self.oil_cel - 40.0))
        gap = 0.02 * 46.0 / viscosity + 0.9 * self.leak
        loaded = (self.phase == PRESSING) | (self.phase == HOLDING)
        stiffness = 0.02  # L/bar
        wanted = gap * self.pressure + stiffness * (self.pressure_set - self.pressure) * 60.0 / 0.35
        loaded_flow = np.clip(wanted, 0.0, FLOW_MAX_L_MIN)
        # Implicit in the leak: stable where the gap is wide.
        rate = dt_s / 60.0 / stiffness
        pressed = (self.pressure + rate * loaded_flow) / (1.0 + rate * gap)
        idle = np.where(np.abs(speed) > 1.0, 38.0, 5.0)
        eased = self.pressure + (idle - self.pressure) * (1.0 - np.exp(-dt_s / 0.15))
        self.pressure = np.where(loaded, np.minimum(pressed, 310.0), eased)
        drain = gap * self.pressure
        moving_flow = np.minimum(np.abs(speed) / SPEED_MM_S_PER_L_MIN + drain, FLOW_MAX_L_MIN)
        running = self.block["motor.running"] > 0.5
        flow = np.where(loaded, loaded_flow, moving_flow) * running
        return flow, drain * running

    def _heat(self, dt_s: float, flow: Floats, drain: Floats, water_cel: float) -> None:
        b = self.block
        running = b["motor.running"] > 0.5
        hydraulic_kw = self.pressure * flow / 600.0
        drag_kw = 1.6 * np.exp(-0.015 * (self.oil_cel - 40.0))
        shaft_kw = (hydraulic_kw / 0.85 + drag_kw) * running
        forming_kw = np.where(self.phase == PRESSING, 0.3 * hydraulic_kw, 0.0)
        wanted = np.clip(0.1 + 0.15 * (self.oil_cel - b["setpoint.oil.temperature"]), 0.0, 1.0)
        lag(self.valve, wanted, dt_s, 4.0)
        lag(self.fouling, self.condition["cooler"], dt_s, 5.0)
        cooler_kw = COOLER_KW_PER_K * (1.0 - self.fouling) * self.valve * np.maximum(self.oil_cel - water_cel, 0.0)
        net_kw = shaft_kw - forming_kw - cooler_kw - ROOM_KW_PER_K * (self.oil_cel - ROOM_CEL)
        self.oil_cel += net_kw * dt_s / OIL_KJ_PER_K
        self.heat_kj += net_kw * dt_s
        self.cooler_kw = cooler_kw
        lag(self.water_out_cel, water_cel + cooler_kw / (0.25 + 0.6 * self.valve), dt_s, 8.0)
        motor_kw = np.where(running, shaft_kw / 0.93 + 0.4, 0.15)
        b["energy.total"] += motor_kw * dt_s / 3600.0
        lag(self.motor_cel, ROOM_CEL + 6.5 * motor_kw, dt_s, 300.0)
        b["motor.power"] = motor_kw
        b["motor.current"] = motor_kw / (1.732 * 0.4 * 0.86)
        b["pump.flow"] = flow
        b["pump.drain.flow"] = drain
        b["pump.power"] = hydraulic_kw
        b["pump.speed"] = np.where(running, 250.0 + 2250.0 * flow / FLOW_MAX_L_MIN, 0.0)

    def _age(self, dt_s: float) -> None:
        """Wear only grows; a repaired bearing is a new one (see `repair`)."""
        work = self.state == RUNNING
        toward = np.maximum(self.condition["wear"] - self.wear, 0.0)
        self.wear = np.minimum(self.wear + (2e-8 * work + toward / 15.0) * dt_s, 1.0)
        toward = np.maximum(self.condition["filter"] - self.clog, 0.0)
        self.clog = np.minimum(self.clog + (1e-7 * work + toward / 20.0) * dt_s, 1.0)
        lag(self.leak, self.condition["leak"], dt_s, 4.0)
        self.level = np.clip(self.level - self.leak * 0.02 * dt_s, 20.0, 100.0)
        vibration = (0.9 + 9.0 * self.wear**1.3) * np.where(self.block["motor.running"] > 0.5, 1.0, 0.05)
        lag(self.vibration, vibration, dt_s, 5.0)
        lag(self.bearing_cel, ROOM_CEL + 24.0 + 45.0 * self.wear, dt_s, 240.0)
        lag(self.tool_cel, np.where(work, 64.0, 35.0), dt_s, 200.0)

    def _judge(self, draw: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Which parts of this stroke are scrap, and why: the likeliest cause is named."""
        short = np.clip((0.93 * self.block["setpoint.pressure"] - self.peak) / 40.0, 0.0, 0.9)
        worn = 0.12 * self.wear**2
        random = np.full(self.block.count, 0.004)
        hazards = np.stack((random, worn, short))
        self.cause[:] = np.array(["material", "wear", "low pressure"], dtype=object)[np.argmax(hazards, axis=0)]
        scrap: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = draw < 1.0 - np.prod(1.0 - hazards, axis=0)
        return scrap

    def _show(self) -> None:
        b = self.block
        loaded = (self.phase == PRESSING) | (self.phase == HOLDING)
        b["motor.running"] = (self.state >= RUNNING) & ~self.latched | (self.phase != LOADING)
        b["cylinder.position"] = self.position
        b["cylinder.pressure"] = self.pressure
        b["cylinder.force"] = np.where(loaded, self.pressure * FORCE_KN_PER_BAR, 0.0)
        b["pump.pressure"] = self.pressure + b["pump.flow"] * 0.06
        b["oil.temperature"] = self.oil_cel
        b["oil.level"] = self.level
        b["oil.viscosity"] = 46.0 * np.exp(-0.03 * (self.oil_cel - 40.0))
        b["cooler.valve"] = 100.0 * self.valve
        b["cooler.water.outlet"] = self.water_out_cel
        b["cooler.power"] = self.cooler_kw
        b["filter.pressure.drop"] = 0.3 + 3.6 * self.clog**1.5
        b["filter.clogged"] = self.clog > 0.85
        b["bearing.vibration"] = self.vibration
        b["bearing.temperature"] = self.bearing_cel
        b["motor.temperature"] = self.motor_cel
        b["tool.temperature"] = self.tool_cel
        b["guard.closed"] = (self.phase != LOADING) | (self.state == RUNNING)
        b["light.curtain.clear"] = (self.phase != LOADING) | (self.timer > 1.2)
        b["cycle.phase"] = self.phase

    def repair(self, condition: str, machine: int) -> None:
        """What a fitter does when a fault ends: a new bearing, a new filter element, oil topped up."""
        if condition == "wear":
            self.wear[machine] = 0.05
        elif condition == "filter":
            self.clog[machine] = 0.05
        elif condition == "leak":
            self.level[machine] = 92.0
