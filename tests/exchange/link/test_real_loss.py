"""A wire that really loses packets: delay and loss, cuts that nobody is told of. Long, for root: `make soak`."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from tests.exchange.link.test_faults import Plant, prepared
from tests.exchange.link.tun import HUB, Wire, possible

pytestmark = [pytest.mark.soak, pytest.mark.skipif(bool(possible()), reason=possible() or "")]
RUNS = int(os.environ.get("HEADRACE_RUNS", "10"))
CUT_S = float(os.environ.get("HEADRACE_CUT_S", "60"))


async def started(folder: Path, wire: Wire, works: Plant) -> Plant:
    works.edge.inside, works.hub.inside = wire.inside(0), wire.inside(1)
    works.hub_host = works.edge_sees = HUB
    await works.start_hub()
    await works.start_edge()
    await works.live_again()
    return works


async def ended(works: Plant) -> None:
    await works.kill_edge()
    await works.hub.kill()


async def test_cuts_that_nobody_is_told_of(tmp_path: Path) -> None:
    works = await prepared(tmp_path)
    async with Wire(works.rng) as wire:
        await started(tmp_path, wire, works)
        try:
            again_s = []
            for _ in range(RUNS):
                await works.some_time(3.0)
                wire.cut = True
                await asyncio.sleep(CUT_S)
                wire.cut, began_s = False, time.monotonic()
                await works.live_again()
                again_s.append(round(time.monotonic() - began_s, 2))
            print(f"live again after {again_s} s")
            await works.check()
        finally:
            await ended(works)


async def test_fifty_milliseconds_and_two_percent_loss(tmp_path: Path) -> None:
    works = await prepared(tmp_path)
    async with Wire(works.rng) as wire:
        wire.delay_s, wire.loss = 0.05, 0.02
        await started(tmp_path, wire, works)
        try:
            for _ in range(RUNS):
                works.late_s.clear()
                await asyncio.sleep(5.0)
                print(f"oldest live sample: {max(works.late_s):.3f} s")
            await works.check()
        finally:
            await ended(works)
