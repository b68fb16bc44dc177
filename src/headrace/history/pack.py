"""Whole numbers in few bytes: residuals of 0, 1, 2, 4 or 8 bytes, laid out as byte planes.

    3 residuals of 2 bytes   0x0102 0x0304 0x0506   ─►   planes   02 04 06 · 01 03 05

The high planes of small numbers are all alike, which zstd takes to almost nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from headrace.model.errors import DataError

Residuals = NDArray[np.uint64]
WIDTHS: Final = (0, 1, 2, 4, 8)
_NARROW: Final = 2
_UNSIGNED: Final[dict[int, np.dtype[Any]]] = {width: np.dtype(f"<u{width}") for width in WIDTHS if width}


def widths_for(largest: Residuals) -> NDArray[np.uint8]:
    """Bytes that hold each number. Shape: as given."""
    limits = np.array([0, 0xFF, 0xFFFF, 0xFFFF_FFFF], np.uint64)
    return np.array(WIDTHS, np.uint8)[np.searchsorted(limits, largest)]


def to_planes(residuals: Residuals, width: int) -> bytes:
    narrow = residuals.astype(_UNSIGNED[width])
    planes: bytes = narrow.tobytes() if width == 1 else narrow.view(np.uint8).reshape(-1, width).T.tobytes()
    return planes


class Planes:
    """The bytes of many chunks of one column. Most are one or two wide: those planes are made for all of them at once,
    of which a chunk is a slice. Shape: `residuals` (samples,), `widths` (chunks,)."""

    def __init__(self, residuals: Residuals, widths: NDArray[np.uint8]) -> None:
        self._residuals, self._widths = residuals, widths.tolist()
        narrow = int(np.max(widths, initial=0, where=widths <= _NARROW))
        self._planes = [self._plane(number).data for number in range(narrow)]

    def _plane(self, number: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self._residuals.view(np.uint8)[number::8])

    def put(self, parts: list[bytes | memoryview], chunk: int, start: int, end: int) -> None:
        """Append what a chunk is made of."""
        width = self._widths[chunk]
        if width > _NARROW:
            parts.append(to_planes(self._residuals[start:end], width))
        elif width:
            parts += [plane[start:end] for plane in self._planes[:width]]


def pack_column(values: NDArray[Any], zstd: zstandard.ZstdCompressor, *, deltas: bool = False) -> bytes:
    """A whole column of int64 as one zstd frame: the width in use (1 byte), then planes of zigzag numbers."""
    numbers = values.astype(np.int64)
    if deltas and len(numbers):
        numbers[1:] -= numbers[:-1].copy()
    zigzag = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    width = (int(zigzag.max()).bit_length() + 7) // 8 if len(zigzag) else 0
    # Turned by a copy, which lets go of the GIL; `tobytes` of what is turned does not, and a commit may wait for it.
    planes = np.ascontiguousarray(zigzag.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)[:, :width].T)
    packed: bytes = zstd.compress(bytes([width]) + planes.tobytes())
    return packed


def unpack_column(
    data: bytes | memoryview, count: int, zstd: zstandard.ZstdDecompressor, *, deltas: bool = False
) -> NDArray[np.int64]:
    """Raises: DataError, zstandard.ZstdError."""
    if zstandard.frame_content_size(data) > 8 * count + 1:
        raise DataError("a column is longer than its index says")
    plain = zstd.decompress(data)
    width = plain[0] if plain else 255
    if width > 8 or len(plain) != 1 + width * count:
        raise DataError("a column does not have the length that its index says")
    wide = np.zeros((count, 8), np.uint8)
    wide[:, :width] = np.frombuffer(plain, np.uint8, offset=1).reshape(width, count).T
    zigzag = wide.reshape(-1).view("<u8").astype(np.uint64)
    numbers = (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).view(np.int64)
    return np.cumsum(numbers) if deltas else numbers
