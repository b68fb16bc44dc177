"""The bytes of a request as they come: unpacked where they are gzip, bounded in size and in silence.

request.stream ─► silence? too large? ─► gunzip, a piece at a time ─► unpacked too large? ─► pieces of at most 256 KiB
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from headrace.model.errors import DataError, Unavailable

PIECE_BYTES: Final = 256 * 1024


async def body_of(request: Request, *, bytes_max: int, silence_s: float) -> AsyncIterator[bytes]:
    """Raises: DataError for an encoding that is not known or not what it says; HTTPException(413); Unavailable."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise DataError(f"the body is encoded as '{encoding[:40]}'; send it as it is, or as gzip")
    gunzip = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    taken = 0
    async for chunk in _chunks(request, silence_s):
        for piece in _pieces(chunk, gunzip):
            taken += len(piece)
            if taken > bytes_max:
                raise HTTPException(413, f"the body is larger than {bytes_max} bytes; send less at a time")
            yield piece
    if gunzip is not None and not gunzip.eof:
        raise DataError("the body ends in the middle of its gzip stream")


async def _chunks(request: Request, silence_s: float) -> AsyncIterator[bytes]:
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(silence_s):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except ClientDisconnect:
            raise Unavailable("the sender left in the middle of the request") from None
        except TimeoutError:
            raise Unavailable(f"the sender was silent for {silence_s:g} s in the middle of the request") from None
        if chunk:
            yield chunk


def _pieces(chunk: bytes, gunzip: zlib._Decompress | None) -> Iterator[bytes]:
    if gunzip is None:
        for at in range(0, len(chunk), PIECE_BYTES):
            yield chunk[at : at + PIECE_BYTES]
        return
    try:
        while chunk and not gunzip.eof:
            piece = gunzip.decompress(chunk, PIECE_BYTES)
            chunk = gunzip.unconsumed_tail
            if piece:
                yield piece
    except zlib.error as error:
        raise DataError(f"the body is not the gzip stream that it says: {error}") from None
    if gunzip.eof and gunzip.unused_data:
        raise DataError("something follows the end of the gzip stream")
