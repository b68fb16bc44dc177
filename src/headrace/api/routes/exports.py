"""History as a file. Streamed from the store's own scan: memory does not grow with the span."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated, Any, cast

import numpy as np
from fastapi import Query, Response
from starlette.responses import StreamingResponse

from headrace.api.columns import ARROW_STREAM
from headrace.api.context import Context, InContext, WithHistory, WithPlant
from headrace.api.export_files import ArrowFile, CsvFile, ExportFile, ParquetFile
from headrace.api.guarded_route import api_router
from headrace.api.plant_index import PlantIndex
from headrace.api.routes.history import PATHS_MAX, End, Start
from headrace.api.times import span_ns_of
from headrace.model.batch import Handles, ValueKind
from headrace.model.errors import DataError, LimitReached
from headrace.sdk.store import Aggregate, HistoryReader

router = api_router("Values")

#: A client has the send timeout for each piece, so that a slow line is not taken for a dead one.
PIECE_BYTES = 256 * 1024
ESTIMATED_AT_ONCE = 1_000


class ExportFormat(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"
    ARROW = "arrow"


_ARROW_FILES: dict[ExportFormat, type[ParquetFile] | type[ArrowFile]] = {
    ExportFormat.PARQUET: ParquetFile,
    ExportFormat.ARROW: ArrowFile,
}
_FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/history/export",
    operation_id="exportHistory",
    summary="History as Parquet, CSV or Arrow",
    response_class=Response,
    responses={200: {"content": {"application/vnd.apache.parquet": _FILE, "text/csv": _FILE, ARROW_STREAM: _FILE}}},
)
async def export_history(
    index: WithPlant,
    history: WithHistory,
    context: InContext,
    path: Annotated[list[str] | None, Query(max_length=PATHS_MAX)] = None,
    asset: Annotated[str | None, Query(max_length=512, description="All points below it; empty: all.")] = None,
    start: Start = None,
    end: End = None,
    format: ExportFormat = ExportFormat.PARQUET,
    mark: Annotated[bool, Query(description="Open a CSV with a byte order mark, so that Excel reads Chinese.")] = False,
    estimate: Annotated[bool, Query(description="Tell about how many rows follow, in `X-Headrace-Rows`.")] = False,
) -> Response:
    """Exact: source and received time to the ns, value in its own type, quality. Rows by hour, point and time."""
    if (path is None) == (asset is None):
        raise DataError("name either points with 'path' or one 'asset'; an empty 'asset' is the whole plant")
    start_ns, end_ns = span_ns_of(start, end, context.services.clock.now_ns())
    paths = path if path is not None else [one for one in index.points_of(asset or "") if index.knows(one)]
    handles = index.handles(paths)
    if context.exports.locked():
        raise LimitReached(f"{context.settings.exports_max} exports are running; try again when one has finished")
    names = dict(zip(handles.tolist(), paths, strict=True))
    file: ExportFile = CsvFile(names, mark=mark) if format is ExportFormat.CSV else _ARROW_FILES[format](names)
    headers = {"Content-Disposition": f'attachment; filename="headrace-history.{format.value}"'}
    if estimate:
        headers["X-Headrace-Rows"] = str(await _rows(history, index, paths, start_ns, end_ns))
    return StreamingResponse(
        _stream(context, history, file, handles, start_ns, end_ns), media_type=file.media_type, headers=headers
    )


async def _rows(history: HistoryReader, index: PlantIndex, paths: list[str], start_ns: int, end_ns: int) -> int:
    """About how many samples there are, from roll-ups; text has none and counts as nothing."""
    points, total = index.plant.points, 0
    counted = [one for one in paths if one in points and points[one].kind is not ValueKind.TEXT]
    for at in range(0, len(counted), ESTIMATED_AT_ONCE):
        handles = index.handles(counted[at : at + ESTIMATED_AT_ONCE])
        buckets = await history.downsample(handles, start_ns, end_ns, count=1, aggregates=(Aggregate.COUNT,))
        total += int(np.nansum(buckets.columns[Aggregate.COUNT]))
    return total


async def _stream(
    context: Context, history: HistoryReader, file: ExportFile, handles: Handles, start_ns: int, end_ns: int
) -> AsyncIterator[bytes]:
    scan = history.scan(handles, start_ns, end_ns)
    async with context.exports, aclosing(cast(Any, scan)):
        async for batch in scan:
            ready = await asyncio.to_thread(file.add, batch)
            for at in range(0, len(ready), PIECE_BYTES):
                yield ready[at : at + PIECE_BYTES]
        yield await asyncio.to_thread(file.finish)
    if file.media_type != CsvFile.media_type:
        import pyarrow as pa

        pa.default_memory_pool().release_unused()
