"""Ad-hoc SQL. The statement runs in a process of its own (`history/sql/`); here it is only carried there and back."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request, Response

from headrace.api.columns import ARROW_STREAM
from headrace.api.context import InContext, WithHistory, WithPlant
from headrace.api.guarded_route import api_router
from headrace.api.schemas.values import SqlRequest, SqlRows
from headrace.history.sql import SqlQuery

router = api_router("Values")

TRUNCATED: Final = "X-Headrace-Truncated"
ROWS_READ: Final = "X-Headrace-Rows-Read"
_ARROW_DOC: dict[int | str, dict[str, Any]] = {
    200: {"content": {ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.post(
    "/history/sql",
    operation_id="queryHistory",
    summary="Ad-hoc SQL over history",
    response_model=SqlRows,
    responses=_ARROW_DOC,
)
async def query_history(
    body: SqlRequest, request: Request, index: WithPlant, history: WithHistory, context: InContext
) -> Response:
    """One SELECT, in DuckDB's dialect. Conditions on path, asset, name, unit and time narrow what is read.

    JSON, or exact columns for `Accept: application/vnd.apache.arrow.stream`. Bounded in time, memory, rows and bytes;
    `X-Headrace-Truncated: true` says that rows were left, `X-Headrace-Rows-Read` how many were scanned.
    """
    arrow = ARROW_STREAM in request.headers.get("accept", "")
    query = SqlQuery(body.sql, body.timezone, body.limit, "arrow" if arrow else "json")
    answer = await context.sql.run(query, index.plant, history)
    return Response(
        answer.body,
        media_type=ARROW_STREAM if arrow else "application/json",
        headers={TRUNCATED: str(answer.truncated).lower(), ROWS_READ: str(answer.read)},
    )
