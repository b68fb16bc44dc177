"""A plant's worth of odd samples: every kind, late and repeated times, bad quality, hours apart."""

from collections.abc import Iterator

import numpy as np

from headrace.model.batch import Batch, ValueKind
from headrace.model.time import HOUR_NS, SECOND_NS
from headrace.sdk.store import HistoryStore
from headrace.sdk.testing.store import BASE_NS, EXACT_VALUES

PATHS = [f"works/line-{number}/温度" for number in range(12)]


def batches(random: np.random.Generator, hours: int, rows: int = 100) -> Iterator[Batch]:
    """An hour at a time, each kind on its own points and at times on another's."""
    for hour in range(hours):
        start = BASE_NS + hour * 3 * HOUR_NS
        for kind in ValueKind:
            handles = random.integers(0, len(PATHS), rows).astype(np.uint32) // 4 * 4 + int(kind) - 1
            if hour % 7 == 0:
                handles[: rows // 10] = 0  # a point that was of another kind for a while
            # Few times, so that some are written twice; some hours late.
            times = start + random.integers(0, 3 * rows, rows) * 7 * SECOND_NS - (random.random(rows) < 0.05) * HOUR_NS
            if kind is ValueKind.FLOAT64:
                values = np.round(random.normal(20, 5, rows), 2)
                odd = random.random(rows) < 0.05
                values[odd] = random.choice(EXACT_VALUES[kind], int(odd.sum()))
            elif kind is ValueKind.INT64:
                values = random.integers(-(2**63), 2**63 - 1, rows)
            elif kind is ValueKind.BOOL:
                values = random.random(rows) < 0.5
            else:
                values = np.array([f"状态 {n}\x00" * int(n % 5) for n in random.integers(0, 9, rows)], kind.dtype)
            quality = random.choice([0, 0, 0, 0x4000_0000, 0x8005_0000], rows).astype(np.uint32)
            yield Batch.of(kind, handles, times.astype(np.int64), values, quality, times + random.integers(0, 10**9))


async def fill(store: HistoryStore, random: np.random.Generator, hours: int) -> None:
    assert (await store.register(PATHS)).tolist() == list(range(len(PATHS)))
    for batch in batches(random, hours):
        await store.append([batch])


async def contents(store: HistoryStore) -> dict[tuple[str, ValueKind], Batch]:
    """Everything, by path and kind, in order of time; all points as number 0."""
    parts: dict[tuple[str, ValueKind], list[Batch]] = {}
    paths = store.paths()
    async for batch in store.scan():
        for handle in np.unique(batch.handles).tolist():
            here = batch.take(batch.handles == handle)
            alone = Batch(
                here.kind, np.zeros(len(here), np.uint32), here.source_ns, here.received_ns, here.values, here.quality
            )
            parts.setdefault((paths[handle], batch.kind), []).append(alone)
    whole = {key: Batch.concat(found) for key, found in parts.items()}
    return {key: batch.take(np.argsort(batch.source_ns, kind="stable")) for key, batch in whole.items()}


def assert_same(left: dict[tuple[str, ValueKind], Batch], right: dict[tuple[str, ValueKind], Batch]) -> None:
    assert left.keys() == right.keys()
    for key, batch in left.items():
        assert batch.same_as(right[key]), key
