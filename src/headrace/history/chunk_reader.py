"""One chunk's bytes back to its samples; whatever does not add up is an error, never a wrong sample."""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.history.chunks import CHUNK_SAMPLES_MAX, RANKED
from headrace.history.moments import NONE, ranks
from headrace.history.numbers import PLAIN, SCALES, STEPS, UNITS_NS
from headrace.history.pack import from_planes
from headrace.history.records import decode_text
from headrace.model.batch import TEXT_DTYPE, Batch, TimesNs, ValueKind
from headrace.model.errors import DataError

_FRAME_BYTES_MAX: Final = 512 * 1024 * 1024


def decode(row: dict[str, Any], frame: bytes, zstd: zstandard.ZstdDecompressor, moments: TimesNs = NONE) -> Batch:
    """One chunk; `row` is its index row as plain numbers, `moments` its section's table.

    Raises: DataError, zstandard.ZstdError, ValueError.
    """
    count = row["count"]
    if not 1 <= count <= CHUNK_SAMPLES_MAX:
        raise DataError("a chunk claims more samples than a chunk may hold")
    if frame and not 0 <= zstandard.frame_content_size(frame) <= _FRAME_BYTES_MAX:
        raise DataError("a chunk is longer than a chunk may be")
    rest = memoryview(zstd.decompress(frame)) if frame else memoryview(b"")
    at = 0

    def take(size: int) -> memoryview:
        nonlocal at
        at += size
        if at > len(rest):
            raise DataError("a chunk is cut short")
        return rest[at - size : at]

    residuals = from_planes(take(row["time_width"] * count), row["time_width"], count)
    times, places = _times(row, residuals, moments)
    delays = from_planes(take(row["delay_width"] * count), row["delay_width"], count)
    if row["delay_unit"] == RANKED:
        if places is None:
            places, _ = ranks(times, moments)
        received = _at(moments, places + delays.view(np.int64) + np.int64(row["delay_base"]))
    else:
        late = (delays * np.uint64(UNITS_NS[row["delay_unit"]])).view(np.int64)
        received = times + late + np.int64(row["delay_base"])
    kind, form, width = ValueKind(row["kind"]), row["value_form"], row["value_width"]
    if kind is ValueKind.TEXT:
        words, size = struct.unpack("<II", take(8))
        dictionary, _ = decode_text(take(size), words)
        codes = from_planes(take(width * count), width, count)
        if int(codes.max()) >= words:
            raise DataError("a chunk names a text that its dictionary lacks")
        values: NDArray[Any] = np.array(dictionary, TEXT_DTYPE)[codes.astype(np.int64)]
    elif kind is ValueKind.BOOL:
        if width:
            packed = np.frombuffer(take(-(-count // 8)), np.uint8)
            values = np.unpackbits(packed, count=count).astype(np.bool_)
        else:
            values = np.full(count, bool(row["value_first"]))
    else:
        residuals = from_planes(take(width * count), width, count)
        if form == STEPS:
            numbers = _accumulate(residuals, row["value_first"], row["value_step"], 1)
        else:
            numbers = residuals.view(np.int64) + np.int64(row["value_first"])
        values = numbers
        if kind is ValueKind.FLOAT64:
            scale = row["value_scale"]
            values = numbers.view(np.float64) if scale == PLAIN else numbers / SCALES[scale]
    quality = _decode_quality(row, count, take)
    if at != len(rest):
        raise DataError("a chunk is longer than its index says")
    return Batch(kind, np.full(count, row["handle"], np.uint32), times, received, values, quality)


def _times(row: dict[str, Any], residuals: NDArray[np.uint64], moments: TimesNs) -> tuple[TimesNs, TimesNs | None]:
    """Source times, and their places where those are what was stored."""
    if row["time_unit"] != RANKED:
        return _accumulate(residuals, row["first_ns"], row["time_step"], UNITS_NS[row["time_unit"]]), None
    first = int(np.searchsorted(moments, row["first_ns"]))
    places = _accumulate(residuals, first, row["time_step"], 1)
    return _at(moments, places), places


def _at(moments: TimesNs, places: NDArray[np.int64]) -> TimesNs:
    if int(places.min()) < 0 or int(places.max()) >= len(moments):
        raise DataError("a chunk names a moment that its section lacks")
    return moments[places]


def _accumulate(residuals: NDArray[np.uint64], first: int, step: int, unit: int) -> NDArray[np.int64]:
    """The inverse of steps: `first` + the sum of (step + residual × unit); modulo 2^64 like the encoder."""
    if unit != 1:
        residuals = residuals * np.uint64(unit)
    residuals[0] = 0
    total = np.cumsum(residuals).view(np.int64)
    if step:
        total += np.arange(len(total), dtype=np.int64) * np.int64(step)
    total += np.int64(first)
    return total


def _decode_quality(row: dict[str, Any], count: int, take: Any) -> NDArray[np.uint32]:
    runs = row["quality_runs"]
    if not runs:
        return np.full(count, row["quality"], np.uint32)
    if runs > count:
        raise DataError("a chunk has more runs of quality than samples")
    lengths = np.frombuffer(take(4 * runs), "<u4")
    codes = np.frombuffer(take(4 * runs), "<u4")
    if int(lengths.sum(dtype=np.int64)) != count:
        raise DataError("the runs of quality of a chunk do not add up")
    return np.repeat(codes, lengths)
