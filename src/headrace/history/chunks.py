"""Samples of one point in one hour to bytes and back, exactly. Encoding works on many chunks at once.

    times       first · smallest step · residual of each step, in the largest unit that divides all of them
    received    smallest delay after source · residuals likewise
    floats      the smallest decimal scale 0 to 4 that gives every value back bit for bit, then as integers; else as
                their 64 bits
    integers    distance from the smallest, or smallest step and residual of each step: whichever is narrower
    bools       bits          texts   a dictionary and codes          quality   one for all, or runs

What is constant costs nothing but its row in the index: a chunk in which all is constant has no frame at all.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.history.pack import from_planes, to_planes, widths_for
from headrace.history.records import decode_text, encode_text
from headrace.model.batch import TEXT_DTYPE, Batch, ValueKind
from headrace.model.errors import DataError

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

OFFSETS, STEPS, BITS, DICTIONARY = 0, 1, 2, 3  # value_form
PLAIN: Final = 255  # value_scale of what is no decimal: 64 bits as they are
UNITS_NS: Final = (1, 1_000, 1_000_000, 1_000_000_000)  # by time_unit, delay_unit
SCALES: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
CHUNK_SAMPLES_MAX: Final = 65_536
_FRAME_BYTES_MAX: Final = 512 * 1024 * 1024


class Encoded:
    """Chunks of one batch: their index rows (without `offset`), frames in order, and the numbers behind the values.

    `scaled` holds float64 as integers where `value_scale` is no PLAIN; roll-ups use it.
    """

    def __init__(self, table: ChunkTable, frames: list[bytes], starts: NDArray[np.int64]) -> None:
        self.table, self.frames, self.starts = table, frames, starts


def chunk_starts(batch: Batch, samples_max: int) -> NDArray[np.int64]:
    """Where chunks begin in a batch of one hour by (point, time). Shape: (chunks,)."""
    change = np.flatnonzero(batch.handles[1:] != batch.handles[:-1]) + 1
    starts = np.concatenate([[0], change])
    sizes = np.diff(np.append(starts, len(batch)))
    if (sizes <= samples_max).all():
        return starts
    pieces = [np.arange(start, start + size, samples_max) for start, size in zip(starts, sizes, strict=True)]
    return np.concatenate(pieces)


def encode(batch: Batch, starts: NDArray[np.int64], zstd: zstandard.ZstdCompressor) -> Encoded:
    """`batch` by (point, time) without repetition; each chunk is within one hour."""
    count = len(batch)
    ends = np.append(starts[1:], count)
    sizes = ends - starts
    table: ChunkTable = {name: np.zeros(len(starts), dtype) for name, dtype in INDEX_COLUMNS.items()}
    table["handle"][:] = batch.handles[starts]
    table["kind"][:] = batch.kind
    table["count"][:] = sizes
    table["first_ns"][:] = batch.source_ns[starts]
    table["last_ns"][:] = batch.source_ns[ends - 1]

    steps = _steps(batch.source_ns, starts, sizes)
    times, table["time_step"][:] = _residuals(steps, starts, sizes)
    table["time_unit"][:], table["time_width"][:] = _shrink(times, starts, sizes)
    delay = batch.received_ns - batch.source_ns  # wraps, and so does decoding
    delays, table["delay_base"][:] = _residuals(delay, starts, sizes)
    table["delay_unit"][:], table["delay_width"][:] = _shrink(delays, starts, sizes)

    values, texts = _encode_values(batch, starts, sizes, table)
    runs = _quality(batch.quality, starts, sizes, table)
    frames = _frames(table, starts.tolist(), ends.tolist(), times, delays, values, texts, runs, zstd)
    table["length"][:] = [len(frame) for frame in frames]
    return Encoded(table, frames, starts)


def _frames(
    table: ChunkTable,
    starts: list[int],
    ends: list[int],
    times: NDArray[np.uint64],
    delays: NDArray[np.uint64],
    values: NDArray[Any],
    texts: dict[int, bytes],
    runs: dict[int, bytes],
    zstd: zstandard.ZstdCompressor,
) -> list[bytes]:
    frames: list[bytes] = []
    bits = bool(len(starts)) and table["kind"][0] == ValueKind.BOOL
    columns = (table["time_width"].tolist(), table["delay_width"].tolist(), table["value_width"].tolist())
    for at, (start, end, time_width, delay_width, value_width) in enumerate(zip(starts, ends, *columns, strict=True)):
        parts: list[bytes] = []
        if time_width:
            parts.append(to_planes(times[start:end], time_width))
        if delay_width:
            parts.append(to_planes(delays[start:end], delay_width))
        if at in texts:
            parts.append(texts[at])
        if value_width:
            parts.append(
                np.packbits(values[start:end]).tobytes() if bits else to_planes(values[start:end], value_width)
            )
        if at in runs:
            parts.append(runs[at])
        frames.append(zstd.compress(b"".join(parts)) if parts else b"")
    return frames


def _steps(column: NDArray[np.int64], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Differences to the element before; a chunk's first repeats its second, so that it does not count."""
    steps = np.empty_like(column)
    np.subtract(column[1:], column[:-1], out=steps[1:])
    single = sizes == 1
    steps[starts[~single]] = steps[starts[~single] + 1]
    steps[starts[single]] = 0
    return steps


def _residuals(
    numbers: NDArray[np.int64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Distance of each number from the smallest of its chunk, and those smallest."""
    smallest = np.minimum.reduceat(numbers, starts)
    return (numbers - np.repeat(smallest, sizes)).view(np.uint64), smallest


def _shrink(
    residuals: NDArray[np.uint64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Divide residuals in place by the largest unit that fits all of a chunk; units and widths. Shape: (chunks,)."""
    largest = np.maximum.reduceat(residuals, starts)
    units = np.zeros(len(starts), np.uint8)
    for code in (3, 2, 1):
        unit = np.uint64(UNITS_NS[code])
        # The largest residual must divide, or the chunk cannot: that spares most chunks the full test.
        maybe = np.flatnonzero((units == 0) & (largest > 0) & (largest % unit == 0))
        if not len(maybe):
            continue
        chosen = np.zeros(len(starts), np.bool_)
        chosen[maybe] = True
        mask = np.repeat(chosen, sizes)
        part = residuals[mask]
        offsets = np.concatenate([[0], np.cumsum(sizes[maybe])[:-1]])
        divided = part // unit
        fits = np.logical_and.reduceat(divided * unit == part, offsets)
        if fits.any():
            taken = np.zeros(len(starts), np.bool_)
            taken[maybe[fits]] = True
            residuals[np.repeat(taken, sizes)] = divided[np.repeat(fits, sizes[maybe])]
            units[taken] = code
    return units, widths_for(np.maximum.reduceat(residuals, starts))


def _encode_values(
    batch: Batch, starts: NDArray[np.int64], sizes: NDArray[np.int64], table: ChunkTable
) -> tuple[NDArray[Any], dict[int, bytes]]:
    table["value_scale"][:] = PLAIN
    if batch.kind is ValueKind.TEXT:
        return _encode_texts(batch, starts, sizes, table)
    if batch.kind is ValueKind.BOOL:
        table["value_form"][:] = BITS
        table["value_first"][:] = batch.values[starts]
        same = np.logical_and.reduceat(batch.values, starts) | ~np.logical_or.reduceat(batch.values, starts)
        table["value_width"][:] = ~same
        return batch.values, {}
    numbers = batch.values
    if batch.kind is ValueKind.FLOAT64:
        numbers, table["value_scale"][:] = decimals(batch.values, starts, sizes)
    return _encode_numbers(numbers, starts, sizes, table), {}


def _encode_numbers(
    numbers: NDArray[np.int64], starts: NDArray[np.int64], sizes: NDArray[np.int64], table: ChunkTable
) -> NDArray[np.uint64]:
    steps = _steps(numbers, starts, sizes)
    by_step, smallest_step = _residuals(steps, starts, sizes)
    by_offset, smallest = _residuals(numbers, starts, sizes)
    step_width = widths_for(np.maximum.reduceat(by_step, starts))
    offset_width = widths_for(np.maximum.reduceat(by_offset, starts))
    # Of equal widths, the narrower spread compresses better.
    middle = np.add.reduceat(by_offset.astype(np.float64), starts) / sizes
    spread = np.add.reduceat(np.abs(by_offset - np.repeat(middle, sizes)), starts)
    travel = np.add.reduceat(np.abs(steps.astype(np.float64)), starts)
    stepped = (step_width < offset_width) | ((step_width == offset_width) & (step_width > 0) & (travel <= spread))
    table["value_form"][:] = np.where(stepped, STEPS, OFFSETS)
    table["value_first"][:] = np.where(stepped, numbers[starts], smallest)
    table["value_step"][:] = np.where(stepped, smallest_step, 0)
    table["value_width"][:] = np.where(stepped, step_width, offset_width)
    if stepped.all():
        return by_step
    if stepped.any():
        np.copyto(by_offset, by_step, where=np.repeat(stepped, sizes))
    return by_offset


def decimals(
    values: NDArray[np.float64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Each chunk's values as integers at the smallest scale that gives them back bit for bit.

    −0.0, NaN and infinities never fit, and leave their chunk as 64-bit patterns (scale PLAIN).
    Shape: (samples,) int64 and (chunks,) uint8.
    """
    numbers = values.view(np.int64).copy()
    scales = np.full(len(starts), PLAIN, np.uint8)
    # Three values of each chunk tell the least scale that can do; most chunks are then tested once.
    probes = np.stack([values[starts], values[starts + sizes // 2], values[starts + sizes - 1]])
    least = np.full(len(starts), len(SCALES))
    for code in reversed(range(len(SCALES))):
        least[_round_trip(probes, SCALES[code])[1].all(axis=0)] = code
    for code, scale in enumerate(SCALES):
        maybe = np.flatnonzero((least <= code) & (scales == PLAIN))
        if not len(maybe):
            continue
        if len(maybe) == len(starts):
            mask: Any = slice(None)
        else:
            chosen = np.zeros(len(starts), np.bool_)
            chosen[maybe] = True
            mask = np.repeat(chosen, sizes)
        whole, exact = _round_trip(values[mask], scale)
        offsets = np.concatenate([[0], np.cumsum(sizes[maybe])[:-1]])
        fits = np.logical_and.reduceat(exact, offsets)
        if fits.all() and isinstance(mask, slice):
            numbers = whole
        elif fits.any():
            taken = np.zeros(len(starts), np.bool_)
            taken[maybe[fits]] = True
            numbers[np.repeat(taken, sizes)] = whole[np.repeat(fits, sizes[maybe])]
        scales[maybe[fits]] = code
    return numbers, scales


def _round_trip(values: NDArray[np.float64], scale: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Values as integers at a scale, and which of them decode to the same bits."""
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(values * scale if scale != 1 else values).astype(np.int64)
    back = whole.astype(np.float64)
    if scale != 1:
        back /= scale
    return whole, back.view(np.int64) == values.view(np.int64)


def _encode_texts(
    batch: Batch, starts: NDArray[np.int64], sizes: NDArray[np.int64], table: ChunkTable
) -> tuple[NDArray[Any], dict[int, bytes]]:
    table["value_form"][:] = DICTIONARY
    codes = np.zeros(len(batch), np.uint64)
    texts: dict[int, bytes] = {}
    for at, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
        words: dict[str, int] = {}
        codes[start : start + size] = [
            words.setdefault(word, len(words)) for word in batch.values[start : start + size].tolist()
        ]
        packed = encode_text(list(words))
        texts[at] = struct.pack("<II", len(words), len(packed)) + packed
        table["value_width"][at] = widths_for(np.array([len(words) - 1], np.uint64))[0]
    return codes, texts


def _quality(
    quality: NDArray[np.uint32], starts: NDArray[np.int64], sizes: NDArray[np.int64], table: ChunkTable
) -> dict[int, bytes]:
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


def decode(row: dict[str, Any], frame: bytes, zstd: zstandard.ZstdDecompressor) -> Batch:
    """One chunk; `row` is its index row as plain numbers. Raises: DataError, zstandard.ZstdError, ValueError."""
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

    times = _accumulate(
        from_planes(take(row["time_width"] * count), row["time_width"], count),
        row["first_ns"],
        row["time_step"],
        UNITS_NS[row["time_unit"]],
    )
    delays = from_planes(take(row["delay_width"] * count), row["delay_width"], count)
    received = times + (delays * np.uint64(UNITS_NS[row["delay_unit"]])).view(np.int64) + np.int64(row["delay_base"])
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
