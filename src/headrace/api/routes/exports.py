"""History as a file. Streamed from the store's own scan: memory does not grow with the span."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated, Any, cast

from fastapi import Query, Response
from starlette.responses import StreamingResponse

from headrace.api.context import Context, InContext, WithPlant
from headrace.api.export_files import CsvFile, ExportFile, ParquetFile
from headrace.api.guarded_route import api_router
from headrace.api.routes.history import PATHS_MAX, End, Start
from headrace.api.times import span_ns_of
from headrace.model.batch import Handles
from headrace.model.errors import LimitReached

router = api_router("Values")

#: A client has the send timeout for each piece, so that a slow line is not taken for a dead one.
PIECE_BYTES = 256 * 1024


class ExportFormat(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"


_FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/history/export",
    operation_id="exportHistory",
    summary="History as Parquet or CSV",
    response_class=Response,
    responses={200: {"content": {"application/vnd.apache.parquet": _FILE, "text/csv": _FILE}}},
)
async def export_history(
    index: WithPlant,
    context: InContext,
    path: Annotated[list[str], Query(min_length=1, max_length=PATHS_MAX)],
    start: Start = None,
    end: End = None,
    format: ExportFormat = ExportFormat.PARQUET,
    mark: Annotated[bool, Query(description="Open a CSV with a byte order mark, so that Excel reads Chinese.")] = False,
) -> Response:
    """Exact: source and received time to the ns, value in its own type, quality. Rows by hour, point and time."""
    start_ns, end_ns = span_ns_of(start, end, context.services.clock.now_ns())
    handles = index.handles(path)
    if context.exports.locked():
        raise LimitReached(f"{context.settings.exports_max} exports are running; try again when one has finished")
    names = dict(zip(handles.tolist(), path, strict=True))
    file: ExportFile = ParquetFile(names) if format is ExportFormat.PARQUET else CsvFile(names, mark=mark)
    disposition = f'attachment; filename="headrace-history.{format.value}"'
    return StreamingResponse(
        _stream(context, file, handles, start_ns, end_ns),
        media_type=file.media_type,
        headers={"Content-Disposition": disposition},
    )


async def _stream(
    context: Context, file: ExportFile, handles: Handles, start_ns: int, end_ns: int
) -> AsyncIterator[bytes]:
    scan = context.services.store.scan(handles, start_ns, end_ns)
    async with context.exports, aclosing(cast(Any, scan)):
        async for batch in scan:
            ready = await asyncio.to_thread(file.add, batch)
            for at in range(0, len(ready), PIECE_BYTES):
                yield ready[at : at + PIECE_BYTES]
        yield await asyncio.to_thread(file.finish)
