"""Values: the newest, the raw past, and the past in buckets. Columns all the way; see `columns.py`."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import Query, Request, Response

from headrace.api.columns import ARROW_STREAM, json_columns, live_content, raw_arrow, raw_content
from headrace.api.context import ByCaller, InContext, WithHistory, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.values import Downsampled, LatestColumns, RawColumns
from headrace.api.times import span_ns_of
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.time import MILLISECOND_NS, parse_duration_ns
from headrace.sdk.store import Aggregate, Buckets, Interpolation

router = api_router("Values")

PATHS_MAX = 5_000
SERIES_MAX = 200
CELLS_MAX = 1_000_000
RAW_JSON_MAX = 50_000

Path = Annotated[str, Query(min_length=1, max_length=512)]
Start = Annotated[str | None, Query(max_length=64, description="RFC 3339, epoch ms or `now-1h`. Default: 1 h before.")]
End = Annotated[str | None, Query(max_length=64, description="The same forms; exclusive. Default: now.")]
_ARROW_DOC: dict[int | str, dict[str, Any]] = {
    200: {"content": {ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/latest", operation_id="getLatest", summary="Newest samples", response_model=LatestColumns)
async def get_latest(
    index: WithPlant,
    services: WithServices,
    context: InContext,
    caller: ByCaller,
    path: Annotated[list[str] | None, Query(max_length=PATHS_MAX)] = None,
    asset: Annotated[str | None, Query(max_length=512)] = None,
) -> Response:
    """Of the points named by `path` (many), or of all points below `asset`."""
    if (path is None) == (asset is None):
        raise DataError("name either points with 'path' or one 'asset'")
    paths = path if path is not None else [p for p in index.points_of(asset or "") if index.knows(p)]
    shown = index.now(paths, services.clock.now_ns())
    if len(shown) < len(paths):
        paths = shown
    await context.tell_shared_points(caller.principal, "latest", index, paths)
    columns = services.live.get(index.handles(paths))
    return json_columns({"paths": paths, **live_content(columns)})


@router.get(
    "/history/raw",
    operation_id="getHistoryRaw",
    summary="Every sample of a point",
    response_model=RawColumns,
    responses=_ARROW_DOC,
)
async def get_history_raw(
    request: Request,
    index: WithPlant,
    history: WithHistory,
    services: WithServices,
    path: Path,
    start: Start = None,
    end: End = None,
    limit: Annotated[int, Query(ge=1, le=1_000_000, description="JSON takes at most 50,000.")] = 10_000,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """JSON, or an exact Arrow stream for `Accept: application/vnd.apache.arrow.stream` (next page: `X-Next-Cursor`)."""
    arrow = ARROW_STREAM in request.headers.get("accept", "")
    if not arrow and limit > RAW_JSON_MAX:
        raise DataError(f"'limit' is at most {RAW_JSON_MAX} for JSON; ask for Arrow, or follow next_cursor")
    start_ns, end_ns = span_ns_of(start, end, services.clock.now_ns())
    page = await history.raw(index.handles([path]), start_ns, end_ns, limit=limit, cursor=cursor)
    batches = [batch for batch in page.batches if len(batch)]
    if arrow:
        point = index.plant.points.get(path)
        return raw_arrow(path, point.kind if point else ValueKind.FLOAT64, batches, page.next_cursor)
    return json_columns(raw_content(path, batches, page.next_cursor))


@router.get(
    "/history/downsample",
    operation_id="getHistoryDownsample",
    summary="Buckets of the past, for trends",
    response_model=Downsampled,
)
async def get_history_downsample(
    index: WithPlant,
    history: WithHistory,
    services: WithServices,
    path: Annotated[list[str], Query(min_length=1, max_length=SERIES_MAX)],
    start: Start = None,
    end: End = None,
    count: Annotated[int | None, Query(ge=1, le=20_000, description="How many buckets. Default: 500.")] = None,
    width: Annotated[str | None, Query(max_length=32, description="Or how wide: 1s, 5m, 1h.")] = None,
    aggregate: Annotated[list[Aggregate] | None, Query(max_length=len(Aggregate))] = None,
    interpolation: Interpolation = Interpolation.NONE,
) -> Response:
    """Series × buckets, from roll-ups where they fit: a year costs what a minute costs. Good samples only."""
    start_ns, end_ns = span_ns_of(start, end, services.clock.now_ns())
    width_ns = None if width is None else parse_duration_ns(width)
    if width_ns is not None and count is not None:
        raise DataError("say either 'count' or 'width'")
    if width_ns is not None and not 1 <= width_ns < 2**62:
        raise DataError(f"a bucket cannot be {width} wide")
    buckets = -(-(end_ns - start_ns) // width_ns) + 1 if width_ns is not None else (count or 500)
    if buckets * len(path) > CELLS_MAX:
        raise DataError(f"that is more than {CELLS_MAX:,} buckets in all; ask for wider ones, a shorter span or less")
    for one in path:
        point = index.plant.points.get(one)
        if point is not None and point.kind is ValueKind.TEXT:
            raise DataError(f"'{one}' is text and has no aggregates; use /history/raw")
    result = await history.downsample(
        index.handles(path),
        start_ns,
        end_ns,
        width_ns=width_ns,
        count=(count or 500) if width_ns is None else None,
        aggregates=tuple(dict.fromkeys(aggregate or (Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN))),
        interpolation=interpolation,
    )
    units = [index.plant.points[one].unit if one in index.plant.points else "1" for one in path]
    return json_columns(_downsampled(path, units, result))


def _downsampled(paths: list[str], units: list[str], result: Buckets) -> dict[str, Any]:
    columns = {name.value: np.ascontiguousarray(column) for name, column in result.columns.items()}
    return {
        "start_ms": int(result.start_ns[0]) / MILLISECOND_NS if len(result.start_ns) else 0.0,
        "width_ms": result.width_ns / MILLISECOND_NS,
        "count": len(result.start_ns),
        "series": [
            {"path": path, "unit": unit, "columns": {name: column[row] for name, column in columns.items()}}
            for row, (path, unit) in enumerate(zip(paths, units, strict=True))
        ],
    }
