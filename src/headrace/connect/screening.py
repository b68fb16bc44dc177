"""Flags what a device cannot have meant, without changing it: values and both times are kept as they came.

| finding                                             | quality, where it was not bad already    |
|-----------------------------------------------------|------------------------------------------|
| source time before 1990 or > 10 min ahead of ours   | BadInvalidTimestamp                      |
| a float that is NaN or infinite                     | BadSensorFailure                         |
| a value outside the point's engineering range       | UncertainEngineeringUnitsExceeded (good) |

Why BadSensorFailure: a float register or variable that is no number is how instruments say that they have no value
to give (IEEE 754 NaN, open loop, over-range). OPC 10000-8 §6.3.2 has that as "a failure in the sensor from which the
value is derived by the data source"; UncertainSubNormal there speaks of a value made from too few good sources, which
nobody did here, and an uncertain NaN would poison every mean that takes uncertain samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SOURCE_AHEAD_MAX_NS, SOURCE_TIME_MIN_NS
from headrace.sdk.driver import PointBinding

_NUMERIC: Final = (ValueKind.FLOAT64, ValueKind.INT64)


class Screen:
    """The checks of one session. `wild_clocks` counts samples; `newest_ns` is the newest believable source time."""

    def __init__(self, points: Sequence[PointBinding] = ()) -> None:
        self.wild_clocks = 0
        self.newest_ns = 0
        self.set_points(points)

    def set_points(self, points: Sequence[PointBinding]) -> None:
        ranged = sorted((point.handle, *point.range) for point in points if point.range is not None)
        self._ranged = np.array([handle for handle, _, _ in ranged], np.uint32)
        # A trailing open range answers for every handle without one: a lookup then needs no mask.
        self._low = np.array([*(low for _, low, _ in ranged), -np.inf])
        self._high = np.array([*(high for _, _, high in ranged), np.inf])

    def check(self, batch: Batch, now_ns: int) -> Batch:
        """The batch itself where nothing is wrong, else the same samples with another quality column."""
        quality: NDArray[np.uint32] | None = None
        if not len(batch):
            return batch
        first_ns, last_ns = int(batch.source_ns.min()), int(batch.source_ns.max())
        if first_ns < SOURCE_TIME_MIN_NS or last_ns > now_ns + SOURCE_AHEAD_MAX_NS:
            wild = (batch.source_ns < SOURCE_TIME_MIN_NS) | (batch.source_ns > now_ns + SOURCE_AHEAD_MAX_NS)
            self.wild_clocks += int(np.count_nonzero(wild))
            quality = batch.quality.copy()
            quality[wild & ~q.is_bad(quality)] = q.BAD_INVALID_TIMESTAMP
            sane = batch.source_ns[~wild]
            last_ns = int(sane.max()) if len(sane) else 0
        self.newest_ns = max(self.newest_ns, last_ns)
        if batch.kind is ValueKind.FLOAT64:
            finite = np.isfinite(batch.values)
            if not finite.all():
                quality = batch.quality.copy() if quality is None else quality
                quality[~finite & ~q.is_bad(quality)] = q.BAD_SENSOR_FAILURE
        if len(self._ranged) and batch.kind in _NUMERIC:
            outside = self._outside(batch)
            if outside.any():
                quality = batch.quality.copy() if quality is None else quality
                quality[outside & q.is_good(quality)] = q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        return batch if quality is None else batch.with_quality(quality)

    def _outside(self, batch: Batch) -> NDArray[np.bool_]:
        at = np.searchsorted(self._ranged, batch.handles)
        at[self._ranged[np.minimum(at, len(self._ranged) - 1)] != batch.handles] = len(self._ranged)
        outside: NDArray[np.bool_] = (batch.values < self._low[at]) | (batch.values > self._high[at])
        return outside
