"""Hours of days and months: the same answers as from samples, whatever came in, in whatever order, at whatever time."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.history import naive
from tests.history.clock import ManualClock
from tests.properties import examples

from headrace.history import HistorySettings, open_store
from headrace.history.rows import from_samples
from headrace.history.store import EmbeddedStore
from headrace.history.summaries import (
    COLUMNS,
    NEED,
    SummaryEncoder,
    columns_behind,
    decode_directory,
    decode_group,
    group_bytes,
    groups_of,
    rows_of,
)
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.store import Aggregate
from headrace.sdk.testing.store import BASE_NS, ramp

PERIOD_NS = 30 * DAY_NS
BEGIN_NS = BASE_NS // PERIOD_NS * PERIOD_NS
BAD = 0x800A0000
SMALL = HistorySettings(
    housekeeping_s=60, slice_samples=500, chunk_samples=200, summary_after_s=0, fragments_max=4, close_after_s=0
)
EVERY = list(Aggregate)
EXACT = {Aggregate.COUNT, Aggregate.GOOD_COUNT}


async def opened(directory: Path, now_ns: int, **changes: object) -> tuple[EmbeddedStore, ManualClock]:
    clock = ManualClock(now_ns)
    return await open_store(directory, replace(SMALL, **changes), clock), clock  # type: ignore[arg-type]


def lay(handle: int, start_ns: int, times_s: np.ndarray, values: np.ndarray, quality: object = 0) -> Batch:
    times = start_ns + (times_s * SECOND_NS).astype(np.int64)
    return Batch.of(ValueKind.FLOAT64, np.full(len(times), handle), times, values, quality)


async def every_hour(
    store: EmbeddedStore, start_ns: int, end_ns: int, width_ns: int = HOUR_NS
) -> dict[Aggregate, np.ndarray]:
    handles = np.arange(len(store.paths()), dtype=np.uint32)
    return dict((await store.downsample(handles, start_ns, end_ns, width_ns=width_ns, aggregates=EVERY)).columns)


def assert_alike(got: dict[Aggregate, np.ndarray], wanted: dict[Aggregate, np.ndarray]) -> None:
    for name in EVERY:
        if name in EXACT:
            assert np.array_equal(got[name], wanted[name]), name
        else:
            # A deviation near zero is the difference of squares: what rounding leaves of it is no larger than this.
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-9, atol=1e-5, err_msg=name.value)


async def test_a_trend_over_months_reads_summaries_and_says_what_the_minutes_do(tmp_path: Path) -> None:
    days = 40
    store, clock = await opened(tmp_path, BEGIN_NS + PERIOD_NS + 9 * DAY_NS)
    await store.register(["even", "jittering", "bad at times", "constant"])
    noise = np.random.default_rng(3)
    for day in range(days):
        start_ns = BEGIN_NS + day * DAY_NS
        even = np.arange(0, 86_400, 300.0)
        jitter = np.sort(noise.uniform(0, 86_400, 200))
        quality = np.where(noise.random(200) < 0.2, BAD, 0)
        await store.append(
            [
                lay(0, start_ns, even, np.round(noise.normal(20, 3, len(even)), 1)),
                lay(1, start_ns, jitter, noise.normal(0, 1e-3, 200)),
                lay(2, start_ns, jitter, np.round(noise.normal(0, 5, 200)), quality),
                lay(3, start_ns, even[::12], np.full(len(even[::12]), 7.0)),
            ]
        )
        await store.flush()
    before = {width: await every_hour(store, BEGIN_NS, BEGIN_NS + days * DAY_NS, width) for width in (HOUR_NS, DAY_NS)}
    clock.now += 3 * DAY_NS
    await store.compact()
    view = store._views.current
    assert [summary.days.bit_count() for summary in view.summaries] == [30, *[1] * 10]
    assert not view.loose
    read = count_reads(store)
    for width, wanted in before.items():
        assert_alike(await every_hour(store, BEGIN_NS, BEGIN_NS + days * DAY_NS, width), wanted)
    assert read == []
    await store.close()
    store, _ = await opened(tmp_path, clock.now)
    assert_alike(await every_hour(store, BEGIN_NS, BEGIN_NS + days * DAY_NS), before[HOUR_NS])
    # Hours that the span cuts, and buckets that cut hours, come from the minutes.
    cut = BEGIN_NS + 90 * MINUTE_NS, BEGIN_NS + 3 * DAY_NS + 17 * MINUTE_NS
    got = await every_hour(store, *cut)
    shifted = (got[Aggregate.COUNT].sum(), (await every_hour(store, *cut, 10 * MINUTE_NS))[Aggregate.COUNT].sum())
    assert shifted[0] == shifted[1]
    await store.close()


def count_reads(store: EmbeddedStore) -> list[int]:
    """Hours that are read from sections from now on, as far as the question finds any of its points there."""
    read: list[int] = []
    segments = store._segments
    original = segments.rollup_columns

    def counting(view, section, names):  # type: ignore[no-untyped-def]
        read.append(section.hour)
        return original(view, section, names)

    segments.rollup_columns = counting  # type: ignore[method-assign]
    return read


async def two_days(store: EmbeddedStore) -> None:
    await store.register(["p", "q"])
    await store.append([ramp(n, 2 * 288, start_ns=BEGIN_NS, step_ns=300 * SECOND_NS) for n in (0, 1)])
    await store.flush()
    await store.compact()


async def test_late_samples_put_the_summary_of_their_day_out_of_force_until_it_is_made_again(tmp_path: Path) -> None:
    store, _ = await opened(tmp_path, BEGIN_NS + 3 * DAY_NS)
    await two_days(store)
    assert sorted(store._views.current.days) == [(0, BEGIN_NS // DAY_NS), (0, BEGIN_NS // DAY_NS + 1)]
    late = lay(0, BEGIN_NS, np.array([5.0, 300.0]), np.array([1000.0, 2000.0]))
    await store.append([late])
    span = (BEGIN_NS, BEGIN_NS + 2 * DAY_NS)
    maxima = (await every_hour(store, *span))[Aggregate.MAX]
    assert maxima[0, 0] == 2000.0 and (await every_hour(store, *span))[Aggregate.COUNT][0, 0] == 13
    await store.flush()
    assert sorted(store._views.current.days) == [(0, BEGIN_NS // DAY_NS + 1)]
    assert np.array_equal((await every_hour(store, *span))[Aggregate.MAX], maxima)
    await store.compact()
    assert len(store._views.current.days) == 2
    assert np.array_equal((await every_hour(store, *span))[Aggregate.MAX], maxima)
    await store.close()


async def test_a_day_is_not_summarised_again_while_late_samples_trickle_in(tmp_path: Path) -> None:
    store, clock = await opened(tmp_path, BEGIN_NS + 3 * DAY_NS, summary_after_s=3600)
    await two_days(store)
    made = (await store.stats()).extra["summaries"]
    for part in range(5):
        await store.append([lay(0, BEGIN_NS, np.array([7.0 + part]), np.array([1.0]))])
        await store.flush()
        clock.now += 10 * MINUTE_NS
        store._keeper.wake()
        await store._keeper._run(lambda: store._keeper._compact())
    assert (await store.stats()).extra["summaries"] == made
    clock.now += 2 * HOUR_NS
    await store._keeper._run(lambda: store._keeper._compact())
    assert (await store.stats()).extra["summaries"] == made + 1
    await store.close()


async def test_a_deletion_counts_at_once_and_leaves_no_tombstone_behind(tmp_path: Path) -> None:
    store, _ = await opened(tmp_path, BEGIN_NS + 3 * DAY_NS)
    await two_days(store)
    span = (BEGIN_NS, BEGIN_NS + 2 * DAY_NS)
    for hour in range(1, 5):
        await store.delete(
            np.array([1], np.uint32), BEGIN_NS + hour * HOUR_NS, BEGIN_NS + hour * HOUR_NS + 30 * MINUTE_NS
        )
        got = (await every_hour(store, *span))[Aggregate.COUNT]
        assert got[1, hour] == 6 and (got[0] == 12).all()
    # A deletion of a point that no section holds rewrites nothing.
    await store.register(["r"])
    await store.delete(np.array([2], np.uint32), BEGIN_NS, BEGIN_NS + 2 * DAY_NS)
    before = {section.file for section in store._views.current.sections[BEGIN_NS // HOUR_NS + 30]}
    await store.compact()
    assert (await store.stats()).extra["tombstones"] == 0
    assert {section.file for section in store._views.current.sections[BEGIN_NS // HOUR_NS + 30]} == before
    assert not store._views.current.loose
    again = (await every_hour(store, *span))[Aggregate.COUNT]
    assert np.array_equal(again[:2], got)
    await store.close()


async def test_many_deletions_are_applied_and_forgotten(tmp_path: Path) -> None:
    store, _ = await opened(tmp_path, BEGIN_NS + 3 * DAY_NS)
    await two_days(store)
    for part in range(100):
        begin_ns = BEGIN_NS + part * 300 * SECOND_NS
        await store.delete(np.array([part % 2], np.uint32), begin_ns, begin_ns + 1)
    await store.compact()
    assert (await store.stats()).extra["tombstones"] == 0
    assert (await every_hour(store, BEGIN_NS, BEGIN_NS + 2 * DAY_NS))[Aggregate.COUNT].sum() == 2 * 576 - 100
    await store.close()


async def test_text_has_no_mean_in_a_summary_either(tmp_path: Path) -> None:
    store, _ = await opened(tmp_path, BEGIN_NS + 3 * DAY_NS)
    handles = await store.register(["said", "p"])
    times = BEGIN_NS + np.arange(20) * HOUR_NS
    await store.append([Batch.of(ValueKind.TEXT, np.zeros(20), times, np.array(["on"] * 20, np.dtypes.StringDType()))])
    await store.append([ramp(1, 20, start_ns=BEGIN_NS, step_ns=HOUR_NS)])
    await store.flush()
    await store.compact()
    assert not store._views.current.loose
    with pytest.raises(DataError, match="is text"):
        await store.downsample(handles, BEGIN_NS, BEGIN_NS + DAY_NS, width_ns=DAY_NS)
    got = await store.downsample(handles[1:], BEGIN_NS, BEGIN_NS + DAY_NS, width_ns=DAY_NS)
    assert got.columns[Aggregate.MAX].tolist() == [[19.0]]
    await store.close()


# --- any history, any grid ------------------------------------------------------------------------------------------

POINTS = 3
values = st.one_of(
    st.integers(-50, 50).map(float),
    st.integers(-500, 500).map(lambda n: n / 100),
    st.floats(-1e6, 1e6).map(lambda x: x + 0.0),
    st.just(float("nan")),
)


@st.composite
def appends(draw: st.DrawFn) -> list[tuple[int, int, float, bool]]:
    point, start_s = draw(st.integers(0, POINTS - 1)), draw(st.integers(0, 3 * 86_400))
    step_s = draw(st.sampled_from([60, 600, 1800, 7200]))
    jitter = draw(st.sampled_from([0, 0, 17]))
    size = draw(st.integers(1, 40))
    rows = []
    for at in range(size):
        time_s = start_s + at * step_s + (at * jitter) % 59
        rows.append(
            (point, BEGIN_NS + time_s * SECOND_NS, draw(values), draw(st.sampled_from([True, True, True, False])))
        )
    return rows


deletions = st.tuples(st.integers(0, POINTS - 1), st.integers(0, 3 * 86_400), st.integers(1, 50_000))
steps = st.one_of(appends(), appends(), deletions, st.sampled_from(["flush", "compact", "later", "reopen"]))
grids = st.tuples(
    st.sampled_from([HOUR_NS, 2 * HOUR_NS, 5 * HOUR_NS, DAY_NS, 7 * DAY_NS, 90 * MINUTE_NS, 7 * MINUTE_NS]),
    st.integers(-2 * 3600, 3 * 86_400),
    st.integers(1, 4 * 86_400),
)


async def play(directory: Path, script: list[object], asked: list[tuple[int, int, int]]) -> None:
    store, clock = await opened(directory, BEGIN_NS + DAY_NS, memtable_samples=64)
    await store.register([f"p{n}" for n in range(POINTS)])
    held: dict[tuple[int, int], tuple[float, bool]] = {}
    for step in script:
        match step:
            case "flush":
                await store.flush()
            case "compact":
                await store.flush()
                await store.compact()
            case "later":
                clock.now += DAY_NS
            case "reopen":
                await store.close()
                store = await open_store(directory, replace(SMALL, memtable_samples=64), clock)
            case tuple(span):
                point, start_s, length_s = span
                low, high = BEGIN_NS + start_s * SECOND_NS, BEGIN_NS + (start_s + length_s) * SECOND_NS
                await store.delete(np.array([point], np.uint32), low, high)
                held = {key: row for key, row in held.items() if key[0] != point or not low <= key[1] < high}
            case list(rows):
                await store.append(
                    [
                        Batch.of(
                            ValueKind.FLOAT64, [row[0] for row in rows], np.array([row[1] for row in rows], np.int64),
                            [row[2] for row in rows], np.array([0 if row[3] else BAD for row in rows], np.uint32),
                        )
                    ]
                )  # fmt: skip
                held.update({(point, time_ns): (value, good) for point, time_ns, value, good in rows})
    for _ in range(2):
        for width_ns, start_s, length_s in asked:
            await check(store, held, width_ns, BEGIN_NS + start_s * SECOND_NS, length_s * SECOND_NS)
        clock.now += 3 * DAY_NS
        await store.flush()
        await store.compact()
    await store.close()


async def check(
    store: EmbeddedStore, held: dict[tuple[int, int], tuple[float, bool]], width_ns: int, start_ns: int, length_ns: int
) -> None:
    handles = np.arange(POINTS, dtype=np.uint32)
    got = await store.downsample(handles, start_ns, start_ns + length_ns, width_ns=width_ns, aggregates=EVERY)
    for point in range(POINTS):
        mine = sorted((time_ns, *row) for (owner, time_ns), row in held.items() if owner == point)
        wanted = naive.downsample(
            mine, start_ns, start_ns + length_ns, int(got.start_ns[0]), width_ns, len(got.start_ns)
        )
        assert_alike(
            {name: column[point] for name, column in got.columns.items()},
            {name: np.array(column) for name, column in wanted.items()},
        )


@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.lists(steps, min_size=1, max_size=9), st.lists(grids, min_size=1, max_size=3))
def test_any_grid_over_any_history_says_what_its_samples_do(
    script: list[object], asked: list[tuple[int, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(play(Path(directory), script, asked))


# --- bytes ----------------------------------------------------------------------------------------------------------


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 700), st.floats(width=64)),
        min_size=1,
        max_size=60,
        unique_by=lambda r: r[:2],
    )
)
def test_rows_come_back_from_their_bytes(rows: list[tuple[int, int, float]]) -> None:
    rows.sort(key=lambda row: row[:2])
    times = np.array([row[1] * HOUR_NS + 5 for row in rows], np.int64)
    batch = Batch.of(ValueKind.FLOAT64, [row[0] for row in rows], times, [row[2] for row in rows])
    given_rows = from_samples(batch, NEED, True)
    encoder = SummaryEncoder(0)
    data = b"".join(encoder.add(given_rows, np.zeros(len(rows), np.bool_)))
    directory = decode_directory(encoder.directory())
    assert groups_of(directory, np.array([rows[0][0]], np.uint32)).tolist() == [0]
    offset, length = group_bytes(directory[0])
    columns = decode_group(directory[0], data[offset : offset + length], frozenset(COLUMNS))
    from headrace.history.catalog import Section

    section = Section(1, 0, 1, 0, False, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1)
    with np.errstate(all="ignore"):
        got, text = rows_of(columns, section, NEED)
    assert not text.any()
    for name in NEED:
        if name in ("min", "max", "first", "last", "sum"):
            known = given_rows["n"] > 0
            assert np.array_equal(got[name][known], given_rows[name][known]), name
        else:
            assert np.array_equal(got[name], given_rows[name]), name
    assert columns_behind(NEED) == frozenset(COLUMNS)


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_directory(data: bytes) -> None:
    with pytest.raises(DataError):
        decode_directory(data)
