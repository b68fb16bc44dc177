"""The outlet contract, run over the real bus and the real supervisor with short pauses."""

from __future__ import annotations

import random
from pathlib import Path

from headrace.connect import outlets
from headrace.connect.outlets.supervisor import OutletSupervisor, OutletSurroundings
from headrace.connect.surroundings import SessionPolicy
from headrace.exchange.local import LocalBus
from headrace.sdk.bus import Bus
from headrace.sdk.testing.outlet import Doors

POLICY = SessionPolicy(
    connect_timeout_s=10.0,
    request_timeout_s=10.0,
    close_timeout_s=2.0,
    pause_s_first=0.01,
    pause_s_max=0.05,
    stable_s=0.0,
)


class OutletsHere:
    policy = POLICY

    def make_bus(self) -> Bus:
        return LocalBus()

    def make_supervisor(self, bus: Bus, doors: Doors, state_dir: Path, dice: random.Random) -> OutletSupervisor:
        around = OutletSurroundings(
            bus, doors.context(state_dir), bus.publish_events, state_dir / "outlets", dice, self.policy
        )
        return OutletSupervisor(outlets.load(), around)
