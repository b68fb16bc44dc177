"""What every machine that makes parts does alike: phases, states, orders, counting good and scrap.

    run command ──► state: 0 stopped  1 set-up  2 running  3 waiting  4 fault
    a part ──► good or scrap (with a cause) ──► order done ──► next order after a set-up time

Random draws have a fixed number a step, whatever happens, so one seed gives one history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace_plants.layout import Block
from headrace_plants.ledger import Ledger

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

STOPPED, SETUP, RUNNING, WAITING, FAULT = range(5)
STATE_NAMES = ("stopped", "set-up", "running", "waiting", "fault")

PEOPLE = (
    ("Wang Fang", "Li Wei", "Zhang Min", "Liu Yang", "Chen Jie"),
    ("Yang Li", "Zhao Lei", "Huang Yan", "Zhou Tao", "Wu Xia"),
    ("Xu Hao", "Sun Mei", "Ma Chao", "Zhu Ling", "Hu Bin"),
)


def lag(value: Floats, target: Floats | float, dt_s: float, tau_s: float) -> None:
    """First-order approach of `value` to `target` in place; exact for a constant target, so stable for any step."""
    value += (target - value) * (1.0 - np.exp(-dt_s / tau_s))


class Production:
    """State, orders and counts of the machines of one block.

    `condition` holds what faults act on, one severity (machines,) in 0…1 each, 0 is sound; the physics of the type
    reads them.
    """

    def __init__(
        self,
        block: Block,
        ledger: Ledger,
        rng: np.random.Generator,
        *,
        conditions: Sequence[str],
        products: Sequence[tuple[str, int]],
        prefix: str,
        setup_s: float = 45.0,
        wait_chance: float = 0.004,
        fault_chance: float = 0.0008,
    ) -> None:
        n = block.count
        self.block, self.ledger, self.rng = block, ledger, rng
        self.products, self.prefix, self.setup_s = products, prefix, setup_s
        self.wait_chance, self.fault_chance = wait_chance, fault_chance
        self.condition: dict[str, Floats] = {name: np.zeros(n) for name in conditions}
        self.phase = np.zeros(n, dtype=np.int64)
        self.timer = np.zeros(n)
        self.cycle_timer = np.zeros(n)
        self.whole_cycle = np.zeros(n, dtype=bool)  # the first cycle was cut by the start
        self.setup_left = np.zeros(n)
        self.wait_left = np.zeros(n)
        self.fault_left = np.zeros(n)
        self.latched = np.zeros(n, dtype=bool)
        self.state = np.full(n, RUNNING, dtype=np.int64)
        self.orders = np.zeros(n, dtype=np.int64)
        for m in range(n):
            self._next_order(m, first=True)

    def counts(self, low: int, high: int) -> None:
        """Give the counters a past; call once."""
        b = self.block
        past = self.rng.integers(low, high, b.count)
        b["cycle.count"] = past
        b["parts.scrap"] = past // 90
        b["parts.good"] = past - past // 90
        b["tool.strokes"] = past % 40_000
        b["energy.total"] = past * 0.021

    def draw(self) -> Floats:
        """Uniform numbers of this step. Shape: (4, machines): wait, fault, scrap, spare."""
        return self.rng.random((4, self.block.count))

    def advance(self, done: Flags, phases: int, dt_s: float) -> Flags:
        """Move machines whose phase is done to the next one. Returns those that began a new cycle (phase 0)."""
        self.timer += dt_s
        self.cycle_timer += dt_s
        self.phase = np.where(done, (self.phase + 1) % phases, self.phase)
        self.timer = np.where(done, 0.0, self.timer)
        wrapped: Flags = done & (self.phase == 0)
        return wrapped

    def update_state(self, hold: Flags, dt_s: float) -> None:
        """Work out the state; `hold` are machines that their own protection stops."""
        for left in (self.setup_left, self.wait_left, self.fault_left):
            np.maximum(left - dt_s, 0.0, out=left)
        self.latched = hold
        run = self.block["setpoint.run"] > 0.5
        state = np.select(
            [hold | (self.fault_left > 0), ~run, self.setup_left > 0, self.wait_left > 0],
            [FAULT, STOPPED, SETUP, WAITING],
            RUNNING,
        )
        changed = np.flatnonzero(state != self.state)
        for m in changed:
            self.ledger.add(
                "state",
                self.block.machines[m].name,
                old=STATE_NAMES[self.state[m]],
                new=STATE_NAMES[state[m]],
                cause="protection" if hold[m] else "",
            )
        self.state = state
        self.block["machine.state"] = state
        self.block["machine.fault"] = state == FAULT

    @property
    def ready(self) -> Flags:
        """May start another cycle."""
        ready: Flags = self.state == RUNNING
        return ready

    def finish(self, made: Flags, scrap: Flags, causes: NDArray[Any], draw: Floats) -> None:
        """Count the parts of this step and see to orders and small stops. `causes` names why each would be scrap."""
        if not made.any():
            return
        b = self.block
        good = made & ~scrap
        bad = made & scrap
        b["parts.good"][good] += 1
        b["order.done"][good] += 1
        b["parts.scrap"][bad] += 1
        b["cycle.count"][made] += 1
        b["tool.strokes"][made] += 1
        whole = made & self.whole_cycle
        b["cycle.time"][whole] = self.cycle_timer[whole]
        self.whole_cycle |= made
        self.cycle_timer[made] = 0.0
        self.wait_left[made & (draw[0] < self.wait_chance)] = 12.0
        self.fault_left[made & (draw[1] < self.fault_chance)] = 20.0
        for m in np.flatnonzero(bad):
            self.ledger.add("scrap", b.machines[m].name, cause=str(causes[m]), order=str(b.text("order.number")[m]))
        for m in np.flatnonzero(b["order.done"] >= b["order.target"]):
            self._next_order(int(m))

    def _next_order(self, m: int, first: bool = False) -> None:
        b, name = self.block, self.block.machines[m].name
        if not first:
            self.ledger.add("order.end", name, order=str(b.text("order.number")[m]), done=int(b["order.done"][m]))
            self.setup_left[m] = self.setup_s
        self.orders[m] += 1
        choice = int(self.orders[m] + m) % len(self.products)
        product, target = self.products[choice]
        b.text("order.number")[m] = f"{self.prefix}{m + 1}-{1000 + int(self.orders[m])}"
        b.text("order.product")[m] = product
        b["order.target"][m] = target
        b["order.done"][m] = target // 3 if first else 0
        b["tool.number"][m] = 100 * (m + 1) + choice + 1
        self.ledger.add("order.start", name, order=str(b.text("order.number")[m]), product=product, target=target)

    def new_shift(self, shift: int) -> None:
        names = PEOPLE[shift]
        offset = {"WO-P": 0, "WO-M": 1, "WO-A": 3}.get(self.prefix, 0)
        self.block.text("operator")[:] = [names[(m + offset) % len(names)] for m in range(self.block.count)]
