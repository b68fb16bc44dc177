"""Assembly stations: load, press fit, four screws, leak test, unload.

    air pressure ─► screwdriver torque (weak below 5.5 bar)      tool wear ─► torque spread ─► rejects

Phases: 0 load, 1 press fit, 2 … 5 screws, 6 leak test, 7 unload.
Torque of a screw: setpoint·min(1, p_air/5.5)·(1 + (1.2 % + 4 %·wear)·z), z from a triangular draw.
"""

from __future__ import annotations

import numpy as np

from headrace_plants.layout import Block
from headrace_plants.ledger import Ledger
from headrace_plants.physics.production import RUNNING, Floats, Production, lag
from headrace_plants.sheets.assembly import SCREWS

LOAD, FIT, LEAK_TEST, UNLOAD = 0, 1, 6, 7
PHASES = 8
PHASE_S = np.array([2.2, 1.8, 1.4, 1.4, 1.4, 1.4, 3.0, 1.6])
TOLERANCE = 0.08
PRODUCTS = (("drive-unit-x", 300), ("drive-unit-y", 200))
CAUSES = np.array(["", "torque low", "torque high", "press fit", "leak"], dtype=object)


class Stations(Production):
    def __init__(self, block: Block, numbers: Floats, ledger: Ledger, rng: np.random.Generator) -> None:
        super().__init__(
            block, ledger, rng, conditions=("wear", "leak"), products=PRODUCTS, prefix="WO-A", setup_s=30.0
        )
        n = block.count
        self.counts(80_000, 200_000)
        self.torques = block.matrix(numbers, "screw1.torque", SCREWS)
        self.angles = block.matrix(numbers, "screw1.angle", SCREWS)
        self.torques[:] = 8.0
        self.angles[:] = 540.0
        self.wear = np.array([0.10, 0.06])[:n]
        self.fit_kn = np.zeros(n)
        self.distance_mm = np.zeros(n)
        self.air_bar = np.full(n, 6.8)
        self.serial = np.arange(n, dtype=np.int64) * 50_000 + 100_000
        self.pending = np.zeros((SCREWS, n))
        self.air_use_m3_min = np.zeros(n)
        self.cause = np.array([""] * n, dtype=object)
        self.phase = np.arange(n, dtype=np.int64) * 3 % PHASES

    def step(self, dt_s: float, air_bar: float) -> None:
        b, phase = self.block, self.phase
        draw = self.draw()
        spread = self.rng.random((2, SCREWS, b.count)).sum(axis=0) - 1.0  # triangular, standard deviation 0.41
        toward = np.maximum(self.condition["wear"] - self.wear, 0.0)
        self.wear = np.minimum(self.wear + (2e-8 + toward / 15.0) * dt_s, 1.0)
        lag(self.air_bar, air_bar - 0.15 - 1.5 * self.condition["leak"], dt_s, 2.0)
        strength = np.minimum(self.air_bar / 5.5, 1.0)

        screwing = (phase > FIT) & (phase < LEAK_TEST)
        progress = np.clip(self.timer / 1.4, 0.0, 1.0)
        torque_now = b["setpoint.torque"] * strength * progress**3
        b["spindle.torque"] = np.where(screwing, torque_now, 0.0)
        lag(self.fit_kn, np.where(phase == FIT, 4.2, 0.0), dt_s, 0.4)
        lag(self.distance_mm, np.where((phase >= FIT) & (phase < UNLOAD), 12.4, 0.0), dt_s, 0.4)
        busy = self.state == RUNNING
        self.air_use_m3_min = np.where(busy, np.where(screwing, 0.9, 0.3), 0.1) + 2.5 * self.condition["leak"]
        lag(b["power"], np.where(busy, np.where(screwing | (phase == FIT), 1.9, 0.8), 0.35), dt_s, 0.3)
        b["energy.total"] += b["power"] * dt_s / 3600.0

        done = (self.timer >= PHASE_S[phase]) & ((phase != LOAD) | self.ready)
        final = b["setpoint.torque"] * strength * (1.0 + (0.012 + 0.04 * self.wear) / 0.41 * spread)
        for screw in range(SCREWS):
            ended = done & (phase == FIT + 1 + screw)
            self.torques[screw][ended] = final[screw][ended]
            self.angles[screw][ended] = (540.0 + 300.0 * spread[screw] * (0.1 + self.wear))[ended]
        made = (phase == LEAK_TEST) & done
        if made.any():
            self._judge(draw, made)
        self.advance(done, PHASES, dt_s)
        self.update_state(np.zeros(b.count, dtype=bool), dt_s)
        b["fit.force"] = self.fit_kn
        b["fit.distance"] = self.distance_mm
        b["air.pressure"] = self.air_bar
        b["part.present"] = self.phase != LOAD
        b["cycle.phase"] = self.phase

    def _judge(self, draw: Floats, made: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
        b = self.block
        wanted = b["setpoint.torque"]
        low = np.any(self.torques < wanted * (1.0 - TOLERANCE), axis=0)
        high = np.any(self.torques > wanted * (1.0 + TOLERANCE), axis=0)
        leak = 0.6 + 0.5 * draw[3] + np.where(draw[2] < 0.004, 6.0, 0.0)
        code = np.select([low, high, draw[2] > 0.998, leak > 5.0], [1, 2, 3, 4], 0)
        b["leak.rate"][made] = leak[made]
        b["reject.code"][made] = code[made]
        b["part.passed"][made] = code[made] == 0
        self.cause[:] = CAUSES[code]
        for m in np.flatnonzero(made):
            self.serial[m] += 1
            b.text("part.serial")[m] = f"DU{self.serial[m]:08d}"
        self.finish(made, code > 0, self.cause, draw)

    def repair(self, condition: str, machine: int) -> None:
        if condition == "wear":
            self.wear[machine] = 0.05
