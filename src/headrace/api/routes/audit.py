"""The audit trail: pages of it, all of it as a file, its state, and a check. Each caller sees their tenant's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import Depends, Query, Response
from starlette.responses import StreamingResponse

from headrace.api.context import ByCaller, Context, InContext, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.audit import AuditEntryAnswer, AuditPage, AuditStateAnswer, AuditVerdictAnswer
from headrace.api.times import time_ns_of
from headrace.model.errors import DataError, LimitReached
from headrace.sdk.audit import AuditFilter, AuditFormat, AuditHead

router = api_router("Access")

_MEDIA: Final = {AuditFormat.NDJSON: "application/x-ndjson", AuditFormat.CSV: "text/csv; charset=utf-8"}
_FILE: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_Time = Annotated[str | None, Query(max_length=64, description="RFC 3339, epoch ms or `now-1h`.")]


async def _filter(
    services: WithServices,
    actor: Annotated[str, Query(max_length=512, description="Exactly.")] = "",
    action: Annotated[str, Query(max_length=512, description="What it begins with: `user.`")] = "",
    subject: Annotated[str, Query(max_length=512, description="What it begins with: `acme/suzhou`")] = "",
    outcome: Annotated[str, Query(max_length=512, description="Exactly.")] = "",
    start: _Time = None,
    end: _Time = None,
) -> AuditFilter:
    now_ns = services.clock.now_ns()
    start_ns, end_ns = (None if text is None else time_ns_of(text, now_ns) for text in (start, end))
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise DataError("'start' must be before 'end'")
    return AuditFilter(_known(actor), _known(action), _known(subject), _known(outcome), start_ns, end_ns)


def _known(text: str) -> str:
    """What no entry holds, no database needs to be asked for. Raises: DataError."""
    if "\0" in text or any("\ud800" <= one <= "\udfff" for one in text):
        raise DataError("a filter of the audit trail is text without NUL")
    return text


Wanted = Annotated[AuditFilter, Depends(_filter)]


@router.get("/audit", operation_id="getAudit", summary="The audit trail, newest first")
async def get_audit(
    services: WithServices,
    caller: ByCaller,
    wanted: Wanted,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> AuditPage:
    entries, next_cursor = await services.trail.page(caller.principal.tenant, wanted, limit=limit, cursor=cursor)
    return AuditPage(entries=[AuditEntryAnswer.of(entry) for entry in entries], next_cursor=next_cursor)


@router.get(
    "/audit/export",
    operation_id="exportAudit",
    summary="The audit trail as a file",
    response_class=Response,
    responses={200: {"content": {"application/x-ndjson": _FILE, "text/csv": _FILE}}},
)
async def export_audit(
    context: InContext, caller: ByCaller, wanted: Wanted, format: AuditFormat = AuditFormat.NDJSON
) -> Response:
    """Oldest first, archives included. NDJSON ends with a signed line: `headrace audit verify --file` checks it
    anywhere. That somebody exported is on record itself."""
    if context.exports.locked():
        raise LimitReached(f"{context.settings.exports_max} exports are running; try again when one has finished")
    principal = caller.principal
    told = wanted.told() | {"format": format.value}
    await context.services.audit.record(principal.name, "audit.export", "audit", "done", told, tenant=principal.tenant)
    headers = {"Content-Disposition": f'attachment; filename="headrace-audit.{format.value}"'}
    pieces = _pieces(context, context.services.trail.export(principal.tenant, wanted, format))
    return StreamingResponse(pieces, media_type=_MEDIA[format], headers=headers)


@router.get("/audit/state", operation_id="getAuditState", summary="Head, signed head, room")
async def get_audit_state(services: WithServices) -> AuditStateAnswer:
    return AuditStateAnswer.of(services.trail.state())


@router.get("/audit/verify", operation_id="verifyAudit", summary="Is the whole trail as it was written")
async def verify_audit(
    services: WithServices,
    sequence: Annotated[int | None, Query(ge=1, lt=2**63, description="Of a head that was noted earlier.")] = None,
    hash: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="Its hash.")] = None,
) -> AuditVerdictAnswer:
    """Walks all entries, archives and signed heads: seconds for a million. One at a time; the next waits."""
    if (sequence is None) != (hash is None):
        raise DataError("a noted head is 'sequence' and 'hash' together")
    known = None if sequence is None or hash is None else AuditHead(sequence, hash)
    try:
        return AuditVerdictAnswer.of(await services.trail.verify(known))
    except DataError as error:
        return AuditVerdictAnswer.altered(error.message)


async def _pieces(context: Context, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with context.exports:
        async for piece in pieces:
            yield piece
