"""What a historian is: append, latest, raw, downsample, delete, scan. Every store passes `testing.StoreContract`.

A store numbers its points: `register` gives each path a dense uint32 for the life of the store, and the process
that owns the store uses that number as the point's handle everywhere. So no batch is translated on the way to disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import Batch, Handles
from headrace.model.retention import Retention
from headrace.sdk.intake import NO_MARKS, Mark

if TYPE_CHECKING:
    import pyarrow as pa


class Aggregate(StrEnum):
    COUNT = "count"  # all samples
    GOOD_COUNT = "good-count"
    MIN = "min"
    MAX = "max"
    MEAN = "mean"
    SUM = "sum"
    FIRST = "first"
    LAST = "last"
    TIME_WEIGHTED_MEAN = "time-weighted-mean"  # step interpolation within the bucket, last value before it included
    STANDARD_DEVIATION = "standard-deviation"  # of the population
    TIME_IN_STATE = "time-in-state"  # seconds in which the value was true / non-zero


class Interpolation(StrEnum):
    """What an empty bucket shows."""

    NONE = "none"
    PREVIOUS = "previous"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class Page:
    """Samples by (point, source time), and where the next page begins (None at the end)."""

    batches: Sequence[Batch]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Buckets:
    """Downsampled series, row-major: every asked point × every bucket, empty buckets NaN with count 0.

    Shape: `handles` (points,) uint32; `start_ns` (buckets,) int64; each column (points, buckets) float64
    (counts int64).
    """

    handles: Handles
    start_ns: NDArray[np.int64]
    width_ns: int
    columns: Mapping[Aggregate, NDArray[Any]]

    def to_arrow(self) -> pa.Table:
        """Long form: handle, time, one column an aggregate."""
        import pyarrow as pa

        points, buckets = len(self.handles), len(self.start_ns)
        return pa.table(
            {
                "handle": pa.array(np.repeat(self.handles, buckets)),
                "time": pa.array(np.tile(self.start_ns, points)).view(pa.timestamp("ns", tz="UTC")),
                **{name.value: pa.array(column.reshape(-1)) for name, column in self.columns.items()},
            }
        )


class DiskState(StrEnum):
    ENOUGH = "enough"
    LOW = "low"  # nearly full, or full within days at the present rate
    FULL = "full"  # samples are refused


@dataclass(frozen=True, slots=True)
class DiskOutlook:
    """Samples are refused once `free_bytes` is below `needed_bytes`; at the present rate that is in `full_in_s`.

    `full_in_s` is None where the store does not grow, or has not been watched for long enough.
    """

    state: DiskState
    free_bytes: int
    needed_bytes: int
    full_in_s: float | None


@dataclass(frozen=True, slots=True)
class StoreStats:
    """`appended` counts samples since start; `extra` has what only this kind of store knows, numbers by name.

    `oldest_ns` and `newest_ns` are source times; `disk` is None where the store does not watch its own.
    """

    points: int
    samples: int
    appended: int
    disk_bytes: int
    memory_bytes: int
    segments: int
    oldest_ns: int | None
    newest_ns: int | None
    extra: Mapping[str, float] = field(default_factory=dict)
    disk: DiskOutlook | None = None


@runtime_checkable
class Retaining(Protocol):
    """A store that keeps points of different classes for different times. Optional: ask `isinstance`."""

    async def retain(self, classes: Mapping[str, Retention], members: Mapping[str, Handles]) -> None:
        """From now on; durable on return, and idempotent. Points that no class names are of `default`.

        Samples written after the call go to the new class of their point; what was written before stays with its
        former class. A class that is declared no more keeps what it holds as it was declared last.
        Raises: DataError for members of a class that is not declared; LimitReached.
        """
        ...


class SampleStore(Protocol):
    """What the flow of samples needs of a store: a historian has more, the spool of an edge has just this."""

    async def register(self, paths: Sequence[str]) -> Handles:
        """The number of each path, new or known; idempotent and durable. Shape: (paths,) uint32."""
        ...

    def paths(self) -> Mapping[int, str]:
        """Every registered point."""
        ...

    async def append(self, batches: Sequence[Batch], marks: Mapping[str, Mark] = NO_MARKS) -> None:
        """Returns when the samples survive `kill -9`; concurrent callers share one flush to disk.

        `marks` say how far their sources have been taken. They become durable in the same commit as the samples, or
        neither does. A call none of whose marks is newer than those held is not applied again. Marks may come alone.

        Raises: Unavailable when closed or out of disk (nothing of the call is stored then); DataError for an
        unregistered handle.
        """
        ...

    def marks(self) -> Mapping[str, Mark]:
        """How far each source has been taken, after a restart too."""
        ...

    async def close(self) -> None:
        """Make everything durable and release the directory."""
        ...


class HistoryReader(Protocol):
    """What answers need of a historian. Times are half-open `[start, end)` source times in ns."""

    def paths(self) -> Mapping[int, str]:
        """Every registered point."""
        ...

    async def raw(
        self,
        handles: Handles,
        start_ns: int,
        end_ns: int,
        *,
        limit: int = 100_000,
        cursor: str | None = None,
    ) -> Page:
        """Samples by (point, time), `limit` a page."""
        ...

    async def downsample(
        self,
        handles: Handles,
        start_ns: int,
        end_ns: int,
        *,
        width_ns: int | None = None,
        count: int | None = None,
        aggregates: Sequence[Aggregate] = (Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN),
        interpolation: Interpolation = Interpolation.NONE,
        good_only: bool = True,
    ) -> Buckets:
        """Either `width_ns` or `count` buckets; with `width_ns` buckets begin at multiples of it (UTC).

        Raises: LimitReached beyond 1 M cells; DataError for text points or both/neither width and count.
        """
        ...

    def scan(
        self, handles: Handles | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> AsyncIterator[Batch]:
        """Everything, point by point within an hour, in bounded memory."""
        ...

    async def stats(self) -> StoreStats: ...


class HistoryStore(SampleStore, HistoryReader, Protocol):
    """For an equal (point, time) the newest write wins."""

    async def latest(self, handles: Handles, at_ns: int | None = None) -> Sequence[Batch]:
        """The newest sample of each point (at or before `at_ns`); points without one are left out. One batch a kind."""
        ...

    async def delete(self, handles: Handles, start_ns: int, end_ns: int) -> None:
        """Forget samples; durable on return. Samples of that span written later are kept."""
        ...
