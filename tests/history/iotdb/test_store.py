"""What the store on IoTDB adds to the contract: it agrees with the embedded one, and with other processes."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.history.samples import PATHS, assert_same, contents, fill
from tests.properties import drawn_seed

from headrace.history import HistorySettings, open_store
from headrace.history.iotdb import IotdbSettings, open_iotdb
from headrace.history.iotdb.settings import Node
from headrace.history.migrate import Journal, migrate
from headrace.model.batch import TEXT_BYTES_MAX, Batch, ValueKind
from headrace.model.errors import AccessError, DataError, Unavailable
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import Aggregate, HistoryStore, Interpolation
from headrace.sdk.testing.store import BASE_NS, everything, ramp

Databases = Callable[[Path], IotdbSettings]
SEED = drawn_seed()
HOURS = 4


async def embedded(directory: Path) -> HistoryStore:
    return await open_store(directory, HistorySettings(), SystemClock())


@pytest.mark.seeded
async def test_both_stores_give_the_same_answers(tmp_path: Path, databases: Databases) -> None:
    choose = random.Random(SEED)
    ours, theirs = await embedded(tmp_path), await open_iotdb(databases(tmp_path), SystemClock())
    for store in (ours, theirs):
        await fill(store, np.random.default_rng(SEED), HOURS)
        await store.delete(np.array([1, 5], np.uint32), BASE_NS + 6 * MINUTE_NS, BASE_NS + 20 * MINUTE_NS)
    assert_same(await contents(theirs), await contents(ours))
    every = np.arange(len(PATHS), dtype=np.uint32)
    for at_ns in (None, BASE_NS, BASE_NS + 4 * HOUR_NS + 7):
        left, right = await ours.latest(every, at_ns), await theirs.latest(every, at_ns)
        assert [batch.kind for batch in left] == [batch.kind for batch in right]
        for one, other in zip(left, right, strict=True):
            order, opposite = np.argsort(one.handles), np.argsort(other.handles)
            assert one.take(order).same_as(other.take(opposite))
    numeric = every[every % 4 < 3][1:]  # 0 was of several kinds
    for _ in range(12):
        start = BASE_NS + choose.randrange(3 * HOURS * 3600) * SECOND_NS
        end = start + choose.choice([10 * MINUTE_NS, HOUR_NS + 1, 9 * HOUR_NS])
        width = choose.choice([SECOND_NS * 13, MINUTE_NS, 20 * MINUTE_NS])
        aggregates = choose.sample(list(Aggregate), choose.randrange(1, 8))
        interpolation, good_only = choose.choice(list(Interpolation)), choose.random() < 0.5
        answers = [
            await store.downsample(
                numeric,
                start,
                end,
                width_ns=width,
                aggregates=aggregates,
                interpolation=interpolation,
                good_only=good_only,
            )
            for store in (ours, theirs)
        ]
        assert answers[0].start_ns.tolist() == answers[1].start_ns.tolist()
        for name in aggregates:
            left_column, right_column = (answer.columns[name] for answer in answers)
            np.testing.assert_allclose(left_column, right_column, rtol=1e-9, err_msg=f"{name} {interpolation}")
    await ours.close()
    await theirs.close()


@pytest.mark.seeded
async def test_there_and_back_again_is_bit_exact(tmp_path: Path, databases: Databases) -> None:
    first, cluster, second = (
        await embedded(tmp_path / "a"),
        await open_iotdb(databases(tmp_path), SystemClock()),
        await embedded(tmp_path / "b"),
    )
    await fill(first, np.random.default_rng(SEED), hours=3)
    there = await migrate(first, cluster, Journal(tmp_path / "there", "a", "cluster"))
    back = await migrate(cluster, second, Journal(tmp_path / "back", "cluster", "b"))
    assert there.verified == back.verified > 0
    assert_same(await contents(second), await contents(first))
    for store in (first, cluster, second):
        await store.close()


@pytest.mark.seeded
async def test_processes_that_register_at_once_share_numbers(tmp_path: Path, databases: Databases) -> None:
    stores = [await open_iotdb(databases(tmp_path), SystemClock()) for _ in range(4)]
    choose = random.Random(SEED)
    mixed = [[f"p{n}" for n in choose.sample(range(200), 150)] for _ in stores]
    numbers = await asyncio.gather(*(store.register(paths) for store, paths in zip(stores, mixed, strict=True)))
    known: dict[str, int] = {}
    for paths, given in zip(mixed, numbers, strict=True):
        for path, number in zip(paths, given.tolist(), strict=True):
            assert known.setdefault(path, number) == number, path
    assert len(set(known.values())) == len(known)
    odd = [
        "a`b",
        "```",
        "`",
        "`a`",
        "a b",
        "press.1/oil-temperature",
        "压机/油温",
        "x" * 512,
        "'\"\\",
        "%{}",
        "*",
        "-1",
    ]
    await stores[0].register(odd)
    late = await open_iotdb(databases(tmp_path), SystemClock())
    assert {path: number for number, path in late.paths().items()}.items() >= known.items()
    assert set(odd) <= set(late.paths().values())
    for store in (*stores, late):
        await store.close()


async def test_a_point_that_changes_kind_keeps_both_histories(tmp_path: Path, databases: Databases) -> None:
    store = await open_iotdb(databases(tmp_path), SystemClock())
    handles = await store.register(["p"])
    texts = Batch.of(ValueKind.TEXT, np.zeros(5), BASE_NS + np.arange(5) * SECOND_NS, [f"v{n}" for n in range(5)])
    await store.append([ramp(0, 10), texts])
    for limit in (1, 2, 3, 100):
        got = await everything(store, handles, limit)
        assert got[ValueKind.FLOAT64].same_as(ramp(0, 10))
        assert got[ValueKind.TEXT].same_as(texts)
    await store.close()


async def test_a_large_append_is_split_and_the_newest_of_equals_wins(tmp_path: Path, databases: Databases) -> None:
    settings = replace(databases(tmp_path), request_bytes=200_000, tablet_rows=700, request_tablets=3, query_devices=2)
    store = await open_iotdb(settings, SystemClock())
    handles = await store.register(["a", "b", "c", "t"])
    again = Batch.of(ValueKind.FLOAT64, np.zeros(10), ramp(0, 10).source_ns, np.full(10, -5.0))
    long = Batch.of(ValueKind.TEXT, np.full(8, 3), BASE_NS + np.arange(8), ["x" * TEXT_BYTES_MAX] * 8)
    await store.append([ramp(0, 5000), ramp(1, 5000), ramp(2, 3), long, again])
    got = await everything(store, handles, limit=900)
    assert len(got[ValueKind.FLOAT64]) == 10_003
    assert got[ValueKind.FLOAT64].values[:12].tolist() == [-5.0] * 10 + [10.0, 11.0]
    assert got[ValueKind.TEXT].same_as(long)
    await store.close()


async def test_a_page_of_long_texts_comes_whole(tmp_path: Path, databases: Databases) -> None:
    store = await open_iotdb(databases(tmp_path), SystemClock())
    handles = await store.register(["t"])
    texts = [f"{n}".ljust(TEXT_BYTES_MAX, "x") for n in range(400)]  # more than Thrift takes in one frame by itself
    sent = Batch.of(ValueKind.TEXT, np.zeros(400), BASE_NS + np.arange(400), texts)
    await store.append([sent])
    assert (await everything(store, handles))[ValueKind.TEXT].same_as(sent)
    await store.close()


async def test_a_text_is_not_downsampled_whatever_else_the_point_was(tmp_path: Path, databases: Databases) -> None:
    store = await open_iotdb(databases(tmp_path), SystemClock())
    handles = await store.register(["p", "q"])
    await store.append([ramp(0, 10), ramp(1, 10), Batch.of(ValueKind.TEXT, [1], [BASE_NS], ["x"])])
    with pytest.raises(DataError, match="number 1 is text"):
        await store.downsample(handles, BASE_NS, BASE_NS + HOUR_NS, count=3)
    assert (await store.downsample(handles[:1], BASE_NS, BASE_NS + HOUR_NS, count=1)).columns[Aggregate.MAX] == [[9.0]]
    await store.close()


async def test_a_cluster_that_is_not_there_is_unavailable() -> None:
    settings = IotdbSettings((Node("127.0.0.1", 1),), "root", "db", secret="x", retry_s=0.3)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 does not answer"):
        await open_iotdb(settings, SystemClock())


async def test_a_wrong_password_is_said(tmp_path: Path, databases: Databases) -> None:
    with pytest.raises(AccessError, match="as 'root'"):
        await open_iotdb(replace(databases(tmp_path / "unused"), secret="wrong"), SystemClock())
