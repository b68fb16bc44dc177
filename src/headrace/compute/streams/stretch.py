"""Back-tests: any function over any stretch of history, as fast as it reads, with nothing stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headrace.compute.streams.calling import Caller
from headrace.compute.streams.engine import Counters, Engine, Made
from headrace.compute.streams.feeds import HistoryFeed
from headrace.sdk.store import HistoryReader
from headrace.sdk.stream import StreamFunction

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Backtest:
    """What came out, and what the engine counted; `error` is what the last failed window said."""

    made: Sequence[Made]
    counters: Counters
    error: str

    def table(self) -> pa.Table:
        """By (point, time): point, time, value float64, quality."""
        return table_of(self.made)


def table_of(made: Sequence[Made]) -> pa.Table:
    """By (point, time), of equal ones in the order in which they were made: point, time, value float64, quality."""
    import pyarrow as pa

    points: list[str] = []
    columns: list[list[np.ndarray]] = [[], [], [], []]
    for one in made:
        parts: list[np.ndarray] = [one.which + len(points), one.time_ns, one.values.astype(np.float64), one.quality]
        for column, part in zip(columns, parts, strict=True):
            column.append(part)
        points += one.paths
    if not points:
        columns = [[np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)], [np.empty(0, np.uint32)]]
    which, time, value, quality = (np.concatenate(column) for column in columns)
    names = pa.DictionaryArray.from_arrays(pa.array(which), pa.array(points, pa.string())).cast(pa.string())
    stamp = pa.array(time).view(pa.timestamp("ns", tz="UTC"))
    found = pa.table({"point": names, "time": stamp, "value": value, "quality": quality})
    return found.sort_by([("point", "ascending"), ("time", "ascending")])


async def run_over(
    function: StreamFunction, store: HistoryReader, start_ns: int, end_ns: int, caller: Caller | None = None
) -> Backtest:
    """Samples of `[start, end)`; windows that are complete by the end. Raises: LimitReached."""
    engine = Engine(function, caller)
    paths = dict(store.paths())
    engine.bind(paths)
    made: list[Made] = []
    feed = HistoryFeed(store, start_ns, end_ns, lambda _: engine.handles())
    async for piece in feed.pieces("", start_ns):
        made += await asyncio.to_thread(engine.take, piece.batches, stretch=True)
    made += engine.advance(end_ns)
    return Backtest(made, engine.counters, engine.error)
