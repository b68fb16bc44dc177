"""Chunks of one kind back to samples, all of them at once; what does not add up is an error, never a wrong sample.

    frame of each chunk ─► decompress ─► bytes of its residuals, into columns for all chunks
                                                    │
    index rows: first, step, unit, scale ───────────┴─► sums over whole columns ─► one batch by (point, time)

A chunk costs one decompression and a copy or two; everything else is done on the columns.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.history.chunks import CHUNK_SAMPLES_MAX, RANKED, ChunkTable
from headrace.history.moments import NONE
from headrace.history.numbers import PLAIN, SCALES, STEPS, UNITS_NS
from headrace.history.pack import WIDTHS, Residuals
from headrace.history.records import decode_text
from headrace.model.batch import TEXT_DTYPE, Batch, TimesNs, ValueKind
from headrace.model.errors import DataError

_FRAME_BYTES_MAX: Final = 512 * 1024 * 1024
_GROUP_SAMPLES: Final = 32_768  # columns of so many stay in the processor's cache from step to step
_SMALL: Final = 96  # samples; chunks that have fewer on average are taken apart together
_UNITS: Final = np.array([*UNITS_NS, 1], np.uint64)
_SCALES: Final = np.array([*SCALES, 1.0])


def decode(
    kind: ValueKind, rows: ChunkTable, frames: list[bytes], moments: TimesNs = NONE, *, received: bool = True
) -> Batch:
    """Chunks of `kind`; `rows` are their index rows in columns, `moments` their section's table.

    Without `received` the batch has its source times as receive times: for those who do not look at them.

    Raises: DataError, zstandard.ZstdError, ValueError.
    """
    counts = rows["count"].astype(np.int64)
    if counts.min() < 1 or counts.max() > CHUNK_SAMPLES_MAX:
        raise DataError("a chunk claims more samples than a chunk may hold")
    group = (np.cumsum(counts) - counts) // _GROUP_SAMPLES
    edges = np.flatnonzero(group[1:] != group[:-1]) + 1
    batches = []
    for start, end in itertools.pairwise([0, *edges.tolist(), len(counts)]):
        part = rows if not len(edges) else {name: column[start:end] for name, column in rows.items()}
        batches.append(_decode(kind, part, counts[start:end], frames[start:end], moments, received))
    return Batch.concat(batches)


def _decode(
    kind: ValueKind, rows: ChunkTable, counts: NDArray[np.int64], frames: list[bytes], moments: TimesNs, received: bool
) -> Batch:
    chunks = _Chunks(kind, rows, counts)
    if len(counts) * _SMALL > chunks.total and kind is not ValueKind.TEXT:
        chunks.fill_together(frames)
    else:
        for at, frame in enumerate(frames):
            chunks.fill(at, frame)
    times, places = chunks.times(moments)
    arrived = chunks.received(times, places, moments) if received else times
    handles = np.repeat(rows["handle"].astype(np.uint32), counts)
    return Batch(kind, handles, times, arrived, chunks.values(), chunks.quality)


class _Chunks:
    """Residuals of all chunks in columns, little-endian; a column that no chunk has stays None."""

    def __init__(self, kind: ValueKind, rows: ChunkTable, counts: NDArray[np.int64]) -> None:
        self._kind, self._rows, self._counts = kind, rows, counts
        self._starts = np.cumsum(counts) - counts
        self.total = int(counts.sum())
        widths = [rows[name].tolist() for name in ("time_width", "delay_width", "value_width")]
        self._plain: list[tuple[int, ...]] = list(zip(self._starts.tolist(), counts.tolist(), *widths, strict=True))
        self._runs: list[int] = rows["quality_runs"].tolist()
        self._zstd = zstandard.ZstdDecompressor()
        wide = kind not in (ValueKind.BOOL, ValueKind.TEXT)
        self._time, self._delay, self._value = (
            np.zeros(self.total, np.uint64) if any(column) and (wide or at < 2) else None
            for at, column in enumerate(widths)
        )
        self._texts: list[NDArray[Any]] = []
        self._bits = np.repeat(rows["value_first"] != 0, counts) if kind is ValueKind.BOOL else None
        self.quality = np.repeat(rows["quality"].astype(np.uint32), counts)

    def fill(self, at: int, frame: bytes) -> None:
        """Take chunk `at` apart."""
        start, count, time_width, delay_width, value_width = self._plain[at]
        if not frame:
            if time_width or delay_width or value_width or self._kind is ValueKind.TEXT:
                raise DataError("a chunk has no frame and is not constant")
            return
        if not 0 <= zstandard.frame_content_size(frame) <= _FRAME_BYTES_MAX:
            raise DataError("a chunk is longer than a chunk may be")
        rest = self._zstd.decompress(frame)
        used = _planes(self._time, rest, 0, time_width, start, count)
        used = _planes(self._delay, rest, used, delay_width, start, count)
        if self._kind is ValueKind.TEXT:
            used = self._text(rest, used, value_width, count)
        elif self._bits is None:
            used = _planes(self._value, rest, used, value_width, start, count)
        elif value_width:
            length = -(-count // 8)
            packed = np.frombuffer(_part(rest, used, length), np.uint8)
            self._bits[start : start + count] = np.unpackbits(packed, count=count)
            used += length
        if runs := self._runs[at]:
            used = self._quality_runs(rest, used, runs, start, count)
        if used != len(rest):
            raise DataError("a chunk is longer than its index says")

    def fill_together(self, frames: Sequence[bytes]) -> None:
        """The same for many small chunks, whose bytes are picked out of all of them at once."""
        rows, counts = self._rows, self._counts
        time, delay, value = (rows[name].astype(np.int64) for name in ("time_width", "delay_width", "value_width"))
        values = value * counts if self._bits is None else np.where(value > 0, -(-counts // 8), 0)
        sizes = (time + delay) * counts + values + 8 * rows["quality_runs"].astype(np.int64)
        claimed = [zstandard.frame_content_size(frame) if frame else 0 for frame in frames]
        if not np.isin(np.concatenate([time, delay, value]), WIDTHS).all() or claimed != sizes.tolist():
            raise DataError("a chunk does not have the length that its index says")
        plain = [self._zstd.decompress(frame) if frame else b"" for frame in frames]
        data = np.frombuffer(b"".join(plain), np.uint8)
        within = np.arange(self.total) - np.repeat(self._starts, counts)
        begin = np.cumsum(sizes) - sizes
        self._gather(self._time, data, begin, time, within)
        self._gather(self._delay, data, begin + time * counts, delay, within)
        begin = begin + (time + delay) * counts
        if self._bits is None:
            self._gather(self._value, data, begin, value, within)
        else:
            self._gather_bits(self._bits, data, begin, value, within)
        for at in np.flatnonzero(rows["quality_runs"]).tolist():
            rest, runs = plain[at], self._runs[at]
            self._quality_runs(rest, len(rest) - 8 * runs, runs, int(self._starts[at]), int(counts[at]))

    def _gather(
        self, column: Residuals | None, data: NDArray[np.uint8], begin: NDArray[np.int64], width: NDArray[np.int64],
        within: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Byte planes of all chunks, which begin in `data` where it is said."""
        if column is None:
            return
        place, size, wide = (np.repeat(each, self._counts) for each in (begin, self._counts, width))
        place += within
        for plane in range(int(width.max())):
            chosen = np.flatnonzero(wide > plane)
            byte = data[place[chosen] + plane * size[chosen]].astype(np.uint64)
            column[chosen] |= byte << np.uint64(8 * plane)

    def _gather_bits(
        self, bits: NDArray[np.bool_], data: NDArray[np.uint8], begin: NDArray[np.int64], width: NDArray[np.int64],
        within: NDArray[np.int64],
    ) -> None:  # fmt: skip
        chosen = np.flatnonzero(np.repeat(width, self._counts))
        at = within[chosen]
        byte = data[np.repeat(begin, self._counts)[chosen] + at // 8]
        bits[chosen] = (byte >> (7 - at % 8).astype(np.uint8)) & 1

    def _text(self, rest: bytes, used: int, width: int, count: int) -> int:
        words, size = struct.unpack("<II", _part(rest, used, 8))
        dictionary, _ = decode_text(_part(rest, used + 8, size), words)
        codes = np.zeros(count, np.uint64)
        used = _planes(codes, rest, used + 8 + size, width, 0, count)
        if int(codes.max()) >= words:
            raise DataError("a chunk names a text that its dictionary lacks")
        self._texts.append(np.array(dictionary, TEXT_DTYPE)[codes.astype(np.int64)])
        return used

    def _quality_runs(self, rest: bytes, used: int, runs: int, start: int, count: int) -> int:
        if runs > count:
            raise DataError("a chunk has more runs of quality than samples")
        lengths = np.frombuffer(_part(rest, used, 4 * runs), "<u4")
        codes = np.frombuffer(_part(rest, used + 4 * runs, 4 * runs), "<u4")
        if int(lengths.sum(dtype=np.int64)) != count:
            raise DataError("the runs of quality of a chunk do not add up")
        self.quality[start : start + count] = np.repeat(codes, lengths)
        return used + 8 * runs

    def times(self, moments: TimesNs) -> tuple[TimesNs, TimesNs | None]:
        """Source times; and their places in `moments` where a chunk has its times there (elsewhere meaningless)."""
        rows = self._rows
        ranked = rows["time_unit"] == RANKED
        first = rows["first_ns"].astype(np.int64)
        if not ranked.any():
            return self._sums(self._time, first, rows["time_step"], rows["time_unit"]), None
        begin = np.where(ranked, np.searchsorted(moments, first), first)
        sums = self._sums(self._time, begin, rows["time_step"], rows["time_unit"])
        if ranked.all():
            return _at(moments, sums), sums
        chosen = np.repeat(ranked, self._counts)
        times = sums.copy()
        times[chosen] = _at(moments, sums[chosen])
        return times, sums

    def received(self, times: TimesNs, places: TimesNs | None, moments: TimesNs) -> TimesNs:
        rows = self._rows
        base: Any = self._each(rows["delay_base"].astype(np.int64))
        units = rows["delay_unit"]
        ranked = units == RANKED
        if self._delay is not None:
            unit = _units(units)
            lag = self._delay if (unit == 1).all() else self._delay * self._each(unit)
            base = base + lag.view(np.int64)
        if not ranked.any():
            arrived: TimesNs = times + base
            return arrived
        base = np.broadcast_to(base, times.shape)
        chosen: Any = slice(None) if ranked.all() else np.repeat(ranked, self._counts)
        if places is None or not (rows["time_unit"] == RANKED)[ranked].all():
            begin = np.searchsorted(moments, times[chosen])
        else:
            begin = places[chosen]
        received: TimesNs = times + base
        received[chosen] = _at(moments, begin + base[chosen])
        return received

    def values(self) -> NDArray[Any]:
        if self._kind is ValueKind.TEXT:
            return np.concatenate(self._texts)
        if self._bits is not None:
            return self._bits
        rows = self._rows
        stepped = rows["value_form"] == STEPS
        first = rows["value_first"].astype(np.int64)
        if stepped.all():
            numbers = self._sums(self._value, first, rows["value_step"], None)
        else:
            numbers = np.repeat(first, self._counts)
            if self._value is not None:
                numbers += self._value.view(np.int64)
            if stepped.any():
                chosen = np.repeat(stepped, self._counts)
                numbers[chosen] = self._sums(self._value, first, rows["value_step"], None)[chosen]
        if self._kind is not ValueKind.FLOAT64:
            return numbers
        scale = rows["value_scale"]
        plain = scale == PLAIN
        if plain.all():
            return numbers.view(np.float64)
        values: NDArray[np.float64] = numbers / self._each(_SCALES[np.minimum(scale, len(SCALES))])
        if plain.any():
            chosen = np.repeat(plain, self._counts)
            values[chosen] = numbers[chosen].view(np.float64)
        return values

    def _each(self, column: NDArray[Any]) -> Any:
        """What a chunk has, for each of its samples; of a single chunk NumPy spreads it by itself."""
        return column[0] if len(column) == 1 else np.repeat(column, self._counts)

    def _sums(
        self, residuals: Residuals | None, first: NDArray[np.int64], step: NDArray[Any], unit: NDArray[Any] | None
    ) -> NDArray[np.int64]:
        """`first` + the sum of (step + residual × unit) within each chunk; modulo 2^64 like the encoder."""
        place = np.arange(self.total, dtype=np.int64)
        # first − place of the chunk's start × step, so that one product tells every step of the way
        base = first - self._starts * step
        sums: NDArray[np.int64] = place * self._each(step.astype(np.int64))
        if residuals is not None:
            if unit is not None and not ((factor := _units(unit)) == 1).all():
                residuals = residuals * self._each(factor)
            else:
                residuals = residuals.copy()
            residuals[self._starts] = 0
            total = np.cumsum(residuals, out=residuals).view(np.int64)
            base = base - total[self._starts]
            sums += total
        sums += self._each(base)
        return sums


def _units(codes: NDArray[Any]) -> NDArray[np.uint64]:
    factors: NDArray[np.uint64] = _UNITS[np.where(codes == RANKED, len(UNITS_NS), codes)]
    return factors


def _part(data: bytes, start: int, length: int) -> memoryview:
    if start + length > len(data):
        raise DataError("a chunk is cut short")
    return memoryview(data)[start : start + length]


def _planes(column: Residuals | None, data: bytes, used: int, width: int, start: int, count: int) -> int:
    """Put `width` byte planes into the low bytes of a column; returns where the next part begins."""
    if width == 0:
        return used
    if width not in WIDTHS or column is None:
        raise DataError("a column does not have the length that its index says")
    planes = np.frombuffer(_part(data, used, width * count), np.uint8)
    if width == 1:
        column[start : start + count] = planes
    else:
        column[start : start + count].view(np.uint8).reshape(count, 8)[:, :width] = planes.reshape(width, count).T
    return used + width * count


def _at(moments: TimesNs, places: NDArray[np.int64]) -> TimesNs:
    if int(places.min()) < 0 or int(places.max()) >= len(moments):
        raise DataError("a chunk names a moment that its section lacks")
    return moments[places]
