"""Samples that come late, in pieces and twice give what they give in order: before an hour is merged, and after."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.history.clock import ManualClock
from tests.properties import examples

from headrace.history import HistorySettings, open_store
from headrace.history.check import check
from headrace.history.columns import sort_unique
from headrace.history.picture import picture_of_closed
from headrace.history.store import EmbeddedStore
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.store import Aggregate
from headrace.sdk.testing.store import BASE_NS, everything

POINTS = 4
BAD = 0x80000000
SMALL = HistorySettings(housekeeping_s=60, slice_samples=200, fragments_max=100, close_after_s=10**9)
EVERY = list(Aggregate)


@st.composite
def plants(draw: st.DrawFn) -> list[list[Batch]]:
    """Rounds of polls with what came late among them, cut into flushes. A case is told by its seed alone."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from([ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL]))
    period_s, rounds = draw(st.sampled_from([1, 2, 5])), draw(st.integers(5, 400))
    jitter = draw(st.sampled_from([0, 0, 0, 5_000_000]))
    late_share = draw(st.sampled_from([0.0, 0.02, 0.2]))
    times = BASE_NS + np.repeat(np.arange(rounds) * period_s * SECOND_NS, POINTS)
    handles = np.tile(np.arange(POINTS, dtype=np.uint32), rounds)
    source = times + rng.integers(0, jitter + 1, len(times))
    arrival = np.where(rng.random(len(times)) < late_share, times + rng.integers(1, 40, len(times)) * MINUTE_NS, times)
    received = arrival + 30_000_017
    quality = np.where(rng.random(len(times)) < draw(st.sampled_from([0, 0, 0.05])), BAD, 0).astype(np.uint32)
    batch = Batch.of(kind, handles, source, _values(draw, rng, kind, len(times)), quality, received)
    batch = batch.take(np.argsort(arrival, kind="stable"))
    if draw(st.booleans()):  # some are sent again, with another value
        again = rng.integers(0, len(batch), 4)
        sent = batch.take(again)
        other = Batch.of(kind, sent.handles, sent.source_ns, sent.values[::-1].copy(), 0, sent.received_ns + 5)
        batch = Batch.concat([batch, other])
    edges = [0, *sorted(rng.integers(0, len(batch), draw(st.integers(0, 4))).tolist()), len(batch)]
    pieces = [batch.take(slice(low, high)) for low, high in pairwise(edges) if high > low]
    return [[piece.take(slice(at, at + 40)) for at in range(0, len(piece), 40)] for piece in pieces]


def _values(draw: st.DrawFn, rng: np.random.Generator, kind: ValueKind, size: int) -> np.ndarray:
    if kind is ValueKind.BOOL:
        return rng.random(size) < 0.5
    if kind is ValueKind.INT64:
        return rng.integers(-1000, 1000, size) + draw(st.sampled_from([0, 0, 1 << 54]))
    values = np.round(rng.normal(100, 5, size), draw(st.integers(0, 5)))
    values[rng.random(size) < draw(st.sampled_from([0, 0, 0.05]))] = np.nan
    return values


async def asked(store: EmbeddedStore) -> dict[Aggregate, np.ndarray]:
    handles = np.arange(POINTS, dtype=np.uint32)
    end = BASE_NS + HOUR_NS + 10 * MINUTE_NS
    got = await store.downsample(handles, BASE_NS, end, width_ns=MINUTE_NS, aggregates=EVERY)
    return dict(got.columns)


def assert_alike(got: dict[Aggregate, np.ndarray], wanted: dict[Aggregate, np.ndarray]) -> None:
    for name in EVERY:
        # The deviation of numbers near 2^54 is what rounding leaves of it, also where they come in order.
        atol = 64.0 if name is Aggregate.STANDARD_DEVIATION and np.nanmax(wanted[Aggregate.MAX]) > 2.0**53 else 1e-6
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-9, atol=atol, err_msg=name.value)


async def play(folder: Path, flushes: list[list[Batch]], copied_samples: int) -> None:
    clock = ManualClock(BASE_NS + 2 * HOUR_NS)
    changed = replace(SMALL, copied_samples=copied_samples)
    store = await open_store(folder / "late", changed, clock)
    orderly = await open_store(folder / "orderly", SMALL, clock)
    for each in (store, orderly):
        handles = await each.register([f"p{n}" for n in range(POINTS)])
    expected = sort_unique(Batch.concat([batch for batches in flushes for batch in batches]))
    await orderly.append([expected])
    await orderly.flush()
    wanted = await asked(orderly)
    for batches in flushes:
        for batch in batches:
            await store.append([batch])
        assert_alike_so_far = await asked(store)  # with samples in memory, and pieces on disk
        await store.flush()
        np.testing.assert_array_equal((await asked(store))[Aggregate.COUNT], assert_alike_so_far[Aggregate.COUNT])
    assert_alike(await asked(store), wanted)
    for _ in range(2):
        assert (await everything(store, handles))[expected.kind].same_as(expected)
        await store.compact()
        assert_alike(await asked(store), wanted)
    late = flushes[0][0].take(slice(0, 1))  # a merged hour is merged again
    await store.append([late])
    await store.flush()
    await store.compact()
    assert len(await everything(store, handles)) == 1
    await store.close()
    await orderly.close()
    with picture_of_closed(folder / "late") as picture:
        assert check(picture).findings == []  # the roll-ups say what the samples do


@settings(max_examples=examples(20), deadline=None)
@given(plants(), st.sampled_from([1, 8, 10_000]))
def test_the_order_of_arrival_does_not_show(flushes: list[list[Batch]], copied_samples: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), flushes, copied_samples))


async def merged(tmp_path: Path, late: bool, **changes: object) -> EmbeddedStore:
    """An hour of three points at 1 Hz in four flushes, merged; with `late`, "b" comes a quarter late now and then."""
    store = await open_store(tmp_path, replace(SMALL, **changes), ManualClock(BASE_NS + 2 * HOUR_NS))  # type: ignore[arg-type]
    await store.register(["a", "b", "c"])
    for part in range(4):
        batches = []
        for second in range(part * 900, (part + 1) * 900):
            time_ns = BASE_NS + second * SECOND_NS
            here = [0, 2] if late and is_late(second) else [0, 1, 2]
            batches.append(Batch.of(ValueKind.INT64, here, time_ns, np.full(len(here), second), 0, time_ns + 17))
            if late and is_late(second - 900):
                early_ns = time_ns - 900 * SECOND_NS
                batches.append(Batch.of(ValueKind.INT64, [1], early_ns, [second - 900], 0, time_ns + 17))
        await store.append(batches)
        await store.flush()
    assert len(list((tmp_path / "seg").iterdir())) == 4
    await store.compact()
    return store


def is_late(second: int) -> bool:
    return second >= 0 and second % 97 == 5


@pytest.mark.parametrize("late", [False, True])
async def test_chunks_on_time_are_copied_and_only_late_ones_are_told_again(tmp_path: Path, late: bool) -> None:
    store = await merged(tmp_path, late)
    view = store._views.current
    (section,) = view.sections[BASE_NS // HOUR_NS]
    table = store._segments.chunk_table(view, section)
    counts = {point: table["count"][table["handle"] == point].tolist() for point in range(3)}
    assert counts[0] == counts[2] == [900] * 4
    assert counts[1] == ([890, 28, 891, 891, 890] if late else [900] * 4)
    page = await store.raw(np.array([1], np.uint32), BASE_NS, BASE_NS + HOUR_NS, limit=10_000)
    (batch,) = page.batches
    assert batch.values.tolist() == [s for s in range(3600) if not (late and s >= 2700 and is_late(s))]
    waited_s = np.where(late & (batch.values % 97 == 5), 900, 0)
    assert ((batch.received_ns - batch.source_ns) == waited_s * SECOND_NS + 17).all()
    await store.close()


async def test_small_chunks_of_a_point_become_one(tmp_path: Path) -> None:
    store = await merged(tmp_path, False, copied_samples=1000)
    view = store._views.current
    (section,) = view.sections[BASE_NS // HOUR_NS]
    assert store._segments.chunk_table(view, section)["count"].tolist() == [3600] * 3
    await store.close()
