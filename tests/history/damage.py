"""A history with everything in it, for tests that damage it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.history.clock import ManualClock

from headrace.history import HistorySettings, open_store
from headrace.history.store import EmbeddedStore
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.sdk.testing.store import BASE_NS

SETTINGS = HistorySettings(housekeeping_s=60, chunk_samples=200, slice_samples=400, close_after_s=10**9)
KINDS = list(ValueKind)  # point n has kind n
HOURS = 3


async def opened(directory: Path, settings: HistorySettings = SETTINGS, **changes: object) -> EmbeddedStore:
    return await open_store(directory, replace(settings, **changes), ManualClock(BASE_NS + 9 * HOUR_NS))  # type: ignore[arg-type]


def hour_of_noise(hour: int, seed: int = 5) -> list[Batch]:
    """500 samples of each of four points, one of each kind, that do not compress to nothing."""
    rng = np.random.default_rng([seed, hour])
    times = BASE_NS + hour * HOUR_NS + np.arange(500) * 6 * SECOND_NS
    columns = {
        ValueKind.FLOAT64: rng.normal(size=500),
        ValueKind.INT64: rng.integers(0, 2**60, 500),
        ValueKind.BOOL: rng.integers(0, 2, 500).astype(np.bool_),
        ValueKind.TEXT: np.array([f"state {n}" for n in rng.integers(0, 2**40, 500)], ValueKind.TEXT.dtype),
    }
    quality = np.where(rng.random(500) < 0.1, 0x80000000, 0).astype(np.uint32)
    return [Batch.of(kind, np.full(500, n), times, columns[kind], quality, times + 7) for n, kind in enumerate(KINDS)]


async def a_history(directory: Path, commits: int = 3) -> int:
    """Three flushed hours, one of them in two pieces, and some commits in the log; returns how many samples."""
    store = await opened(directory)
    await store.register([kind.label for kind in KINDS[:3]])
    await store.register([KINDS[3].label])
    samples = 0
    for hour in range(HOURS):
        batches = hour_of_noise(hour)
        await store.append(batches)
        await store.flush()
        samples += sum(map(len, batches))
    for late in (hour_of_noise(0, seed=6), hour_of_noise(HOURS), hour_of_noise(HOURS + 1))[:commits]:
        await store.append([batch.take(slice(None, None, 3)) for batch in late])
        samples += sum(len(batch.take(slice(None, None, 3))) for batch in late)
    await store.close()
    return samples


def largest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda path: (path.stat().st_size, path.name))
