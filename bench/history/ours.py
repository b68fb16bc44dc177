"""The platform's own historian as the bench sees it: one process, one event loop, the settings it ships with."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from bench.history.dataset import Dataset
from bench.history.peers.base import Peer, folder_bytes
from bench.history.questions import Digest, Question, digest
from headrace.cli.serve import SWITCH_S
from headrace.history import HistorySettings, open_store
from headrace.history.framing import Frame
from headrace.history.wal import walk_log
from headrace.model.batch import Batch
from headrace.model.quality import is_good
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import Aggregate


def framed(path: Path) -> Iterator[Frame]:
    """Frames of a log; none where it was flushed meanwhile, and put by."""
    with suppress(FileNotFoundError):
        yield from (part for part in walk_log(path) if isinstance(part, Frame))


class SetClock(SystemClock):
    """A live plant: what was made last is now. So hours are merged as they would be in a year, and no sooner."""

    def __init__(self, now_ns: int) -> None:
        self.at_ns = now_ns

    def now_ns(self) -> int:
        return self.at_ns


class Asked(Peer):
    """A `HistoryStore` on an event loop of its own: how it is asked, and what its answers come to."""

    _loop: asyncio.AbstractEventLoop
    _store: Any

    def ask(self, question: Question) -> Callable[[], Any]:
        handles, start, end = question.handles, question.start_ns, question.end_ns
        run, store = self._loop.run_until_complete, self._store
        match question.ask:
            case "raw":
                return lambda: run(store.raw(handles, start, end, limit=1_000_000)).batches
            case "latest":
                return lambda: run(store.latest(handles))
        wanted = [Aggregate.MEAN] if question.ask == "mean" else [Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN]
        if start % question.width_ns == 0:
            return lambda: run(store.downsample(handles, start, end, width_ns=question.width_ns, aggregates=wanted))
        return lambda: run(store.downsample(handles, start, end, count=question.buckets, aggregates=wanted))

    def digest(self, question: Question, answer: Any) -> Digest:
        if question.ask == "latest":
            return digest(np.concatenate([batch.values.astype(np.float64) for batch in answer]))
        if question.ask == "raw":
            return digest(np.concatenate([b.values[is_good(b.quality)].astype(np.float64) for b in answer]))
        columns = answer.columns
        if question.ask == "mean":
            return digest(columns[Aggregate.MEAN])
        return digest(*(columns[name] for name in (Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX)))


class Ours(Asked):
    title = "Headrace"

    def start(self, directory: Path, dataset: Dataset, *, fresh: bool) -> None:
        self._directory = directory
        self._loop = uvloop.new_event_loop()  # as `headrace serve`, like the next line
        sys.setswitchinterval(SWITCH_S)
        self._clock = SetClock(dataset.start_ns if fresh else dataset.end_ns)
        began_s = time.perf_counter()
        self._store = self._loop.run_until_complete(open_store(directory, HistorySettings(), self._clock))
        self._opened_s = time.perf_counter() - began_s
        self._watch_upkeep()
        handles = self._loop.run_until_complete(self._store.register(dataset.paths()))
        assert np.array_equal(handles, np.arange(dataset.points)), "points are numbered as they are registered"

    def _watch_upkeep(self) -> None:
        """Count what the keeper's thread is given and has not done; nobody but this bench has to know, so it asks."""
        self._upkeep = 0
        run = self._store._keeper._run

        async def counted(job: Callable[[], None]) -> None:
            self._upkeep += 1
            try:
                await run(job)
            finally:
                self._upkeep -= 1

        self._store._keeper._run = counted

    def write(self, commit: Sequence[Batch]) -> None:
        self._clock.at_ns = max(self._clock.at_ns, int(commit[0].received_ns[0]))
        self._loop.run_until_complete(self._store.append(commit))

    def finish(self) -> None:
        self._loop.run_until_complete(self._store.flush())

    def compact(self) -> None:
        self._loop.run_until_complete(self._store.compact())
        trash = self._directory / "trash"
        while trash.exists() and any(trash.iterdir()):  # what merges replaced is given back a little at a time
            time.sleep(0.05)

    def busy(self) -> bool:
        """Flush or compaction."""
        return self._upkeep > 0

    def disk(self) -> Mapping[str, int]:
        """Of samples; logs that are kept to be written over are the same for an hour and for ten years."""
        logs = self._directory / "wal"
        held = sum(part.end - part.offset for path in logs.glob("*.log") for part in framed(path))
        segments = folder_bytes(self._directory / "seg")
        other = folder_bytes(self._directory) - segments - folder_bytes(logs)
        return {"segments": segments, "log": held, "catalog": other}

    def extra(self) -> Mapping[str, Any]:
        stats = self._loop.run_until_complete(self._store.stats())
        logs = folder_bytes(self._directory / "wal")
        return {
            "opened_s": self._opened_s,
            "log_files_mb": logs / 1e6,
            "held": stats.samples,
            "counters": dict(stats.extra),
        }

    def stop(self) -> None:
        self._loop.run_until_complete(self._store.close())
        self._loop.close()
