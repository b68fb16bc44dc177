"""Samples as a webhook says them: one CloudEvent for a bunch (`connect/cloud_events.py`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.connect.cloud_events import envelope
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.points import Point
from headrace.model.time import SECOND_NS, format_time


def of_samples(ident: str, batches: Sequence[Batch], points: Mapping[int, Point], time_ns: int, outlet: str) -> bytes:
    """Samples in columns a point would be shorter; a list of samples is what receivers expect."""
    rows = [row for batch in batches for row in _rows(batch, points)]
    return envelope(ident, f"/headrace/outlet/{outlet}", "samples", "", time_ns, {"samples": rows})


def ident_of(batches: Sequence[Batch]) -> str:
    """The same samples have the same id, so a receiver sees that they came again."""
    digest = hashlib.sha256()
    for batch in batches:
        for column in (batch.handles, batch.source_ns, batch.quality):
            digest.update(column.tobytes())
        digest.update(repr(batch.values.tolist()).encode())
    return digest.hexdigest()[:32]


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


def seconds(time_ns: int) -> int:
    return time_ns // SECOND_NS
