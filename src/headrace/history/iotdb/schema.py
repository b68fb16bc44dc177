"""How points and samples lie in IoTDB: names, the device template, and the way between batches, tablets and blocks.

    root.<database>.points.n0000002a    a series without data, one a point: its name is the number, its alias the path
    root.<database>.p.n0000002a         an aligned device, one a point, of the device template `headrace_1`:

    f  fq  fd      float64     a value, its quality, and how long after the source time it was received
    i  iq  id      int64
    b  bq  bd      bool
    t  tq  td      text, as a BLOB: any bytes, "" and NUL too

A point that changes its kind fills other columns of the same device, so it keeps both histories. The three columns of
a kind are always written together. Quality is the status code, plus 2^32 where the value is NaN: then the value column
holds 0.0, because encodings and statistics of the server make no sense of NaN, and "good and a number" is one
comparison, `fq < 2^30`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.columns import starts_of
from headrace.history.iotdb.blocks import BLOB, BOOLEAN, DOUBLE, INT64, Block, Column, encode_column
from headrace.history.iotdb.connection import Answer, Tablet
from headrace.history.reader import EARLIEST_NS, LATEST_NS
from headrace.model.batch import TEXT_DTYPE, Batch, Handles, ValueKind
from headrace.model.errors import DataError
from headrace.model.quality import SEVERITY_MASK

TEMPLATE: Final = "headrace_1"
NAN: Final = 1 << 32
GOOD_BELOW: Final = 1 << 30
assert GOOD_BELOW == (SEVERITY_MASK ^ 0xFFFF_FFFF) + 1


@dataclass(frozen=True, slots=True)
class Fields:
    """The columns of one kind in a device."""

    kind: ValueKind
    value: str
    type: int
    encoding: str

    @property
    def quality(self) -> str:
        return f"{self.value}q"

    @property
    def delay(self) -> str:
        return f"{self.value}d"

    @property
    def names(self) -> tuple[str, str, str]:
        return self.value, self.quality, self.delay


FIELDS: Final = (
    Fields(ValueKind.FLOAT64, "f", DOUBLE, "DOUBLE encoding=GORILLA"),
    Fields(ValueKind.INT64, "i", INT64, "INT64 encoding=TS_2DIFF"),
    Fields(ValueKind.BOOL, "b", BOOLEAN, "BOOLEAN encoding=RLE"),
    Fields(ValueKind.TEXT, "t", BLOB, "BLOB encoding=PLAIN"),
)
BY_KIND: Final = {fields.kind: fields for fields in FIELDS}
EVERY: Final = ",".join(name for fields in FIELDS for name in fields.names)


class Names:
    """Paths in one database."""

    def __init__(self, database: str) -> None:
        self.database = f"root.{database}"
        self.devices = f"{self.database}.p"
        self.points = f"{self.database}.points"
        self.marks = f"{self.database}.marks"

    def device(self, handle: int) -> str:
        return f"{self.devices}.n{handle:08x}"

    def point(self, handle: int) -> str:
        return f"{self.points}.n{handle:08x}"

    def sources(self, handles: Handles) -> str:
        """For `FROM`."""
        return ",".join(self.device(handle) for handle in handles.tolist())


def number_of(path: bytes) -> int:
    """The handle in a device's or point's path. Raises: DataError."""
    try:
        return int(path[-8:], 16)
    except ValueError:
        raise DataError(f"'{path.decode(errors='replace')}' in IoTDB is no point of this historian") from None


def template_statement() -> str:
    columns = ", ".join(
        f"{fields.value} {fields.encoding}, {fields.quality} INT64 encoding=RLE, {fields.delay} INT64 encoding=TS_2DIFF"
        for fields in FIELDS
    )
    return f"CREATE DEVICE TEMPLATE {TEMPLATE} ALIGNED ({columns})"


def quoted(text: str) -> str:
    """As an identifier of IoTDB's SQL."""
    return "`" + text.replace("`", "``") + "`"


def unquoted(alias: bytes) -> str:
    text = alias.decode()
    return text[1:-1].replace("``", "`") if len(text) > 1 and text[0] == text[-1] == "`" else text


def during(start_ns: int, end_ns: int, *more: str) -> str:
    """A `WHERE` for `[start, end)`, nothing where everything is meant."""
    parts = list(more)
    if start_ns > EARLIEST_NS + 1:
        parts.append(f"time >= {start_ns}")
    if end_ns < LATEST_NS:
        parts.append(f"time < {max(end_ns, EARLIEST_NS + 1)}")
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def tablets(batch: Batch, names: Names, rows_max: int, bytes_max: int) -> Iterator[Tablet]:
    """Of a batch by (point, time) without equal samples, a tablet a point, or several where one would be large."""
    fields = BY_KIND[batch.kind]
    quality = batch.quality.astype(np.int64)
    values: NDArray[Any] = batch.values
    if batch.kind is ValueKind.FLOAT64 and (nan := np.isnan(values)).any():
        quality[nan] |= NAN
        values = np.where(nan, 0.0, values)
    ends, data = _encoded(values, fields)
    times, qualities = encode_column(batch.source_ns, INT64), encode_column(quality, INT64)
    delays = encode_column(batch.received_ns - batch.source_ns, INT64)
    starts = starts_of(batch.handles)
    handles = batch.handles[starts].tolist()
    for handle, begin, end in zip(handles, starts.tolist(), [*starts[1:].tolist(), len(batch)], strict=True):
        device = names.device(handle)
        while begin < end:
            stop = min(end, begin + rows_max)
            while stop - begin > 1 and ends[stop] - ends[begin] > bytes_max:
                stop = begin + (stop - begin) // 2
            here = slice(8 * begin, 8 * stop)
            yield Tablet(
                device,
                fields.names,
                (fields.type, INT64, INT64),
                times[here],
                data[ends[begin] : ends[stop]] + qualities[here] + delays[here],
                stop - begin,
            )
            begin = stop


def _encoded(values: NDArray[Any], fields: Fields) -> tuple[Sequence[int], bytes]:
    """A column's bytes, and where each value begins in them, with the end of the last."""
    if fields.kind is ValueKind.TEXT:
        parts = [encode_column(np.array([text.encode()], object), BLOB) for text in values.tolist()]
        return [0, *np.cumsum([len(part) for part in parts]).tolist()], b"".join(parts)
    size = 1 if fields.kind is ValueKind.BOOL else 8
    return range(0, size * len(values) + 1, size), encode_column(values, fields.type)


@dataclass(frozen=True, slots=True)
class SampleRows:
    """Rows of devices, by (point, time); a row holds a sample for each kind that is present in it."""

    handles: Handles
    time_ns: NDArray[np.int64]
    columns: dict[str, Column]

    def __len__(self) -> int:
        return len(self.handles)

    def take(self, part: slice) -> SampleRows:
        return SampleRows(
            self.handles[part],
            self.time_ns[part],
            {name: Column(column.values[part], column.present[part]) for name, column in self.columns.items()},
        )

    def samples(self) -> NDArray[np.int64]:
        """How many each row holds. Shape: (rows,) int64."""
        counts = np.zeros(len(self), np.int64)
        for fields in FIELDS:
            if fields.quality in self.columns:
                counts += self.columns[fields.quality].present
        return counts

    def batches(self) -> list[Batch]:
        """One a kind, by (point, time)."""
        return [batch for fields in FIELDS if (batch := self._batch(fields)) is not None]

    def _batch(self, fields: Fields) -> Batch | None:
        if fields.quality not in self.columns or not self.columns[fields.quality].present.any():
            return None
        here = self.columns[fields.quality].present
        return batch_of(
            fields,
            self.handles[here],
            self.time_ns[here],
            self.columns[fields.value].values[here],
            self.columns[fields.quality].values[here],
            self.columns[fields.delay].values[here],
        )


def batch_of(
    fields: Fields,
    handles: Handles,
    time_ns: NDArray[np.int64],
    values: NDArray[Any],
    quality: NDArray[np.int64],
    delay: NDArray[np.int64],
) -> Batch:
    """Columns as IoTDB keeps them, as the batch that was sent."""
    if fields.kind is ValueKind.FLOAT64:
        values = np.where(quality & NAN, np.nan, values)
    elif fields.kind is ValueKind.TEXT:
        values = np.array([text.decode() for text in values], TEXT_DTYPE)
    return Batch(
        fields.kind, handles, time_ns, time_ns + delay, values, (quality & (NAN - 1)).astype(np.uint32)
    )  # fmt: skip


def device_blocks(answer: Answer) -> Iterator[tuple[Handles, Block, dict[str, Column]]]:
    """Of an answer `ALIGN BY DEVICE`: the point of each row, the block, and its columns by name."""
    for block in answer.blocks:
        columns = {
            name: block.columns[place]
            for name, place in zip(answer.columns, answer.places, strict=True)
            if place >= 0
        }  # fmt: skip
        devices = columns["Device"].values if "Device" in columns else np.empty(0, object)
        if not len(devices):
            continue
        if devices[0] == devices[-1]:  # rows come device by device
            handles = np.full(len(devices), number_of(devices[0]), np.uint32)
        else:
            handles = np.fromiter((number_of(device) for device in devices), np.uint32, len(devices))
        yield handles, block, columns


def sample_rows(answer: Answer, limit: int) -> SampleRows:
    """Up to `limit` rows of a selection of `EVERY` column, and no more of them from the server."""
    parts: list[SampleRows] = []
    left = limit
    for handles, block, columns in device_blocks(answer):
        parts.append(SampleRows(handles, block.time_ns, columns).take(slice(0, left)))
        left -= len(parts[-1])
        if left <= 0:
            break
    answer.blocks.close()
    if not parts:
        return SampleRows(np.empty(0, np.uint32), np.empty(0, np.int64), {})
    if len(parts) == 1:
        return parts[0]
    names = parts[0].columns
    return SampleRows(
        np.concatenate([part.handles for part in parts]),
        np.concatenate([part.time_ns for part in parts]),
        {
            name: Column(
                np.concatenate([part.columns[name].values for part in parts]),
                np.concatenate([part.columns[name].present for part in parts]),
            )
            for name in names
        },
    )
