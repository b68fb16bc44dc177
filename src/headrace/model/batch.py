"""A batch: many samples in columns, of one value kind. Arrays, not objects, from socket to disk.

    handles      uint32   dense number of the point, local to this process
    source_ns    int64    when the source says it was so, UTC
    received_ns  int64    when we got it, UTC
    values       float64 | int64 | bool | StringDType   kept exactly
    quality      uint32   OPC UA StatusCode

Columns are NumPy arrays in Arrow's memory layout, so `to_arrow()` copies only bool (Arrow packs bits) and text.
Why not Arrow arrays throughout: docs/decisions/0002-batch-is-numpy-columns.md. A batch is immutable: its arrays
are marked read-only when it is made, so sharing one needs no lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Value = float | int | bool | str
Handles = NDArray[np.uint32]
TimesNs = NDArray[np.int64]
Qualities = NDArray[np.uint32]
Values = NDArray[Any]

TEXT_DTYPE: Final = np.dtypes.StringDType()
TEXT_BYTES_MAX: Final = 64 * 1024


class ValueKind(IntEnum):
    """What a value is. The numbers are written to disk and to the wire: never renumber them."""

    FLOAT64 = 1
    INT64 = 2
    BOOL = 3
    TEXT = 4

    @property
    def dtype(self) -> np.dtype[Any]:
        return _DTYPES[self]

    @property
    def label(self) -> str:
        """As written in declarations: `float64`, `int64`, `bool`, `text`."""
        return self.name.lower()

    @classmethod
    def from_label(cls, label: str) -> ValueKind:
        """Raises: DataError."""
        try:
            return cls[label.upper()]
        except KeyError:
            raise DataError(f"'{label}' is no value type; use float64, int64, bool or text") from None


_DTYPES: Final[dict[ValueKind, np.dtype[Any]]] = {
    ValueKind.FLOAT64: np.dtype(np.float64),
    ValueKind.INT64: np.dtype(np.int64),
    ValueKind.BOOL: np.dtype(np.bool_),
    ValueKind.TEXT: TEXT_DTYPE,
}


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples of one kind; all columns have the same length. Make one with `Batch.of` (checks) or a builder."""

    kind: ValueKind
    handles: Handles
    source_ns: TimesNs
    received_ns: TimesNs
    values: Values
    quality: Qualities

    @classmethod
    def of(
        cls,
        kind: ValueKind,
        handles: Any,
        source_ns: Any,
        values: Any,
        quality: Any = q.GOOD,
        received_ns: Any = None,
    ) -> Batch:
        """Convert and check columns; scalars are spread over the length of `handles`.

        Arrays of the right type are taken, not copied. `received_ns` defaults to `source_ns`.
        Raises: DataError where lengths or types do not fit.
        """
        try:
            handle_column = np.atleast_1d(np.asarray(handles, dtype=np.uint32))
            count = len(handle_column)
            source = _column(source_ns, np.dtype(np.int64), count)
            received = source if received_ns is None else _column(received_ns, np.dtype(np.int64), count)
            value_column = _column(values, kind.dtype, count)
            quality_column = _column(quality, np.dtype(np.uint32), count)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"columns do not make a {kind.label} batch: {error}") from None
        return cls(kind, handle_column, source, received, value_column, quality_column)

    @classmethod
    def empty(cls, kind: ValueKind) -> Batch:
        return cls.of(kind, np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, kind.dtype))

    @classmethod
    def bad(cls, kind: ValueKind, handles: Any, time_ns: int, quality: int) -> Batch:
        """Bad samples for a failed read: zero, false or empty text as a value that nobody should use."""
        handle_column = np.atleast_1d(np.asarray(handles, dtype=np.uint32))
        blank: Value = {ValueKind.FLOAT64: float("nan"), ValueKind.INT64: 0, ValueKind.BOOL: False}.get(kind, "")
        return cls.of(kind, handle_column, time_ns, blank, quality)

    @classmethod
    def concat(cls, batches: Sequence[Batch]) -> Batch:
        """Join batches of one kind, in order. Raises: DataError where kinds differ or none is given."""
        if not batches:
            raise DataError("cannot join no batches")
        if len(batches) == 1:
            return batches[0]
        kind = batches[0].kind
        if any(batch.kind is not kind for batch in batches):
            raise DataError("cannot join batches of different kinds")
        return cls(
            kind,
            np.concatenate([batch.handles for batch in batches]),
            np.concatenate([batch.source_ns for batch in batches]),
            np.concatenate([batch.received_ns for batch in batches]),
            np.concatenate([batch.values for batch in batches]),
            np.concatenate([batch.quality for batch in batches]),
        )

    def __post_init__(self) -> None:
        for column in (self.handles, self.source_ns, self.received_ns, self.values, self.quality):
            column.flags.writeable = False

    def __len__(self) -> int:
        return len(self.handles)

    def take(self, selection: Any) -> Batch:
        """The samples that a mask, index array or slice selects."""
        return Batch(
            self.kind,
            self.handles[selection],
            self.source_ns[selection],
            self.received_ns[selection],
            self.values[selection],
            self.quality[selection],
        )

    def with_quality(self, quality: Qualities) -> Batch:
        """The same samples with another quality column."""
        return Batch(self.kind, self.handles, self.source_ns, self.received_ns, self.values, quality)

    def same_as(self, other: Batch) -> bool:
        """Exactly equal, bit for bit: −0.0 differs from 0.0 and NaN equals NaN."""
        if self.kind is not other.kind or len(self) != len(other):
            return False
        left, right = self.values, other.values
        if self.kind is ValueKind.FLOAT64:
            left, right = left.view(np.int64), right.view(np.int64)
        return bool(
            np.array_equal(self.handles, other.handles)
            and np.array_equal(self.source_ns, other.source_ns)
            and np.array_equal(self.received_ns, other.received_ns)
            and np.array_equal(left, right)
            and np.array_equal(self.quality, other.quality)
        )

    def to_arrow(self) -> pa.RecordBatch:
        """Columns: handle uint32, source_time and received_time timestamp[ns, UTC], value, quality uint32."""
        import pyarrow as pa

        stamp = pa.timestamp("ns", tz="UTC")
        value = pa.array(self.values.tolist(), pa.string()) if self.kind is ValueKind.TEXT else pa.array(self.values)
        return pa.record_batch(
            {
                "handle": pa.array(self.handles),
                "source_time": pa.array(self.source_ns).view(stamp),
                "received_time": pa.array(self.received_ns).view(stamp),
                "value": value,
                "quality": pa.array(self.quality),
            }
        )

    @classmethod
    def from_arrow(cls, record: pa.RecordBatch) -> Batch:
        """The inverse of `to_arrow`; also takes any 64-bit integer time. Raises: DataError."""
        import pyarrow as pa

        value = record.column("value")
        for kind, arrow_type in (  # noqa: B007
            (ValueKind.FLOAT64, pa.float64()),
            (ValueKind.INT64, pa.int64()),
            (ValueKind.BOOL, pa.bool_()),
            (ValueKind.TEXT, pa.string()),
        ):
            if value.type == arrow_type:
                break
        else:
            raise DataError(f"a value column of type {value.type} makes no batch")
        values: Any = (
            np.array(value.to_pylist(), TEXT_DTYPE) if kind is ValueKind.TEXT else value.to_numpy(zero_copy_only=False)
        )
        return cls.of(
            kind,
            record.column("handle").to_numpy(),
            record.column("source_time").view(pa.int64()).to_numpy(),
            values,
            record.column("quality").to_numpy(),
            record.column("received_time").view(pa.int64()).to_numpy(),
        )


class BatchBuilder:
    """Fills columns in place and hands them over as a batch; no object is kept per sample.

    A polling driver calls `extend` with whole blocks; a driver whose library delivers values one by one calls
    `append`. `build` gives the batch and empties the builder.
    """

    def __init__(self, kind: ValueKind, capacity: int = 256) -> None:
        self.kind = kind
        self._capacity = max(capacity, 1)
        self._count = 0
        self._allocate()

    def __len__(self) -> int:
        return self._count

    def append(self, handle: int, source_ns: int, value: Value, quality: int, received_ns: int) -> None:
        """One sample. Raises: DataError where the value is not of the builder's kind."""
        if self._count == self._capacity:
            self._grow(self._count + 1)
        at = self._count
        try:
            self._values[at] = value
        except (TypeError, ValueError, OverflowError):
            raise DataError(f"{value!r} is not a {self.kind.label} value") from None
        self._handles[at] = handle
        self._source_ns[at] = source_ns
        self._received_ns[at] = received_ns
        self._quality[at] = quality
        self._count = at + 1

    def extend(self, handles: Any, source_ns: Any, values: Any, quality: Any, received_ns: Any) -> None:
        """A block; scalars are spread over `handles`. Shape: (count,) each."""
        first, last = self._count, self._count + len(handles)
        if last > self._capacity:
            self._grow(last)
        self._handles[first:last] = handles
        self._source_ns[first:last] = source_ns
        self._received_ns[first:last] = received_ns
        self._values[first:last] = values
        self._quality[first:last] = quality
        self._count = last

    def build(self) -> Batch:
        """The samples so far, as a batch over this builder's own memory; the builder starts anew."""
        used = slice(0, self._count)
        batch = Batch(
            self.kind,
            self._handles[used],
            self._source_ns[used],
            self._received_ns[used],
            self._values[used],
            self._quality[used],
        )
        self._count = 0
        self._allocate()
        return batch

    def _allocate(self) -> None:
        self._handles = np.empty(self._capacity, np.uint32)
        self._source_ns = np.empty(self._capacity, np.int64)
        self._received_ns = np.empty(self._capacity, np.int64)
        self._values = np.empty(self._capacity, self.kind.dtype)
        self._quality = np.empty(self._capacity, np.uint32)

    def _grow(self, needed: int) -> None:
        self._capacity = max(needed, 2 * self._capacity)
        kept: list[NDArray[Any]] = self._columns()
        self._allocate()
        for old, new in zip(kept, self._columns(), strict=True):
            new[: self._count] = old[: self._count]

    def _columns(self) -> list[NDArray[Any]]:
        return [self._handles, self._source_ns, self._received_ns, self._values, self._quality]


def _column(given: Any, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    column = np.asarray(given)
    if column.dtype != dtype:
        if column.size and not _fits(column.dtype, dtype):
            raise TypeError(f"{column.dtype} values where {dtype} is needed")
        column = column.astype(dtype)
    if column.ndim == 0:
        column = np.full(count, column[()], dtype)
    if column.shape != (count,):
        raise ValueError(f"{column.shape} values for {count} samples")
    return column


def _fits(given: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """No silent narrowing: float to int is refused, int to float and any width of int are not."""
    if wanted.kind == "f":
        return given.kind in "fiu"
    if wanted.kind in "iu":
        return given.kind in "iu"
    if wanted.kind == "b":
        return given.kind == "b"
    return given.kind in "UTO"
