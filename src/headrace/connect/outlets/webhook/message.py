"""What a webhook says, as bytes: CloudEvents in JSON, and the headers that sign them.

Sources: CloudEvents 1.0.2 §3, JSON Event Format 1.0.2 §3 (structured mode); Standard Webhooks 1.0 (signature).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.events import Event
from headrace.model.points import Point
from headrace.model.time import SECOND_NS, format_time

CONTENT_TYPE: Final = "application/cloudevents+json"
EXACT_INTEGER_MAX: Final = 2**53 - 1
TYPE_PREFIX: Final = "org.headrace."


def of_event(event: Event) -> bytes:
    """One event; its `id` is the same however often it is sent."""
    return _envelope(event.id, f"/headrace/{event.source}", event.type, event.subject, event.time_ns, dict(event.data))


def of_samples(ident: str, batches: Sequence[Batch], points: Mapping[int, Point], time_ns: int, outlet: str) -> bytes:
    """Samples in columns a point would be shorter; a list of samples is what receivers expect."""
    rows = [row for batch in batches for row in _rows(batch, points)]
    return _envelope(ident, f"/headrace/outlet/{outlet}", "samples", "", time_ns, {"samples": rows})


def ident_of(batches: Sequence[Batch]) -> str:
    """The same samples have the same id, so a receiver sees that they came again."""
    digest = hashlib.sha256()
    for batch in batches:
        for column in (batch.handles, batch.source_ns, batch.quality):
            digest.update(column.tobytes())
        digest.update(repr(batch.values.tolist()).encode())
    return digest.hexdigest()[:32]


def headers(ident: str, body: bytes, time_s: int, secret: bytes | None) -> dict[str, str]:
    """`webhook-signature` is `v1,` and the base64 of HMAC-SHA-256 over `<id>.<seconds>.<body>`."""
    said = {"content-type": CONTENT_TYPE, "webhook-id": ident, "webhook-timestamp": str(time_s)}
    if secret is not None:
        signed = f"{ident}.{time_s}.".encode() + body
        said["webhook-signature"] = "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return said


def _envelope(ident: str, source: str, kind: str, subject: str, time_ns: int, data: Any) -> bytes:
    said = {
        "specversion": "1.0",
        "id": ident,
        "source": source,
        "type": f"{TYPE_PREFIX}{kind}",
        "time": format_time(time_ns),
        "datacontenttype": "application/json",
        "data": _plain(data),
    }
    if subject:
        said["subject"] = subject
    return orjson.dumps(said)


def _rows(batch: Batch, points: Mapping[int, Point]) -> Iterator[dict[str, Any]]:
    for handle, time_ns, value, code in zip(
        batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
    ):
        point = points.get(handle)
        if point is None:
            continue
        row = {"path": point.path, "time": format_time(time_ns), "value": value, "quality": q.name_of(code)}
        if batch.kind in (ValueKind.FLOAT64, ValueKind.INT64):
            row["unit"] = point.unit
        yield row


def _plain(said: Any) -> Any:
    """As JSON holds it: no NaN, and integers that JavaScript would round as text."""
    if isinstance(said, Mapping):
        return {str(name): _plain(part) for name, part in said.items()}
    if isinstance(said, list | tuple):
        return [_plain(part) for part in said]
    if isinstance(said, float):
        return said if said - said == 0.0 else None
    if isinstance(said, int) and not isinstance(said, bool) and abs(said) > EXACT_INTEGER_MAX:
        return str(said)
    return said


def seconds(time_ns: int) -> int:
    return time_ns // SECOND_NS
