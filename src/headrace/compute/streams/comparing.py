"""How what a shadow gives differs from what the active version gives: point by point, moment by moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from headrace.compute.streams.engine import Made
from headrace.compute.streams.stretch import Backtest, table_of
from headrace.sdk.computing import StreamDifference

if TYPE_CHECKING:
    import pyarrow as pa

KEPT: Final = 200_000
"""Samples of a shadow that are held to be compared."""


class Aside:
    """Outputs that go nowhere: the newest are kept, as many as may be, for the comparison."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept, self._count = kept, 0
        self._made: deque[Made] = deque()

    async def put(self, made: Sequence[Made]) -> None:
        for one in made:
            self._made.append(one)
            self._count += len(one.which)
        while self._count > self._kept and len(self._made) > 1:
            self._count -= len(self._made.popleft().which)

    def table(self) -> pa.Table:
        """As `Backtest.table`."""
        return table_of(list(self._made))


def compare(active: Backtest | pa.Table, shadow: Backtest | pa.Table) -> StreamDifference:
    """Over what both were given; of two samples of a point and time the last counts."""
    one, other = _last(_table(active)), _last(_table(shadow))
    joined = one.join(other, ["point", "time"], join_type="inner", right_suffix="_shadow")
    values, found = joined["value"].to_numpy(), joined["value_shadow"].to_numpy()
    quality = joined["quality"].to_numpy() == joined["quality_shadow"].to_numpy()
    apart = np.abs(values - found)
    same = quality & ((apart == 0) | (np.isnan(values) & np.isnan(found)))
    alone = one.num_rows - joined.num_rows, other.num_rows - joined.num_rows
    known = np.where(np.isnan(apart), -1.0, apart)
    if not len(known) or known.max() <= 0:
        return StreamDifference(len(known), int(same.sum()), *alone)
    at = int(known.argmax())
    time_ns = joined["time"].cast("int64")[at].as_py()
    return StreamDifference(len(known), int(same.sum()), *alone, float(known[at]), joined["point"][at].as_py(), time_ns)


def _table(given: Backtest | pa.Table) -> pa.Table:
    return given.table() if isinstance(given, Backtest) else given


def _last(table: pa.Table) -> pa.Table:
    grouped = table.group_by(["point", "time"], use_threads=False).aggregate([("value", "last"), ("quality", "last")])
    return grouped.select(["point", "time", "value_last", "quality_last"]).rename_columns(
        ["point", "time", "value", "quality"]
    )
