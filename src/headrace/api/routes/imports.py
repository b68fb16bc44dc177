"""History from elsewhere, into the store: one long request, checked as it comes. What came and what did not is told."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request

from headrace.api.context import ByCaller, InContext
from headrace.api.guarded_route import api_router
from headrace.api.import_stream import Imported, take_in
from headrace.api.schemas.values import ImportAnswer, RefusedRows
from headrace.model.errors import LimitReached
from headrace.sdk.access import Action

router = api_router("Values")


@router.post(
    "/history/import",
    operation_id="importHistory",
    summary="Bring history in",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def import_history(
    request: Request,
    caller: ByCaller,
    context: InContext,
    label: Annotated[str, Query(max_length=200, description="Where it comes from; kept in the audit trail.")] = "",
    dry_run: Annotated[bool, Query(description="Check everything and store nothing.")] = False,
) -> ImportAnswer:
    """The body is an Arrow stream with the columns of an export (`format=arrow`): path, source_time, received_time?,
    float64 | int64 | bool | text, quality?. Rows of points that are not declared with that type are refused and
    counted, the others stored. Doing it again changes nothing: for an equal point and time the newest write wins."""
    if context.imports.locked():
        raise LimitReached("an import is running; try again when it has finished")
    index = await context.seen_by(caller.principal, Action.CONFIGURE)
    done, outcome = Imported(), "interrupted"
    async with context.imports:
        try:
            await take_in(
                request.stream(),
                index,
                context.services.store,
                context.services.clock,
                done,
                rows_per_s=context.settings.import_rows_per_s,
                dry_run=dry_run,
            )
            outcome = "done"
        finally:
            if not dry_run:
                data = {"rows": done.rows, "points": len(done.paths), "refused": done.refused.total()}
                subject = label or "unnamed"
                await context.services.audit.record(
                    caller.principal.name, "history.import", subject, outcome, data, tenant=caller.principal.tenant
                )
    refused = [RefusedRows(path=path, reason=why, rows=rows) for (path, why), rows in done.refused.items()]
    return ImportAnswer(rows=done.rows, points=len(done.paths), refused=refused)
