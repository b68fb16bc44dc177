"""Payloads that come compressed: a payload whose `uuid` says so and whose `body` is the real one, DEFLATE or GZIP.

Not part of the specification; the Tahu clients offer it. What it opens to is bounded, however small it came.
"""

from __future__ import annotations

import zlib
from typing import Final

from google.protobuf.message import DecodeError

from headrace.connect.sparkplug.schema import Payload
from headrace.model.errors import DataError

_MARK: Final = b"SPBV1.0_COMPRESSED"
_EITHER_FORMAT: Final = 47  # zlib's way to say: zlib or gzip, by its header


def is_plain(payload: bytes, bytes_max: int) -> bool:
    """Whether `opened` would give the payload itself."""
    return len(payload) <= bytes_max and _MARK not in payload


def opened(payload: bytes, bytes_max: int) -> bytes:
    """The payload itself, or what is in it. Raises: DataError for one that is, or opens to, more than `bytes_max`."""
    if len(payload) > bytes_max:
        raise DataError(f"it has {len(payload)} bytes; {bytes_max} are possible (payload setting 'bytes_max')")
    if _MARK not in payload:
        return payload
    try:
        wrapped = Payload.FromString(payload)
        if wrapped.uuid != _MARK.decode():
            return payload
        opener = zlib.decompressobj(_EITHER_FORMAT)
        inner = opener.decompress(wrapped.body, bytes_max)
    except (DecodeError, zlib.error) as error:
        raise DataError("it says that it is compressed, and cannot be opened", detail=str(error)) from None
    if not opener.eof:
        raise DataError(f"it opens to more than {bytes_max} bytes, or is cut off (payload setting 'bytes_max')")
    return inner
