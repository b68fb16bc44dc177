"""Samples of one point in one hour to bytes, exactly, many chunks at once. Back again: `chunk_reader.py`.

    times       first · smallest step · residual of each step, in the largest unit that divides all of them,
                or in places of the table of shared moments (`moments.py`) where that is narrower
    received    smallest delay after source · residuals likewise
    floats      the smallest decimal scale 0 to 4 that gives every value back bit for bit, then as integers; else as
                their 64 bits
    integers    distance from the smallest, or smallest step and residual of each step: whichever is narrower
    bools       bits          texts   a dictionary and codes          quality   one for all, or runs

What is constant costs nothing but its row in the index: a chunk in which all is constant has no frame at all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.history.moments import Stamps
from headrace.history.numbers import PLAIN, Sizes, Starts, decimals, encode_numbers, residuals_of, shrink, steps_of
from headrace.history.pack import Planes, Residuals, widths_for
from headrace.history.presence import Steps
from headrace.history.records import encode_text
from headrace.model.batch import Batch, ValueKind

#: One row a chunk. `offset` counts from the start of the section; `length` 0 means that there is no frame.
INDEX_COLUMNS: Final[dict[str, np.dtype[Any]]] = {
    "handle": np.dtype("<u4"),
    "kind": np.dtype("<u1"),
    "count": np.dtype("<u4"),
    "first_ns": np.dtype("<i8"),
    "last_ns": np.dtype("<i8"),
    "offset": np.dtype("<u8"),
    "length": np.dtype("<u4"),
    "time_step": np.dtype("<i8"),
    "time_unit": np.dtype("<u1"),
    "time_width": np.dtype("<u1"),
    "delay_base": np.dtype("<i8"),
    "delay_unit": np.dtype("<u1"),
    "delay_width": np.dtype("<u1"),
    "value_form": np.dtype("<u1"),
    "value_scale": np.dtype("<u1"),
    "value_first": np.dtype("<i8"),
    "value_step": np.dtype("<i8"),
    "value_width": np.dtype("<u1"),
    "quality_runs": np.dtype("<u4"),
    "quality": np.dtype("<u4"),
}
ChunkTable = dict[str, NDArray[Any]]

BITS, DICTIONARY = 2, 3  # value_form, beside OFFSETS and STEPS
RANKED: Final = 255  # time_unit, delay_unit: counted in places of the section's table of moments
CHUNK_SAMPLES_MAX: Final = 65_536
_SMALL: Final = 96  # samples; the bytes of smaller chunks are put in place for all of them at once


class Encoded:
    """Chunks of one batch: their index rows (without `offset`), frames in order, and the steps of their times."""

    def __init__(self, table: ChunkTable, frames: list[bytes], starts: NDArray[np.int64], steps: Steps) -> None:
        self.table, self.frames, self.starts, self.steps = table, frames, starts, steps


def chunk_starts(batch: Batch, samples_max: int, edge_ns: int | None = None) -> NDArray[np.int64]:
    """Where chunks begin in a batch of one hour by (point, time); one begins at `edge_ns` too. Shape: (chunks,)."""
    change = batch.handles[1:] != batch.handles[:-1]
    if edge_ns is not None and (early := batch.source_ns < edge_ns).any():
        change |= early[:-1] & ~early[1:]
    starts = np.concatenate([[0], np.flatnonzero(change) + 1])
    sizes = np.diff(np.append(starts, len(batch)))
    if (sizes <= samples_max).all():
        return starts
    pieces = [np.arange(start, start + size, samples_max) for start, size in zip(starts, sizes, strict=True)]
    return np.concatenate(pieces)


def encode(
    batch: Batch, starts: NDArray[np.int64], zstd: zstandard.ZstdCompressor, stamps: Stamps | None = None
) -> Encoded:
    """`batch` by (point, time) without repetition; each chunk is within one hour. `stamps` are its places, if any.

    Where these tell every received time, the batch's own are not looked at.
    """
    ends = np.append(starts[1:], len(batch))
    sizes = ends - starts
    table: ChunkTable = {name: np.zeros(len(starts), dtype) for name, dtype in INDEX_COLUMNS.items()}
    table["handle"][:] = batch.handles[starts]
    table["kind"][:] = batch.kind
    table["count"][:] = sizes
    table["first_ns"][:] = batch.source_ns[starts]
    table["last_ns"][:] = batch.source_ns[ends - 1]
    times, steps = _encode_times(batch, stamps, starts, sizes, table)
    delays = _encode_delays(batch, stamps, starts, sizes, table)
    values, texts = _encode_values(batch, starts, sizes, table)
    runs = _quality(batch.quality, starts, sizes, table)
    frames = _frames(table, starts, sizes, times, delays, values, texts, runs, zstd)
    table["length"][:] = [len(frame) for frame in frames]
    return Encoded(table, frames, starts, steps)


def measured(batch: Batch, starts: NDArray[np.int64]) -> Encoded:
    """What roll-ups want to know of chunks, which are not encoded. `batch` is no text."""
    sizes = np.diff(np.append(starts, len(batch)))
    table: ChunkTable = {"handle": batch.handles[starts], "value_scale": np.full(len(starts), PLAIN, np.uint8)}
    if batch.kind is ValueKind.FLOAT64:
        _, table["value_scale"][:] = decimals(batch.values, starts, sizes)
    steps = steps_of(batch.source_ns, starts, sizes)
    longer, period = residuals_of(steps, starts, sizes)
    return Encoded(table, [], starts, Steps.of(steps, table["handle"], starts, sizes, period, np.flatnonzero(longer)))


def _encode_times(
    batch: Batch, stamps: Stamps | None, starts: Starts, sizes: Sizes, table: ChunkTable
) -> tuple[Residuals, Steps]:
    steps = steps_of(batch.source_ns, starts, sizes)
    times, period = residuals_of(steps, starts, sizes)
    told = Steps.of(steps, table["handle"], starts, sizes, period, np.flatnonzero(times))
    table["time_step"][:] = period
    table["time_unit"][:], table["time_width"][:] = shrink(times, starts, sizes)
    if stamps is None or stamps.rank is None or stamps.sourced is None or table["time_width"].max() < 2:
        return times, told
    places, step = residuals_of(steps_of(stamps.rank, starts, sizes), starts, sizes)
    width = widths_for(np.maximum.reduceat(places, starts))
    better = (width < table["time_width"]) & np.logical_and.reduceat(stamps.sourced, starts)
    table["time_step"][better], table["time_width"][better] = step[better], width[better]
    table["time_unit"][better] = RANKED
    return np.where(np.repeat(better, sizes), places, times), told


def _encode_delays(batch: Batch, stamps: Stamps | None, starts: Starts, sizes: Sizes, table: ChunkTable) -> Residuals:
    if stamps is not None and stamps.told is None:
        lags, table["delay_base"][:] = residuals_of(stamps.lag, starts, sizes)
        table["delay_unit"][:], table["delay_width"][:] = RANKED, widths_for(np.maximum.reduceat(lags, starts))
        return lags
    delay = batch.received_ns - batch.source_ns  # wraps, and so does decoding
    delays, table["delay_base"][:] = residuals_of(delay, starts, sizes)
    table["delay_unit"][:], table["delay_width"][:] = shrink(delays, starts, sizes)
    if stamps is None or stamps.told is None or not stamps.told.any():
        return delays
    lags, base = residuals_of(stamps.lag, starts, sizes)
    width = widths_for(np.maximum.reduceat(lags, starts))
    better = (width < table["delay_width"]) & np.logical_and.reduceat(stamps.told, starts)
    table["delay_base"][better], table["delay_width"][better] = base[better], width[better]
    table["delay_unit"][better] = RANKED
    return np.where(np.repeat(better, sizes), lags, delays)


def _frames(
    table: ChunkTable,
    starts: Starts,
    sizes: Sizes,
    times: NDArray[np.uint64],
    delays: NDArray[np.uint64],
    values: NDArray[Any],
    texts: dict[int, bytes],
    runs: dict[int, bytes],
    zstd: zstandard.ZstdCompressor,
) -> list[bytes]:
    frames: list[bytes] = [b""] * len(starts)
    bits = bool(len(starts)) and table["kind"][0] == ValueKind.BOOL
    small = sizes < _SMALL
    small[[*texts, *runs]] = False
    if small.any():
        chosen = np.flatnonzero(small)
        found = _together(table, starts, sizes, (times, delays, values), chosen, bits)
        for at, payload in zip(chosen.tolist(), found, strict=True):
            if payload:
                frames[at] = zstd.compress(payload)
    time_of, delay_of = Planes(times, table["time_width"]), Planes(delays, table["delay_width"])
    value_of = Planes(values, table["value_width"] if not bits else np.zeros(1, np.uint8))
    for at in np.flatnonzero(~small).tolist():
        start, end = int(starts[at]), int(starts[at] + sizes[at])
        parts: list[bytes | memoryview] = []
        time_of.put(parts, at, start, end)
        delay_of.put(parts, at, start, end)
        if at in texts:
            parts.append(texts[at])
        if not bits:
            value_of.put(parts, at, start, end)
        elif table["value_width"][at]:
            parts.append(np.packbits(values[start:end]).tobytes())
        if at in runs:
            parts.append(runs[at])
        if parts:
            frames[at] = zstd.compress(b"".join(parts))
    return frames


def _together(
    table: ChunkTable, starts: Starts, sizes: Sizes, columns: tuple[NDArray[Any], ...], chosen: NDArray[np.int64],
    bits: bool,
) -> Iterator[memoryview]:  # fmt: skip
    """What small chunks are made of: their bytes are put in place for all of them at once."""
    counts = sizes[chosen]
    widths = [table[name][chosen].astype(np.int64) for name in ("time_width", "delay_width", "value_width")]
    lengths = [width * counts for width in widths]
    if bits:
        lengths[2] = np.where(widths[2] > 0, -(-counts // 8), 0)
    total = lengths[0] + lengths[1] + lengths[2]
    begin = np.cumsum(total) - total
    data = np.zeros(int(total.sum()), np.uint8)
    before = np.cumsum(counts) - counts
    within = np.arange(int(counts.sum())) - np.repeat(before, counts)
    samples = within + np.repeat(starts[chosen], counts)
    at = begin
    for column, width, length in zip(columns, widths, lengths, strict=True):
        place, step, wide = (np.repeat(each, counts) for each in (at, counts, width))
        if bits and column is columns[2]:
            set_bits = np.flatnonzero((wide > 0) & column[samples])
            np.bitwise_or.at(data, (place + within // 8)[set_bits], (128 >> within % 8)[set_bits].astype(np.uint8))
        else:
            for plane in range(int(width.max())):
                here = np.flatnonzero(wide > plane)
                number = column[samples[here]] >> np.uint64(8 * plane)
                data[(place + plane * step + within)[here]] = number.astype(np.uint8)
        at = at + length
    view = memoryview(data.tobytes())
    yield from (view[low : low + size] for low, size in zip(begin.tolist(), total.tolist(), strict=True))


def _encode_values(
    batch: Batch, starts: Starts, sizes: Sizes, table: ChunkTable
) -> tuple[NDArray[Any], dict[int, bytes]]:
    table["value_scale"][:] = PLAIN
    if batch.kind is ValueKind.TEXT:
        return _encode_texts(batch, starts, table)
    if batch.kind is ValueKind.BOOL:
        table["value_form"][:] = BITS
        table["value_first"][:] = batch.values[starts]
        same = np.logical_and.reduceat(batch.values, starts) | ~np.logical_or.reduceat(batch.values, starts)
        table["value_width"][:] = ~same
        return batch.values, {}
    numbers = batch.values
    if batch.kind is ValueKind.FLOAT64:
        numbers, table["value_scale"][:] = decimals(batch.values, starts, sizes)
    return encode_numbers(numbers, starts, sizes, table), {}


def _encode_texts(batch: Batch, starts: Starts, table: ChunkTable) -> tuple[NDArray[Any], dict[int, bytes]]:
    table["value_form"][:] = DICTIONARY
    # Texts stay the same for long: only where they change is one looked at.
    change = np.empty(len(batch), np.bool_)
    change[1:] = batch.values[1:] != batch.values[:-1]
    change[starts] = True
    runs = np.flatnonzero(change)
    lengths = np.diff(np.append(runs, len(batch)))
    words_of = batch.values[runs].tolist()
    edges = np.append(np.searchsorted(runs, starts), len(runs)).tolist()
    codes: list[int] = []
    texts: dict[int, bytes] = {}
    counts = np.empty(len(starts), np.uint64)
    for at in range(len(starts)):
        words: dict[str, int] = {}
        codes += [words.setdefault(word, len(words)) for word in words_of[edges[at] : edges[at + 1]]]
        packed = encode_text(list(words))
        texts[at] = struct.pack("<II", len(words), len(packed)) + packed
        counts[at] = len(words)
    table["value_width"][:] = widths_for(counts - np.uint64(1))
    return np.repeat(np.array(codes, np.uint64), lengths), texts


def _quality(quality: NDArray[np.uint32], starts: Starts, sizes: Sizes, table: ChunkTable) -> dict[int, bytes]:
    """Runs of chunks whose quality changes: lengths, then codes."""
    table["quality"][:] = quality[starts]
    changes = quality[1:] != quality[:-1]
    runs: dict[int, bytes] = {}
    if not changes.any():
        return runs
    smallest, largest = np.minimum.reduceat(quality, starts), np.maximum.reduceat(quality, starts)
    for at in np.flatnonzero(smallest != largest).tolist():
        part = quality[starts[at] : starts[at] + sizes[at]]
        begins = np.concatenate([[0], np.flatnonzero(part[1:] != part[:-1]) + 1])
        lengths = np.diff(np.append(begins, len(part)))
        table["quality_runs"][at] = len(begins)
        runs[at] = lengths.astype("<u4").tobytes() + part[begins].astype("<u4").tobytes()
    return runs
