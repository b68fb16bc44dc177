"""Moments that samples share: told as places in a table, and back to the nanosecond."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.history import HistorySettings, open_store
from headrace.history.chunk_reader import decode
from headrace.history.chunks import RANKED, chunk_starts, encode
from headrace.history.columns import sort_unique
from headrace.history.moments import NONE, Stamps, Timed, moments_of
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.store import BASE_NS, everything

POINTS = 6
SMALL = HistorySettings(memtable_samples=60, slice_samples=16, chunk_samples=24, fragments_max=100, copied_samples=4)


@st.composite
def polls(draw: st.DrawFn) -> list[Batch]:
    """Polls of all points, answered with jitter; some source times are the poll's own, some samples come much later."""
    own_clock, late = draw(st.booleans()), []
    batches = []
    for second in range(draw(st.integers(1, 25))):
        received = BASE_NS + second * SECOND_NS + draw(st.integers(0, 900_000_000))
        source = received - draw(st.sampled_from([0, 7, 1_000_000])) if own_clock else BASE_NS + second * SECOND_NS
        here = np.array([draw(st.booleans()) or point < 3 for point in range(POINTS)])
        handles = np.flatnonzero(here).astype(np.uint32)
        batches.append(Batch.of(ValueKind.INT64, handles, source, handles.astype(np.int64) + second, 0, received))
        late += [(point, source, second) for point in np.flatnonzero(~here).tolist()]
        if late and draw(st.booleans()):
            points, sources, values = (np.array(column) for column in zip(*late, strict=True))
            batches.append(Batch.of(ValueKind.INT64, points, sources, values + points, 0, received + 5))
            late = []
    return batches


@settings(max_examples=examples(60), deadline=None)
@given(polls())
def test_shared_and_late_times_come_back_to_the_nanosecond(batches: list[Batch]) -> None:
    expected = sort_unique(Batch.concat(batches))

    async def play(folder: Path) -> None:
        store = await open_store(folder, SMALL, SystemClock())
        handles = await store.register([f"p{n}" for n in range(POINTS)])
        for batch in batches:
            await store.append([batch])
        for _ in range(2):
            await store.flush()
            assert (await everything(store, handles))[ValueKind.INT64].same_as(expected)
            await store.compact()
        await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


def polled() -> tuple[Batch, np.ndarray]:
    """Three points polled with jitter, by point and time, and the moments that they share."""
    times = BASE_NS + np.arange(50) * SECOND_NS + np.random.default_rng(4).integers(0, 10**8, 50)
    batches = [Batch.of(ValueKind.INT64, np.arange(3), time, np.arange(3), 0, time + 11) for time in times.tolist()]
    return sort_unique(Batch.concat(batches)), moments_of([Timed(batches)])


def test_what_is_polled_together_needs_no_bytes_for_its_times() -> None:
    batch, table = polled()
    starts = chunk_starts(batch, 65_536)
    encoded = encode(batch, starts, zstandard.ZstdCompressor(), Stamps.of(batch, table))
    assert (encoded.table["time_unit"] == RANKED).all() and not encoded.table["time_width"].any()
    assert not encoded.table["delay_width"].any()
    assert decode(ValueKind.INT64, encoded.table, encoded.frames, table).same_as(batch)


@pytest.mark.parametrize("left", [0, 1, 99])
def test_a_table_that_lacks_moments_is_an_error_and_no_other_time(left: int) -> None:
    batch, table = polled()
    encoded = encode(batch, chunk_starts(batch, 65_536), zstandard.ZstdCompressor(), Stamps.of(batch, table))
    with pytest.raises(DataError, match="lacks"):
        decode(ValueKind.INT64, encoded.table, encoded.frames, table[:left] if left else NONE)
