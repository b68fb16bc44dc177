"""The questions that are asked of every historian, and what an answer comes to.

An answer is reduced to a `Digest` outside the time that is measured, and digests must agree before any time is told:
a fast wrong answer is worth nothing. Only good samples count; NaN and empty buckets are no numbers. The latest are
asked of points that are never bad.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bench.history.dataset import Dataset
from headrace.model.batch import ValueKind
from headrace.model.time import MINUTE_NS, SECOND_NS

ONE_RAW: Final = "one point, raw"
ONE_BUCKETS: Final = "1 point in 500 buckets"
FIFTY_BUCKETS: Final = "50 points in 500 buckets"
FLEET: Final = "fleet average, one bucket"
FLEET_MINUTES: Final = "fleet average by minutes of an hour"
LATEST: Final = "latest of 1,000 points"


@dataclass(frozen=True, slots=True)
class Question:
    """`handles` ascending, numeric; `everyone` says that they are all the numeric points there are."""

    name: str
    ask: Literal["raw", "buckets", "mean", "latest"]
    handles: NDArray[np.uint32]
    start_ns: int
    end_ns: int
    width_ns: int = 0
    everyone: bool = False

    @property
    def buckets(self) -> int:
        return -(-(self.end_ns - self.start_ns) // self.width_ns) if self.width_ns else 0


@dataclass(frozen=True, slots=True)
class Digest:
    """`count` numbers and what they come to: of raw values, of buckets' means, minima and maxima, of last values.

    `log_mean` is the mean of log(1 + |x|), in which small numbers still show beside counters beyond 2^53.
    """

    count: int
    mean: float
    log_mean: float
    low: float
    high: float

    def agrees(self, other: Digest, tolerance: float = 1e-9) -> bool:
        near = (
            math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-9)
            for a, b in zip(astuple(self)[1:], astuple(other)[1:], strict=True)
        )
        return self.count == other.count and all(near)


def digest(mean: Any, low: Any = None, high: Any = None) -> Digest:
    """Of columns of numbers; `low` and `high` default to `mean`."""
    means = _numbers(mean)
    lows, highs = (means if each is None else _numbers(each) for each in (low, high))
    if not len(means):
        return Digest(0, 0.0, 0.0, 0.0, 0.0)
    # Means may be spread over 2^54: fsum keeps the order of rows out of it.
    mean, log_mean = (math.fsum(each.tolist()) / len(means) for each in (means, np.log1p(np.abs(means))))
    return Digest(len(means), mean, log_mean, float(lows.min()), float(highs.max()))


def _numbers(column: Any) -> NDArray[np.float64]:
    numbers = np.asarray(column, np.float64).reshape(-1)
    return numbers[~np.isnan(numbers)]


def questions(dataset: Dataset) -> list[Question]:
    """Over the whole set; the one-minute buckets over its last hour."""
    start, end, numeric = dataset.start_ns, dataset.end_ns, dataset.numeric()
    floats = dataset.handles(ValueKind.FLOAT64)
    one, fifty, thousand = floats[len(floats) // 2 :][:1], _spread(numeric, 50), _spread(dataset.steady(), 1_000)
    width = -(-(end - start) // 500)
    # Fleets are asked about whole minutes, where there is one.
    whole = end // MINUTE_NS * MINUTE_NS if end - start >= MINUTE_NS else end
    hour = max(start, whole - 3_600 * SECOND_NS)
    return [
        Question(ONE_RAW, "raw", one, start, end),
        Question(ONE_BUCKETS, "buckets", one, start, end, width),
        Question(FIFTY_BUCKETS, "buckets", fifty, start, end, width),
        Question(FLEET, "mean", numeric, start, whole, whole - start, everyone=True),
        Question(FLEET_MINUTES, "mean", numeric, hour, whole, MINUTE_NS, everyone=True),
        Question(LATEST, "latest", thousand, start, end),
    ]


def _spread(handles: NDArray[np.uint32], count: int) -> NDArray[np.uint32]:
    return handles[np.unique(np.linspace(0, len(handles) - 1, min(count, len(handles))).astype(np.int64))]
