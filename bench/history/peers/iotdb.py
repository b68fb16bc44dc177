"""Apache IoTDB, one ConfigNode and one DataNode on loopback, through the platform's own store for it.

So it holds all that ours holds, in the schema that the platform uses there. The CPU is the servers'; what our store
spends on making tablets is formatting, and counts for nobody. Its log is synced before it answers (`wal_mode=SYNC`).

It is given a minute of all points at once: a point is a device there, and 10,000 devices with one row each take it
seconds, whatever the rows.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.history.dataset import Dataset
from bench.history.ours import Asked
from bench.history.peers.base import Absent, folder_bytes
from bench.history.peers.server import rest
from headrace.model.batch import Batch
from headrace.sdk.clock import SystemClock

_HEAP_MB = 2_048
_COMMIT_SAMPLES = 600_000


class IoTDB(Asked):
    title = "Apache IoTDB"
    in_process = False

    def start(self, directory: Path, dataset: Dataset, *, fresh: bool) -> None:
        try:
            tool = importlib.import_module("tools.iotdb")
            store = importlib.import_module("headrace.history.iotdb")
        except ImportError as error:
            raise Absent(f"this checkout cannot start or reach it ({error})") from None
        jars = tool.jars()
        if jars is None:
            raise Absent(tool.HOW)
        server = next(iter(sorted(jars.glob("iotdb-server-*.jar"))))
        self.title = f"IoTDB {server.stem.split('-', 2)[2]} ({_COMMIT_SAMPLES // 1000:,} k a commit)"
        self._directory, self._gathered = directory, list[Batch]()
        self._cluster = tool.Cluster(directory / "cluster", data_heap_mb=_HEAP_MB, quick=False)
        try:
            self._cluster.start()
        except RuntimeError as error:
            raise Absent(f"its servers did not start: {error}") from None
        self._loop = asyncio.new_event_loop()
        settings = replace(self._cluster.settings("bench"), answer_s=180.0, retry_s=180.0)
        self._store = self._loop.run_until_complete(store.open_iotdb(settings, SystemClock()))
        handles = self._loop.run_until_complete(self._store.register(dataset.paths()))
        assert np.array_equal(handles, np.arange(dataset.points)), "points are numbered as they are registered"

    def prepare(self, batches: Sequence[Batch]) -> list[Batch]:
        """Nothing, until enough are gathered."""
        self._gathered += batches
        if sum(map(len, self._gathered)) < _COMMIT_SAMPLES:
            return []
        gathered, self._gathered = self._gathered, []
        return gathered

    def write(self, commit: Sequence[Batch]) -> None:
        if commit:
            self._loop.run_until_complete(self._store.append(commit))

    def finish(self) -> None:
        self.write(self._gathered)
        self._gathered = []
        self._store._pool.call(lambda connection: connection.execute("FLUSH"))
        rest(self.cpu_s)

    def disk(self) -> Mapping[str, int]:
        """Files of samples; logs of what is in them already are deleted at its leisure."""
        return {"data": folder_bytes(self._directory, ".tsfile", ".resource")}

    def cpu_s(self) -> float:
        return float(self._cluster.cpu_s())

    def extra(self) -> Mapping[str, Any]:
        peaks = [
            float(Path(f"/proc/{one.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
            for one in self._cluster.members
        ]
        return {"rss_mb": sum(peaks)}

    def stop(self) -> None:
        try:
            self._loop.run_until_complete(self._store.close())
            self._loop.close()
        finally:
            self._cluster.stop(hard=True)
