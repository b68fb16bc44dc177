"""Compression across frames, for thin traffic: each small frame is told as what differs from an earlier one.

    first frame ─► as it is, and both ends keep it as the dictionary ─► later ones with it ─► now and then another one

Frames stay independent of each other but for the dictionary, and each says how long it will be, so a stranger cannot
make much of little. Large blocks are compressed already, each by itself, when they reach the spool: they pass.
"""

from __future__ import annotations

from typing import Final

import zstandard

from headrace.exchange import columns
from headrace.model.errors import DataError

AS_IT_IS, WITH_DICTIONARY, BECOMES_DICTIONARY = 0, 1, 2
_DICTIONARY_BYTES_MAX: Final = 64 * 1024
_FRAMES_EACH: Final = 64
_BODY_BYTES_MAX: Final = columns.BLOCK_BYTES_MAX + 64 * 1024


def _dictionary(body: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(body, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


class Squeezer:
    """The sending end of one connection."""

    def __init__(self) -> None:
        self._compressor: zstandard.ZstdCompressor | None = None
        self._frames = 0

    def squeeze(self, body: bytes, *, compressed: bool) -> tuple[int, bytes]:
        """How it is packed, and the bytes; `compressed` says that its blocks are so already."""
        if compressed:
            return AS_IT_IS, body
        packing, packed = AS_IT_IS, body
        if self._compressor is not None:
            smaller = self._compressor.compress(body)
            if len(smaller) < len(body):
                packing, packed = WITH_DICTIONARY, smaller
        if self._frames % _FRAMES_EACH == 0 and len(body) <= _DICTIONARY_BYTES_MAX:
            dictionary = _dictionary(body)
            dictionary.precompute_compress(level=3)
            self._compressor = zstandard.ZstdCompressor(level=3, dict_data=dictionary, write_content_size=True)
            packing |= BECOMES_DICTIONARY
        self._frames += 1
        return packing, packed


class Expander:
    """The receiving end of one connection."""

    def __init__(self) -> None:
        self._decompressor: zstandard.ZstdDecompressor | None = None

    def expand(self, packing: int, packed: bytes | memoryview) -> bytes | memoryview:
        """Raises: DataError."""
        body = packed
        if packing & WITH_DICTIONARY:
            if self._decompressor is None:
                raise DataError("DATA needs a dictionary that never came")
            try:
                if not 0 <= zstandard.frame_content_size(packed) <= _BODY_BYTES_MAX:
                    raise DataError("DATA claims more bytes than it may have")
                body = self._decompressor.decompress(packed, max_output_size=_BODY_BYTES_MAX)
            except zstandard.ZstdError as error:
                raise DataError(f"DATA does not decompress: {error}") from None
        if packing & BECOMES_DICTIONARY:
            if len(body) > _DICTIONARY_BYTES_MAX:
                raise DataError("DATA makes a dictionary larger than it may be")
            self._decompressor = zstandard.ZstdDecompressor(dict_data=_dictionary(bytes(body)))
        if packing > WITH_DICTIONARY | BECOMES_DICTIONARY:
            raise DataError(f"DATA is packed in the unknown way {packing}")
        return body
