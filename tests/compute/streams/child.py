"""A stream job in a process of its own, to be killed: a seeded log of samples into a historian.

python -m tests.compute.streams.child <folder> <seed>      prints "done" when the log has ended
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.compute.streams.engine import Engine
from headrace.compute.streams.job import Job, StoreOutputs
from headrace.history.settings import HistorySettings
from headrace.history.store import EmbeddedStore, open_store
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.sdk.clock import SystemClock
from headrace.sdk.feed import Piece
from headrace.sdk.stream import sliding, stream

T0 = 1_700_000_000 * SECOND_NS // HOUR_NS * HOUR_NS
ASSETS, SECONDS = 20, 600
PATHS = [f"hall/press-{asset}/{name}" for asset in range(ASSETS) for name in ("oil", "speed")]


@stream(
    name="wear", inputs={"oil": "oil [Cel]", "speed": "speed"}, outputs={"wear": "float64", "seen": "int64"},
    window=sliding("10s", every="5s"), join="asof", lateness="3s", idle="10min",
)  # fmt: skip
def wear(columns: pa.RecordBatch, state: dict[str, Any]) -> dict[str, Any]:
    """Everything that was ever seen is in its state: one sample twice or never, and all that follows differs."""
    state["wear"] = state.get("wear", 0.0) * 0.99 + float(columns["oil"].to_numpy().sum())
    state["seen"] = state.get("seen", 0) + columns.num_rows
    return {"wear": state["wear"], "seen": state["seen"]}


class Log:
    """Positions are numbers of samples; how much is given at a time is another each time it is read."""

    def __init__(self, seed: int, handles: np.ndarray, paths: Mapping[int, str]) -> None:
        random = np.random.default_rng(seed)
        second = np.repeat(np.arange(SECONDS), len(handles))
        order = np.argsort(second + random.uniform(0, 2.5, len(second)), kind="stable")  # late, within lateness
        self.handles = np.tile(handles, SECONDS)[order]
        self.times = T0 + second[order] * SECOND_NS
        self.values = random.normal(60, 5, len(second))[order]
        self._paths = paths

    def paths(self) -> Mapping[int, str]:
        return self._paths

    async def pieces(self, position: str, needed_ns: int) -> AsyncIterator[Piece]:
        at, random = int(position or 0), np.random.default_rng()
        while at < len(self.times):
            upto = min(at + int(random.integers(1, 400)), len(self.times))
            part = slice(at, upto)
            batch = Batch.of(ValueKind.FLOAT64, self.handles[part], self.times[part], self.values[part])
            yield Piece([batch], str(upto))
            at = upto


async def open_history(folder: Path) -> EmbeddedStore:
    return await open_store(folder / "history", HistorySettings(), SystemClock())


async def main(folder: Path, seed: int) -> None:
    store = await open_history(folder)
    log = Log(seed, await store.register(PATHS), store.paths())
    job = Job(Engine(wear), log, StoreOutputs(store), folder / "wear.state", keep_samples=1_000)
    print("ready", flush=True)
    await job.run()
    await store.close()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
