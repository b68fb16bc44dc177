"""Where the disk cannot follow, appends wait: memory stays bounded, and nothing is lost."""

import asyncio
import threading
from pathlib import Path

from headrace.history import HistorySettings, open_store
from headrace.history.disk import Disk
from headrace.model.batch import ValueKind
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.store import BASE_NS, everything, ramp

SETTINGS = HistorySettings(memtable_samples=100)
SECONDS, APPENDS = 1_000_000_000, 8


class StuckDisk(Disk):
    """No segment is finished before the gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def replace(self, source: Path, target: Path) -> None:
        if target.suffix == ".seg":
            self.gate.wait()
        super().replace(source, target)


async def test_appends_wait_for_a_flush_that_is_stuck_and_then_go_on(tmp_path: Path) -> None:
    disk = StuckDisk()
    store = await open_store(tmp_path, SETTINGS, SystemClock(), disk=disk)
    handles = await store.register(["p"])

    async def append() -> None:
        for part in range(APPENDS):
            await store.append([ramp(0, 100, start_ns=BASE_NS + part * 100 * SECONDS)])

    appending = asyncio.create_task(append())
    try:
        while (await store.stats()).appended < 300:
            await asyncio.sleep(0)
        done, _ = await asyncio.wait([appending], timeout=0.2)
        assert not done
        assert (await store.stats()).appended == 300, "three memtables wait, and no sample more is taken"
    finally:
        disk.gate.set()
    await appending
    assert len((await everything(store, handles))[ValueKind.FLOAT64]) == APPENDS * 100
    await store.close()
