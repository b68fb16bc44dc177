"""Samples to few bytes and back, with NumPy and zstandard alone: what the spool keeps and the wire carries.

    block    one piece a batch: kind u8 · count u32 · handles · source times · 0 and delays (received − source), or
             1 and received times · values · quality
    numbers  form u8, then:
             0 constant      value i64
             1 even          first i64, step i64
             2 offsets       least i64, unit u64, width u8, planes of (value − least) / unit
             3 steps         first i64, then the differences as offsets
             4 runs          count u32, then the value of each run i64, then the length of each u32
    floats   form u8: 0 … 4 integers × 10^0 … 10^4, as numbers · 5 planes of float32 · 6 planes of float64
    bools    bits                    text   length u32, lengths as numbers, UTF-8

Planes are all lowest bytes, then all next ones, which zstd likes. A form is used only where it gives every value back
bit for bit. `pack` compresses a block where that pays; a block that stays small is left for the stream to compress.

A block comes from another machine: `unpack` believes no number in it before it has checked it against a bound.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.model.batch import TEXT_BYTES_MAX, TEXT_DTYPE, Batch, ValueKind
from headrace.model.errors import DataError

SAMPLES_MAX: Final = 65_536  # of one block
BLOCK_BYTES_MAX: Final = 4 * 1024 * 1024  # unpacked
PLAIN, ZSTD = 0, 1
_WORTH_BYTES: Final = 1024  # a smaller block is left plain
_HEAD: Final = struct.Struct("<BI")
_I64: Final = struct.Struct("<q")
_PAIR: Final = struct.Struct("<qq")
_OFFSETS: Final = struct.Struct("<qQB")
_U32: Final = struct.Struct("<I")
_U32_MAX: Final = 0xFFFF_FFFF
_CONSTANT, _EVEN, _OFFSET, _STEP, _RUNS = range(5)
_SCALES: Final = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
_SCALES_DOWN: Final = np.array(_SCALES)[:, None]
_FLOAT32, _FLOAT64 = 5, 6
_UNITS: Final = (1_000_000, 1_000)
_PROBE: Final = 32
_UNSIGNED: Final[dict[int, np.dtype[Any]]] = {
    1: np.dtype("u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<u8"),
}

Integers = NDArray[np.int64]


# --- writing ----------------------------------------------------------------------------------------------------------


def pack(batches: Sequence[Batch]) -> tuple[int, bytes]:
    """`PLAIN` or `ZSTD`, and the bytes. Raises: DataError for what is too much for one block."""
    plain = encode(batches)
    if len(plain) < _WORTH_BYTES:
        return PLAIN, plain
    packed: bytes = zstandard.ZstdCompressor(level=1, write_content_size=True).compress(plain)
    return (ZSTD, packed) if len(packed) < len(plain) else (PLAIN, plain)


def encode(batches: Sequence[Batch]) -> bytes:
    """Raises: DataError for what is too much for one block."""
    if sum(map(len, batches)) > SAMPLES_MAX:
        raise DataError(f"a block holds {SAMPLES_MAX} samples; split the batches first")
    parts: list[bytes] = []
    with np.errstate(invalid="ignore", over="ignore"):
        for batch in batches:
            if len(batch):
                _put_batch(parts, batch)
    block = b"".join(parts)
    if len(block) > BLOCK_BYTES_MAX:
        raise DataError(f"a block holds {BLOCK_BYTES_MAX} bytes; split the batches first")
    return block


def _put_batch(parts: list[bytes], batch: Batch) -> None:
    parts.append(_HEAD.pack(batch.kind, len(batch)))
    one_point = bool(batch.handles[0] == batch.handles[-1])  # then values are near those before them
    _put_numbers(parts, batch.handles.astype(np.int64))
    _put_numbers(parts, batch.source_ns)
    delays = batch.received_ns - batch.source_ns  # wraps where times are wild, and wraps back
    if _moves(batch.received_ns) < _moves(delays):  # samples of many moments that came together
        parts.append(b"\x01")
        _put_numbers(parts, batch.received_ns)
    else:
        parts.append(b"\x00")
        _put_numbers(parts, delays)
    if batch.kind is ValueKind.FLOAT64:
        _put_floats(parts, batch.values, one_point)
    elif batch.kind is ValueKind.INT64:
        _put_numbers(parts, batch.values)
    elif batch.kind is ValueKind.BOOL:
        parts.append(np.packbits(batch.values).tobytes())
    else:
        _put_text(parts, batch.values.tolist())
    _put_numbers(parts, batch.quality.astype(np.int64))


def _put_numbers(parts: list[bytes], column: Integers) -> None:
    first, count = int(column[0]), len(column)
    if count == 1:
        parts.append(b"\x00" + _I64.pack(first))
        return
    steps = column[1:] - column[:-1]
    moved = np.count_nonzero(steps)
    if moved == 0:
        parts.append(b"\x00" + _I64.pack(first))
        return
    least_step, most_step = int(steps.min()), int(steps.max())
    if least_step == most_step:
        parts.append(b"\x01" + _PAIR.pack(first, least_step))
        return
    if moved < count // 4:
        starts = np.concatenate(([0], np.flatnonzero(steps) + 1))
        lengths = np.diff(starts, append=count).astype("<u4")
        parts += (b"\x04" + _U32.pack(len(starts)), column[starts].tobytes(), lengths.tobytes())
        return
    least, most = int(column.min()), int(column.max())
    if _width(_span(least_step, most_step)) < _width(_span(least, most)):
        parts.append(b"\x03" + _I64.pack(first))
        _put_offsets(parts, steps, least_step, most_step)
    else:
        parts.append(b"\x02")
        _put_offsets(parts, column, least, most)


def _put_offsets(parts: list[bytes], column: Integers, least: int, most: int) -> None:
    span = _span(least, most)
    offsets = (column - least).view(np.uint64)
    unit = 1
    if span > 0xFFFF:  # times are often whole milliseconds
        for each in _UNITS:
            if not int(offsets[0]) % each and not np.any(offsets % np.uint64(each)):
                offsets, unit, span = offsets // np.uint64(each), each, span // each
                break
    width = _width(span)
    parts += (_OFFSETS.pack(least, unit, width), _planes(offsets.astype(_UNSIGNED[width])))


def _moves(column: Integers) -> int:
    return int(np.count_nonzero(column[1:] != column[:-1]))


def _span(least: int, most: int) -> int:
    return (most - least) & 0xFFFF_FFFF_FFFF_FFFF


def _width(span: int) -> int:
    return 1 if span <= 0xFF else 2 if span <= 0xFFFF else 4 if span <= 0xFFFF_FFFF else 8


def _planes(column: NDArray[Any]) -> bytes:
    width = column.dtype.itemsize
    if width == 1:
        return column.tobytes()
    return column.view(np.uint8).reshape(-1, width).T.tobytes()


def _put_floats(parts: list[bytes], values: NDArray[np.float64], one_point: bool) -> None:
    values = np.ascontiguousarray(values)
    bits = values.view(np.int64)
    probe = values[:: len(values) // _PROBE + 1]
    fitting = (_decimals(probe, _SCALES_DOWN) / _SCALES_DOWN).view(np.int64) == probe.view(np.int64)
    for form in np.flatnonzero(fitting.all(axis=1)).tolist():
        numbers = _decimals(values, _SCALES[form])
        if ((numbers / _SCALES[form]).view(np.int64) == bits).all():  # excludes −0.0, NaN and infinities
            parts.append(bytes([form]))
            if one_point or len(values) == 1:
                _put_numbers(parts, numbers)
                return
            least, most = int(numbers.min()), int(numbers.max())
            if least == most:
                parts.append(b"\x00" + _I64.pack(least))
                return
            parts.append(b"\x02")
            _put_offsets(parts, numbers, least, most)
            return
    narrow = values.astype("<f4")
    if (narrow.astype(np.float64).view(np.int64) == bits).all():
        parts += (bytes([_FLOAT32]), _planes(narrow))
    else:
        parts += (bytes([_FLOAT64]), _planes(values))


def _decimals(values: NDArray[np.float64], scale: Any) -> Integers:
    """What gives every value back, if it is decimal, when divided by the scale."""
    numbers: Integers = np.rint(values * scale).astype(np.int64)
    return numbers


def _put_text(parts: list[bytes], values: Sequence[str]) -> None:
    encoded = [value.encode() for value in values]
    lengths: list[bytes] = []
    _put_numbers(lengths, np.array([len(value) for value in encoded], np.int64))
    body = b"".join(encoded)
    parts += (_U32.pack(len(body)), *lengths, body)


# --- reading ----------------------------------------------------------------------------------------------------------


def unpack(form: int, data: bytes | memoryview) -> list[Batch]:
    """The inverse of `pack`. Raises: DataError."""
    return decode(inflate(data) if form == ZSTD else data)


def inflate(data: bytes | memoryview) -> bytes:
    """Raises: DataError, before anything is allocated that is more than a block may have."""
    try:
        if not 0 <= zstandard.frame_content_size(data) <= BLOCK_BYTES_MAX:
            raise DataError("a block claims more bytes than it may have")
        plain: bytes = zstandard.ZstdDecompressor().decompress(data, max_output_size=BLOCK_BYTES_MAX)
        return plain
    except zstandard.ZstdError as error:
        raise DataError(f"a block does not decompress: {error}") from None


def decode(data: bytes | memoryview) -> list[Batch]:
    """The inverse of `encode`. Raises: DataError for anything that it did not make."""
    reader, batches, left = _Reader(data), list[Batch](), SAMPLES_MAX
    while reader.rest:
        kind, count = reader.head()
        if not 0 < count <= left:
            raise DataError(f"a piece of a block claims {count} samples; {left} are left")
        left -= count
        handles = reader.narrow(count)
        source_ns = reader.numbers(count)
        received_ns = reader.numbers(count) if reader.take(1)[0] else source_ns + reader.numbers(count)
        values: Any
        if kind is ValueKind.FLOAT64:
            values = reader.floats(count)
        elif kind is ValueKind.INT64:
            values = reader.numbers(count)
        elif kind is ValueKind.BOOL:
            values = np.unpackbits(np.frombuffer(reader.take(-(-count // 8)), np.uint8), count=count).astype(np.bool_)
        else:
            values = reader.texts(count)
        batches.append(Batch(kind, handles, source_ns, received_ns, values, reader.narrow(count)))
    return batches


class _Reader:
    def __init__(self, data: bytes | memoryview) -> None:
        self._data, self._at = memoryview(data), 0

    @property
    def rest(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> memoryview:
        if size > self.rest:
            raise DataError("a block is cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def head(self) -> tuple[ValueKind, int]:
        number, count = _HEAD.unpack(self.take(_HEAD.size))
        try:
            return ValueKind(number), count
        except ValueError:
            raise DataError(f"a block names the unknown value kind {number}") from None

    def numbers(self, count: int) -> Integers:
        form = self.take(1)[0]
        if form == _CONSTANT:
            return np.full(count, _I64.unpack(self.take(8))[0], np.int64)
        if form == _EVEN:
            first, step = _PAIR.unpack(self.take(_PAIR.size))
            return np.arange(count, dtype=np.int64) * np.int64(step) + np.int64(first)
        if form == _OFFSET:
            return self._offsets(count)
        if form == _STEP:
            column = np.empty(count, np.int64)
            column[0] = _I64.unpack(self.take(8))[0]
            column[1:] = self._offsets(count - 1)
            return np.cumsum(column, out=column)
        if form == _RUNS:
            return self._runs(count)
        raise DataError(f"a block holds a column of the unknown form {form}")

    def narrow(self, count: int) -> NDArray[np.uint32]:
        """Numbers that must fit 32 bits."""
        if self.rest and self._data[self._at] == _CONSTANT:
            self._at += 1
            (value,) = _I64.unpack(self.take(8))
            if 0 <= value <= _U32_MAX:
                return np.full(count, value, np.uint32)
        else:
            column = self.numbers(count)
            if int(column.min()) >= 0 and int(column.max()) <= _U32_MAX:
                return column.astype(np.uint32)
        raise DataError("a block holds a point or a quality that has more than 32 bits")

    def _runs(self, count: int) -> Integers:
        (runs,) = _U32.unpack(self.take(4))
        if not 0 < runs <= count:
            raise DataError(f"a column of {count} samples claims {runs} runs")
        values = np.frombuffer(self.take(8 * runs), "<i8")
        lengths = np.frombuffer(self.take(4 * runs), "<u4")
        if int(lengths.sum(dtype=np.int64)) != count:
            raise DataError(f"the runs of a column do not make {count} samples")
        return np.repeat(values, lengths)

    def _offsets(self, count: int) -> Integers:
        least, unit, width = _OFFSETS.unpack(self.take(_OFFSETS.size))
        if width not in _UNSIGNED:
            raise DataError(f"a block holds a column {width} bytes wide")
        offsets = self._planes(count, width).astype(np.uint64)
        if unit != 1:
            offsets *= np.uint64(unit)
        return offsets.view(np.int64) + np.int64(least)

    def _planes(self, count: int, width: int) -> NDArray[Any]:
        raw = np.frombuffer(self.take(count * width), np.uint8)
        if width == 1:
            return raw
        column: NDArray[Any] = np.ascontiguousarray(raw.reshape(width, count).T).view(_UNSIGNED[width]).reshape(count)
        return column

    def floats(self, count: int) -> NDArray[np.float64]:
        form = self.take(1)[0]
        if form < len(_SCALES):
            return self.numbers(count) / _SCALES[form]
        if form == _FLOAT32:
            with np.errstate(invalid="ignore"):
                return self._planes(count, 4).view("<f4").astype(np.float64)
        if form == _FLOAT64:
            return self._planes(count, 8).view(np.float64)
        raise DataError(f"a block holds floats of the unknown form {form}")

    def texts(self, count: int) -> NDArray[Any]:
        (size,) = _U32.unpack(self.take(4))
        lengths = self.numbers(count)
        if int(lengths.min()) < 0 or int(lengths.max()) > TEXT_BYTES_MAX or int(lengths.sum()) != size:
            raise DataError("the texts of a block are not as long as they claim")
        body = bytes(self.take(size))
        ends = np.cumsum(lengths).tolist()
        try:
            texts = [body[begin:end].decode() for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        except UnicodeDecodeError:
            raise DataError("a text of a block is not UTF-8") from None
        return np.array(texts, TEXT_DTYPE)
