"""The store against the simplest thing that could be right: a dictionary, under random interleavings."""

from __future__ import annotations

import asyncio
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.history.clock import ManualClock
from tests.properties import examples

from headrace.history import HistorySettings, open_store
from headrace.history.backup import back_up
from headrace.history.restore import restore
from headrace.history.store import EmbeddedStore
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.store import Aggregate
from headrace.sdk.testing.store import BASE_NS, everything

KINDS = list(ValueKind)  # point n has kind n
VALUES = {
    ValueKind.FLOAT64: st.one_of(
        st.integers(-500, 500).map(lambda n: n / 10),
        st.sampled_from([-0.0, math.nan, math.inf, -math.inf, 1e300, 1 / 3, 123456.789]),
    ),
    ValueKind.INT64: st.one_of(st.integers(-5, 5), st.sampled_from([2**53 + 1, -(2**63), 2**63 - 1])),
    ValueKind.BOOL: st.booleans(),
    ValueKind.TEXT: st.sampled_from(["", "on", "停", "x" * 300]),
}
SPAN_S = 7200 + 600
RETENTION_NS = HOUR_NS
SMALL = HistorySettings(
    memtable_samples=64, memtable_frames=8, chunk_samples=16, slice_samples=24, fragments_max=3, housekeeping_s=60,
    copied_samples=5,
    raw_retention_ns=RETENTION_NS, rollup_retention_ns=RETENTION_NS,
)  # fmt: skip


@dataclass
class Model:
    """(point, time) → (value, quality, received)."""

    samples: dict[tuple[int, int], tuple[object, int, int]] = field(default_factory=dict)
    newest: dict[int, tuple[int, tuple[object, int, int]]] = field(default_factory=dict)  # also of retired samples
    retired: bool = False

    def copy(self) -> Model:
        return Model(dict(self.samples), dict(self.newest), self.retired)

    def append(self, batch: Batch) -> None:
        for handle, time_ns, value, quality, received in zip(
            batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(),
            batch.quality.tolist(), batch.received_ns.tolist(), strict=True,
        ):  # fmt: skip
            row = (value, quality, received)
            self.samples[handle, time_ns] = row
            if handle not in self.newest or time_ns >= self.newest[handle][0]:
                self.newest[handle] = (time_ns, row)

    def delete(self, points: list[int], low: int, high: int) -> None:
        self.samples = {
            key: row for key, row in self.samples.items() if key[0] not in points or not low <= key[1] < high
        }
        for point in points:
            if point in self.newest and low <= self.newest[point][0] < high:
                left = [(time_ns, row) for (handle, time_ns), row in self.samples.items() if handle == point]
                self.newest.pop(point)
                if left:
                    self.newest[point] = max(left, key=lambda each: each[0])

    def retire(self, before_ns: int) -> None:
        """Whole hours that ended by then; the newest value of a point is still known, and roll-ups stay for a day."""
        before = len(self.samples)
        self.samples = {key: row for key, row in self.samples.items() if (key[1] // HOUR_NS + 1) * HOUR_NS > before_ns}
        self.retired |= len(self.samples) < before

    def of(self, kind: ValueKind) -> Batch:
        point = KINDS.index(kind)
        return self._batch(kind, sorted((t, *rest) for (p, t), rest in self.samples.items() if p == point))

    def latest(self, kind: ValueKind) -> Batch:
        held = self.newest.get(KINDS.index(kind))
        return self._batch(kind, [] if held is None else [(held[0], *held[1])])

    def _batch(self, kind: ValueKind, rows: list[tuple[int, object, int, int]]) -> Batch:
        times, values, quality, received = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Batch.of(
            kind, np.full(len(rows), KINDS.index(kind)), np.array(times, np.int64), np.array(values, kind.dtype),
            np.array(quality, np.uint32), np.array(received, np.int64),
        )  # fmt: skip


@st.composite
def appends(draw: st.DrawFn) -> Batch:
    kind = draw(st.sampled_from(KINDS))
    size = draw(st.integers(1, 30))
    start = draw(st.integers(-3600, SPAN_S))
    step_s = draw(st.sampled_from([1, 1, 7, 60, -1, 0]))
    times = BASE_NS + SECOND_NS * (start + step_s * np.arange(size, dtype=np.int64))
    if draw(st.booleans()):
        times = times + draw(st.integers(0, 999_999_999))
    values = np.array(draw(st.lists(VALUES[kind], min_size=size, max_size=size)), kind.dtype)
    quality = np.array(draw(st.lists(st.sampled_from([0, 0, 0, 0x800A0000]), min_size=size, max_size=size)), np.uint32)
    received = times + draw(st.sampled_from([0, 5_000_000, 123_456_789]))
    return Batch.of(kind, np.full(size, KINDS.index(kind)), times, values, quality, received)


deletes = st.tuples(
    st.lists(st.sampled_from(range(4)), min_size=1, max_size=4, unique=True),
    st.integers(-3600, SPAN_S),
    st.integers(1, 4000),
)
steps = st.one_of(
    st.lists(appends(), min_size=1, max_size=4),
    deletes,
    st.sampled_from(["flush", "compact", "reopen", "retire", "back up", "restore", "back up and restore"]),
)


async def check(store: EmbeddedStore, model: Model) -> None:
    handles = np.arange(4, dtype=np.uint32)
    held = await everything(store, handles, limit=13)
    newest = {batch.kind: batch for batch in await store.latest(handles)}
    scanned: dict[ValueKind, list[Batch]] = {}
    async for batch in store.scan():
        scanned.setdefault(batch.kind, []).append(batch)
    for kind in KINDS:
        expected = model.of(kind)
        assert held.get(kind, Batch.empty(kind)).same_as(expected)
        assert Batch.concat(scanned.get(kind, [Batch.empty(kind)])).same_as(expected)
        assert newest.get(kind, Batch.empty(kind)).same_as(model.latest(kind))
    if not model.retired:  # else roll-ups know of samples that are gone: see test_retention.py
        await check_buckets(store, model)


async def check_buckets(store: EmbeddedStore, model: Model) -> None:
    wanted = [
        Aggregate.COUNT, Aggregate.GOOD_COUNT, Aggregate.MIN, Aggregate.MAX, Aggregate.FIRST, Aggregate.LAST,
        Aggregate.SUM, Aggregate.TIME_WEIGHTED_MEAN,
    ]  # fmt: skip
    start, end = BASE_NS - HOUR_NS, BASE_NS + 2 * HOUR_NS
    handles = np.array([0, 1, 2], np.uint32)
    for width in (5 * MINUTE_NS, 91 * SECOND_NS):
        with np.errstate(all="ignore"):
            got = await store.downsample(handles, start, end, width_ns=width, aggregates=wanted)
        for point, kind in enumerate(KINDS[:3]):
            rows = model.of(kind)
            values = rows.values.astype(np.float64)
            inside = (rows.source_ns >= start) & (rows.source_ns < end)
            bucket = (rows.source_ns - got.start_ns[0]) // width
            counted = np.zeros((2, len(got.start_ns)), np.int64)
            expected = np.full((5, len(got.start_ns)), np.nan)
            size = np.zeros(len(got.start_ns))
            for at in np.unique(bucket[inside]).tolist():
                here = inside & (bucket == at)
                good = here & (rows.quality == 0)
                counted[:, at] = here.sum(), good.sum()
                picked = values[good & ~np.isnan(values)]
                if len(picked):
                    with np.errstate(all="ignore"):
                        expected[:, at] = picked.min(), picked.max(), picked[0], picked[-1], picked.sum()
                        size[at] = np.abs(picked[np.isfinite(picked)]).sum()
            assert got.columns[Aggregate.COUNT][point].tolist() == counted[0].tolist()
            assert got.columns[Aggregate.GOOD_COUNT][point].tolist() == counted[1].tolist()
            names = (Aggregate.MIN, Aggregate.MAX, Aggregate.FIRST, Aggregate.LAST, Aggregate.SUM)
            for name, row in zip(names, expected, strict=True):
                column = got.columns[name][point]
                # A sum may lose what its largest terms hide: the order of adding is the store's own.
                with np.errstate(invalid="ignore"):
                    near = np.abs(column - row) <= 1e-9 * np.where(np.isfinite(size), size, 0) + 1e-6
                assert (near | (column == row) | (np.isnan(column) & np.isnan(row))).all(), name


class Play:
    """A store and the model beside it; a step may put another store in its place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.directory, self.target = folder, folder / "0", folder / "target"
        self.target.mkdir()
        self.clock = ManualClock(BASE_NS - HOUR_NS)  # too early for any of the samples to retire
        self.backed_up: tuple[str, Model] | None = None

    async def settle(self, store: EmbeddedStore, model: Model) -> None:
        """Once hours may retire, they do so at a time of the store's choosing: let it be now."""
        if self.clock.now > BASE_NS - HOUR_NS:
            await store.flush()
            await store.compact()
            model.retire(self.clock.now - RETENTION_NS)

    async def back_up(self, store: EmbeddedStore, model: Model) -> None:
        await self.settle(store, model)
        made = await back_up(store, self.target, self.clock, duty=1.0, keep=100)
        self.backed_up = (f"{made.manifest.timeline}/{made.manifest.name}", model.copy())

    async def restore(self, store: EmbeddedStore) -> tuple[EmbeddedStore, Model]:
        """The last backup in the place of the store, in a target of its own, and the model of then."""
        assert self.backed_up is not None
        name, model = self.backed_up
        await store.close()
        self.directory = self.directory.with_name(str(int(self.directory.name) + 1))
        timeline, _, name = name.partition("/")
        await restore(self.target, self.directory, self.clock, name=name, timeline=timeline)
        return await open_store(self.directory, SMALL, self.clock), model.copy()


async def play(folder: Path, script: list[object]) -> None:
    around = Play(folder)
    store = await open_store(around.directory, SMALL, around.clock)
    await store.register([kind.label for kind in KINDS])
    model = Model()
    for step in script:
        match step:
            case "back up":
                await around.back_up(store, model)
            case "restore":
                if around.backed_up is not None:
                    store, model = await around.restore(store)
            case "back up and restore":
                await around.back_up(store, model)
                store, model = await around.restore(store)
            case "flush":
                await store.flush()
            case "retire":
                around.clock.now += HOUR_NS // 2
                await around.settle(store, model)
            case "compact":
                await store.flush()
                await store.compact()
            case "reopen":
                await store.close()
                store = await open_store(around.directory, SMALL, around.clock)
            case tuple(span):
                await around.settle(store, model)
                points, start, length = span
                low, high = BASE_NS + start * SECOND_NS, BASE_NS + (start + length) * SECOND_NS
                await store.delete(np.array(points, np.uint32), low, high)
                model.delete(points, low, high)
            case list(batches):
                await store.append(batches)
                for batch in batches:
                    model.append(batch)
    await around.settle(store, model)
    await check(store, model)
    await store.flush()
    await check(store, model)
    await store.compact()
    await check(store, model)
    await store.close()


@settings(
    max_examples=examples(60),
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(steps, min_size=1, max_size=8))
def test_whatever_happens_the_store_holds_what_a_dictionary_would(script: list[object]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(play(Path(directory), script))


async def test_a_merge_of_which_nothing_was_left_is_merged_again(tmp_path: Path) -> None:
    """What a merge wrote of its roll-ups may be dropped again, all of it; a deletion later merges that hour anew."""

    def run(kind: ValueKind, start_s: int, size: int) -> Batch:
        times = BASE_NS + SECOND_NS * (start_s + np.arange(size, dtype=np.int64))
        return Batch.of(kind, np.full(size, KINDS.index(kind)), times, np.zeros(size, kind.dtype))

    first = run(ValueKind.FLOAT64, 0, 1)
    script: list[object] = [
        [first], [first, first, run(ValueKind.FLOAT64, -905, 9), run(ValueKind.BOOL, -1, 23)],
        ([0], 0, 1), ([0, 1, 2], -1, 27), "compact", ([0], -897, 1),
    ]  # fmt: skip
    await play(tmp_path, script)


async def test_an_infinity_weighs_as_much_in_a_minute_as_among_samples(tmp_path: Path) -> None:
    """∞ − ∞ is no number, and ∞ × 0 s is none either: neither may stand where an infinite mean does."""
    store = await open_store(tmp_path, HistorySettings(), ManualClock(BASE_NS))
    handles = await store.register(["lone", "first", "last", "both"])
    hour = BASE_NS // HOUR_NS * HOUR_NS
    values = np.array([1.0, -math.inf, math.inf, 2.0, 2.0, math.inf, math.inf, -math.inf])
    times = hour + SECOND_NS * np.array([28, 70, 60, 90, 60, 90, 60, 90])
    await store.append([Batch.of(ValueKind.FLOAT64, np.repeat(handles, 2), times, values)])

    async def means() -> list[list[str]]:
        buckets = await store.downsample(
            handles, hour, hour + 2 * MINUTE_NS, width_ns=MINUTE_NS, aggregates=[Aggregate.TIME_WEIGHTED_MEAN]
        )
        return [[repr(mean) for mean in row] for row in buckets.columns[Aggregate.TIME_WEIGHTED_MEAN].tolist()]

    wanted = [["1.0", "-inf"], ["nan", "inf"], ["nan", "inf"], ["nan", "nan"]]
    assert await means() == wanted
    await store.flush()
    assert await means() == wanted
    await store.close()
