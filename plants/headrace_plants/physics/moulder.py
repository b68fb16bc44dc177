"""Injection moulding machines: barrel heat, shot, mould.

    heaters (PI a zone) ─► barrel zones ─► melt ─► pressure while filling and holding ─► part weight
    chilled water ─► mould ─► heat load of the chiller

Phases: 0 close, 1 inject, 2 hold, 3 cool and plasticise, 4 open and eject.

Zone: C dT/dt = P·u·health + shear − k·(T − T_room) − k_n·(2T − T_left − T_right) − melt; PI with anti-windup.
Weight: w = w0·(1 + 0.02·(p_hold − 450)/450 + 0.0004·(T_melt − 228)) + noise; scrap beyond ± 1.2 %.
"""

from __future__ import annotations

import numpy as np

from headrace_plants.layout import Block
from headrace_plants.ledger import Ledger
from headrace_plants.physics.production import RUNNING, Floats, Production, lag
from headrace_plants.sheets.moulder import ZONES

CLOSE, INJECT, HOLD, COOL, OPEN = range(5)
HEATER_KW = 4.0
ZONE_KJ_PER_K = 12.0
ROOM_KW_PER_K = 0.006
NEIGHBOUR_KW_PER_K = 0.01
ROOM_CEL = 26.0
PART_G = 84.0
PRODUCTS = (("cover-front", 400), ("cover-rear", 400), ("gear-carrier", 300), ("clip", 900))


class Moulders(Production):
    def __init__(self, block: Block, numbers: Floats, ledger: Ledger, rng: np.random.Generator) -> None:
        super().__init__(
            block, ledger, rng, conditions=("wear", "heater", "nozzle"), products=PRODUCTS, prefix="WO-M", setup_s=60.0
        )
        n = block.count
        self.counts(200_000, 700_000)
        self.zone = block.matrix(numbers, "zone1.temperature", ZONES)
        self.output = block.matrix(numbers, "zone1.output", ZONES)
        self.setpoint = block.matrix(numbers, "zone1.setpoint", ZONES)
        self.zone[:] = self.setpoint
        self.integral = np.full((ZONES, n), 0.28)
        self.previous = self.zone.copy()
        self.melt_cel = np.full(n, 226.0)
        self.pressure = np.zeros(n)
        self.screw_mm = np.full(n, 60.0)
        self.clamp_kn = np.zeros(n)
        self.opening_mm = np.full(n, 300.0)
        self.mould_cel = np.full(n, 42.0)
        self.inlet_cel = np.full(n, 16.0)
        self.outlet_cel = np.full(n, 18.0)
        self.torque = np.zeros(n)
        self.wear = np.array([0.06, 0.10, 0.08, 0.04])[:n]
        self.vibration = np.full(n, 1.1)
        self.hopper = np.array([82.0, 64.0, 47.0, 91.0])[:n]
        self.peak = np.zeros(n)
        self.fill_s = np.zeros(n)
        self.drive_kw = np.zeros(n)
        self.blocked = np.zeros(n)
        self.weak = np.zeros(n)
        self.heat_to_water_kw = np.zeros(n)
        self.cause = np.array([""] * n, dtype=object)
        self.phase = np.arange(n, dtype=np.int64) % 5
        block["part.weight"] = PART_G
        block["melt.pressure.peak"] = 665.0
        block["injection.time"] = 0.6
        block["plasticising.time"] = 6.7
        block["screw.cushion"] = 6.2
        block["dryer.temperature"] = 80.0
        block["dryer.dew.point"] = -38.0

    def step(self, dt_s: float, water_cel: float) -> None:
        b, phase = self.block, self.phase
        draw = self.draw()
        lag(self.weak, self.condition["heater"], dt_s, 2.0)
        lag(self.blocked, self.condition["nozzle"], dt_s, 10.0)
        toward = np.maximum(self.condition["wear"] - self.wear, 0.0)
        self.wear = np.minimum(self.wear + (1e-8 + toward / 15.0) * dt_s, 1.0)
        self._shot(dt_s)
        self._barrel(dt_s)
        self._mould(dt_s, water_cel)

        cooling_done = (self.timer >= b["setpoint.cooling.time"]) & (self.screw_mm >= 60.0)
        done = np.select(
            [phase == CLOSE, phase == INJECT, phase == HOLD, phase == COOL],
            [
                self.clamp_kn >= 1400.0,
                (self.screw_mm <= 9.0) | (self.timer > 6.0),
                self.timer >= 4.0,
                cooling_done,
            ],
            (self.opening_mm >= 300.0) & (self.timer >= 2.4) & self.ready,
        )
        filled = (phase == INJECT) & done
        b["injection.time"][filled] = self.timer[filled]
        b["screw.cushion"] = np.where((phase == HOLD) & done, self.screw_mm, b["screw.cushion"])
        recovering = (phase == COOL) & (self.screw_mm < 60.0)
        b["plasticising.time"][recovering] = self.timer[recovering]
        self.peak = np.where(phase == INJECT, np.maximum(self.peak, self.pressure), self.peak)
        made = (phase == COOL) & done
        if made.any():
            b["melt.pressure.peak"][made] = self.peak[made]
            scrap = self._judge(draw, made)
            self.finish(made, scrap, self.cause, draw)
            for m in np.flatnonzero(made & scrap):
                b.text("scrap.reason")[m] = self.cause[m]
            self.peak[made] = 0.0
        self.advance(done, 5, dt_s)
        cold = np.any(self.zone < self.setpoint - 25.0, axis=0)
        self.update_state(cold, dt_s)
        self._show()

    def _shot(self, dt_s: float) -> None:
        b, phase = self.block, self.phase
        lag(self.clamp_kn, np.where((phase == OPEN), 0.0, 1420.0), dt_s, 0.35)
        lag(self.opening_mm, np.where(phase == OPEN, 320.0, 0.0), dt_s, 0.5)
        thick = np.exp(-0.012 * (self.melt_cel - 228.0))
        speed = b["setpoint.injection.speed"] / (1.0 + 1.5 * self.blocked)
        filling = (
            780.0 * thick * (0.5 + 0.5 * speed / 80.0) * (1.0 + 1.4 * self.blocked) * (1.05 - self.screw_mm / 120.0)
        )
        target = np.select(
            [phase == INJECT, phase == HOLD, (phase == COOL) & (self.screw_mm < 60.0)],
            [filling, b["setpoint.hold.pressure"], 90.0],
            0.0,
        )
        lag(self.pressure, target, dt_s, 0.2)
        turning = (phase == COOL) & (self.screw_mm < 60.0)
        travel = np.select(
            [phase == INJECT, phase == HOLD, turning], [-speed, np.full_like(speed, -0.7), 8.5 / thick], 0.0
        )
        floor = np.where(phase == INJECT, 9.0, 3.0)  # the switch-over position, then the cushion
        self.screw_mm = np.clip(self.screw_mm + travel * dt_s, np.minimum(floor, self.screw_mm), 60.0)
        lag(self.torque, np.where(turning, 420.0 * thick * (1.0 + 0.5 * self.wear), 0.0), dt_s, 0.3)
        b["screw.speed"] = np.where(turning, 160.0, 0.0)
        work = np.select(
            [phase == CLOSE, phase == INJECT, phase == HOLD, turning],
            [
                np.full_like(speed, 9.0),
                self.pressure * speed * 1.3e-4 + 5.0,
                np.full_like(speed, 4.0),
                self.torque * 160.0 / 9550.0 + 3.0,
            ],
            2.0,
        )
        lag(self.drive_kw, np.where(self.state >= RUNNING, work, 0.8), dt_s, 0.3)

    def _barrel(self, dt_s: float) -> None:
        error = self.setpoint - self.zone
        wanted = 0.05 * error + self.integral
        output = np.clip(wanted, 0.0, 1.0)
        self.integral += np.where(np.abs(wanted - output) < 1e-9, 0.05 / 180.0 * error * dt_s, 0.0)
        health = np.ones_like(output)
        health[3] = 1.0 - self.weak  # the heater that faults act on is that of zone 4
        padded = np.concatenate((self.zone[:1], self.zone, self.zone[-1:]))
        neighbours = 2.0 * self.zone - padded[:-2] - padded[2:]
        turning = self.block["screw.speed"] > 0
        shear_kw = np.array([0.1, 0.2, 0.35, 0.35, 0.2])[:, None] * turning
        melt_kw = np.array([0.5, 0.4, 0.2, 0.1, 0.0])[:, None] * turning
        net = (
            HEATER_KW * output * health
            + shear_kw
            - melt_kw
            - ROOM_KW_PER_K * (self.zone - ROOM_CEL)
            - NEIGHBOUR_KW_PER_K * neighbours
        )
        self.zone += net * dt_s / ZONE_KJ_PER_K
        self.output[:] = 100.0 * output
        heater_kw: Floats = HEATER_KW * np.sum(output * health, axis=0)
        b = self.block
        b["heater.power"] = heater_kw
        b["motor.power"] = self.drive_kw
        b["motor.current"] = self.drive_kw / (1.732 * 0.4 * 0.88)
        b["energy.total"] += (self.drive_kw + heater_kw) * dt_s / 3600.0
        lag(self.melt_cel, np.mean(self.zone[2:], axis=0) + 3.0, dt_s, 20.0)

    def _mould(self, dt_s: float, water_cel: float) -> None:
        """The shot gives its heat to the mould while it cools; water takes it away."""
        b = self.block
        b["coolant.flow"] = 18.0
        lag(self.inlet_cel, water_cel + 1.0, dt_s, 6.0)
        shot_kw = np.where((self.phase == HOLD) | (self.phase == COOL), 0.033 * (self.melt_cel - self.mould_cel), 0.0)
        water_kw = 0.14 * (self.mould_cel - self.inlet_cel)
        self.mould_cel += (shot_kw - water_kw - 0.01 * (self.mould_cel - ROOM_CEL)) * dt_s / 60.0
        self.heat_to_water_kw = water_kw
        lag(self.outlet_cel, self.inlet_cel + water_kw / (b["coolant.flow"] / 60.0 * 4.19), dt_s, 4.0)

    def _judge(
        self, draw: Floats, made: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        b = self.block
        shift = 0.02 * (b["setpoint.hold.pressure"] - 450.0) / 450.0 + 0.0004 * (self.melt_cel - 228.0)
        spread = (0.002 + 0.006 * self.wear) * (draw[2] + draw[3] - 1.0) * 2.45
        short = 0.03 * self.blocked
        weight = PART_G * (1.0 + shift + spread - short)
        b["part.weight"][made] = weight[made]
        self.hopper[made] -= weight[made] / 1000.0 * 0.9
        self.hopper = np.where(self.hopper < 12.0, 95.0, self.hopper)
        deviation = np.abs(weight / PART_G - 1.0)
        self.cause[:] = np.select([self.blocked > 0.3, np.abs(shift) > 0.008], ["short shot", "weight"], "dimension")
        scrap: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = made & ((deviation > 0.012) | (draw[3] < 0.004))
        return scrap

    def _show(self) -> None:
        b = self.block
        lag(self.vibration, 0.8 + 8.0 * self.wear**1.3, 1.0, 50.0)
        b["melt.temperature"] = self.melt_cel
        b["melt.pressure"] = self.pressure
        b["screw.position"] = self.screw_mm
        b["screw.torque"] = self.torque
        b["clamp.force"] = self.clamp_kn
        b["clamp.position"] = self.opening_mm
        b["mould.temperature"] = self.mould_cel
        b["coolant.inlet"] = self.inlet_cel
        b["coolant.outlet"] = self.outlet_cel
        b["bearing.vibration"] = self.vibration
        b["hopper.level"] = self.hopper
        b["guard.closed"] = self.phase != OPEN
        b["cycle.phase"] = self.phase

    def repair(self, condition: str, machine: int) -> None:
        if condition == "wear":
            self.wear[machine] = 0.04
