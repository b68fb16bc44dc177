"""Samples that others send: JSON lines, and line protocol as InfluxDB's clients write it. Stored before answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from starlette.responses import JSONResponse

from headrace.api.body_stream import body_of
from headrace.api.context import Context, InContext
from headrace.api.guarded_route import api_router
from headrace.api.schemas.values import IngestAnswer, IngestProblem
from headrace.model.errors import DataError, LimitReached
from headrace.model.time import HOUR_NS, MICROSECOND_NS, MILLISECOND_NS, MINUTE_NS, SECOND_NS
from headrace.sdk.access import Action
from headrace.sdk.services import IngestDialect, IngestReceipt

router = api_router("Values")
influx_router = api_router("InfluxDB", prefix="")

#: What a timestamp counts. Source: InfluxDB v2 API (ns, us, ms, s), v1 API (n, u, µ, ms, s, m, h).
UNITS_NS: Final = {
    **dict.fromkeys(("ns", "n"), 1),
    **dict.fromkeys(("us", "u", "µ"), MICROSECOND_NS),
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "h": HOUR_NS,
}
_WHOLE_JSON_BYTES_MAX: Final = 1 << 20

Precision = Annotated[str, Query(max_length=8, description="What a timestamp counts: ns, us, ms, s, m or h.")]
Ignored = Annotated[str, Query(max_length=200, description="Taken and not used.")]


def _body(*kinds: str) -> dict[str, Any]:
    """Not required: no lines are no samples, and a client that flushes nothing has done nothing wrong."""
    content = {kind: {"schema": {"type": "string"}} for kind in kinds}
    return {"requestBody": {"required": False, "content": content}}


_PROBLEM: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": IngestProblem, "description": "Some lines were refused; the others are stored."}
}


@router.post(
    "/ingest/json",
    operation_id="ingestJson",
    summary="Send samples as JSON lines",
    openapi_extra=_body("application/jsonl", "application/json"),
    responses=_PROBLEM,
)
async def ingest_json(request: Request, context: InContext, precision: Precision = "ns") -> IngestAnswer:
    """A line is an object, or an array of objects: `path`, `time?` (RFC 3339, or a number in `precision`; now if left
    out), `value`, `quality?` (a StatusCode or its name). `time`, `value` and `quality` may be arrays: one sample an
    entry. With `Content-Type: application/json` the whole body is one document, of at most 1 MiB. The answer comes
    when every sample is on disk; 400 names the lines that were refused, and the others are stored all the same."""
    chunks = _bytes(request, context)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        chunks = _as_one_line(chunks)
    receipt = await _receive(request, chunks, context, IngestDialect.JSON_LINES, precision, None)
    if receipt.refused:
        return _problem(receipt)  # type: ignore[return-value]
    return IngestAnswer(lines=receipt.lines, samples=receipt.samples)


@influx_router.post(
    "/api/v2/write",
    operation_id="ingestLines",
    summary="Send samples as line protocol (InfluxDB v2)",
    status_code=204,
    openapi_extra=_body("text/plain"),
    responses=_PROBLEM,
)
async def ingest_lines(
    request: Request,
    context: InContext,
    precision: Precision = "ns",
    bucket: Annotated[str, Query(max_length=200, description="Chooses the declared maps.")] = "",
    org: Ignored = "",
    orgID: Ignored = "",  # noqa: N803  # its name in InfluxDB
) -> Response:
    """For Telegraf and InfluxDB's client libraries: `Authorization: Token …` holds a Headrace token. Which point a
    series is, `ingest:` in the plant says; `<asset> <point>=<value>` needs no declaration. 204 when every sample is on
    disk; 400 names the lines that were refused, and the others are stored all the same."""
    del org, orgID
    return await _lines(request, context, precision, bucket)


@influx_router.post(
    "/write",
    operation_id="ingestLinesV1",
    summary="Send samples as line protocol (InfluxDB v1)",
    status_code=204,
    openapi_extra=_body("text/plain"),
    responses=_PROBLEM,
)
async def ingest_lines_v1(
    request: Request,
    context: InContext,
    precision: Precision = "ns",
    db: Annotated[str, Query(max_length=200, description="Chooses the declared maps, as a bucket.")] = "",
    rp: Ignored = "",
    consistency: Ignored = "",
) -> Response:
    """As `/api/v2/write`; a client that knows user and password only sends its token as the password."""
    del rp, consistency
    return await _lines(request, context, precision, db)


async def _lines(request: Request, context: Context, precision: str, bucket: str) -> Response:
    receipt = await _receive(
        request, _bytes(request, context), context, IngestDialect.LINE_PROTOCOL, precision, bucket or None
    )
    return _problem(receipt) if receipt.refused else Response(status_code=204)


async def _receive(
    request: Request,
    chunks: AsyncIterator[bytes],
    context: Context,
    dialect: IngestDialect,
    precision: str,
    bucket: str | None,
) -> IngestReceipt:
    unit_ns = UNITS_NS.get(precision)
    if unit_ns is None:
        raise DataError(f"'{precision}' is no precision; use ns, us, ms, s, m or h")
    if context.ingests.locked():
        raise LimitReached("as many senders as can be served are writing; try again")
    async with context.ingests:
        principal = request.state.caller.principal
        area = context.area(principal, Action.INGEST)
        return await context.services.ingest.receive(
            chunks, dialect, unit_ns=unit_ns, bucket=bucket, within=area, tenant=principal.tenant
        )


def _bytes(request: Request, context: Context) -> AsyncIterator[bytes]:
    settings = context.settings
    return body_of(request, bytes_max=settings.ingest_bytes_max, silence_s=settings.ingest_silence_s)


async def _as_one_line(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Newlines between tokens mean nothing in JSON, and inside a text they are escaped."""
    document = bytearray()
    async for chunk in chunks:
        document += chunk
        if len(document) > _WHOLE_JSON_BYTES_MAX:
            raise DataError("one JSON document has at most 1 MiB; send JSON lines, as application/jsonl")
    yield bytes(document).replace(b"\n", b" ")


def _problem(receipt: IngestReceipt) -> Response:
    """In the shape of all our errors, and with `code` and `message` where InfluxDB's clients look for them."""
    first = receipt.details[0]
    message = (
        f"partial write: {receipt.samples} samples are stored, {receipt.refused} were refused; "
        f"line {first.line}: {first.message}"
    )
    lines = [{"line": one.line, "message": one.message} for one in receipt.details]
    error = {"code": "partial-write", "message": message, "samples": receipt.samples, "refused": receipt.refused}
    return JSONResponse({"code": "invalid", "message": message, "error": {**error, "lines": lines}}, 400)
