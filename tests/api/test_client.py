"""The Python client against a real server: Arrow as it is, and errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.api.fakes import COUNTER, ORDER, RUNNING, T0, TEMPERATURE, World

from headrace.api import ApiSettings
from headrace.api.server import serving
from headrace.client import History
from headrace.model.errors import AccessError, DataError, HeadraceError, LimitReached, NotFound, Unavailable
from headrace.model.time import SECOND_NS, format_time

SPAN = {"start": format_time(T0), "end": format_time(T0 + 120 * SECOND_NS)}


async def asked(world: World, question: Callable[[History], Any], token: str | None = "token-viewer") -> Any:
    async with serving(world.services, ApiSettings(port=0)) as address:

        def ask() -> Any:
            with History(address.url, token) as history:
                return question(history)

        return await asyncio.to_thread(ask)


async def test_samples_of_one_kind_have_a_value(world: World) -> None:
    await world.store.append([world.batch(TEMPERATURE, [-0.0, np.nan, 1.5]), world.batch(COUNTER, [2**63 - 1])])
    table = await asked(world, lambda history: history.frame(TEMPERATURE, **SPAN))
    assert table.column_names == ["path", "time", "value", "quality"]
    assert table["value"].to_numpy().view(np.int64).tolist() == np.array([-0.0, np.nan, 1.5]).view(np.int64).tolist()
    assert table["time"].type == pa.timestamp("ns", tz="UTC") and table["time"][0].value == T0
    table = await asked(world, lambda history: history.frame(COUNTER, **SPAN))
    assert table["value"].to_pylist() == [2**63 - 1]
    empty = await asked(world, lambda history: history.frame(RUNNING, **SPAN))
    assert empty.num_rows == 0 and "value" in empty.column_names


async def test_samples_of_several_kinds_have_a_column_each(world: World) -> None:
    await world.store.append([world.batch(ORDER, ["油温"]), world.batch(RUNNING, [True])])
    table = await asked(world, lambda history: history.frame(ORDER, RUNNING, **SPAN))
    assert table.column_names == ["path", "time", "bool", "text", "quality"]
    assert sorted(map(str, table["text"].to_pylist())) == ["None", "油温"]


async def test_buckets_leave_empty_ones_out(world: World) -> None:
    await world.store.append(
        [world.batch(TEMPERATURE, [1.0, 3.0]), world.batch(COUNTER, [7], at_ns=T0 + 90 * SECOND_NS)]
    )
    table = await asked(world, lambda history: history.frame(TEMPERATURE, COUNTER, width="1m", **SPAN))
    rows = [
        (path, time.value * 1_000, mean)
        for path, time, mean in zip(table["path"].to_pylist(), table["time"], table["mean"].to_pylist(), strict=True)
    ]
    assert rows == [(TEMPERATURE, T0, 2.0), (COUNTER, T0 + 60 * SECOND_NS, 7.0)]


async def test_sql_is_a_table(world: World) -> None:
    await world.store.append([world.batch(TEMPERATURE, [1.0, 3.0])])
    sql = "SELECT name, avg(value) AS mean FROM samples GROUP BY ALL"
    table = await asked(world, lambda history: history.sql(sql))
    assert table.to_pydict() == {"name": ["oil.temperature"], "mean": [2.0]}
    with pytest.raises(LimitReached, match="more than 2 rows"):
        await asked(world, lambda history: history.sql("SELECT * FROM range(5)", limit=2))


@pytest.mark.parametrize(
    ("question", "token", "error"),
    [
        (lambda history: history.frame("no/such"), "token-viewer", NotFound),
        (lambda history: history.frame(TEMPERATURE, start="soon"), "token-viewer", DataError),
        (lambda history: history.sql("DROP TABLE points"), "token-viewer", DataError),
        (lambda history: history.frame(TEMPERATURE), "nonsense", AccessError),
        (lambda history: history.frame(TEMPERATURE), None, AccessError),
    ],
)
async def test_errors_are_ours(world: World, question: Any, token: str | None, error: type[HeadraceError]) -> None:
    with pytest.raises(error):
        await asked(world, question, token)


def test_nobody_there() -> None:
    with pytest.raises(Unavailable, match="nobody answers at"):
        History("http://127.0.0.1:9", "x").sql("SELECT 1")
